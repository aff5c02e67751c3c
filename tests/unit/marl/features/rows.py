"""Small canonical tables for tests: a few rows become folders such as the canonical writer's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from marl.features.cache import _SCHEMAS
from marl.traces.schema import TABLES, TIME_COLUMN

S = 1_000_000  # a second in µs
HOUR_US = 3600 * S


def table_frame(name: str, rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Rows of the table `name`; columns not named are null."""
    schema = _SCHEMAS[name]
    unknown = {key for row in rows for key in row} - set(schema)
    assert not unknown, f"no such columns: {unknown}"
    full = [{column: row.get(column) for column in schema} for row in rows]
    return pl.DataFrame(full, schema=schema, orient="row")


def write_canonical(root: Path, hours: bool = True, **tables: Sequence[dict[str, Any]]):
    """Write canonical folders under `root`; returns all four by name, absent ones included."""
    for name, rows in tables.items():
        frame = table_frame(name, rows)
        if "is_snapshot" in frame.columns:
            frame = frame.with_columns(pl.col("is_snapshot").fill_null(pl.col("time_us") == 0))
        write_parts(root / name, frame, TIME_COLUMN[name] if hours else None)
    return {name: root / name for name in TABLES}


def write_parts(folder: Path, frame: pl.DataFrame, time: str | None) -> None:
    """Write `rows/part-*.parquet`: one file an hour of `time`, or a single one."""
    (folder / "rows").mkdir(parents=True)
    if time is None or frame.is_empty():
        frame.write_parquet(folder / "rows" / "part-000000.parquet")
        return
    hour = (pl.col(time) // HOUR_US).alias("hour")
    for (number,), part in frame.with_columns(hour).partition_by("hour", as_dict=True).items():
        path = folder / "rows" / f"part-{min(number, 999_999):06d}.parquet"
        part.drop("hour").sort(time, maintain_order=True).write_parquet(path)


def event(time_s: float, name: str, collection: int = 1, index: int = 0, **more: Any):
    """An instance event; time in seconds."""
    row = {
        "time_us": round(time_s * S),
        "event": name,
        "collection_id": collection,
        "instance_index": index,
        "tier": "production",
        "scheduling_class": 2,
        "cpu_request_ncu": 0.5,
        "memory_request_nmu": 0.25,
        "is_snapshot": time_s == 0,
    }
    return row | more


def used(start_s: float, end_s: float, cpu: float | None, collection: int = 1, **more: Any):
    """A usage row; times in seconds, memory half of the CPU."""
    row = {
        "start_us": round(start_s * S),
        "end_us": round(end_s * S),
        "collection_id": collection,
        "instance_index": 0,
        "cpu_usage_ncu": cpu,
        "cpu_usage_max_ncu": cpu,
        "memory_usage_nmu": None if cpu is None else cpu / 2,
        "memory_usage_max_nmu": None if cpu is None else cpu / 2,
    }
    return row | more
