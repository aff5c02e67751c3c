"""The 2019 tables as BigQuery describes them, and their translation to Arrow.

From the schemas Google publishes with the trace (INTEGER, FLOAT, STRING, RECORD; NULLABLE or
REPEATED).
"""

import pyarrow as pa


def _fields(text: str) -> list[dict]:
    """`name:T`, `name:T*` (repeated), `name:{...}`; I, F, S, B for the types."""
    types = {"I": "INTEGER", "F": "FLOAT", "S": "STRING", "B": "BOOLEAN"}
    fields = []
    for word in text.split():
        name, kind = word.split(":", 1)
        mode = "REPEATED" if kind.endswith("*") else "NULLABLE"
        kind = kind.rstrip("*")
        field = {"name": name, "mode": mode}
        if kind.startswith("{"):
            inner = " ".join(f"{part}:F" for part in kind.strip("{}").split(","))
            field |= {"type": "RECORD", "fields": _fields(inner)}
        else:
            field["type"] = types[kind]
        fields.append(field)
    return fields


TABLES = {
    "machine_events": _fields(
        "time:I machine_id:I type:I switch_id:S capacity:{cpus,memory} platform_id:S "
        "missing_data_reason:I"
    ),
    "collection_events": _fields(
        "time:I type:I collection_id:I scheduling_class:I missing_type:I collection_type:I "
        "priority:I alloc_collection_id:I user:S collection_name:S collection_logical_name:S "
        "parent_collection_id:I start_after_collection_ids:I* max_per_machine:I max_per_switch:I "
        "vertical_scaling:I scheduler:I"
    ),
    "instance_events": _fields(
        "time:I type:I collection_id:I scheduling_class:I missing_type:I collection_type:I "
        "priority:I alloc_collection_id:I instance_index:I machine_id:I alloc_instance_index:I "
        "resource_request:{cpus,memory}"
    ),
    "instance_usage": _fields(
        "start_time:I end_time:I collection_id:I instance_index:I machine_id:I "
        "alloc_collection_id:I alloc_instance_index:I collection_type:I "
        "average_usage:{cpus,memory} maximum_usage:{cpus,memory} "
        "random_sample_usage:{cpus,memory} assigned_memory:F page_cache_memory:F "
        "cycles_per_instruction:F memory_accesses_per_instruction:F sample_rate:F "
        "cpu_usage_distribution:F* tail_cpu_usage_distribution:F*"
    ),
}

_SCALARS = {
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "STRING": pa.string(),
    "BOOLEAN": pa.bool_(),
}


def to_arrow(fields: list[dict]) -> pa.Schema:
    """The Arrow schema of BigQuery fields."""
    return pa.schema([_arrow_field(field) for field in fields])


def _arrow_field(field: dict) -> pa.Field:
    if field["type"] == "RECORD":
        kind = pa.struct([_arrow_field(inner) for inner in field["fields"]])
    else:
        kind = _SCALARS[field["type"]]
    return pa.field(field["name"], pa.list_(kind) if field["mode"] == "REPEATED" else kind)


def from_arrow(schema: pa.Schema) -> list[dict]:
    """The BigQuery fields of an Arrow schema: what a query's result declares."""
    return [_bigquery_field(field) for field in schema]


def _bigquery_field(field: pa.Field) -> dict:
    kind, mode = field.type, "NULLABLE"
    if pa.types.is_list(kind):
        kind, mode = kind.value_type, "REPEATED"
    if pa.types.is_struct(kind):
        return {
            "name": field.name,
            "mode": mode,
            "type": "RECORD",
            "fields": [_bigquery_field(inner) for inner in kind],
        }
    name = next(name for name, scalar in _SCALARS.items() if scalar == kind)
    return {"name": field.name, "mode": mode, "type": name}


def size_bytes(value: object) -> int:
    """What BigQuery counts for a value: 8 for numbers, 1 for booleans, 2 + UTF-8 for strings."""
    if value is None:
        return 0
    if isinstance(value, bool):
        return 1
    if isinstance(value, int | float):
        return 8
    if isinstance(value, str):
        return 2 + len(value.encode())
    return sum(map(size_bytes, value.values() if isinstance(value, dict) else value))


def to_cell(value: object) -> object:
    """A value as the REST API writes it: scalars as strings, records as f/v, arrays as lists."""
    if value is None:
        return None
    if isinstance(value, dict):
        return {"f": [{"v": to_cell(inner)} for inner in value.values()]}
    if isinstance(value, list):
        return [{"v": to_cell(inner)} for inner in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
