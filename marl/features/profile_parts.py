"""What each canonical table alone knows of every collection: the parts of `task_profiles`.

Hours are fixed-point sums of amount × hours (`fixed_point`). Putting the parts together belongs to
`task_profiles`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from marl.features.fixed_point import from_fixed, per, to_fixed
from marl.features.lifecycles import (
    BUCKET_ROWS,
    INSTANCE,
    event_buckets,
    running_stretches,
    with_resubmissions,
)
from marl.features.tables import SLICE_ROWS, Coverage, parts, scan_table, time_slices
from marl.traces.schema import AFTER_END_US, TERMINAL_EVENTS, USAGE

_KEY: Final = "collection_id"
_HOUR_US: Final = 3.6e9
_SECOND_US: Final = 1e6
_COUNTED: Final = {
    "submits": "SUBMIT",
    "evictions": "EVICT",
    "failures": "FAIL",
    "finishes": "FINISH",
    "kills": "KILL",
}
_LIVE_EVENTS: Final = ("SUBMIT", "QUEUE", "ENABLE", "SCHEDULE")


def _with_life(events: pl.LazyFrame) -> pl.LazyFrame:
    """Add the time of each terminal event, and of each that says life goes on."""
    time = pl.col("time_us")
    return events.with_columns(
        terminal_us=pl.when(pl.col("event").is_in(TERMINAL_EVENTS)).then(time),
        live_us=pl.when(pl.col("event").is_in(_LIVE_EVENTS)).then(time),
    )


def _ended_us() -> pl.Expr:
    """Time of the last terminal event unless life went on after it; null when none was seen."""
    terminal, live = pl.col("terminal_us").max(), pl.col("live_us").max()
    return pl.when(terminal >= live.fill_null(terminal), terminal < AFTER_END_US).then(terminal)


def _seen() -> list[pl.Expr]:
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
        _with_life(scan_table(tables, "collections"))
        .group_by(_KEY)
        .agg(
            pl.col("collection_type").min(),
            pl.col("user").min(),
            *_seen(),
            _ended_us().alias("ended_us"),
        )
        .collect()
    )


def usage_facts(tables: Mapping[str, Path], slice_rows: int = SLICE_ROWS) -> pl.DataFrame:
    """From usage rows: means weighted by time, maxima, hours (null where no row says)."""
    frames = [_measure(pl.LazyFrame(schema=USAGE))]
    for rows in time_slices(parts(tables.get("usage")), "start_us", USAGE, slice_rows):
        frames.append(_measure(rows))
        if len(frames) == 64:
            frames = [_merge(frames)]
    mean = {
        f"{short}_usage_mean_{unit}": from_fixed(pl.col(f"usage_{unit}_hours"))
        / per(pl.col(f"{short}_observed_us"), _HOUR_US)
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
        .group_by(_KEY)
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
                to_fixed(pl.col(mean) * per(pl.col("length_us"), _HOUR_US))
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
        .group_by(_KEY)
        .agg(
            pl.col("collection_type", "first_us").min(),
            pl.col("last_us", "cpu_usage_max_ncu", "memory_usage_max_nmu").max(),
            pl.col("usage_rows", "^.*_observed_us$", "^usage_n.u_hours$").sum(),
        )
        .select(frames[0].columns)  # a merge is merged again with fresh slices
    )


def instance_facts(
    tables: Mapping[str, Path],
    groups: pl.DataFrame,
    covered: Coverage | None,
    scratch: Path,
    bucket_rows: int = BUCKET_ROWS,
) -> pl.DataFrame:
    """From instance events: counts, requests, runs, hours asked for.

    Args:
        tables: canonical table folders by name.
        groups: tier and class by collection.
        covered: what the instances table covers; runs count from its start to its last moment.
        scratch: an existing folder for intermediate files.
        bucket_rows: about how many rows to hold at once.

    Returns:
        One row per collection with instance events.
    """
    covered = covered or Coverage(0, 0, 0, 0, 0, 0)
    frames = []
    for events in event_buckets(tables, groups, scratch, bucket_rows):
        frame = _count(with_resubmissions(events))
        for facts in (_requests(events), _runs(running_stretches(events), covered)):
            frame = frame.join(facts, on=_KEY, how="left", validate="1:1")
        frames.append(frame)
    return pl.concat(frames)


def _count(events: pl.DataFrame) -> pl.DataFrame:
    return (
        events.lazy()
        .group_by(_KEY)
        .agg(
            pl.col("collection_type").min(),
            pl.col("user").min(),
            *_seen(),
            pl.col("is_resubmission").sum().cast(pl.Int64).alias("resubmissions"),
            *(
                (pl.col("event") == event).sum().cast(pl.Int64).alias(name)
                for name, event in _COUNTED.items()
            ),
        )
        .collect()
    )


def _requests(events: pl.DataFrame) -> pl.DataFrame:
    """Instances, their end, and their requests: the mean is over instances' first known ones."""
    columns = ("cpu_request_ncu", "memory_request_nmu")
    names = {column: column.rsplit("_", 1) for column in columns}
    each = (
        _with_life(events.lazy())
        .group_by(INSTANCE, maintain_order=True)
        .agg(
            _ended_us().alias("ended_us"),
            *(pl.col(column).drop_nulls().first() for column in columns),
            *(pl.col(column).max().alias(f"{column}_max") for column in columns),
        )
    )
    return (
        each.group_by(_KEY)
        .agg(
            pl.len().cast(pl.Int64).alias("instances"),
            pl.when(pl.col("ended_us").is_not_null().all())
            .then(pl.col("ended_us").max())
            .alias("ended_us"),
            *(
                (from_fixed(to_fixed(pl.col(column)).sum()) / pl.col(column).count())
                .fill_nan(None)
                .alias(f"{base}_mean_{unit}")
                for column, (base, unit) in names.items()
            ),
            *(
                pl.col(f"{column}_max").max().alias(f"{base}_max_{unit}")
                for column, (base, unit) in names.items()
            ),
        )
        .collect()
    )


