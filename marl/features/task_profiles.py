"""`task_profiles`: one row per collection, what it asked for, what it used and how it ended.

Columns of a table that says nothing about a collection are null, not zero. What happened window by
window belongs to `demand_windows`; sorting collections into classes to `marl.workload`.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import polars as pl

from marl.features.fixed_point import from_fixed
from marl.features.groups import GROUP_SCHEMA, collection_groups
from marl.features.profile_instances import instance_facts
from marl.features.profile_parts import collection_facts, usage_facts
from marl.features.summary import FeatureSummary, silent, write_feature
from marl.features.tables import Coverage, coverage
from marl.files import STAGING_MARK
from marl.traces.schema import CollectionType

HoursBasis = pl.Enum(("usage", "requests", "none"))
SCHEMA: Final = pl.Schema(
    {
        "collection_id": pl.Int64,
        "collection_type": CollectionType,
        **GROUP_SCHEMA,
        "user": pl.String,
        "instances": pl.Int64,
        "submits": pl.Int64,
        "resubmissions": pl.Int64,
        "evictions": pl.Int64,
        "failures": pl.Int64,
        "finishes": pl.Int64,
        "kills": pl.Int64,
        "first_us": pl.Int64,
        "last_us": pl.Int64,
        "duration_s": pl.Float64,
        "is_snapshot": pl.Boolean,
        "is_censored": pl.Boolean,
        "cpu_request_mean_ncu": pl.Float64,
        "cpu_request_max_ncu": pl.Float64,
        "memory_request_mean_nmu": pl.Float64,
        "memory_request_max_nmu": pl.Float64,
        "cpu_to_memory_request": pl.Float64,
        "runs": pl.Int64,
        "runs_observed": pl.Int64,
        "run_time_mean_s": pl.Float64,
        "run_time_p50_s": pl.Float64,
        "run_time_max_s": pl.Float64,
        "usage_rows": pl.Int64,
        "cpu_usage_mean_ncu": pl.Float64,
        "cpu_usage_max_ncu": pl.Float64,
        "memory_usage_mean_nmu": pl.Float64,
        "memory_usage_max_nmu": pl.Float64,
        "cpu_usage_to_request": pl.Float64,
        "memory_usage_to_request": pl.Float64,
        "ncu_hours": pl.Float64,
        "nmu_hours": pl.Float64,
        "hours_basis": HoursBasis,
    }
)
_SHARED: Final = frozenset(
    {"first_us", "last_us", "ended_us", "is_snapshot", "collection_type", "user"}
)


def build(
    tables: Mapping[str, Path],
    into: Path,
    progress: Callable[[str], None] | None = None,
) -> FeatureSummary:
    """Write `task_profiles` to `into/rows/part-000000.parquet`, sorted by collection.

    Rows of the trace are streamed; memory grows only with the number of collections.

    Args:
        tables: folders of the canonical tables by name; a missing or empty one is noted.
        into: the folder to write; replaced as a whole when all is done.
        progress: told in words what is being done.

    Returns:
        Rows, time covered, input rows, and notes on what is missing.

    Raises:
        ValueError: a damaged time stamp makes a table span years.
        polars.exceptions.InvalidOperationError: a request or usage is not a finite number.
    """
    say = progress or silent
    covered = {name: coverage(tables, name) for name in ("collections", "instances", "usage")}
    groups = collection_groups(tables)
    say("task_profiles: reading collection events and usage")
    collections, usage = collection_facts(tables), usage_facts(tables)
    say("task_profiles: following instances through their life")
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=into.name + STAGING_MARK, dir=into.parent) as scratch:
        instances = instance_facts(tables, groups, covered["instances"], Path(scratch))
    horizon = max((c.last_us for c in covered.values() if c is not None), default=0)
    frame = _profile(collections, instances, usage, groups, horizon)
    notes = _notes(covered, frame)
    say(f"task_profiles: writing {frame.height:,} rows")
    return write_feature(frame, into, covered, notes)


def _profile(
    collections: pl.DataFrame,
    instances: pl.DataFrame,
    usage: pl.DataFrame,
    groups: pl.DataFrame,
    horizon_us: int,
) -> pl.DataFrame:
    """Put what the three tables know of each collection side by side."""
    key = "collection_id"
    known = pl.concat([frame.select(key) for frame in (collections, instances, usage)]).unique()
    frame = known.lazy()
    sources = {"collections": collections, "instances": instances, "usage": usage}
    for name, facts in sources.items():
        shared = [column for column in facts.columns if column in _SHARED]
        renamed = facts.rename({column: f"{name}_{column}" for column in shared})
        frame = frame.join(renamed.lazy(), on=key, how="left", validate="1:1")
    frame = frame.join(groups.lazy(), on=key, how="left").with_columns(
        *(
            pl.coalesce(
                f"{name}_{column}" for name in sources if column in sources[name].columns
            ).alias(column)
            for column in ("collection_type", "user")
        ),
        first_us=pl.min_horizontal(f"{name}_first_us" for name in sources),
        last_us=pl.max_horizontal(f"{name}_last_us" for name in sources),
        is_snapshot=pl.any_horizontal(
            pl.col("collections_is_snapshot", "instances_is_snapshot").fill_null(False)
        ),
        # The collection's own end counts; where its events are missing, that of its last instance.
        ended_us=pl.when(pl.col("collections_first_us").is_not_null())
        .then("collections_ended_us")
        .otherwise("instances_ended_us"),
        usage_rows=pl.col("usage_rows").fill_null(0),
    )
    return (
        frame.with_columns(
            is_censored=pl.col("ended_us").is_null(),
            duration_s=(pl.col("ended_us").fill_null(horizon_us) - pl.col("first_us")).clip(
                lower_bound=0
            )
            / 1e6,
            cpu_to_memory_request=_ratio("cpu_request_mean_ncu", "memory_request_mean_nmu"),
            cpu_usage_to_request=_ratio("cpu_usage_mean_ncu", "cpu_request_mean_ncu"),
            memory_usage_to_request=_ratio("memory_usage_mean_nmu", "memory_request_mean_nmu"),
            hours_basis=pl.when(pl.col("usage_ncu_hours").is_not_null())
            .then(pl.lit("usage"))
            .when(pl.col("request_ncu_hours").is_not_null())
            .then(pl.lit("requests"))
            .otherwise(pl.lit("none")),
            ncu_hours=from_fixed(pl.coalesce("usage_ncu_hours", "request_ncu_hours")),
            nmu_hours=from_fixed(
                pl.when(pl.col("usage_ncu_hours").is_not_null())
                .then("usage_nmu_hours")
                .otherwise("request_nmu_hours")
            ),
        )
        .select(list(SCHEMA))
        .cast(SCHEMA)
        .sort(key)
        .collect()
    )


def _ratio(numerator: str, denominator: str) -> pl.Expr:
    """The quotient; null where the denominator is zero (a request of nothing) or unknown."""
    return pl.when(pl.col(denominator) > 0).then(pl.col(numerator) / pl.col(denominator))


def _notes(covered: Mapping[str, Coverage | None], frame: pl.DataFrame) -> tuple[str, ...]:
    """What is missing, and what that costs."""
    notes = []
    if covered["collections"] is None:
        notes.append("no collection events: users and collections' own ends are unknown")
    if covered["instances"] is None:
        notes.append("no instance events: requests, runs and submissions are unknown")
    by_basis = dict(frame["hours_basis"].value_counts().iter_rows())
    if by_basis.get("requests"):
        notes.append(
            f"{by_basis['requests']:,} of {frame.height:,} collections have no usage rows: their "
            "hours are request × time run"
        )
    return tuple(notes)
