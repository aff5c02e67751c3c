"""Text files as blocks of whole records, numbered, with their original text at hand.

Knows gzip, line ends, byte order marks and files that stop midway; not what a record means (that is
`csvlines`, `csvrecords` and `jsonlines`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from marl.traces.formats.spec import TraceFormatError
from marl.traces.unpack import BoundedGzip

BLOCK_BYTES: Final = 16 << 20
LONGEST_RECORD_BYTES: Final = 64 << 20
_BOM: Final = b"\xef\xbb\xbf"
_NEWLINE: Final = 10
_SPACE: Final = 32
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class LineBlock:
    """Whole records, one after the other.

    Attributes:
        data: their bytes; each record ends with a line feed.
        first_row: number of the first, counted from 1 in the file.
        is_cut: the block is the one record in which a damaged file stops.
        may_continue: a line that starts with a space belongs to the record before it.
    """

    data: bytes
    first_row: int
    is_cut: bool = False
    may_continue: bool = False

    @cached_property
    def ends(self) -> np.ndarray:
        """Offset behind each record (behind its line feed), (records,) int64."""
        data = np.frombuffer(self.data, np.uint8)
        ends = np.flatnonzero(data == _NEWLINE) + 1
        if self.may_continue:
            inner = ends[:-1]
            ends = np.append(inner[data[inner] != _SPACE], len(data))
        return ends

    @cached_property
    def _count(self) -> int:
        if self.may_continue:
            return len(self.ends)
        return int(np.count_nonzero(np.frombuffer(self.data, np.uint8) == _NEWLINE))

    def __len__(self) -> int:
        """Number of records."""
        return self._count

    def record(self, row: int) -> bytes:
        """The bytes of record `row`, without its line feed."""
        index = row - self.first_row
        start = int(self.ends[index - 1]) if index else 0
        return self.data[start : int(self.ends[index]) - 1]

    def raw(self, rows: list[int]) -> list[str]:
        """The text of these records; bytes that are not UTF-8 are written as escapes."""
        return [self.record(row).decode("utf-8", "backslashreplace") for row in rows]


class LineFile:
    """A CSV or JSON file, gzipped or not, read once from start to end.

    Attributes:
        notes: what was found on the way, for people; complete when `blocks` is exhausted.
    """

    def __init__(self, path: Path, *, may_continue: bool = False) -> None:
        """Prepare; nothing is read yet. For `may_continue` see `LineBlock`."""
        self.path = path
        self.notes: list[str] = []
        self._may_continue = may_continue

    def blocks(self) -> Iterator[LineBlock]:
        """The file's records in order.

        A gzip file that ends early gives its whole records, then the cut one as a block of its
        own. Carriage returns before line feeds and a leading byte order mark are dropped.

        Raises:
            TraceFormatError: the file is not a text of records, or is UTF-16.
            UnpackRefused: the file unpacks to more than is allowed.
        """
        row = 1
        for data, is_cut in self._pieces():
            text = data.replace(b"\r\n", b"\n") if b"\r\n" in data else data
            block = LineBlock(text, row, is_cut, self._may_continue)
            row += len(block)
            yield block

    def _pieces(self) -> Iterator[tuple[bytes, bool]]:
        """Blocks of whole records; (data, whether it is the cut end)."""
        source = BoundedGzip(self.path, whole_lines=False)
        held: list[bytes] = []
        size = 0
        is_first = True
        for piece in source.blocks():
            held.append(piece)
            size += len(piece)
            if is_first and size >= len(_BOM):
                held = [self._without_mark(b"".join(held))]
                is_first = False
            if size < BLOCK_BYTES:
                continue
            data = b"".join(held)
            end = self._last_end(data)
            if end:
                yield data[:end], False
            elif size > LONGEST_RECORD_BYTES:
                raise TraceFormatError(
                    f"{self.path}: a record longer than {LONGEST_RECORD_BYTES:,} bytes; "
                    "this is not a trace of one record a line. Check what the file is"
                )
            held = [data[end:]]
            size = len(held[0])
        if source.cut is not None and source.cut.reason:
            self.notes.append(source.cut.reason)
        yield from self._rest(
            b"".join(held), is_truncated=bool(source.cut and source.cut.is_truncated)
        )

    def _rest(self, data: bytes, *, is_truncated: bool) -> Iterator[tuple[bytes, bool]]:
        end = data.rfind(b"\n") + 1
        if is_truncated and end < len(data):
            if self._may_continue:
                end = self._last_end(data)
            if end:
                yield data[:end], False
            yield data[end:] + b"\n", True
        elif data:
            yield (data if data.endswith(b"\n") else data + b"\n"), False

    def _last_end(self, data: bytes) -> int:
        """Offset behind the last record known to be whole; 0 where there is none."""
        end = data.rfind(b"\n") + 1
        if not self._may_continue:
            return end
        while end and (end == len(data) or data[end] == _SPACE):
            end = data.rfind(b"\n", 0, end - 1) + 1
        return end

    def _without_mark(self, data: bytes) -> bytes:
        if data.startswith(_UTF16):
            raise TraceFormatError(
                f"{self.path}: UTF-16 text; convert it first (iconv -f UTF-16 -t UTF-8)"
            )
        return data.removeprefix(_BOM)
