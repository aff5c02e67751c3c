"""Reads canonical table folders a stretch of time at a time, so that memory stays flat.

What the rows mean belongs to the modules that aggregate them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import polars as pl

from marl.traces.schema import AFTER_END_US, TABLES, TIME_COLUMN, USAGE, WINDOW_US

SLICE_ROWS: Final = 3_000_000  # rows held at once: about one hour of usage of a whole Google cell
Bounds = tuple[int | None, int | None]
MAX_WINDOWS: Final = 250_000  # 2.4 years of five-minute windows: more is a damaged time stamp


def parts(folder: Path | None) -> tuple[Path, ...]:
    """The row files of a table folder, in order; none when the table is missing or empty."""
    return () if folder is None else tuple(sorted((folder / "rows").glob("part-*.parquet")))


def scan_files(files: Sequence[Path], schema: pl.Schema) -> pl.LazyFrame:
    """Lazily read Parquet `files` (names are taken literally), or an empty frame for none."""
    return pl.scan_parquet(list(files), glob=False) if files else pl.LazyFrame(schema=schema)


def scan_table(tables: Mapping[str, Path], name: str) -> pl.LazyFrame:
    """Lazily read the canonical table `name`; an empty frame when its folder has no rows."""
    return scan_files(parts(tables.get(name)), TABLES[name])


def bounds(file: Path, schema: pl.Schema, columns: Sequence[str]) -> tuple[int, list[Bounds]]:
    """Rows of a Parquet file, and least and largest value of its integer `columns`.

    The file's own statistics say without reading a row; where its writer left none, rows are read.

    Returns:
        Rows, and (least, largest) by column; None for both where every value is null.
    """
    from pyarrow.parquet import read_metadata  # a quarter of a second, so only where it is needed

    metadata = read_metadata(file)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    places = {name: place for place, name in enumerate(schema.names())}
    found: list[Bounds] = []
    for name in columns:
        chunks = [group.column(places[name]) for group in groups if group.num_rows]
        statistics = [chunk.statistics for chunk in chunks]
        named = all(chunk.path_in_schema == name for chunk in chunks)
        if not named or not all(known and known.has_min_max for known in statistics):
            break
        least = min((known.min for known in statistics), default=None)
        found.append((least, max((known.max for known in statistics), default=None)))
    if len(found) == len(columns):
        return metadata.num_rows, found
    rows = scan_files([file], schema).select(
        *(pl.col(name).min().alias(f"{name}_least") for name in columns),
        *(pl.col(name).max().alias(f"{name}_most") for name in columns),
    )
    values = rows.collect(engine="streaming").row(0)
    return metadata.num_rows, list(zip(values[: len(columns)], values[len(columns) :], strict=True))


@dataclass(frozen=True)
class Coverage:
    """The stretch of time in which a table can be trusted to show what happened.

    Attributes:
        start_us: beginning of the window of the first row that is no snapshot.
        end_us: end of the window of the last row (exclusive).
        last_us: last moment any row speaks of; until then what runs was observed.
        rows: rows of the table, all of them.
        snapshot_rows: rows that only describe what already ran at time 0.
        after_end_rows: rows at Google's "after the end of the trace".
    """

    start_us: int
    end_us: int
    last_us: int
    rows: int
    snapshot_rows: int
    after_end_rows: int


def coverage(tables: Mapping[str, Path], name: str) -> Coverage | None:
    """What stretch of time the table `name` covers; None when it has no rows.

    A table of snapshot rows alone covers the first window.

    Raises:
        ValueError: the rows span more than `MAX_WINDOWS` windows.
    """
    row = _extent(tables, name)
    if not row["rows"]:
        return None
    first = row["first"] or 0
    last = max(row["last"] or 0, row["last_begin"] or 0)
    start_us = first // WINDOW_US * WINDOW_US
    # Events are instants: one exactly on a boundary opens the next window. Usage rows end there.
    end_us = ((last - (name == "usage")) // WINDOW_US + 1) * WINDOW_US
    if (end_us - start_us) // WINDOW_US > MAX_WINDOWS:
        raise ValueError(
            f"table {name!r} spans {(end_us - start_us) / 86_400e6:,.0f} days ({first} to "
            f"{last} µs): a time stamp is damaged; quarantine its row when making the table"
        )
    return Coverage(
        start_us, end_us, last, row["rows"], row["snapshots"] or 0, row["after_end"] or 0
    )


def _extent(tables: Mapping[str, Path], name: str) -> dict[str, Any]:
    """Rows, snapshot rows, rows after the end; first and last time, and last beginning."""
    begin = pl.col(TIME_COLUMN[name])
    is_usage = name == "usage"
    if is_usage:  # the largest table, and its files' statistics say it all
        known = [bounds(file, USAGE, ("start_us", "end_us")) for file in parts(tables.get(name))]
        known = [(rows, both) for rows, both in known if rows]
        ends = [most for _, both in known for _, most in both]
        if all(end is not None and end < AFTER_END_US for end in ends):
            return {
                "rows": sum(rows for rows, _ in known),
                "snapshots": 0,
                "after_end": 0,
                "first": min((start[0] or 0 for _, (start, _) in known), default=None),
                "last": max((end[1] or 0 for _, (_, end) in known), default=None),
                "last_begin": max((start[1] or 0 for _, (start, _) in known), default=None),
            }
    end = pl.col("end_us") if is_usage else begin
    snapshot = pl.lit(False) if is_usage else pl.col("is_snapshot").fill_null(False)
    happened = ~snapshot & (begin < AFTER_END_US)
    extent = scan_table(tables, name).select(
        pl.len().alias("rows"),
        snapshot.cast(pl.Int64).sum().alias("snapshots"),
        (~snapshot & (begin == AFTER_END_US)).sum().alias("after_end"),
        begin.filter(happened).min().alias("first"),
        end.filter(happened & (end < AFTER_END_US)).max().alias("last"),
        begin.filter(happened).max().alias("last_begin"),
    )
    return extent.collect(engine="streaming").row(0, named=True)


def time_slices(
    files: Sequence[Path], time_column: str, schema: pl.Schema, slice_rows: int = SLICE_ROWS
) -> Iterator[pl.LazyFrame]:
    """Cut row files into stretches of whole five-minute windows, none in two slices.

    Files that overlap in time are read together, big ones in several passes over their time range
    (row-group statistics keep a pass from reading what it does not need). So an aggregate per
    window is exact whatever the files' layout, and one file an hour costs one pass.

    Args:
        files: Parquet files.
        time_column: column (µs) that places a row in its window.
        schema: schema of the files.
        slice_rows: about how many rows a slice may hold.

    Yields:
        Lazy frames in order of time; together every row with a time once.
    """
    spans = []
    for file in files:
        rows, [(least, most)] = bounds(file, schema, (time_column,))
        if least is not None and most is not None:
            spans.append((least // WINDOW_US, most // WINDOW_US, rows, file))
    spans.sort(key=lambda span: (span[0], span[1], span[3].name))
    groups: list[tuple[int, int, int, list[Path]]] = []
    for low, high, rows, file in spans:
        if groups and low <= groups[-1][1]:
            first, last, total, together = groups[-1]
            groups[-1] = (first, max(last, high), total + rows, [*together, file])
        else:
            groups.append((low, high, rows, [file]))
    for low, high, rows, together in groups:
        pieces = min(-(-rows // slice_rows), high - low + 1)
        frame = scan_files(together, schema)
        if pieces == 1:
            yield frame
            continue
        edges = [low + (high - low + 1) * piece // pieces for piece in range(pieces + 1)]
        for begin, end in pairwise(edges):
            yield frame.filter(
                pl.col(time_column) >= begin * WINDOW_US, pl.col(time_column) < end * WINDOW_US
            )
