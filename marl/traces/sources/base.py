"""What every trace source answers, what it raises, and when an earlier result may be used again.

A source is a module of this package with one function `fetch`. Counting bytes and keeping what has
already arrived belong to `marl.traces.budget`, telling layouts apart to `marl.traces.detect`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from marl.files import inside, sha256_file
from marl.traces.manifest import RawFile, RawManifest, TraceRequest

Progress = Callable[[str], None]


class SourceError(RuntimeError):
    """A trace could not be fetched. The message says what was wrong, where, and what to do."""


class BudgetExceeded(SourceError):  # noqa: N818 - public name: it says what happened
    """The slice asked for is larger than the byte budget; nothing beyond the budget was read.

    Attributes:
        wanted_bytes: bytes the request needs, as far as they are known.
        budget_bytes: bytes the request allows.
    """

    def __init__(self, wanted_bytes: int, budget_bytes: int, what: str, narrow: str) -> None:
        """Build the message.

        Args:
            wanted_bytes: bytes needed (a lower bound where reading stopped midway).
            budget_bytes: bytes allowed.
            what: what needs them, for people, e.g. "12 files of /data/google2011".
            narrow: what the user can do, e.g. "shorten duration_s".
        """
        self.wanted_bytes = wanted_bytes
        self.budget_bytes = budget_bytes
        super().__init__(
            f"over budget: {what} needs {readable(wanted_bytes)}, "
            f"the budget allows {readable(budget_bytes)}. {narrow}"
        )


class Source(Protocol):
    """A module that can fetch: `embedded`, `local`, `gcs`, `bigquery`."""

    def fetch(self, request: TraceRequest, into: Path, progress: Progress | None) -> RawManifest:
        """Bring the slice `request` describes to `into` and describe it.

        Called again with an equal request and intact files it does no work twice; interrupted and
        called again it finishes. Nothing half-written ever carries a final name.

        Args:
            request: the slice.
            into: folder for the files and `manifest.json`; created where absent.
            progress: called with one line of text now and then, on long work.

        Returns:
            The manifest, which is also saved in `into`.

        Raises:
            BudgetExceeded: the slice is larger than the request's byte budget.
            SourceError: anything else that keeps the trace from being fetched.
        """
        ...


def readable(count: int) -> str:
    """Bytes for people, exact number included: `2,147,483,648 bytes (2.00 GiB)`."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count:,} bytes ({count / size:.2f} {unit})"
    return f"{count:,} bytes"


def raw_path(folder: Path, file: RawFile) -> Path:
    """Where a manifest's file lies: an absolute path as it stands, a relative one inside `folder`.

    Raises:
        ValueError: the relative path would leave `folder`.
    """
    return Path(file.path) if Path(file.path).is_absolute() else inside(folder, file.path)


def is_intact(path: Path, size: int, sha256: str) -> bool:
    """Whether `path` is a regular file with exactly these bytes (size first: it costs nothing)."""
    return path.is_file() and path.stat().st_size == size and sha256_file(path) == sha256


def saved_manifest(into: Path) -> RawManifest | None:
    """The manifest an earlier run left in `into`; None where there is none one can read."""
    try:
        return RawManifest.load(into)
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def reusable(request: TraceRequest, into: Path) -> RawManifest | None:
    """The saved manifest, when it answers an equal request and every file is intact; else None."""
    manifest = saved_manifest(into)
    if manifest is None or manifest.request != request:
        return None
    for file in manifest.files:
        try:
            path = raw_path(into, file)
        except ValueError:
            return None
        if not is_intact(path, file.bytes, file.sha256):
            return None
    return manifest
