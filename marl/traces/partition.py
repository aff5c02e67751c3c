"""Rows into one sorted Parquet file per stretch of time, without duplicates, in flat memory.

Rows in order of time, as Google's 2011 files hold them, go through a short buffer straight into
their file. A row that comes later than its neighbours were written goes to a spill file; at the end
the files concerned are written again with it. The result does not depend on which way a row took.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Final, cast

import polars as pl

from marl.files import remove
from marl.traces.formats.spec import ROW
from marl.traces.parts import PartWriter, WrittenPart
from marl.traces.schema import TABLES, TIME_COLUMN

STRETCH_US: Final = {  # one hour; machines change seldom, an hour would hold a handful of rows
    "machines": 86_400_000_000,
    "collections": 3_600_000_000,
    "instances": 3_600_000_000,
    "usage": 3_600_000_000,
}
BUFFER_BYTES: Final = 64 << 20
FILE: Final = "_file"  # index of the source file; with ROW it names a record
_EARLIER: Final = -1  # FILE of rows that are in a part already
_SLACK_US: Final = 300_000_000  # how far rows may be out of order without a detour
_PIECES: Final = 12  # a stretch too large to sort at once is sorted in so many pieces
_SORT_KEYS: Final = {
    "machines": ("time_us", "machine_id", "event"),
    "collections": ("time_us", "collection_id", "event"),
    "instances": ("time_us", "collection_id", "instance_index", "event"),
    "usage": ("start_us", "collection_id", "instance_index", "end_us"),
}


@dataclass
class Written:
    """What `StretchWriter.finish` left.

    Attributes:
        parts: the row files, in order of time.
        kept: rows by index of source file.
        duplicates: (`FILE`, `ROW`) of records equal to an earlier one in every canonical column.
    """

    parts: list[WrittenPart] = field(default_factory=list)
    kept: dict[int, int] = field(default_factory=dict)
    duplicates: list[pl.DataFrame] = field(default_factory=list)


class StretchWriter:
    """Takes canonical rows in any order of time and writes `part-<stretch>.parquet` files."""

    def __init__(
        self,
        folder: Path,
        table: str,
        stretch_us: int | None = None,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        """Create the folder.

        Args:
            folder: where the files go.
            table: canonical table.
            stretch_us: length of a stretch; None for the table's usual one.
            buffer_bytes: rows held in memory, and sorted at once; peak memory is a few times this.
        """
        folder.mkdir(parents=True)
        self._table = table
        self._time = TIME_COLUMN[table]
        self._stretch_us = stretch_us or STRETCH_US[table]
        self._buffer_bytes = buffer_bytes
        self._held: list[pl.DataFrame] = []
        self._held_bytes = 0
        self._frontier_us = -1  # rows before this instant are written or spilled
        self._parts = PartWriter(folder, TABLES[table], self._time)
        self._spill = _Spill(folder / "spill.bin")
        self._written = Written()

    def add(self, frame: pl.DataFrame) -> None:
        """Take rows: the canonical columns, `ROW` and `FILE`."""
        if frame.height:
            self._held.append(frame)
            self._held_bytes += int(frame.estimated_size())
            if self._held_bytes > self._buffer_bytes:
                self._relieve(is_last=False)

    def finish(self) -> Written:
        """Write everything that is left; at least one file, maybe empty."""
        self._relieve(is_last=True)
        self._parts.close()
        for stretch in self._spill.stretches():
            self._write_again(stretch)
        self._spill.close()
        self._written.parts = self._parts.finish()
        return self._written

    def _relieve(self, *, is_last: bool) -> None:
        """Write what time has passed, spill what is late, hold the newest rows back."""
        if not self._held:
            return
        frame = pl.concat(self._held)
        self._held = []
        time = frame[self._time]
        newest = cast(int, time.max())
        frontier = newest + 1 if is_last else newest // _SLACK_US * _SLACK_US
        if not is_last and int((time < frontier).sum()) * 2 < frame.height:
            frontier = newest  # dense: only rows of one instant must stay together
        frontier = max(frontier, self._frontier_us)
        late = frame.filter(time < self._frontier_us)
        for stretch, rows in self._by_stretch(late):
            self._spill.add(stretch, rows)
        ready = frame.filter((time >= self._frontier_us) & (time < frontier))
        self._put(ready)
        waiting = frame.filter(time >= frontier)
        self._held = [waiting] if waiting.height else []
        self._held_bytes = int(waiting.estimated_size())
        self._frontier_us = frontier

    def _by_stretch(self, frame: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
        """Split by stretch, in order of time; rows keep their order."""
        if not frame.height:
            return
        stretch = frame[self._time] // self._stretch_us
        if stretch.min() == stretch.max():
            yield int(stretch[0]), frame
            return
        marked = frame.with_columns(stretch.alias("_stretch")).sort("_stretch", maintain_order=True)
        for rows in marked.partition_by("_stretch", maintain_order=True):
            yield int(rows["_stretch"][0]), rows.drop("_stretch")

    def _put(self, frame: pl.DataFrame) -> None:
        """Sort rows, keep the first of equal ones, append them to their stretches' files."""
        if not frame.height:
            return
        keys = _SORT_KEYS[self._table]
        frame = frame.sort(*keys, maintain_order=True)
        repeated = _repeated(frame, keys)
        if repeated is not None:
            self._written.duplicates.append(frame.filter(repeated).select(FILE, ROW))
            frame = frame.filter(~repeated)
        for file, count in frame[FILE].value_counts().iter_rows():
            if file != _EARLIER:
                self._written.kept[file] = self._written.kept.get(file, 0) + count
        for stretch, rows in self._by_stretch(frame.drop(FILE, ROW)):
            self._parts.append(stretch, rows)

    def _write_again(self, stretch: int) -> None:
        """Merge a stretch's spilled rows with those in its file, piece by piece of its time."""
        start = stretch * self._stretch_us
        edges = [start, start + self._stretch_us]
        if self._spill.size(stretch) > self._buffer_bytes:
            edges = [start + self._stretch_us * piece // _PIECES for piece in range(_PIECES + 1)]
        with self._parts.replacing(stretch) as earlier:
            for low, high in pairwise(edges):
                within = pl.col(self._time).is_between(low, high, closed="left")
                frames = [frame.filter(within) for frame in self._spill.read(stretch)]
                if earlier is not None:
                    old = pl.scan_parquet(earlier, glob=False).filter(within).collect()
                    frames.insert(0, old.with_columns(_EARLIER_MARKS))
                self._put(pl.concat(frames))


_EARLIER_MARKS: Final = (
    pl.lit(_EARLIER, dtype=pl.Int64).alias(ROW),
    pl.lit(_EARLIER, dtype=pl.Int32).alias(FILE),
)


def _repeated(frame: pl.DataFrame, keys: tuple[str, ...]) -> pl.Series | None:
    """Mask of rows equal to an earlier one; None when there is none.

    Only rows that share their sort keys with a neighbour are compared in full.
    """
    same = pl.all_horizontal(pl.col(key).eq_missing(pl.col(key).shift(1)) for key in keys)
    place = pl.int_range(pl.len())
    follows = frame.select((same & (place > 0)).alias("follows")).to_series()
    if not follows.any():
        return None
    shares = follows | follows.shift(-1, fill_value=False)
    columns = [name for name in frame.columns if name not in (FILE, ROW)]
    places = frame.select(place.alias("place")).to_series()
    some = frame.filter(shares).with_columns(places.filter(shares))
    first = some.unique(columns, keep="first", maintain_order=True)["place"]
    if len(first) == len(some):
        return None
    return places.is_in(some["place"].filter(~some["place"].is_in(first.to_list())).to_list())


class _Spill:
    """Frames by stretch in one file that only grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("w+b")
        self._places: dict[int, list[tuple[int, int]]] = {}

    def stretches(self) -> list[int]:
        return sorted(self._places)

    def size(self, stretch: int) -> int:
        return sum(length for _, length in self._places[stretch])

    def add(self, stretch: int, frame: pl.DataFrame) -> None:
        start = self._file.seek(0, 2)
        frame.write_ipc_stream(self._file, compression="uncompressed")
        self._places.setdefault(stretch, []).append((start, self._file.tell() - start))

    def read(self, stretch: int) -> Iterator[pl.DataFrame]:
        for start, length in self._places[stretch]:
            self._file.seek(start)
            yield pl.read_ipc_stream(BytesIO(self._file.read(length)))

    def close(self) -> None:
        self._file.close()
        remove(self._path)
