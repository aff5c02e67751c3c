"""Bytes counted against a budget, and a memory of what has already arrived.

Shared by every source that writes files: the counter that refuses before the budget is passed, the
ledger of finished files, and the part file that lets an interrupted download go on. What is fetched
belongs to `sources`.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from pydantic import TypeAdapter, ValidationError

from marl.files import inside, remove, sha256_file, write_json
from marl.frozen import Frozen
from marl.traces.sources.base import BudgetExceeded, is_intact

LEDGER_NAME = "arrived.json"
PART_SUFFIX = ".part"


class ByteBudget:
    """Counts bytes and refuses to pass the limit.

    Attributes:
        limit_bytes: the budget.
        used_bytes: bytes counted so far.
    """

    def __init__(self, limit_bytes: int, narrow: str) -> None:
        """Start at zero.

        Args:
            limit_bytes: the budget.
            narrow: what the user can do when it is too small, one or two sentences.
        """
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._narrow = narrow

    def check(self, wanted_bytes: int, what: str) -> None:
        """Refuse, before anything is read, what would not fit beside what was counted already.

        Raises:
            BudgetExceeded: used + wanted is more than the limit.
        """
        total = self.used_bytes + wanted_bytes
        if total > self.limit_bytes:
            raise BudgetExceeded(total, self.limit_bytes, what, self._narrow)

    def add(self, count: int, what: str) -> None:
        """Count bytes as they arrive.

        Raises:
            BudgetExceeded: they do not fit; they are not counted.
        """
        self.check(count, what)
        self.used_bytes += count


class Arrived(Frozen):
    """A finished file: its bytes, and which version of the origin they are."""

    bytes: int
    sha256: str
    version: str  # what identifies the content at the origin: a generation, an ETag, a config hash


class Ledger:
    """What has arrived in a folder, kept in `arrived.json`: no file is fetched or made twice.

    Names are relative to the folder. A file counts as present only when the entry carries the
    version asked for and the bytes on disk still have the recorded size and sha256.
    """

    def __init__(self, folder: Path) -> None:
        """Read the folder's ledger; a missing or unreadable one counts as empty."""
        self.folder = folder
        self._path = folder / LEDGER_NAME
        try:
            self._entries = _ENTRIES.validate_json(self._path.read_bytes())
        except (FileNotFoundError, ValidationError):
            self._entries = {}

    def find(self, name: str, version: str) -> Arrived | None:
        """The entry of an intact file of this version; None when it must be fetched (again)."""
        entry = self._entries.get(name)
        if entry is None or entry.version != version:
            return None
        path = inside(self.folder, name)
        return entry if is_intact(path, entry.bytes, entry.sha256) else None

    def record(self, name: str, version: str, sha256: str | None = None) -> Arrived:
        """Note a file that is complete under its final name (hashed here unless `sha256` is given).

        Raises:
            ValueError: the name would leave the folder.
        """
        path = inside(self.folder, name)
        entry = Arrived(
            bytes=path.stat().st_size, sha256=sha256 or sha256_file(path), version=version
        )
        self._entries[name] = entry
        self._save()
        return entry

    def prune(self, keep: Iterable[str]) -> int:
        """Delete recorded files that are no longer wanted. Files it never recorded stay.

        Returns:
            How many files were deleted.
        """
        stale = sorted(set(self._entries) - set(keep))
        for name in stale:
            remove(inside(self.folder, name))
            del self._entries[name]
        if stale:
            self._save()
        return len(stale)

    def _save(self) -> None:
        write_json(self._path, {name: entry.model_dump() for name, entry in self._entries.items()})


_ENTRIES: TypeAdapter[dict[str, Arrived]] = TypeAdapter(dict[str, Arrived])


class PartFile:
    """A download under way, kept beside its target and bound to one version of the origin.

    The bytes lie in `<name>.<hash of version>.part`, so a part of another version is never
    continued; it is deleted. Use as a context manager: on an error the part stays for next time.

    Example:
        with PartFile(target, version=generation) as part:
            for block in download(start=part.offset):
                part.write(block)
            part.finish()
    """

    def __init__(self, target: Path, version: str) -> None:
        """Find what an earlier run left of this version; drop parts of other versions."""
        self.target = target
        tag = hashlib.sha256(version.encode()).hexdigest()[:16]
        self.path = target.with_name(f"{target.name}.{tag}{PART_SUFFIX}")
        target.parent.mkdir(parents=True, exist_ok=True)
        for other in _parts_of(target):
            if other != self.path:
                other.unlink()
        self._digest = hashlib.sha256()
        self._stream: BinaryIO | None = None
        self.offset = 0

    def __enter__(self) -> Self:
        """Open for appending; `offset` is how many bytes are there already."""
        self._stream = self.path.open("a+b")
        self._stream.seek(0)
        while block := self._stream.read(1 << 20):
            self._digest.update(block)
            self.offset += len(block)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; what arrived stays unless `finish` moved or `discard` deleted it."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def write(self, block: bytes) -> None:
        """Append bytes in order."""
        self._opened().write(block)
        self._digest.update(block)
        self.offset += len(block)

    def flush(self) -> None:
        """Hand what was written to the system, so that `path` can be read beside."""
        self._opened().flush()

    def sha256(self) -> str:
        """Hex sha256 of all bytes so far."""
        return self._digest.hexdigest()

    def finish(self) -> str:
        """Put the complete file under its final name. Returns its sha256."""
        self._opened().close()
        self._stream = None
        self.path.replace(self.target)
        return self.sha256()

    def discard(self) -> None:
        """Throw away what arrived: it turned out wrong."""
        self._opened().close()
        self._stream = None
        self.path.unlink(missing_ok=True)

    def _opened(self) -> BinaryIO:
        if self._stream is None:
            raise ValueError("PartFile is not open: use it as a context manager")
        return self._stream


def _parts_of(target: Path) -> list[Path]:
    """Part files of any version of `target` (no globbing: names may hold wildcards)."""
    prefix = f"{target.name}."
    return [
        path
        for path in target.parent.iterdir()
        if path.name.startswith(prefix)
        and path.name.endswith(PART_SUFFIX)
        and len(path.name) == len(prefix) + 16 + len(PART_SUFFIX)
    ]
