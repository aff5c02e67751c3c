"""What collection events and usage rows know of every collection: parts of `task_profiles`.

Hours are fixed-point sums of amount × hours (`fixed_point`). What instances know belongs to
`profile_instances`, putting the parts together to `task_profiles`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from marl.features.fixed_point import from_fixed, per, to_fixed
from marl.features.tables import SLICE_ROWS, parts, scan_table, time_slices
from marl.traces.schema import AFTER_END_US, TERMINAL_EVENTS, USAGE

KEY: Final = "collection_id"
MERGE_EVERY: Final = 50  # frames, so that what is held grows with collections only
HOUR_US: Final = 3.6e9
_LIVE_EVENTS: Final = ("SUBMIT", "QUEUE", "ENABLE", "SCHEDULE")


def with_life(events: pl.LazyFrame) -> pl.LazyFrame:
    """Add the time of each terminal event, and of each that says life goes on."""
    time = pl.col("time_us")
    return events.with_columns(
        terminal_us=pl.when(pl.col("event").is_in(TERMINAL_EVENTS)).then(time),
        live_us=pl.when(pl.col("event").is_in(_LIVE_EVENTS)).then(time),
    )


def ended_us() -> pl.Expr:
    """Time of the last terminal event unless life went on after it; null when none was seen."""
    terminal, live = pl.col("terminal_us").max(), pl.col("live_us").max()
    return pl.when(terminal >= live.fill_null(terminal), terminal < AFTER_END_US).then(terminal)


def seen() -> list[pl.Expr]:
    """First and last moment an event speaks of, and whether it began before the trace."""
    time = pl.col("time_us").filter(pl.col("time_us") < AFTER_END_US)
    return [
        time.min().alias("first_us"),
        time.max().alias("last_us"),
        pl.col("is_snapshot").fill_null(False).any().alias("is_snapshot"),
    ]


def collection_facts(tables: Mapping[str, Path]) -> pl.DataFrame:
    """From collection events: collection_id, collection_type, user, first, last and end."""
    return (
        with_life(scan_table(tables, "collections"))
        .group_by(KEY)
        .agg(
            pl.col("collection_type").min(),
            pl.col("user").min(),
            *seen(),
            ended_us().alias("ended_us"),
        )
        .collect()
    )


def usage_facts(tables: Mapping[str, Path], slice_rows: int = SLICE_ROWS) -> pl.DataFrame:
    """From usage rows: means weighted by time, maxima, hours (null where no row says)."""
    frames = [_measure(pl.LazyFrame(schema=USAGE))]
    for rows in time_slices(parts(tables.get("usage")), "start_us", USAGE, slice_rows):
        frames.append(_measure(rows))
        if len(frames) == MERGE_EVERY:
            frames = [_merge(frames)]
    mean = {
        f"{short}_usage_mean_{unit}": from_fixed(pl.col(f"usage_{unit}_hours"))
        / per(pl.col(f"{short}_observed_us"), HOUR_US)
        for short, unit in (("cpu", "ncu"), ("memory", "nmu"))
    }
    unseen = {
        f"usage_{unit}_hours": pl.when(pl.col(f"{short}_observed_us") > 0).then(
            f"usage_{unit}_hours"
        )
        for short, unit in (("cpu", "ncu"), ("memory", "nmu"))
    }
    return _merge(frames).with_columns(**unseen).with_columns(**mean)


def _measure(rows: pl.LazyFrame) -> pl.DataFrame:
    length = pl.when(pl.col("end_us") < AFTER_END_US).then(pl.col("end_us") - pl.col("start_us"))
    columns = (("cpu", "cpu_usage_ncu", "ncu"), ("memory", "memory_usage_nmu", "nmu"))
    return (
        rows.with_columns(length_us=length.clip(lower_bound=0).fill_null(0))
        .group_by(KEY)
        .agg(
            pl.col("collection_type").min(),
            pl.col("start_us").min().alias("first_us"),
            pl.col("end_us").filter(pl.col("end_us") < AFTER_END_US).max().alias("last_us"),
            pl.len().cast(pl.Int64).alias("usage_rows"),
            pl.col("cpu_usage_max_ncu").max(),
            pl.col("memory_usage_max_nmu").max(),
            *(
                pl.col("length_us")
                .filter(pl.col(mean).is_not_null())
                .sum()
                .alias(f"{short}_observed_us")
                for short, mean, _ in columns
            ),
            *(
                to_fixed(pl.col(mean) * per(pl.col("length_us"), HOUR_US))
                .sum()
                .alias(f"usage_{unit}_hours")
                for _, mean, unit in columns
            ),
        )
        .collect(engine="streaming")
    )


def _merge(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return (
        pl.concat(frames)
        .group_by(KEY)
        .agg(
            pl.col("collection_type", "first_us").min(),
            pl.col("last_us", "cpu_usage_max_ncu", "memory_usage_max_nmu").max(),
            pl.col("usage_rows", "^.*_observed_us$", "^usage_n.u_hours$").sum(),
        )
        .select(frames[0].columns)  # a merge is merged again with fresh slices
    )
