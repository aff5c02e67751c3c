"""Life-cycle events counted, and what runs integrated, by five-minute window, tier and class.

Usage belongs to `usage_windows`; putting the two side by side to `demand_windows`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from marl.features.fixed_point import per, to_fixed
from marl.features.groups import GROUP, GROUP_SCHEMA, with_groups
from marl.features.lifecycles import (
    BUCKET_ROWS,
    event_buckets,
    queueing_delays,
    running_stretches,
    with_resubmissions,
)
from marl.features.tables import Coverage, scan_table, time_slices
from marl.traces.schema import AFTER_END_US, WINDOW_US

KEYS: Final = ("window_us", *GROUP)
EVENT_COLUMNS: Final = {
    "instance_arrivals": "SUBMIT",
    "scheduled": "SCHEDULE",
    "evictions": "EVICT",
    "failures": "FAIL",
    "finishes": "FINISH",
    "kills": "KILL",
}
RUNNING: Final = ("running_instances", "cpu", "memory")
_KEY_SCHEMA: Final[dict[str, Any]] = {"window_us": pl.Int64, **GROUP_SCHEMA}
_DELAYS: Final = pl.Schema({**_KEY_SCHEMA, "delay_us": pl.Int64})
_SECOND_US: Final = 1e6


def _window(time: str) -> pl.Expr:
    return (pl.col(time) // WINDOW_US * WINDOW_US).alias("window_us")


def _happened() -> pl.Expr:
    """True for what happened within the trace: neither snapshot nor after its end."""
    return ~pl.col("is_snapshot").fill_null(False) & (pl.col("time_us") < AFTER_END_US)


def collection_windows(tables: Mapping[str, Path], groups: pl.DataFrame) -> pl.DataFrame:
    """Collections submitted: window_us, tier, scheduling_class, collection_arrivals."""
    return (
        with_groups(scan_table(tables, "collections"), groups)
        .filter(_happened(), pl.col("event") == "SUBMIT")
        .group_by(_window("time_us"), *GROUP)
        .agg(pl.len().cast(pl.Int64).alias("collection_arrivals"))
        .collect(engine="streaming")
    )


def instance_windows(
    tables: Mapping[str, Path],
    groups: pl.DataFrame,
    covered: Coverage,
    scratch: Path,
    bucket_rows: int = BUCKET_ROWS,
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Aggregate instance events by window, tier and class.

    Args:
        tables: canonical table folders by name.
        groups: tier and class by collection.
        covered: what the instances table covers; runs are followed from its start to its end.
        scratch: an existing folder for intermediate files.
        bucket_rows: about how many rows to hold at once.

    Returns:
        Three frames keyed by window_us, tier, scheduling_class: counts of events; changes of what
        runs (`*_change` from this window on, `*_within` in this window, fixed point); quantiles of
        the queueing delay.
    """
    counts, changes, delay_files = [], [], []
    for number, events in enumerate(event_buckets(tables, groups, scratch, bucket_rows)):
        counts.append(_count(with_resubmissions(events)))
        changes.append(_changes(running_stretches(events), covered))
        delays = queueing_delays(events).select(_window("time_us"), *GROUP, "delay_us")
        delay_files.append(scratch / f"delays-{number:06d}.parquet")
        delays.sort("window_us").write_parquet(delay_files[-1])
    quantiles = [
        part.group_by(KEYS)
        .agg(
            per(pl.col("delay_us").quantile(share, "linear"), _SECOND_US).alias(
                f"queueing_delay_p{share * 100:.0f}_s"
            )
            for share in (0.5, 0.95)
        )
        .collect()
        for part in time_slices(delay_files, "window_us", _DELAYS, bucket_rows)
    ]
    return _sum(counts), _sum(changes), pl.concat([_no_delays(), *quantiles])


def _sum(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames).group_by(KEYS).agg(pl.exclude(KEYS).sum())


def _no_delays() -> pl.DataFrame:
    names = ("queueing_delay_p50_s", "queueing_delay_p95_s")
    return pl.DataFrame(schema={**_KEY_SCHEMA, **dict.fromkeys(names, pl.Float64)})


def _count(events: pl.DataFrame) -> pl.DataFrame:
    happened = events.lazy().filter(_happened())
    return (
        happened.group_by(_window("time_us"), *GROUP)
        .agg(
            pl.col("is_resubmission").sum().cast(pl.Int64).alias("resubmissions"),
            *(
                (pl.col("event") == event).sum().cast(pl.Int64).alias(name)
                for name, event in EVENT_COLUMNS.items()
            ),
        )
        .collect()
    )


def _changes(runs: pl.DataFrame, covered: Coverage) -> pl.DataFrame:
    """Turn stretches into changes at their start and end, within the covered time.

    The integral over a window is what ran when it began, times its length, plus each change in it
    times what then remains of the window; both are sums of integers (`fixed_point`).

    What runs inside an alloc set was reserved by the alloc set's own instance: its request adds
    nothing to what a provider must hold ready, so only top-level requests are summed.
    """
    top_level = pl.col("alloc_collection_id").is_null()
    clipped = runs.lazy().with_columns(
        pl.col("start_us").clip(lower_bound=covered.start_us),
        pl.col("end_us").clip(upper_bound=covered.end_us),
        running_instances=to_fixed(pl.lit(1.0)),
        cpu=to_fixed(pl.when(top_level).then(pl.col("cpu_request_ncu")).fill_null(0.0)),
        memory=to_fixed(pl.when(top_level).then(pl.col("memory_request_nmu")).fill_null(0.0)),
    )
    inside = clipped.filter(pl.col("end_us") > pl.col("start_us"))
    starts = inside.select(*GROUP, *RUNNING, time_us="start_us")
    ends = inside.select(*GROUP, *(-pl.col(name) for name in RUNNING), time_us="end_us")
    left = per(WINDOW_US - pl.col("time_us") % WINDOW_US, WINDOW_US)
    return (
        pl.concat([starts, ends])
        .group_by(_window("time_us"), *GROUP)
        .agg(
            *(pl.col(name).sum().alias(f"{name}_change") for name in RUNNING),
            *(
                (pl.col(name) * left).round().cast(pl.Int64).sum().alias(f"{name}_within")
                for name in RUNNING
            ),
        )
        .collect()
    )
