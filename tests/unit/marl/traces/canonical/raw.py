"""Makes raw files and manifests for the tests, in each native layout."""

import gzip
import json
from pathlib import Path

from marl.files import sha256_file
from marl.traces.canonical import read_accounting, read_quarantine, read_table, write_table
from marl.traces.manifest import RawFile, RawManifest, TraceRequest
from marl.traces.schema import TABLES


def manifest(*files: RawFile, is_sampled: bool = False, **request) -> RawManifest:
    wanted = TraceRequest(source="local", location="/trace", **request)
    return RawManifest(request=wanted, files=files, is_synthetic=False, is_sampled=is_sampled)


def raw_file(path: Path, table, layout: str, encoding: str) -> RawFile:
    return RawFile(
        table=table,
        path=str(path),
        layout=layout,
        encoding=encoding,
        bytes=path.stat().st_size,
        sha256=sha256_file(path),
        origin=path.name,
    )


def csv_2011(path: Path, table: str, lines: list[str] | bytes) -> RawFile:
    data = lines if isinstance(lines, bytes) else "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data, mtime=0))
    return raw_file(path, table, "google2011", "csv.gz")


def json_2019(path: Path, table: str, records: list[dict | str]) -> RawFile:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_bytes(gzip.compress("".join(line + "\n" for line in lines).encode(), mtime=0))
    return raw_file(path, table, "google2019", "json.gz")


def task(time=700_000_000, job=1, index=0, event=0, machine="", cpu="0.025", priority="2") -> str:
    """A line of task_events 2011."""
    return f"{time},,{job},{index},{machine},{event},user==,2,{priority},{cpu},0.0125,0.0004,0"


def usage_2011(start=600_000_000, end=900_000_000, job=1, index=0, cpu="0.02", cpi="1.5") -> str:
    """A line of task_usage 2011."""
    return (
        f"{start},{end},{job},{index},42,{cpu},0.01,0.02,0.003,0.004,0.015,0.0001,0.0002,0.5,0.01,"
        f"{cpi},0.002,1,0,0.03"
    )


def instance_2019(**changes) -> dict:
    """A record of instance_events 2019 as BigQuery exports it."""
    record = {
        "time": "700000000",
        "type": "0",
        "collection_id": "39516992187",
        "scheduling_class": "2",
        "collection_type": "0",
        "priority": "103",
        "alloc_collection_id": "0",
        "instance_index": "7",
        "machine_id": "374219354303",
        "resource_request": {"cpus": 0.025, "memory": 0.0125},
        "constraint": [],
    }
    return {key: value for key, value in (record | changes).items() if value is not ...}


def usage_2019(**changes) -> dict:
    """A record of instance_usage 2019 as BigQuery exports it."""
    record = {
        "start_time": "600000000",
        "end_time": "900000000",
        "collection_id": "39516992187",
        "instance_index": "7",
        "machine_id": "374219354303",
        "alloc_collection_id": "0",
        "collection_type": "0",
        "average_usage": {"cpus": 0.02, "memory": 0.01},
        "maximum_usage": {"cpus": 0.05, "memory": 0.02},
        "random_sample_usage": {"cpus": 0.03},
        "assigned_memory": 0.03,
        "page_cache_memory": 0.001,
        "cycles_per_instruction": 1.5,
        "sample_rate": 1.0,
        "cpu_usage_distribution": [round(0.005 * step, 4) for step in range(11)],
    }
    return {key: value for key, value in (record | changes).items() if value is not ...}


def make(folder: Path, table: str, *files, **request):
    """Write the table; returns its account, rows and quarantine."""
    into = folder / "table"
    account = write_table(manifest(*files, **request), folder, table, into)
    assert read_accounting(into) == account
    rows = read_table(into).collect()
    assert rows.schema == TABLES[table]
    assert rows.height == account.rows_kept
    quarantine = read_quarantine(into).collect()
    assert dict(quarantine["reason"].value_counts().iter_rows()) == account.quarantined
    return account, rows, quarantine
