"""Measured usage summed into five-minute windows, one stretch of time after another.

A row says: from start to end this instance used so much on average. Each window it overlaps gets
mean × overlap ÷ 300 s, so a row shorter than a window counts for its share, and one that straddles
windows is split. Counts, distinct counts and the percentile take each row once, in the window in
which it starts, so they reconcile with the table's rows.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from marl.features.fixed_point import to_fixed
from marl.features.groups import GROUP, GROUP_SCHEMA, with_groups
from marl.features.tables import SLICE_ROWS, parts, time_slices
from marl.traces.schema import AFTER_END_US, USAGE, WINDOW_US

_COLUMNS: Final = (
    "start_us",
    "end_us",
    "collection_id",
    "instance_index",
    "cpu_usage_ncu",
    "memory_usage_nmu",
)
_KEYS: Final = ("window_us", *GROUP)
_INDEX_BITS: Final = 24  # an instance packed in 63 bits: half the time of counting pairs
_PAIR: Final = pl.struct("collection_id", "instance_index")
_PACKED: Final = pl.col("collection_id") * 2**_INDEX_BITS + pl.col("instance_index")


def usage_windows(
    tables: Mapping[str, Path], groups: pl.DataFrame, slice_rows: int = SLICE_ROWS
) -> pl.DataFrame:
    """Sum usage by window, tier and scheduling class.

    Args:
        tables: canonical table folders by name.
        groups: tier and class by collection (`collection_groups`).
        slice_rows: about how many rows to hold at once.

    Returns:
        window_us, tier, scheduling_class, usage_rows, distinct_collections, distinct_instances,
        cpu_usage_p95_ncu (linear between order statistics), and cpu, memory (fixed point).
    """
    frames = [_empty()]
    for rows in time_slices(parts(tables.get("usage")), "start_us", USAGE, slice_rows):
        window = pl.col("start_us") // WINDOW_US * WINDOW_US
        placed = with_groups(rows.select(_COLUMNS), groups).with_columns(window_us=window)
        frame = _starting(placed, _PACKED)
        if not _packs(frame):
            frame = _starting(placed, _PAIR)
        frames.append(frame)
        if (frame["reach_us"] > WINDOW_US).any():
            frames.append(_later_windows(placed))
    return (
        pl.concat(frames, how="diagonal")
        .group_by(_KEYS)
        .agg(
            pl.col("usage_rows", "distinct_collections", "distinct_instances").sum(),
            pl.col("cpu", "memory").sum(),
            pl.col("cpu_usage_p95_ncu").max(),  # one slice has it: no window lies in two
        )
    )


def _empty() -> pl.DataFrame:
    return _starting(pl.LazyFrame(schema={**USAGE, "window_us": pl.Int64, **GROUP_SCHEMA}), _PACKED)


def _starting(placed: pl.LazyFrame, instance: pl.Expr) -> pl.DataFrame:
    """Aggregate rows in the window in which they start, with their share of that window."""
    end = pl.min_horizontal("end_us", pl.col("window_us") + WINDOW_US)
    share = (end - pl.col("start_us")).clip(lower_bound=0) / WINDOW_US
    return (
        placed.group_by(_KEYS)
        .agg(
            pl.len().cast(pl.Int64).alias("usage_rows"),
            pl.col("collection_id").n_unique().cast(pl.Int64).alias("distinct_collections"),
            instance.n_unique().cast(pl.Int64).alias("distinct_instances"),
            pl.col("cpu_usage_ncu").quantile(0.95, "linear").alias("cpu_usage_p95_ncu"),
            to_fixed(pl.col("cpu_usage_ncu") * share).sum().alias("cpu"),
            to_fixed(pl.col("memory_usage_nmu") * share).sum().alias("memory"),
            (pl.col("end_us") - pl.col("window_us")).max().alias("reach_us"),
            pl.col("collection_id", "instance_index").min().name.prefix("low_"),
            pl.col("collection_id", "instance_index").max().name.prefix("high_"),
        )
        .collect(engine="streaming")
    )


def _packs(frame: pl.DataFrame) -> bool:
    """Whether every instance of the slice had its own packed number: no negative, none too big."""
    fits = pl.all_horizontal(
        pl.col("low_collection_id", "low_instance_index") >= 0,
        pl.col("high_instance_index") < 2**_INDEX_BITS,
        pl.col("high_collection_id") < 2 ** (63 - _INDEX_BITS),
    )
    return bool(frame.select(fits.fill_null(False).all()).item())


def _later_windows(placed: pl.LazyFrame) -> pl.DataFrame:
    """What straddling rows use in the windows after the one in which they start."""
    later = pl.int_ranges(
        pl.col("window_us") + WINDOW_US, pl.col("end_us"), WINDOW_US, dtype=pl.Int64
    )
    share = pl.min_horizontal(pl.col("end_us") - pl.col("window_us"), WINDOW_US) / WINDOW_US
    return (
        placed.filter(
            pl.col("end_us") > pl.col("window_us") + WINDOW_US, pl.col("end_us") < AFTER_END_US
        )
        .with_columns(window_us=later)
        .explode("window_us")
        .group_by(_KEYS)
        .agg(
            to_fixed(pl.col("cpu_usage_ncu") * share).sum().alias("cpu"),
            to_fixed(pl.col("memory_usage_nmu") * share).sum().alias("memory"),
        )
        .collect(engine="streaming")
    )
