"""A slow, plain reading of native files, written from Google's documents, not from the readers.

One record at a time with Python's own csv and json; no vectors, no shortcuts. Good rows only: what
the canonical tables must hold for undamaged files.
"""

import csv
import gzip
import json
import re
from pathlib import Path

EVENTS_2011 = ["SUBMIT", "SCHEDULE", "EVICT", "FAIL", "FINISH", "KILL", "LOST", "UPDATE_PENDING",
               "UPDATE_RUNNING"]  # fmt: skip
EVENTS_2019 = ["SUBMIT", "QUEUE", "ENABLE", "SCHEDULE", "EVICT", "FAIL", "FINISH", "KILL", "LOST",
               "UPDATE_PENDING", "UPDATE_RUNNING"]  # fmt: skip


def whole(text):
    return None if text in (None, "") else int(text)


def number(text):
    return None if text in (None, "") else float(text)


def text_or_none(text):
    return text or None


def an_id(text):
    value = whole(text)
    return None if value in (0, -1) else value


def tier_2011(priority):
    if priority <= 1:
        return "free"
    if priority <= 8:
        return "best_effort_batch"
    return "production" if priority <= 10 else "monitoring"


def tier_2019(priority):
    for highest, tier in ((99, "free"), (115, "best_effort_batch"), (119, "mid"),
                          (359, "production")):  # fmt: skip
        if priority <= highest:
            return tier
    return "monitoring"


def lines(path: Path, limit: int):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        for _, line in zip(range(limit), stream, strict=False):
            yield line


def rows_2011(path: Path, table: str, limit: int):
    for f in csv.reader(lines(path, limit)):
        if table == "machines":
            yield {"time_us": int(f[0]), "machine_id": int(f[1]),
                   "event": ["ADD", "REMOVE", "UPDATE"][int(f[2])], "platform_id": f[3],
                   "cpu_capacity_ncu": number(f[4]), "memory_capacity_nmu": number(f[5]),
                   "is_snapshot": int(f[0]) == 0}  # fmt: skip
        elif table == "collections":
            yield {"time_us": int(f[0]), "collection_id": int(f[2]),
                   "event": EVENTS_2011[int(f[3])], "collection_type": "job", "priority": None,
                   "tier": None, "scheduling_class": whole(f[5]), "user": text_or_none(f[4]),
                   "collection_name": text_or_none(f[6]), "logical_name": text_or_none(f[7]),
                   "parent_collection_id": None, "is_snapshot": int(f[0]) == 0}  # fmt: skip
        elif table == "instances":
            yield {"time_us": int(f[0]), "collection_id": int(f[2]), "instance_index": int(f[3]),
                   "event": EVENTS_2011[int(f[5])], "machine_id": an_id(f[4]),
                   "collection_type": "job", "alloc_collection_id": None, "priority": int(f[8]),
                   "tier": tier_2011(int(f[8])), "scheduling_class": whole(f[7]),
                   "user": text_or_none(f[6]), "cpu_request_ncu": number(f[9]),
                   "memory_request_nmu": number(f[10]), "is_snapshot": int(f[0]) == 0}  # fmt: skip
        else:
            yield {"start_us": int(f[0]), "end_us": int(f[1]), "collection_id": int(f[2]),
                   "instance_index": int(f[3]), "machine_id": an_id(f[4]),
                   "collection_type": "job", "alloc_collection_id": None,
                   "cpu_usage_ncu": number(f[5]), "cpu_usage_max_ncu": number(f[13]),
                   "memory_usage_nmu": number(f[6]), "memory_usage_max_nmu": number(f[10]),
                   "memory_assigned_nmu": number(f[7]), "page_cache_nmu": number(f[9]),
                   "cycles_per_instruction": number(f[15]), "sample_rate": number(f[17]),
                   "cpu_usage_histogram_ncu": None}  # fmt: skip


def instance_2019(r, user=None):
    request = r.get("resource_request") or {}
    return {"time_us": int(r["time"]), "collection_id": int(r["collection_id"]),
            "instance_index": int(r["instance_index"]), "event": EVENTS_2019[int(r["type"])],
            "machine_id": an_id(r.get("machine_id")),
            "collection_type": ["job", "alloc_set"][int(r["collection_type"])],
            "alloc_collection_id": an_id(r.get("alloc_collection_id")),
            "priority": int(r["priority"]), "tier": tier_2019(int(r["priority"])),
            "scheduling_class": whole(r.get("scheduling_class")), "user": user,
            "cpu_request_ncu": number(request.get("cpus")),
            "memory_request_nmu": number(request.get("memory")),
            "is_snapshot": int(r["time"]) == 0}  # fmt: skip


def usage_2019(r):
    mean, peak = r.get("average_usage") or {}, r.get("maximum_usage") or {}
    return {"start_us": int(r["start_time"]), "end_us": int(r["end_time"]),
            "collection_id": int(r["collection_id"]), "instance_index": int(r["instance_index"]),
            "machine_id": an_id(r.get("machine_id")),
            "collection_type": ["job", "alloc_set"][int(r["collection_type"])],
            "alloc_collection_id": an_id(r.get("alloc_collection_id")),
            "cpu_usage_ncu": number(mean.get("cpus")),
            "cpu_usage_max_ncu": number(peak.get("cpus")),
            "memory_usage_nmu": number(mean.get("memory")),
            "memory_usage_max_nmu": number(peak.get("memory")),
            "memory_assigned_nmu": number(r.get("assigned_memory")),
            "page_cache_nmu": number(r.get("page_cache_memory")),
            "cycles_per_instruction": number(r.get("cycles_per_instruction")),
            "sample_rate": number(r.get("sample_rate")),
            "cpu_usage_histogram_ncu": r.get("cpu_usage_distribution") or None}  # fmt: skip


def rows_json(path: Path, table: str, limit: int):
    for line in lines(path, limit):
        record = json.loads(line)
        if table == "machines":
            capacity = record.get("capacity") or {}
            yield {"time_us": int(record["time"]), "machine_id": int(record["machine_id"]),
                   "event": [None, "ADD", "REMOVE", "UPDATE"][int(record["type"])],
                   "platform_id": record.get("platform_id"),
                   "cpu_capacity_ncu": number(capacity.get("cpus")),
                   "memory_capacity_nmu": number(capacity.get("memory")),
                   "is_snapshot": int(record["time"]) == 0}  # fmt: skip
        else:
            yield instance_2019(record) if table == "instances" else usage_2019(record)


def rows_kaggle(path: Path, table: str, limit: int):
    def resources(text):
        found = dict(re.findall(r"'(\w+)': ([^,}]+)", text))
        return {key: None if value == "None" else value for key, value in found.items()}

    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        for _, r in zip(range(limit), csv.DictReader(stream), strict=False):
            r["type"] = r["instance_events_type"]
            for key in ("resource_request", "average_usage", "maximum_usage"):
                r[key] = resources(r[key])
            histogram = r["cpu_usage_distribution"].strip("[]").split()
            r["cpu_usage_distribution"] = [float(value) for value in histogram]
            yield instance_2019(r, r["user"]) if table == "instances" else usage_2019(r)
