"""Small traces in Google's layouts, generated for tests: nothing published is copied.

Shapes and codes follow the published schemas; the values are drawn from a seeded generator.
"""

import gzip
import random
from functools import cache

HOUR_US = 3_600_000_000


def _pack(lines: list[str]) -> bytes:
    return gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0)


def google2011(parts: int = 8, rows: int = 400, seed: int = 0) -> dict[str, bytes]:
    """Object name → bytes: time-sorted job, task and usage parts, one hour each, and machines.

    The first two job and task parts begin at time 0 (the snapshot); part k ≥ 2 begins at k hours.
    """
    draw = random.Random(seed)
    objects: dict[str, bytes] = {}
    for part in range(parts):
        start = part * HOUR_US
        times = sorted(start + draw.randrange(HOUR_US) for _ in range(rows))
        if part < 2:
            times = [0] * (rows if part == 0 else rows // 2) + times[rows // 2 :]
            times = times[:rows]
        else:
            times[0] = start
        name = f"part-{part:05d}-of-{parts:05d}.csv.gz"
        user = [f"{draw.getrandbits(160):040x}x=" for _ in range(5)]
        objects[f"job_events/{name}"] = _pack(
            [
                f"{time},,{1000 + i % 50},{i % 5},{user[i % 5]},{i % 4},{user[1]},{user[0]}"
                for i, time in enumerate(times)
            ]
        )
        objects[f"task_events/{name}"] = _pack(
            [
                f"{time},,{1000 + i % 50},{i % 7},{i % 9 or ''},{i % 5},{user[i % 5]},{i % 4},"
                f"{i % 12},{draw.random() / 8:.6f},{draw.random() / 8:.6f},0.0001,0"
                for i, time in enumerate(times)
            ]
        )
        objects[f"task_usage/{name}"] = _pack(
            [
                ",".join(
                    [str(start + i * 9_000_000), str(start + i * 9_000_000 + 300_000_000)]
                    + [str(1000 + i % 50), str(i % 7), str(i % 9)]
                    + [f"{draw.random() / 10:.7f}" for _ in range(13)]
                    + ["0", f"{draw.random() / 10:.6f}"]
                )
                for i in range(rows)
            ]
        )
    objects["machine_events/part-00000-of-00001.csv.gz"] = _pack(
        [
            f"{0 if i < 40 else i * HOUR_US // 10},{i},{0 if i < 40 else 2},p{i},0.5,0.25"
            for i in range(60)
        ]
    )
    return objects


@cache
def google2019(rows: int = 600, hours: int = 6, seed: int = 0) -> dict[str, list[dict]]:
    """Native table name → rows: a tenth in the snapshot, the others anywhere in `hours`."""
    draw = random.Random(seed)

    def when() -> int:
        return 0 if draw.random() < 0.1 else draw.randrange(1, hours * HOUR_US)

    def pair() -> dict | None:
        return None if draw.random() < 0.05 else {"cpus": draw.random(), "memory": draw.random()}

    tables: dict[str, list[dict]] = {name: [] for name in _NAMES}
    for i in range(rows):
        collection = 300_000_000_000 + draw.randrange(rows // 5)
        machine = 70_000_000 + draw.randrange(40) if draw.random() < 0.8 else None
        tables["machine_events"].append(
            {
                "time": when(),
                "machine_id": 70_000_000 + i % 40,
                "type": 1 + i % 3,
                "switch_id": f"s{i % 4}=",
                "capacity": pair(),
                "platform_id": f"p{i % 3}=",
                "missing_data_reason": None,
            }
        )
        event = {
            "time": when(),
            "type": i % 11,
            "collection_id": collection,
            "scheduling_class": i % 4,
            "missing_type": None,
            "collection_type": 0,
            "priority": (0, 103, 117, 200, 360)[i % 5],
            "alloc_collection_id": 0,
        }
        tables["collection_events"].append(
            event
            | {"user": f"u{i % 6}=", "collection_name": f"c{i}=", "collection_logical_name": "l="}
            | {"start_after_collection_ids": [1, 2] if i % 3 == 0 else []}
        )
        tables["instance_events"].append(
            event | {"instance_index": i % 20, "machine_id": machine, "resource_request": pair()}
        )
        start = draw.randrange(hours * 12) * HOUR_US // 12
        tables["instance_usage"].append(
            {
                "start_time": start,
                "end_time": start + draw.choice((300_000_000, 120_000_000)),
                "collection_id": collection,
                "instance_index": i % 20,
                "machine_id": machine or 70_000_000,
                "alloc_collection_id": 0,
                "collection_type": 0,
                "average_usage": pair(),
                "maximum_usage": pair(),
                "random_sample_usage": {"cpus": draw.random(), "memory": None},
                "assigned_memory": draw.random(),
                "page_cache_memory": 0.0,
                "cycles_per_instruction": None if i % 4 == 0 else 1.5,
                "sample_rate": 1.0,
                "cpu_usage_distribution": [draw.random() for _ in range(11)] if i % 5 else [],
                "tail_cpu_usage_distribution": [],
            }
        )
    return tables


_NAMES = ("machine_events", "collection_events", "instance_events", "instance_usage")
