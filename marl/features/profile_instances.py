"""What instance events know of every collection: counts, requests, runs, hours asked for.

Instances of a collection lie in several buckets (`lifecycles`), so each bucket gives what can be
added up. What the other tables know belongs to `profile_parts`.
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
from marl.features.profile_parts import HOUR_US, KEY, MERGE_EVERY, ended_us, seen, with_life
from marl.features.tables import Coverage
from marl.traces.schema import AFTER_END_US

_SECOND_US: Final = 1e6
COUNTED: Final = {
    "submits": "SUBMIT",
    "evictions": "EVICT",
    "failures": "FAIL",
    "finishes": "FINISH",
    "kills": "KILL",
}


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
    frames, run_files = [], []
    for number, events in enumerate(event_buckets(tables, groups, scratch, bucket_rows)):
        runs = _runs(running_stretches(events), covered)
        run_files.append(scratch / f"runs-{number:06d}.parquet")
        runs.filter("seen").select(KEY, "run_us").write_parquet(run_files[-1])
        frame = _count(with_resubmissions(events))
        for facts in (_requests(events), _sum_runs(runs)):
            frame = frame.join(facts, on=KEY, how="left", validate="1:1")
        frames.append(frame)
        if len(frames) == MERGE_EVERY:
            frames = [_merge_instances(frames)]
    whole = _merge_instances(frames).with_columns(
        *(
            (from_fixed(pl.col(f"{base}_request_sum")) / pl.col(f"{base}_request_known"))
            .fill_nan(None)
            .alias(f"{base}_request_mean_{unit}")
            for base, unit in (("cpu", "ncu"), ("memory", "nmu"))
        ),
        run_time_mean_s=per(pl.col("run_us") / pl.col("runs_observed"), _SECOND_US).fill_nan(None),
        run_time_max_s=per(pl.col("run_max_us"), _SECOND_US),
        ended_us=pl.when(pl.col("ended") == pl.col("instances")).then("ended_us"),
    )
    medians = _median_runs(run_files, int(whole["runs_observed"].sum()), bucket_rows)
    return whole.join(medians, on=KEY, how="left", validate="1:1")


def _merge_instances(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Add up what buckets know of a collection, whose instances lie in several."""
    sums = ("instances", "ended", "resubmissions", "runs", "runs_observed", "run_us", *COUNTED)
    return (
        pl.concat(frames)
        .group_by(KEY)
        .agg(
            pl.col("collection_type", "user", "first_us").min(),
            pl.col("last_us", "ended_us", "^.*_request_max_n.u$", "run_max_us").max(),
            pl.col("is_snapshot").any(),
            pl.col(*sums, "^.*_request_sum$", "^.*_request_known$").sum(),
            *(_sum_known(pl.col(f"request_{unit}_hours")) for unit in ("ncu", "nmu")),
        )
    )


def _median_runs(files: list[Path], rows: int, slice_rows: int) -> pl.DataFrame:
    """Median length of each collection's observed runs, a share of the collections at a time."""
    pieces = max(1, -(-rows // (4 * slice_rows)))
    piece = pl.col(KEY).hash(seed=0) % pieces
    median = per(pl.col("run_us").quantile(0.5, "linear"), _SECOND_US).alias("run_time_p50_s")
    return pl.concat(
        pl.scan_parquet(files, glob=False)
        .filter(piece == number)
        .group_by(KEY)
        .agg(median)
        .collect()
        for number in range(pieces)
    )


def _count(events: pl.DataFrame) -> pl.DataFrame:
    return (
        events.lazy()
        .group_by(KEY)
        .agg(
            pl.col("collection_type").min(),
            pl.col("user").min(),
            *seen(),
            pl.col("is_resubmission").sum().cast(pl.Int64).alias("resubmissions"),
            *(
                (pl.col("event") == event).sum().cast(pl.Int64).alias(name)
                for name, event in COUNTED.items()
            ),
        )
        .collect()
    )


def _requests(events: pl.DataFrame) -> pl.DataFrame:
    """Instances, how many ended and when, and their requests: of each, the first known one."""
    columns = (("cpu", "ncu"), ("memory", "nmu"))
    each = (
        with_life(events.lazy())
        .group_by(INSTANCE, maintain_order=True)
        .agg(
            ended_us().alias("ended_us"),
            *(pl.col(f"{base}_request_{unit}").drop_nulls().first() for base, unit in columns),
            *(
                pl.col(f"{base}_request_{unit}").max().alias(f"{base}_request_max_{unit}")
                for base, unit in columns
            ),
        )
    )
    return (
        each.group_by(KEY)
        .agg(
            pl.len().cast(pl.Int64).alias("instances"),
            pl.col("ended_us").count().cast(pl.Int64).alias("ended"),
            pl.col("ended_us").max(),
            pl.col("^.*_request_max_n.u$").max(),
            *(
                to_fixed(pl.col(f"{base}_request_{unit}")).sum().alias(f"{base}_request_sum")
                for base, unit in columns
            ),
            *(
                pl.col(f"{base}_request_{unit}")
                .count()
                .cast(pl.Int64)
                .alias(f"{base}_request_known")
                for base, unit in columns
            ),
        )
        .collect()
    )


def _runs(stretches: pl.DataFrame, covered: Coverage) -> pl.DataFrame:
    """Runs: their length, whether both ends were seen, and what they asked for while watched."""
    watched_us = pl.col("end_us").clip(upper_bound=covered.last_us) - pl.col("start_us").clip(
        lower_bound=covered.start_us
    )
    hours = per(watched_us.clip(lower_bound=0), HOUR_US)
    columns = (("cpu_request_ncu", "ncu"), ("memory_request_nmu", "nmu"))
    return (
        stretches.lazy()
        .group_by(KEY, "run")
        .agg(
            (pl.col("end_us").max() - pl.col("start_us").min()).alias("run_us"),
            (~pl.col("is_snapshot").any() & (pl.col("end_us").max() < AFTER_END_US)).alias("seen"),
            *(
                _sum_known(to_fixed(pl.col(column) * hours)).alias(f"request_{unit}_hours")
                for column, unit in columns
            ),
        )
        .collect()
    )


def _sum_runs(runs: pl.DataFrame) -> pl.DataFrame:
    """Runs by collection; lengths only of those whose start and end were both seen."""
    observed = pl.when("seen").then("run_us")
    return (
        runs.lazy()
        .group_by(KEY)
        .agg(
            pl.len().cast(pl.Int64).alias("runs"),
            pl.col("seen").sum().cast(pl.Int64).alias("runs_observed"),
            observed.sum().alias("run_us"),
            observed.max().alias("run_max_us"),
            *(_sum_known(pl.col(f"request_{unit}_hours")) for unit in ("ncu", "nmu")),
        )
        .collect()
    )


def _sum_known(value: pl.Expr) -> pl.Expr:
    """The sum; null, not zero, where no term is known."""
    return pl.when(value.count() > 0).then(value.sum())