def _runs(stretches: pl.DataFrame, covered: Coverage) -> pl.DataFrame:
    """Runs and what they asked for; run times only of runs whose start and end were both seen."""
    watched_us = pl.col("end_us").clip(upper_bound=covered.last_us) - pl.col("start_us").clip(
        lower_bound=covered.start_us
    )
    hours = per(watched_us.clip(lower_bound=0), _HOUR_US)
    columns = (("cpu_request_ncu", "ncu"), ("memory_request_nmu", "nmu"))
    runs = (
        stretches.lazy()
        .group_by(_KEY, "run")
        .agg(
            (pl.col("end_us").max() - pl.col("start_us").min()).alias("run_us"),
            (~pl.col("is_snapshot").any() & (pl.col("end_us").max() < AFTER_END_US)).alias("seen"),
            *(
                _sum_known(to_fixed(pl.col(column) * hours)).alias(f"request_{unit}_hours")
                for column, unit in columns
            ),
        )
    )
    observed = pl.col("run_us").filter("seen")
    return (
        runs.group_by(_KEY)
        .agg(
            pl.len().cast(pl.Int64).alias("runs"),
            pl.col("seen").sum().cast(pl.Int64).alias("runs_observed"),
            per(observed.sum() / observed.len(), _SECOND_US)
            .fill_nan(None)
            .alias("run_time_mean_s"),
            per(observed.quantile(0.5, "linear"), _SECOND_US).alias("run_time_p50_s"),
            per(observed.max(), _SECOND_US).alias("run_time_max_s"),
            *(_sum_known(pl.col(f"request_{unit}_hours")) for _, unit in columns),
        )
        .collect()
    )


def _sum_known(value: pl.Expr) -> pl.Expr:
    """The sum; null, not zero, where no term is known."""
    return pl.when(value.count() > 0).then(value.sum())
