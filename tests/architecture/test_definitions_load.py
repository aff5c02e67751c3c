"""Loading the code location stays quick, so that every command and the UI feel it."""

import json
import os
import subprocess
import sys

from tests.conftest import REPO

# What takes over half a second to import and is needed only inside steps.
HEAVY = ("torch", "mlflow", "great_expectations", "google.cloud.bigquery", "gcsfs", "matplotlib")
HEAVY += ("scipy.stats", "pandas", "gymnasium", "pettingzoo")


def test_definitions_import_nothing_heavy(tmp_path):
    program = (
        "import sys, json; import pipelines.definitions; "
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPO,
        env={**os.environ, "STRATOFORM_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(loaded.stdout.splitlines()[-1]) == []


def test_workspace_validates(tmp_path):
    validated = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"],
        cwd=REPO,
        env={**os.environ, "STRATOFORM_DATA": str(tmp_path), "DAGSTER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert validated.returncode == 0, validated.stdout + validated.stderr
