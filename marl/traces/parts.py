"""`part-<NNNNNN>.parquet` files written a row group at a time, in ascending order of number.

Polars writes a file at once; pyarrow can append row groups, which keeps memory flat. Sorting and
deciding what goes where belong to `partition`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import polars as pl

ROW_GROUP_ROWS: Final = 1 << 18
_ZSTD_LEVEL: Final = 3
_OLDEST: Final = pl.CompatLevel.oldest()  # large_string and dictionary: every reader knows them


class PartWriter:
    """Writes one part at a time; a part is closed when rows of another come."""

    def __init__(self, folder: Path, schema: pl.Schema) -> None:
        """Write in `folder`, which exists, tables of `schema`."""
        self._folder = folder
        self._arrow = pl.DataFrame(schema=schema).to_arrow(compat_level=_OLDEST).schema
        self._paths: dict[int, Path] = {}
        self._open: int | None = None
        self._writer: Any = None
        self._held: list[pl.DataFrame] = []
        self._held_rows = 0

    def append(self, number: int, frame: pl.DataFrame) -> None:
        """Append rows to a part. Parts come in ascending order, each once.

        Raises:
            ValueError: the part is finished already.
        """
        if number != self._open:
            self.close()
            if number in self._paths:
                raise ValueError(f"part {number} is finished already")
            self._start(number)
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
        path = self._paths.pop(number, None)
        old = path.rename(path.with_suffix(".old")) if path else None
        yield old
        self.close()
        if old:
            old.unlink()

    def finish(self) -> list[Path]:
        """Close and give the parts' paths in order; an empty part 0 when there is no other."""
        self.close()
        if not self._paths:
            self._start(0)
            self.close()
        return [self._paths[number] for number in sorted(self._paths)]

    def _start(self, number: int) -> None:
        import pyarrow.parquet as pq

        path = self._folder / f"part-{number:06d}.parquet"
        self._writer = pq.ParquetWriter(
            path, self._arrow, compression="zstd", compression_level=_ZSTD_LEVEL
        )
        self._paths[number] = path
        self._open = number

    def _write(self) -> None:
        if self._held:
            rows = pl.concat(self._held).to_arrow(compat_level=_OLDEST)
            self._writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)
            self._held = []
            self._held_rows = 0
