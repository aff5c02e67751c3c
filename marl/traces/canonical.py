"""Raw trace files to canonical tables: one folder a table, every record accounted for.

    rows/part-<NNNNNN>.parquet        the table; NNNNNN counts stretches of trace time,
                                      0 holds the snapshot
    quarantine/part-<NNNNNN>.parquet  records that could not be used: reason, original text
    accounting.json                   where every record went

Reading formats belongs to `formats`, the rules to `rules`, window and sample to `selection`,
sorting to `partition`; this module joins them and counts.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from marl.files import sha256_file, sha256_json
from marl.traces.accounting import Part, TableAccounting, Tally
from marl.traces.formats import Reader, kaggle2019, native_table, open_reader
from marl.traces.formats.ahead import ahead
from marl.traces.formats.spec import ROW, NativeTable
from marl.traces.manifest import RawFile, RawManifest
from marl.traces.partition import FILE, StretchWriter
from marl.traces.parts import WrittenPart
from marl.traces.quarantine import QuarantineWriter, scan_quarantine
from marl.traces.rules import canonical
from marl.traces.schema import SNAPSHOT_US, TABLES, TIME_COLUMN
from marl.traces.selection import select
from marl.traces.sources.base import raw_path

Progress = Callable[[str], None]
DUPLICATE: Final = "duplicate"
_PROGRESS_S: Final = 5.0
_COST: Final = {
    "machines": "capacity is unknown: utilisation against the cell's size cannot be shown",
    "collections": "no jobs' arrivals, users or names: what is computed from jobs is left out and "
    "arrivals are those of instances",
    "instances": "no requests, lifecycles or delays: demand cannot be fitted from this trace alone",
    "usage": "what was really used is unknown: slack, utilisation and demand come from requests",
}


@dataclass(frozen=True)
class _Source:
    """A file of the manifest that feeds the table."""

    file: RawFile
    path: Path
    native: NativeTable

    def open(self) -> Reader:
        return open_reader(self.file, self.path, self.native)


def write_table(
    manifest: RawManifest,
    manifest_folder: Path,
    table: str,
    into: Path,
    progress: Progress | None = None,
    stretch_us: int | None = None,
) -> TableAccounting:
    """Write one canonical table.

    Memory stays flat whatever the input's size; the same input gives the same bytes.

    Args:
        manifest: the raw trace; its request holds window and sample.
        manifest_folder: what the manifest's relative paths are relative to.
        table: `machines`, `collections`, `instances` or `usage`.
        into: empty folder to write in, created where absent; nothing is left outside of it.
        progress: called with a line of text every few seconds.
        stretch_us: trace time of one row file; None for one hour (machines: one day).

    Returns:
        The account, also saved as `accounting.json`. A table that the source lacks is written empty
        with `is_missing`.

    Raises:
        TraceFormatError: a file cannot be read at all.
        UnpackRefused: a file would unpack beyond the limits.
        ValueError: `table` is unknown, or a path leaves the folder.
        FileExistsError: `into` holds something already.
    """
    if table not in TABLES:
        raise ValueError(f"unknown table {table!r}: one of {', '.join(TABLES)}")
    if into.is_dir() and any(into.iterdir()):
        raise FileExistsError(f"{into} is not empty: a table is written into a fresh folder")
    sources, notes = _sources(manifest, manifest_folder, table)
    rows = StretchWriter(into / "rows", table, stretch_us)
    quarantine = QuarantineWriter(into, table)
    tallies = [Tally(source.file.path) for source in sources]
    say = _Throttle(progress)
    for index, source in enumerate(sources):
        say.what = f"{table}: file {index + 1} of {len(sources)}, {source.path.name}"
        _read(source, index, manifest, rows, quarantine, tallies[index], say)
    say.what = f"{table}: sorting"
    written = rows.finish()
    for index, numbers in _by_file(written.duplicates):
        _quarantine_again(sources[index], numbers, quarantine, tallies[index])
    files = [tally.counts(written.kept.get(index, 0)) for index, tally in enumerate(tallies)]
    parts = [_part(into, part) for part in written.parts]
    if sum(part.rows for part in parts) != sum(file.rows_kept for file in files):
        raise RuntimeError(f"{table}: the files written do not hold the rows that were counted")
    if sources and not sum(file.rows_kept for file in files):
        notes.append(f"no row of {table} is left after quarantine and selection: {_COST[table]}")
    if not sources:
        notes.append(f"the source has no {table}: {_COST[table]}")
    accounting = TableAccounting(
        table=table,
        is_missing=not sources,
        is_synthetic=manifest.is_synthetic,
        rows_in=sum(file.rows_in for file in files),
        rows_kept=sum(file.rows_kept for file in files),
        quarantined=_summed(file.quarantined for file in files),
        filtered=_summed(file.filtered for file in files),
        files=tuple(files),
        parts=tuple(parts),
        quarantine_parts=tuple(_part(into, part) for part in quarantine.finish()),
        bytes=sum(part.bytes for part in parts),
        sha256=sha256_json([part.sha256 for part in parts]),
        notes=(*notes, *(note for file in files for note in file.notes)),
        **_coverage(written.parts, table),
    )
    accounting.save(into)
    return accounting


def read_table(folder: Path) -> pl.LazyFrame:
    """A canonical table's rows, in order of time; never the quarantine."""
    return pl.scan_parquet(sorted((folder / "rows").glob("part-*.parquet")), glob=False)


