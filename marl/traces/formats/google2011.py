"""Google clusterdata-2011-2: headerless CSV, fields by position.

Source of columns and codes: Google's `schema.csv` in the bucket `gs://clusterdata-2011-2` and
Reiss, Wilkes, Hellerstein, "Google cluster-usage traces: format + schema" (2011, revised 2014).
Tiers of the twelve priorities follow Tirmazi et al., "Borg: the Next Generation", EuroSys 2020,
doi:10.1145/3342195.3387517: free 0-1, best-effort batch 2-8, production 9-10, monitoring 11; there
was no mid tier.
"""

from typing import Final

from marl.traces.formats.spec import Field, Kind, NativeTable

_EVENTS: Final = {
    0: "SUBMIT",
    1: "SCHEDULE",
    2: "EVICT",
    3: "FAIL",
    4: "FINISH",
    5: "KILL",
    6: "LOST",
    7: "UPDATE_PENDING",
    8: "UPDATE_RUNNING",
}
_MACHINE_EVENTS: Final = {0: "ADD", 1: "REMOVE", 2: "UPDATE"}
_TIERS: Final = (
    (0, "free"),
    (2, "best_effort_batch"),
    (9, "production"),
    (11, "monitoring"),
)
_SPARSE: Final = frozenset({"machine ID", "cycles per instruction"})  # else nearly always given


def _fields(*columns: tuple[int, str, str, Kind]) -> tuple[Field, ...]:
    return tuple(
        Field(name, source, kind, place, is_sparse=source in _SPARSE)
        for place, source, name, kind in columns
    )


TABLES: Final = {
    "machines": NativeTable(
        name="machine_events",
        table="machines",
        width=6,
        events=_MACHINE_EVENTS,
        fields=_fields(
            (0, "time", "time_us", "int"),
            (1, "machine ID", "machine_id", "int"),
            (2, "event type", "event_code", "int"),
            (3, "platform ID", "platform_id", "text"),
            (4, "CPUs", "cpu_capacity_ncu", "float"),
            (5, "Memory", "memory_capacity_nmu", "float"),
        ),
    ),
    "collections": NativeTable(
        name="job_events",
        table="collections",
        width=8,
        events=_EVENTS,
        has_only_jobs=True,
        fields=_fields(
            (0, "time", "time_us", "int"),
            (2, "job ID", "collection_id", "int"),
            (3, "event type", "event_code", "int"),
            (4, "user", "user", "text"),
            (5, "scheduling class", "scheduling_class", "int"),
            (6, "job name", "collection_name", "text"),
            (7, "logical job name", "logical_name", "text"),
        ),
    ),
    "instances": NativeTable(
        name="task_events",
        table="instances",
        width=13,
        events=_EVENTS,
        tier_starts=_TIERS,
        max_priority=11,
        has_only_jobs=True,
        fields=_fields(
            (0, "time", "time_us", "int"),
            (2, "job ID", "collection_id", "int"),
            (3, "task index", "instance_index", "int"),
            (4, "machine ID", "machine_id", "int"),
            (5, "event type", "event_code", "int"),
            (6, "user", "user", "text"),
            (7, "scheduling class", "scheduling_class", "int"),
            (8, "priority", "priority", "int"),
            (9, "CPU request", "cpu_request_ncu", "float"),
            (10, "memory request", "memory_request_nmu", "float"),
        ),
    ),
    "usage": NativeTable(
        name="task_usage",
        table="usage",
        width=20,
        has_only_jobs=True,
        fields=_fields(
            (0, "start time", "start_us", "int"),
            (1, "end time", "end_us", "int"),
            (2, "job ID", "collection_id", "int"),
            (3, "task index", "instance_index", "int"),
            (4, "machine ID", "machine_id", "int"),
            (5, "CPU rate", "cpu_usage_ncu", "float"),
            (13, "maximum CPU rate", "cpu_usage_max_ncu", "float"),
            (6, "canonical memory usage", "memory_usage_nmu", "float"),
            (10, "maximum memory usage", "memory_usage_max_nmu", "float"),
            (7, "assigned memory usage", "memory_assigned_nmu", "float"),
            (9, "total page cache", "page_cache_nmu", "float"),
            (15, "cycles per instruction", "cycles_per_instruction", "float"),
            (17, "sample portion", "sample_rate", "float"),
        ),
    ),
}
