"""The dictionary: what every column of every table means, in one place.

`docs/sql.md` and the comments in `cache.duckdb` are made from it; a test holds it against the
schemas. `python -m marl.features.dictionary` prints the page's part.
"""

import sys
from typing import Final

from marl.features import episode_dictionary

_TIER = "free, best_effort_batch, mid, production or monitoring; null where the source does not say"
_CLASS = "0 least to 3 most latency-sensitive; null where the source does not say"
_SNAPSHOT = "the row describes what already ran when the trace began"
_TYPE = "job or alloc_set"
_ALLOC = "alloc set it runs inside; null when it stands on its own"

TABLES: Final = {
    "machines": "Machines added, removed and resized.",
    "collections": "Life-cycle events of jobs and alloc sets.",
    "instances": "Life-cycle events of tasks and alloc instances, with their requests.",
    "usage": "Measured usage of instances, in windows of up to five minutes.",
    "demand_windows": "Demand every five minutes by tier and scheduling class, without gaps. "
    "Null: the table behind the column does not cover that window; 0: nothing happened.",
    "task_profiles": "One row per collection. Null: the table behind the column is silent on it.",
    "capacity": "Capacity of the cell at the start of each hour of demand_windows.",
    "quarantine": "Records of the source that could not be used.",
    "accounting": "Where every record of each table went.",
}