def read_quarantine(folder: Path) -> pl.LazyFrame:
    """The records of a table that could not be used (`quarantine.QUARANTINE`)."""
    return scan_quarantine(folder)


def read_accounting(folder: Path) -> TableAccounting:
    """Where every record of a table went."""
    return TableAccounting.load(folder)


def _sources(manifest: RawManifest, folder: Path, table: str) -> tuple[list[_Source], list[str]]:
    """The files that feed a table, in the manifest's order; and what keeps others from it."""
    sources: list[_Source] = []
    notes: list[str] = []
    for file in manifest.files:
        if file.table not in (table, None):
            continue
        native = native_table(file.layout, table)
        if native is not None:
            sources.append(_Source(file, raw_path(folder, file), native))
        elif table == "collections" and kaggle2019.NO_COLLECTIONS not in notes:
            notes.append(kaggle2019.NO_COLLECTIONS)
    return sources, notes


def _read(
    source: _Source,
    index: int,
    manifest: RawManifest,
    rows: StretchWriter,
    quarantine: QuarantineWriter,
    tally: Tally,
    say: "_Throttle",
) -> None:
    """Stream one file: parse, apply the rules, select, hand on."""
    reader = source.open()
    for block in ahead(reader.blocks(), depth=4):
        tally.rows_in += len(block)
        frame, rejects = reader.parse(block)
        frame, rejected = canonical(frame, source.native)
        rejects = sorted([*rejects, *rejected.iter_rows()])
        if rejects:
            quarantine.add(source.file.path, rejects, block.raw([row for row, _ in rejects]))
            tally.quarantine(reason for _, reason in rejects)
        frame, dropped = select(frame, manifest, source.native.table)
        tally.filter(dropped)
        rows.add(frame.with_columns(pl.lit(index, dtype=pl.Int32).alias(FILE)))
        say(f"{tally.rows_in:,} records")
    tally.notes += reader.notes


def _by_file(duplicates: list[pl.DataFrame]) -> Iterator[tuple[int, list[int]]]:
    """Record numbers of duplicates by index of source file, ascending."""
    if duplicates:
        for (index,), group in (
            pl.concat(duplicates).sort(FILE, ROW).group_by(FILE, maintain_order=True)
        ):
            yield int(index), group[ROW].to_list()


def _quarantine_again(
    source: _Source, numbers: list[int], quarantine: QuarantineWriter, tally: Tally
) -> None:
    """Quarantine duplicates, found only after sorting: their text is fetched in a second pass."""
    done = 0
    for block in ahead(source.open().blocks()):
        end = bisect_left(numbers, block.first_row + len(block))
        rows = numbers[done:end]
        if rows:
            quarantine.add(source.file.path, [(row, DUPLICATE) for row in rows], block.raw(rows))
        done = end
        if done == len(numbers):
            break
    tally.quarantine(DUPLICATE for _ in numbers)


def _part(folder: Path, part: WrittenPart) -> Part:
    import pyarrow.parquet as pq

    return Part(
        name=part.path.relative_to(folder).as_posix(),
        rows=pq.read_metadata(part.path).num_rows,  # what is in the file, not what was meant
        bytes=part.path.stat().st_size,
        sha256=sha256_file(part.path),
        first_us=part.first_us,
        last_us=part.last_us,
    )


def _coverage(parts: list[WrittenPart], table: str) -> dict[str, Any]:
    """First and last time of the rows that are no snapshot, and how many are one."""
    first, last, snapshots = parts[0].first_us, parts[-1].last_us, 0
    if table != "usage" and first == SNAPSHOT_US:
        time = pl.col(TIME_COLUMN[table])
        later = pl.scan_parquet(parts[0].path, glob=False).filter(~pl.col("is_snapshot"))
        first, count = later.select(time.min(), pl.len().alias("n")).collect().row(0)
        snapshots = parts[0].rows - count
        if first is None:
            first = parts[1].first_us if len(parts) > 1 else None
            last = None if len(parts) == 1 else last
    return {"first_us": first, "last_us": last, "snapshot_rows": snapshots}


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))


class _Throttle:
    """Passes a line on every few seconds. `what` says what is being done."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._next = time.monotonic() + _PROGRESS_S
        self.what = ""

    def __call__(self, detail: str) -> None:
        if self._progress is not None and time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_S
            self._progress(f"{self.what}, {detail}")
