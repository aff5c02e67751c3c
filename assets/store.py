"""Where assets live on disk: `<data>/<asset>/`, a folder each, replaced whole or not at all.

The IO manager (`pipelines.io_managers`) publishes and loads through this; asset bodies only ask for
a staging folder. Formats inside the folders belong to `marl`.
"""

import os
import re
import uuid
from pathlib import Path

import dagster as dg

from marl.files import remove

_STAGING = re.compile(r"\.staging-(\d+)-[0-9a-f]{8}")


class Store(dg.ConfigurableResource):
    """The data folder.

    Attributes:
        root: absolute path of the data folder (STRATOFORM_DATA, default `data/` in the repository).
    """

    root: str

    @property
    def path(self) -> Path:
        """The data folder itself."""
        return Path(self.root)

    def folder(self, asset: str) -> Path:
        """Final folder of an asset; it need not exist."""
        return self.path / asset

    def staging(self, asset: str) -> Path:
        """A fresh, empty folder to write an asset's next state in.

        Folders that killed processes left behind for this asset are removed first; one whose
        process still lives is left alone.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        for leftover in self.path.glob(f"{asset}.staging-*"):
            match = _STAGING.search(leftover.name)
            if match and not _is_alive(int(match.group(1))):
                remove(leftover)
        folder = self.path / f"{asset}.staging-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        return folder

    def working(self, name: str) -> Path:
        """A folder that survives interruption: downloads, checkpoints. Created if absent."""
        folder = self.path / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _is_alive(pid: int) -> bool:
    if pid == os.getpid():
        return False  # our own leftovers of a failed step
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
