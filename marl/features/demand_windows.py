"""`demand_windows`: what was asked for, what ran and what was used, every five minutes.

One row per window × tier × scheduling class, without gaps: a window in which nothing happened is a
row of zeros, one that a source table does not cover is null in that table's columns. How the sums
are made is in `event_windows` and `usage_windows`.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import polars as pl

from marl.features.event_windows import (
    EVENT_COLUMNS,
    KEYS,
    RUNNING,
    collection_windows,
    instance_windows,
)
from marl.features.fixed_point import from_fixed
from marl.features.groups import GROUP, GROUP_SCHEMA, collection_groups
from marl.features.summary import FeatureSummary, silent, write_feature
from marl.features.tables import MAX_WINDOWS, Coverage, coverage
from marl.features.usage_windows import usage_windows
from marl.files import STAGING_MARK
from marl.traces.schema import WINDOW_US

SCHEMA: Final = pl.Schema(
    {
        "window_us": pl.Int64,
        **GROUP_SCHEMA,
        "collection_arrivals": pl.Int64,
        "instance_arrivals": pl.Int64,
        "resubmissions": pl.Int64,
        "scheduled": pl.Int64,
        "evictions": pl.Int64,
        "failures": pl.Int64,
        "finishes": pl.Int64,
        "kills": pl.Int64,
        "running_instances": pl.Float64,
        "running_cpu_request_ncu": pl.Float64,
        "running_memory_request_nmu": pl.Float64,
        "cpu_usage_ncu": pl.Float64,
        "cpu_usage_p95_ncu": pl.Float64,
        "memory_usage_nmu": pl.Float64,
        "distinct_collections": pl.Int64,
        "distinct_instances": pl.Int64,
        "queueing_delay_p50_s": pl.Float64,
        "queueing_delay_p95_s": pl.Float64,
        "usage_rows": pl.Int64,
    }
)
_OF_TABLE: Final = {
    "collections": ("collection_arrivals",),
    "instances": (
        *EVENT_COLUMNS,
        "resubmissions",
        "running_instances",
        "running_cpu_request_ncu",
        "running_memory_request_nmu",
    ),
    "usage": (
        "usage_rows",
        "distinct_collections",
        "distinct_instances",
        "cpu_usage_ncu",
        "memory_usage_nmu",
    ),
}
_LOSS: Final = {
    "collections": "job arrivals are unknown",
    "instances": "task arrivals, queueing delays, evictions and running requests are unknown",
    "usage": "measured usage, and so slack, is unknown",
}


def build(
    tables: Mapping[str, Path],
    into: Path,
    progress: Callable[[str], None] | None = None,
) -> FeatureSummary:
    """Write `demand_windows` to `into/rows/part-000000.parquet`.

    Memory does not grow with the trace: usage is read a stretch of time at a time, events in
    buckets of collections.

    Args:
        tables: folders of the canonical tables by name; a missing or empty one is noted.
        into: the folder to write; replaced as a whole when all is done.
        progress: told in words what is being done.

    Returns:
        Rows, time covered, input rows, and notes on what is missing.

    Raises:
        ValueError: a damaged time stamp makes the tables span years.
        polars.exceptions.InvalidOperationError: a request or usage is not a finite number.
    """
    say = progress or silent
    covered = {name: coverage(tables, name) for name in _OF_TABLE}
    groups = collection_groups(tables)
    say(f"demand_windows: {len(groups):,} collections with a tier or class; reading usage")
    usage = usage_windows(tables, groups)
    say("demand_windows: reading collection and instance events")
    arrivals = collection_windows(tables, groups)
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=into.name + STAGING_MARK, dir=into.parent) as scratch:
        counts, changes, delays = instance_windows(
            tables, groups, covered["instances"] or Coverage(0, 0, 0, 0, 0, 0), Path(scratch)
        )
    frame = _side_by_side(covered, arrivals, counts, changes, delays, usage)
    notes = tuple(
        f"table {name!r} has no rows: {_LOSS[name]}" for name, c in covered.items() if c is None
    )
    say(f"demand_windows: writing {frame.height:,} rows")
    return write_feature(frame, into, covered, notes)


def _side_by_side(
    covered: Mapping[str, Coverage | None],
    arrivals: pl.DataFrame,
    counts: pl.DataFrame,
    changes: pl.DataFrame,
    delays: pl.DataFrame,
    usage: pl.DataFrame,
) -> pl.DataFrame:
    """Join everything on a grid of all windows × the groups that occur."""
    spans = [c for c in covered.values() if c is not None]
    if not spans:
        return SCHEMA.to_frame()
    first, last = min(c.start_us for c in spans), max(c.end_us for c in spans)
    if (last - first) // WINDOW_US > MAX_WINDOWS:
        raise ValueError(
            f"the tables lie {(last - first) / 86_400e6:,.0f} days apart: they are not of one trace"
        )
    sources = (arrivals, counts, changes, delays, usage)
    kinds = pl.concat([frame.select(GROUP) for frame in sources]).unique().sort(GROUP)
    windows = pl.int_range(first, last, WINDOW_US, dtype=pl.Int64, eager=True).alias("window_us")
    grid = windows.to_frame().join(kinds, how="cross")
    usage = usage.rename({"cpu": "cpu_usage_ncu", "memory": "memory_usage_nmu"}).with_columns(
        from_fixed(pl.col("cpu_usage_ncu", "memory_usage_nmu"))
    )
    for frame in (arrivals, counts, delays, usage, _running(grid, changes)):
        grid = grid.join(frame, on=KEYS, how="left", nulls_equal=True)
    for name, columns in _OF_TABLE.items():
        span = covered[name]
        inside = (
            pl.lit(False)
            if span is None
            else pl.col("window_us").is_between(span.start_us, span.end_us, closed="left")
        )
        grid = grid.with_columns(
            pl.when(inside).then(pl.col(column).fill_null(0)).alias(column) for column in columns
        )
    return grid.select(list(SCHEMA)).cast(SCHEMA).sort(KEYS, nulls_last=True)


def _running(grid: pl.DataFrame, changes: pl.DataFrame) -> pl.DataFrame:
    """Means over each window of what ran: level at its beginning plus the changes within it."""
    names = ("running_instances", "running_cpu_request_ncu", "running_memory_request_nmu")
    dense = grid.join(changes, on=KEYS, how="left", nulls_equal=True).sort(KEYS)
    filled = dense.with_columns(pl.exclude(KEYS).fill_null(0))
    return filled.select(
        *KEYS,
        *(
            from_fixed(
                (pl.col(f"{source}_change").cum_sum().over(GROUP))
                - pl.col(f"{source}_change")
                + pl.col(f"{source}_within")
            ).alias(name)
            for source, name in zip(RUNNING, names, strict=True)
        ),
    )
