"""The canonical tables: one schema whatever the source, and the vocabularies they use.

Parsing belongs to `formats`; validation suites to `assets`. Times are microseconds since the
trace's own zero; resources are fractions of the largest machine (`_ncu` CPU, `_nmu` memory).
"""

from typing import Any, Final

import polars as pl

WINDOW_US: Final = 300_000_000  # five minutes: the step of every series here
SNAPSHOT_US: Final = 0  # rows at this time describe what already ran when the trace began
AFTER_END_US: Final = 2**63 - 1  # Google's "happened after the trace ended"

TIERS: Final = ("free", "best_effort_batch", "mid", "production", "monitoring")
EVENTS: Final = (
    "SUBMIT",
    "QUEUE",
    "ENABLE",
    "SCHEDULE",
    "EVICT",
    "FAIL",
    "FINISH",
    "KILL",
    "LOST",
    "UPDATE_PENDING",
    "UPDATE_RUNNING",
)
TERMINAL_EVENTS: Final = ("EVICT", "FAIL", "FINISH", "KILL", "LOST")
MACHINE_EVENTS: Final = ("ADD", "REMOVE", "UPDATE")
COLLECTION_TYPES: Final = ("job", "alloc_set")

Event = pl.Enum(EVENTS)
MachineEvent = pl.Enum(MACHINE_EVENTS)
Tier = pl.Enum(TIERS)
CollectionType = pl.Enum(COLLECTION_TYPES)


def _schema(columns: dict[str, Any]) -> pl.Schema:
    return pl.Schema(columns)


MACHINES: Final = _schema(
    {
        "time_us": pl.Int64,
        "machine_id": pl.Int64,
        "event": MachineEvent,
        "platform_id": pl.String,
        "cpu_capacity_ncu": pl.Float64,
        "memory_capacity_nmu": pl.Float64,
        "is_snapshot": pl.Boolean,
    }
)
COLLECTIONS: Final = _schema(
    {
        "time_us": pl.Int64,
        "collection_id": pl.Int64,
        "event": Event,
        "collection_type": CollectionType,
        "priority": pl.Int32,  # null in 2011, where only tasks carry one
        "tier": Tier,
        "scheduling_class": pl.Int8,  # 0 least … 3 most latency-sensitive
        "user": pl.String,
        "collection_name": pl.String,
        "logical_name": pl.String,
        "parent_collection_id": pl.Int64,
        "is_snapshot": pl.Boolean,
    }
)
INSTANCES: Final = _schema(
    {
        "time_us": pl.Int64,
        "collection_id": pl.Int64,
        "instance_index": pl.Int32,
        "event": Event,
        "machine_id": pl.Int64,
        "collection_type": CollectionType,
        "alloc_collection_id": pl.Int64,
        "priority": pl.Int32,
        "tier": Tier,
        "scheduling_class": pl.Int8,
        "user": pl.String,  # null in 2019, where only collections carry one
        "cpu_request_ncu": pl.Float64,
        "memory_request_nmu": pl.Float64,
        "is_snapshot": pl.Boolean,
    }
)
USAGE: Final = _schema(
    {
        "start_us": pl.Int64,
        "end_us": pl.Int64,
        "collection_id": pl.Int64,
        "instance_index": pl.Int32,
        "machine_id": pl.Int64,
        "collection_type": CollectionType,
        "alloc_collection_id": pl.Int64,
        "cpu_usage_ncu": pl.Float64,  # mean over the window
        "cpu_usage_max_ncu": pl.Float64,
        "memory_usage_nmu": pl.Float64,
        "memory_usage_max_nmu": pl.Float64,
        "memory_assigned_nmu": pl.Float64,
        "page_cache_nmu": pl.Float64,
        "cycles_per_instruction": pl.Float64,
        "sample_rate": pl.Float64,
        "cpu_usage_histogram_ncu": pl.List(pl.Float32),  # 11 percentiles, 2019 only
    }
)

TABLES: Final = {
    "machines": MACHINES,
    "collections": COLLECTIONS,
    "instances": INSTANCES,
    "usage": USAGE,
}
TIME_COLUMN: Final = {
    "machines": "time_us",
    "collections": "time_us",
    "instances": "time_us",
    "usage": "start_us",
}
