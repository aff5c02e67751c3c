"""What makes `dagster …` work from the repository's root with no flag more.

Python runs this at start-up for `dagster` commands only (see `env.pth`), before the command line is
parsed: `dagster asset materialize` reads neither workspace.yaml nor pyproject.toml, only its own
environment variables. Everything is `setdefault`: a user's own settings win. Keep it light, and
without imports beyond the standard library.
"""

import os
import shutil
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _prepare() -> None:
    module = "pipelines.definitions"
    for command in ("MATERIALIZE", "LIST", "WIPE"):
        os.environ.setdefault(f"DAGSTER_CLI_ASSET_{command}_MODULE_NAME", module)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    if "DAGSTER_HOME" not in os.environ:
        # Runs, events and the schedule's state persist here; without it Dagster forgets each run.
        data = Path(os.environ.get("STRATOFORM_DATA") or ROOT / "data").expanduser().resolve()
        home = data / "dagster_home"
        home.mkdir(parents=True, exist_ok=True)
        settings = Path(__file__).with_name("dagster.yaml")  # in the root Dagster warns of it
        if settings.is_file():
            # Copied at every start, so that the file in the repository is the one that counts.
            aside = home / f"dagster.yaml.{os.getpid()}"
            shutil.copyfile(settings, aside)
            aside.replace(home / "dagster.yaml")
        os.environ["DAGSTER_HOME"] = str(home)
    # `dagster asset` is superseded by `dg launch`, which we do not require.
    warnings.filterwarnings("ignore", message=r".*`dagster asset.*|.*superseded.*")
    warnings.filterwarnings("ignore", message=r"Parameter `include_sources`.*")  # Dagster's own use


_prepare()
