"""A training run's figures for TensorBoard: event files in a folder for each run.

TensorBoard is imported inside functions, for it takes a second. MLflow and several trackers at once
are `tracking`'s.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class TensorBoardTracker:
    """Scalars of each run in `<root>/<run's name>/`.

    A run that is continued, or goes back, writes a further file that begins with a mark at its step
    (`purge_step`): readers then leave out what earlier files hold from there on.

    Args:
        root: folder of all runs; made where missing.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root
        self._writer: Any = None
        self._step = 0

    def start(self, name: str, params: Mapping[str, Any], run_id: str | None, step: int = 0) -> str:
        """Open the run's folder at a step; what it holds beyond is void."""
        self._folder = self._root / name
        self._open(step)
        if not step:
            rows = "\n".join(f"| {key} | {value} |" for key, value in params.items())
            self._writer.add_text("settings", f"| setting | value |\n|---|---|\n{rows}", 0)
        return run_id or ""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record figures at a step."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def rewind(self, step: int) -> None:
        """Figures after `step` are void."""
        self._writer.close()
        self._open(step)

    def note(self, key: str, text: str) -> None:
        """Keep a remark."""
        self._writer.add_text(key, text, self._step)

    def artifact(self, path: Path) -> None:
        """Files are MLflow's."""

    def finish(self, is_complete: bool) -> None:
        """Close the files."""
        self._writer.close()

    def _open(self, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._step = step
        # Readers go by the second in a file's name: two files of one second may change places.
        seconds = [int(path.name.split(".")[3]) for path in self._folder.glob("events.out.*")]
        while seconds and int(time.time()) <= max(seconds):
            time.sleep(0.05)
        # Figures come at the end of an epoch: those of `step` itself are good.
        self._writer = SummaryWriter(str(self._folder), purge_step=step + 1 if step else 0)
