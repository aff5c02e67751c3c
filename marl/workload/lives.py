"""Jobs' lives: one row a job, from `task_profiles` and collection events, whatever is missing.

What class a job has belongs to `classes`; the demand it makes to `history`.
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from marl.features import demand_windows, task_profiles
from marl.features.tables import coverage, parts, scan_files, scan_table
from marl.traces.schema import WINDOW_US

_DEMAND_TABLES = ("collections", "instances", "usage")


def observed(tables: Mapping[str, Path]) -> tuple[int, int]:
    """First and end (exclusive) of the whole windows in which demand can be seen, µs.

    From events of collections and instances, and usage, or the windows made of them; machine
    events may go on for weeks more. A last window that was not observed to its end is left out.

    Raises:
        ValueError: none of the tables has a row.
    """
    spans = [coverage(tables, name) for name in _DEMAND_TABLES]
    known = [(span.start_us, span.last_us) for span in spans if span is not None]
    windows = (
        scan_files(parts(tables.get("demand_windows")), demand_windows.SCHEMA)
        .select(low=pl.col("window_us").min(), high=pl.col("window_us").max())
        .collect()
        .row(0)
    )
    if windows[0] is not None:
        known.append(windows)
    if not known:
        raise ValueError(
            "collections, instances and usage are all empty: there is no demand to model; "
            "check the trace's window and the quarantine of the canonical tables"
        )
    first = min(start for start, _ in known)
    last = max(end for _, end in known)
    return first, max(last // WINDOW_US * WINDOW_US, first + WINDOW_US)


def job_lives(tables: Mapping[str, Path]) -> pl.DataFrame:
    """One row a job, sorted by its id; alloc sets (reservations, not work) are left out.

    Args:
        tables: folders by name; `task_profiles` must be among them.

    Returns:
        collection_id, tier, scheduling_class, logical_name, is_snapshot (ran before the trace: its
        arrival was not seen), start_us, end_us (of observation where is_censored), lifetime_s,
        is_censored, tasks (null where none is known), cpu_request_ncu and memory_request_nmu (of a
        task, mean), cpu_request_max_ncu, busy_share (mean share of its tasks running at a time; 1
        where unknown), usage_rows, cpu_usage_ncu and memory_usage_nmu (of a task, mean).

    Raises:
        FileNotFoundError: there is no `task_profiles`.
    """
    files = parts(tables.get("task_profiles"))
    if not files:
        raise FileNotFoundError(
            f"no rows of task_profiles at {tables.get('task_profiles')}; materialise task_profiles"
        )
    tasks = pl.col("instances")
    busy = (pl.col("runs_observed") * pl.col("run_time_mean_s")) / (tasks * pl.col("duration_s"))
    # Only where every run was seen from start to end does their sum say how much ran at a time.
    is_whole = (pl.col("runs") == pl.col("runs_observed")) & (pl.col("duration_s") > 0)
    return (
        scan_files(files, task_profiles.SCHEMA)
        .filter(pl.col("collection_type").cast(pl.String).fill_null("job") == "job")
        .filter(pl.col("first_us").is_not_null())
        .join(_logical_names(tables), on="collection_id", how="left")
        .select(
            "collection_id",
            "tier",
            "scheduling_class",
            "logical_name",
            pl.col("is_snapshot").fill_null(False),
            pl.col("first_us").alias("start_us"),
            (pl.col("first_us") + (pl.col("duration_s") * 1e6).round().cast(pl.Int64)).alias(
                "end_us"
            ),
            pl.col("duration_s").alias("lifetime_s"),
            "is_censored",
            pl.when(tasks > 0).then(tasks).alias("tasks"),
            pl.col("cpu_request_mean_ncu").alias("cpu_request_ncu"),
            "cpu_request_max_ncu",
            pl.col("memory_request_mean_nmu").alias("memory_request_nmu"),
            pl.when(is_whole & (tasks > 0))
            .then(busy.clip(0, 1))
            .fill_null(1.0)
            .alias("busy_share"),
            "usage_rows",
            pl.col("cpu_usage_mean_ncu").alias("cpu_usage_ncu"),
            pl.col("memory_usage_mean_nmu").alias("memory_usage_nmu"),
        )
        .sort("collection_id")
        .collect()
    )


def _logical_names(tables: Mapping[str, Path]) -> pl.LazyFrame:
    return (
        scan_table(tables, "collections")
        .filter(pl.col("logical_name").is_not_null())
        .group_by("collection_id")
        .agg(pl.col("logical_name").min())
    )
