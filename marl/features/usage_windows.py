"""Measured usage summed into five-minute windows, one stretch of time after another.

A row says: from start to end this instance used so much on average. Each window it overlaps gets
mean × overlap ÷ 300 s, so a row shorter than a window counts for its share, and one that straddles
windows is split. Counts, distinct counts and the percentile take each row once, in the window in
which it starts, so they reconcile with the table's rows.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import polars as pl

from marl.features.fixed_point import per, to_fixed
from marl.features.groups import GROUP
from marl.features.tables import SLICE_ROWS, bounds, parts, time_slices
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
_KINDS: Final = 256  # keys of one window; the last kind is "neither tier nor class known"
_UNKNOWN: Final = _KINDS - 1
_SLICES_AT_ONCE: Final = 2  # more would only cost memory
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
    kinds = _kinds(groups)
    known = groups.lazy().join(kinds.lazy(), on=GROUP, nulls_equal=True)
    files = parts(tables.get("usage"))
    instance = _PACKED if _packs(files) else _PAIR
    frames = [_starting(_place(pl.LazyFrame(schema=USAGE), known), _PACKED)]

    def of_slice(rows: pl.LazyFrame) -> list[pl.DataFrame]:
        placed = _place(rows, known)
        frame = _starting(placed, instance)
        is_straddling = (frame["end_us"] > _window_us(frame["key"]) + WINDOW_US).any()
        return [frame, _later_windows(placed)] if is_straddling else [frame]

    # The exact percentile and distinct counts of a slice keep one core busy, not two.
    with ThreadPoolExecutor(_SLICES_AT_ONCE) as pool:
        for found in pool.map(of_slice, time_slices(files, "start_us", USAGE, slice_rows)):
            frames += found
    return (
        pl.concat(frames, how="diagonal")
        .with_columns(window_us=_window_us(pl.col("key")), kind=pl.col("key") % _KINDS)
        .join(kinds, on="kind", how="left")  # the unknown kind finds nulls
        .group_by(_KEYS)
        .agg(
            pl.col("usage_rows", "distinct_collections", "distinct_instances").sum(),
            pl.col("cpu", "memory").sum(),
            pl.col("cpu_usage_p95_ncu").max(),  # one slice has it: no window lies in two
        )
    )


def _kinds(groups: pl.DataFrame) -> pl.DataFrame:
    """A small number for each pair of tier and class: grouping by one number is a third faster."""
    kinds = groups.select(GROUP).unique().sort(GROUP).with_row_index("kind")
    if kinds.height >= _UNKNOWN:
        raise ValueError(f"{kinds.height} pairs of tier and scheduling class; expected about 24")
    return kinds.cast({"kind": pl.Int64})


def _window_us(key: Any) -> Any:
    """Beginning of a key's window; of a Series or an expression."""
    return key // _KINDS * WINDOW_US


def _place(rows: pl.LazyFrame, known: pl.LazyFrame) -> pl.LazyFrame:
    """Give each row its key: its window × `_KINDS` + its kind of collection."""
    kind = pl.col("kind").fill_null(_UNKNOWN)
    return (
        rows.select(_COLUMNS)
        .join(known.select("collection_id", "kind"), on="collection_id", how="left")
        .with_columns(key=pl.col("start_us") // WINDOW_US * _KINDS + kind)
    )


def _packs(files: Sequence[Path]) -> bool:
    """Whether every instance has its own packed number: no negative id, none too big."""
    limits = (2 ** (63 - _INDEX_BITS), 2**_INDEX_BITS)
    for file in files:
        rows, found = bounds(file, USAGE, ("collection_id", "instance_index"))
        for (least, most), limit in zip(found, limits, strict=True):
            if rows and (least is None or most is None or least < 0 or most >= limit):
                return False
    return True


def _starting(placed: pl.LazyFrame, instance: pl.Expr) -> pl.DataFrame:
    """Aggregate rows in the window in which they start, with their share of that window."""
    end = pl.min_horizontal("end_us", _window_us(pl.col("key")) + WINDOW_US)
    share = per((end - pl.col("start_us")).clip(lower_bound=0), WINDOW_US)
    return (
        placed.with_columns(
            cpu=to_fixed(pl.col("cpu_usage_ncu") * share),
            memory=to_fixed(pl.col("memory_usage_nmu") * share),
            instance=instance,
        )
        .group_by("key")
        .agg(
            pl.len().cast(pl.Int64).alias("usage_rows"),
            pl.col("collection_id").n_unique().cast(pl.Int64).alias("distinct_collections"),
            pl.col("instance").n_unique().cast(pl.Int64).alias("distinct_instances"),
            pl.col("cpu_usage_ncu").quantile(0.95, "linear").alias("cpu_usage_p95_ncu"),
            pl.col("cpu", "memory").sum(),
            pl.col("end_us").max(),
        )
        .collect(engine="streaming")
    )


def _later_windows(placed: pl.LazyFrame) -> pl.DataFrame:
    """What straddling rows use in the windows after the one in which they start."""
    start = _window_us(pl.col("key")) + WINDOW_US
    share = per(pl.min_horizontal(pl.col("end_us") - pl.col("later_us"), WINDOW_US), WINDOW_US)
    return (
        placed.filter(pl.col("end_us") > start, pl.col("end_us") < AFTER_END_US)
        .with_columns(later_us=pl.int_ranges(start, pl.col("end_us"), WINDOW_US, dtype=pl.Int64))
        .explode("later_us")
        .group_by(pl.col("later_us") // WINDOW_US * _KINDS + pl.col("key") % _KINDS)
        .agg(
            to_fixed(pl.col("cpu_usage_ncu") * share).sum().alias("cpu"),
            to_fixed(pl.col("memory_usage_nmu") * share).sum().alias("memory"),
        )
        .rename({"later_us": "key"})
        .collect(engine="streaming")
    )