COLUMNS: Final[dict[str, dict[str, str]]] = {
    "machines": {
        "time_us": "when, µs since the trace's zero",
        "machine_id": "the machine",
        "event": "ADD, REMOVE or UPDATE",
        "platform_id": "opaque name of its micro-architecture",
        "cpu_capacity_ncu": "CPU, as a share of the largest machine",
        "memory_capacity_nmu": "memory, as a share of the largest machine",
        "is_snapshot": _SNAPSHOT,
    },
    "collections": {
        "time_us": "when, µs since the trace's zero",
        "collection_id": "the collection",
        "event": "SUBMIT, QUEUE, ENABLE, SCHEDULE, EVICT, FAIL, FINISH, KILL, LOST, UPDATE_*",
        "collection_type": _TYPE,
        "priority": "priority; null in 2011, where only tasks carry one",
        "tier": _TIER,
        "scheduling_class": _CLASS,
        "user": "opaque name of who submitted it",
        "collection_name": "opaque name",
        "logical_name": "opaque name shared by repeated runs of the same program",
        "parent_collection_id": "collection that started it",
        "is_snapshot": _SNAPSHOT,
    },
    "instances": {
        "time_us": "when, µs since the trace's zero",
        "collection_id": "its collection",
        "instance_index": "its place in the collection",
        "event": "SUBMIT, QUEUE, ENABLE, SCHEDULE, EVICT, FAIL, FINISH, KILL, LOST, UPDATE_*",
        "machine_id": "machine it is on",
        "collection_type": _TYPE,
        "alloc_collection_id": _ALLOC,
        "priority": "priority",
        "tier": _TIER,
        "scheduling_class": _CLASS,
        "user": "opaque name of who submitted it; null in 2019",
        "cpu_request_ncu": "CPU asked for",
        "memory_request_nmu": "memory asked for",
        "is_snapshot": _SNAPSHOT,
    },
    "usage": {
        "start_us": "beginning of the measurement",
        "end_us": "its end, exclusive",
        "collection_id": "the collection",
        "instance_index": "the instance in it",
        "machine_id": "machine it ran on",
        "collection_type": _TYPE,
        "alloc_collection_id": _ALLOC,
        "cpu_usage_ncu": "mean CPU used",
        "cpu_usage_max_ncu": "largest CPU used in any second or so",
        "memory_usage_nmu": "mean memory used",
        "memory_usage_max_nmu": "largest memory used",
        "memory_assigned_nmu": "memory limit in force",
        "page_cache_nmu": "file cache held",
        "cycles_per_instruction": "mean CPI",
        "sample_rate": "share of seconds that were sampled",
        "cpu_usage_histogram_ncu": "0th, 10th, … 100th percentile of CPU within the window (2019)",
    },
    "demand_windows": {
        "window_us": "beginning of the five minutes",
        "tier": _TIER,
        "scheduling_class": _CLASS,
        "collection_arrivals": "collections submitted",
        "instance_arrivals": "instances submitted, resubmissions included",
        "resubmissions": "of these, instances that had been submitted before",
        "scheduled": "instances that began to run",
        "evictions": "instances evicted",
        "failures": "instances that failed",
        "finishes": "instances that finished",
        "kills": "instances killed by their user or with their parent",
        "running_instances": "instances running, mean over the window",
        "running_cpu_request_ncu": "CPU they had asked for, mean over the window; what runs inside "
        "an alloc set is served from the alloc set's own request and not counted twice",
        "running_memory_request_nmu": "memory they had asked for, likewise",
        "cpu_usage_ncu": "CPU used, mean over the window: Σ mean × overlap ÷ 300 s",
        "cpu_usage_p95_ncu": "95th percentile over usage rows that start in the window, exact, "
        "linear between order statistics; null without rows",
        "memory_usage_nmu": "memory used, mean over the window",
        "distinct_collections": "collections with a usage row that starts in the window",
        "distinct_instances": "instances with a usage row that starts in the window",
        "queueing_delay_p50_s": "median time from submission to start, of starts in the window",
        "queueing_delay_p95_s": "95th percentile of the same; null without starts",
        "usage_rows": "usage rows that start in the window",
    },
    "task_profiles": {
        "collection_id": "the collection",
        "collection_type": _TYPE,
        "tier": _TIER,
        "scheduling_class": _CLASS,
        "user": "opaque name of who submitted it",
        "instances": "distinct instances in its events",
        "submits": "submissions of its instances, those before the trace included",
        "resubmissions": "submissions beyond each instance's first",
        "evictions": "evictions of its instances",
        "failures": "failures",
        "finishes": "finishes",
        "kills": "kills",
        "first_us": "first moment any table speaks of it",
        "last_us": "last moment any table speaks of it",
        "duration_s": "from first_us to its end; when censored, to the last moment of the trace",
        "is_snapshot": "it began before the trace",
        "is_censored": "its end was not seen",
        "cpu_request_mean_ncu": "mean over its instances of their first known CPU request",
        "cpu_request_max_ncu": "largest CPU request of an instance",
        "memory_request_mean_nmu": "mean over its instances of their first known memory request",
        "memory_request_max_nmu": "largest memory request of an instance",
        "cpu_to_memory_request": "cpu_request_mean_ncu ÷ memory_request_mean_nmu",
        "runs": "times an instance began to run, or ran when the trace began",
        "runs_observed": "of these, runs whose beginning and end were both seen",
        "run_time_mean_s": "mean length of observed runs",
        "run_time_p50_s": "median length of observed runs",
        "run_time_max_s": "longest observed run",
        "usage_rows": "usage rows",
        "cpu_usage_mean_ncu": "mean CPU used by an instance, weighted by time",
        "cpu_usage_max_ncu": "largest CPU used by an instance",
        "memory_usage_mean_nmu": "mean memory used by an instance, weighted by time",
        "memory_usage_max_nmu": "largest memory used by an instance",
        "cpu_usage_to_request": "cpu_usage_mean_ncu ÷ cpu_request_mean_ncu; 1 − it is the slack",
        "memory_usage_to_request": "the same of memory",
        "ncu_hours": "CPU × hours, by what hours_basis says",
        "nmu_hours": "memory × hours, likewise",
        "hours_basis": "usage: measured; requests: request × time run, where nothing was measured; "
        "none: neither is known",
    },
    "capacity": {
        "hour": "hours since the trace's zero",
        "machines": "machines in the cell",
        "cpu_capacity_ncu": "their CPU; null when no machine is known",
        "memory_capacity_nmu": "their memory",
    },
    "quarantine": {
        "table": "table the record was meant for",
        "reason": "why it could not be used",
        "source_file": "file it came from",
        "row_number": "record in that file, from 1",
        "raw": "its original text",
    },
    "accounting": {
        "table": "the table",
        "rows_in": "records in the source",
        "rows_kept": "rows of the table",
        "quarantined": "reason → records that could not be used",
        "filtered": "reason → good rows outside the window or sample asked for",
        "is_missing": "the source has no such table",
        "is_synthetic": "the rows were generated, not measured",
        "snapshot_rows": "rows that describe what ran before the trace",
        "first_us": "earliest time, snapshot apart",
        "last_us": "latest time",
        "bytes": "size of the row files",
        "sha256": "hash over the row files",
        "notes": "for people",
    },
}


# Tables that other packages make, later than the trace's.
LATER_COLUMNS: Final = {"evaluation_episodes": episode_dictionary.COLUMNS}
_SUMMARIES: Final = TABLES | {"evaluation_episodes": episode_dictionary.SUMMARY}


def markdown() -> str:
    """The dictionary as Markdown: a heading, a sentence and a table of columns per table."""
    lines = []
    for table, columns in (COLUMNS | LATER_COLUMNS).items():
        lines += [f"### `{table}`", "", _SUMMARIES[table], "", "| column | meaning |", "|---|---|"]
        lines += [f"| `{column}` | {meaning} |" for column, meaning in columns.items()]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(markdown())
