"""`part-<NNNNNN>.parquet` files written a row group at a time, in ascending order of number.

Polars writes a file at once; pyarrow can append row groups, which keeps memory flat. Sorting and
deciding what goes where belong to `partition`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

ROW_GROUP_ROWS: Final = 1 << 18
_ZSTD_LEVEL: Final = 3
_OLDEST: Final = pl.CompatLevel.oldest()  # large_string and dictionary: every reader knows them


@dataclass
class WrittenPart:
    """A finished file. Times are null where it is empty."""

    path: Path
    rows: int = 0
    first_us: int | None = None
    last_us: int | None = None


class PartWriter:
    """Writes one part at a time; a part is closed when rows of another come."""

    def __init__(self, folder: Path, schema: pl.Schema, time_column: str) -> None:
        """Write in `folder`, which exists, tables of `schema`, sorted by `time_column`."""
        self._folder = folder
        self._time = time_column
        self._arrow = pl.DataFrame(schema=schema).to_arrow(compat_level=_OLDEST).schema
        self._parts: dict[int, WrittenPart] = {}
        self._open: int | None = None
        self._writer: Any = None
        self._held: list[pl.DataFrame] = []
        self._held_rows = 0

    def append(self, number: int, frame: pl.DataFrame) -> None:
        """Append rows (one at least, in order of time). Parts come ascending, each once.

        Raises:
            ValueError: the part is finished already.
        """
        if number != self._open:
            self.close()
            if number in self._parts:
                raise ValueError(f"part {number} is finished already")
            self._start(number)
        part = self._parts[number]
        part.rows += frame.height
        if part.first_us is None:
            part.first_us = frame[self._time][0]
        part.last_us = frame[self._time][-1]
        self._held.append(frame)
        self._held_rows += frame.height
        if self._held_rows >= ROW_GROUP_ROWS:
            self._write()

    def close(self) -> None:
        """Finish the open part, if any."""
        if self._open is not None:
            self._write()
            self._writer.close()
            self._open = self._writer = None

    @contextmanager
    def replacing(self, number: int) -> Iterator[Path | None]:
        """Write a part anew. Yields where its old rows can be read; None when it had none."""
        self.close()
        part = self._parts.pop(number, None)
        old = part.path.rename(part.path.with_suffix(".old")) if part else None
        yield old
        self.close()
        if old:
            old.unlink()

    def finish(self) -> list[WrittenPart]:
        """Close and give the parts in order; an empty part 0 when there is no other."""
        self.close()
        if not self._parts:
            self._start(0)
            self.close()
        return [self._parts[number] for number in sorted(self._parts)]

    def _start(self, number: int) -> None:
        import pyarrow.parquet as pq

        path = self._folder / f"part-{number:06d}.parquet"
        self._writer = pq.ParquetWriter(
            path, self._arrow, compression="zstd", compression_level=_ZSTD_LEVEL
        )
        self._parts[number] = WrittenPart(path)
        self._open = number

    def _write(self) -> None:
        if self._held:
            rows = pl.concat(self._held).to_arrow(compat_level=_OLDEST)
            self._writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)
            self._held = []
            self._held_rows = 0
