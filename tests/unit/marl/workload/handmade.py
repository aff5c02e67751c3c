"""Small canonical tables written by hand, and the features that belong to them."""

import polars as pl

from marl.features import demand_windows, task_profiles
from marl.traces.schema import TABLES

S = 1_000_000
_DEFAULTS = {
    "collections": {"collection_type": "job", "is_snapshot": False},
    "instances": {"collection_type": "job", "instance_index": 0, "is_snapshot": False},
    "usage": {"collection_type": "job", "instance_index": 0},
}


def write(folder, **rows):
    """Write canonical tables of row dicts and build the features; returns tables by name."""
    tables = {}
    for name, schema in TABLES.items():
        into = folder / name / "rows"
        into.mkdir(parents=True)
        tables[name] = folder / name
        if rows.get(name):
            full = [
                {column: None for column in schema} | _DEFAULTS[name] | row for row in rows[name]
            ]
            pl.DataFrame(full, schema=schema).write_parquet(into / "part-000000.parquet")
    for feature in (demand_windows, task_profiles):
        name = feature.__name__.rsplit(".", 1)[1]
        feature.build({key: tables[key] for key in TABLES}, folder / name)
        tables[name] = folder / name
    return tables


def job(number, start_s, end_s=None, tasks=1, cpu=0.01, memory=0.02, **facts):
    """Collection and instance rows of one job whose tasks run for its whole life."""
    sched, tier = facts.get("scheduling_class", 0), facts.get("tier", "best_effort_batch")
    name = facts.get("logical_name")
    is_snapshot = facts.get("is_snapshot", False)
    common = {
        "collection_id": number,
        "scheduling_class": sched,
        "tier": tier,
        "is_snapshot": is_snapshot,
    }
    spans = [("SUBMIT", start_s), ("SCHEDULE", start_s)]
    ends = [] if end_s is None else [("FINISH", end_s)]
    collections = [
        {**common, "event": event, "time_us": int(at * S), "logical_name": name}
        for event, at in spans + ends
    ]
    for row in collections[len(spans) :]:
        row["is_snapshot"] = False
    instances = [
        {
            **common,
            "event": event,
            "time_us": int(at * S),
            "instance_index": index,
            "cpu_request_ncu": cpu[index] if isinstance(cpu, list) else cpu,
            "memory_request_nmu": memory,
            "is_snapshot": is_snapshot and event != "FINISH",
        }
        for index in range(tasks)
        for event, at in spans + ends
    ]
    return collections, instances


def usage(number, start_s, cpu, memory=0.01, index=0):
    """One five-minute usage row."""
    return {
        "collection_id": number,
        "instance_index": index,
        "start_us": int(start_s * S),
        "end_us": int((start_s + 300) * S),
        "cpu_usage_ncu": cpu,
        "memory_usage_nmu": memory,
    }


def joined(jobs):
    """Keyword arguments for `write` of several `job`s."""
    return {
        "collections": [row for one, _ in jobs for row in one],
        "instances": [row for _, one in jobs for row in one],
    }
