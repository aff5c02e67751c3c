"""Google clusterdata-2019: JSON lines or Parquet, fields by name.

Source of fields and codes: `clusterdata_trace_format_v3.proto` (google/cluster-data). Tiers by
priority follow Tirmazi et al., "Borg: the Next Generation", EuroSys 2020,
doi:10.1145/3342195.3387517; the priorities 100-115 are best-effort batch.
"""

from typing import Final

from marl.traces.formats.spec import Field, NativeTable
from marl.traces.schema import EVENTS

EVENT_CODES: Final = dict(enumerate(EVENTS))  # the vocabulary is this version's, in its order
_MACHINE_EVENTS: Final = {1: "ADD", 2: "REMOVE", 3: "UPDATE"}
TIERS: Final = (
    (0, "free"),
    (100, "best_effort_batch"),
    (116, "mid"),
    (120, "production"),
    (360, "monitoring"),
)

TABLES: Final = {
    "machines": NativeTable(
        name="machine_events",
        table="machines",
        events=_MACHINE_EVENTS,
        fields=(
            Field("time_us", "time", "int"),
            Field("machine_id", "machine_id", "int"),
            Field("event_code", "type", "int"),
            Field("platform_id", "platform_id", "text"),
            Field("cpu_capacity_ncu", "capacity.cpus", "float"),
            Field("memory_capacity_nmu", "capacity.memory", "float"),
        ),
    ),
    "collections": NativeTable(
        name="collection_events",
        table="collections",
        events=EVENT_CODES,
        tier_starts=TIERS,
        fields=(
            Field("time_us", "time", "int"),
            Field("collection_id", "collection_id", "int"),
            Field("event_code", "type", "int"),
            Field("collection_type_code", "collection_type", "int"),
            Field("priority", "priority", "int"),
            Field("scheduling_class", "scheduling_class", "int"),
            Field("user", "user", "text"),
            Field("collection_name", "collection_name", "text"),
            Field("logical_name", "collection_logical_name", "text"),
            Field("parent_collection_id", "parent_collection_id", "int"),
        ),
    ),
    "instances": NativeTable(
        name="instance_events",
        table="instances",
        events=EVENT_CODES,
        tier_starts=TIERS,
        fields=(
            Field("time_us", "time", "int"),
            Field("collection_id", "collection_id", "int"),
            Field("instance_index", "instance_index", "int"),
            Field("event_code", "type", "int"),
            Field("machine_id", "machine_id", "int"),
            Field("collection_type_code", "collection_type", "int"),
            Field("alloc_collection_id", "alloc_collection_id", "int"),
            Field("priority", "priority", "int"),
            Field("scheduling_class", "scheduling_class", "int"),
            Field("cpu_request_ncu", "resource_request.cpus", "float"),
            Field("memory_request_nmu", "resource_request.memory", "float"),
        ),
    ),
    "usage": NativeTable(
        name="instance_usage",
        table="usage",
        fields=(
            Field("start_us", "start_time", "int"),
            Field("end_us", "end_time", "int"),
            Field("collection_id", "collection_id", "int"),
            Field("instance_index", "instance_index", "int"),
            Field("machine_id", "machine_id", "int"),
            Field("collection_type_code", "collection_type", "int"),
            Field("alloc_collection_id", "alloc_collection_id", "int"),
            Field("cpu_usage_ncu", "average_usage.cpus", "float"),
            Field("cpu_usage_max_ncu", "maximum_usage.cpus", "float"),
            Field("memory_usage_nmu", "average_usage.memory", "float"),
            Field("memory_usage_max_nmu", "maximum_usage.memory", "float"),
            Field("memory_assigned_nmu", "assigned_memory", "float"),
            Field("page_cache_nmu", "page_cache_memory", "float"),
            Field("cycles_per_instruction", "cycles_per_instruction", "float"),
            Field("sample_rate", "sample_rate", "float"),
            Field("cpu_usage_histogram_ncu", "cpu_usage_distribution", "floats"),
        ),
    ),
}
