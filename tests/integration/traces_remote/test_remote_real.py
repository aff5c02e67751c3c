"""Published data through the doubles: the rows that arrive are those of the files themselves."""

import gzip
import json
from pathlib import Path

import duckdb
import pytest

from marl.traces.manifest import TraceRequest
from marl.traces.sources import fetch
from tests.doubles.bigquery_double.schemas import TABLES
from tests.doubles.bigquery_double.server import BigQueryDouble
from tests.doubles.gcs_front import GcsFront
from tests.integration.traces_remote.conftest import BUCKET

pytestmark = pytest.mark.real_traces
HOUR_US = 3_600_000_000


def test_a_window_of_the_real_2011_jobs(gcs: GcsFront, shared_traces: Path, tmp_path: Path):
    root = shared_traces / "google2011"
    parts = sorted((root / "job_events").glob("part-*"))[:40]
    for path in [*parts, *(root / "machine_events").glob("part-*")]:
        gcs.put(BUCKET, str(path.relative_to(root)), path.read_bytes())
    start, end = 20 * HOUR_US, 26 * HOUR_US
    request = TraceRequest(
        source="gcs", location=f"gs://{BUCKET}", start_us=start, duration_s=6 * 3600
    )
    manifest = fetch(request, tmp_path)
    jobs = [str(tmp_path / file.path) for file in manifest.files if file.table == "collections"]
    assert len(jobs) < 12

    def rows(paths: list[str]) -> list[tuple]:
        time = "column0::BIGINT"
        where = f"{time} = 0 OR {time} >= {start} AND {time} < {end}"
        return duckdb.sql(
            f"SELECT * FROM read_csv({paths}, header=false, all_varchar=true) "
            f"WHERE {where} ORDER BY ALL"
        ).fetchall()

    everything = rows([str(path) for path in parts])
    assert len(everything) > 10_000
    assert rows(jobs) == everything


def test_real_2019_records_come_back_as_they_went_in(
    bigquery: BigQueryDouble, shared_traces: Path, tmp_path: Path
):
    native = "instance_usage"
    (path,) = (shared_traces / "google2019" / "clusterdata_2019_b").glob(f"{native}-*.json.gz")
    with gzip.open(path, "rt") as lines:
        raw = [json.loads(line) for _, line in zip(range(3000), lines, strict=False)]
    rows = [{f["name"]: _value(record.get(f["name"]), f) for f in TABLES[native]} for record in raw]
    bigquery.engine.load("real", "cell_b", native, rows)
    request = TraceRequest(source="bigquery", location="real.cell_b", tables=("usage",))
    fetch(request, tmp_path)
    file = tmp_path / native / "part-000000.parquet"
    theirs = [{k: row[k] for k in _columns(file)} for row in rows]
    ours = duckdb.sql(f"FROM '{file}'").to_arrow_table().to_pylist()
    assert len(ours) == 3000
    assert sorted(map(repr, ours)) == sorted(map(repr, theirs))


def _columns(file: Path) -> list[str]:
    return duckdb.sql(f"FROM '{file}' LIMIT 0").columns


def _value(value: object, field: dict) -> object:
    """A value of the JSON export (integers as text, nulls left out) as BigQuery stores it."""
    if field["mode"] == "REPEATED":
        return [_value(item, field | {"mode": "NULLABLE"}) for item in value or []]
    if value is None:
        return None
    if field["type"] == "RECORD":
        return {f["name"]: _value(value.get(f["name"]), f) for f in field["fields"]}
    return {"INTEGER": int, "FLOAT": float, "STRING": str}[field["type"]](value)
