"""kill -9 in the middle of a download or a query, then again: finished, nothing twice."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

from marl.traces.manifest import RawManifest, TraceRequest
from marl.traces.sources import bigquery_jobs, fetch
from tests.doubles.bigquery_double.server import BigQueryDouble
from tests.doubles.faults import Fault
from tests.doubles.gcs_front import GcsFront
from tests.integration.traces_remote.conftest import BUCKET, DATASET, PROJECT
from tests.integration.traces_remote.test_gcs_faults import MEDIA, NAME, big_part

SCRIPT = """
import sys
from pathlib import Path
from marl.traces.manifest import TraceRequest
from marl.traces.sources import bigquery_jobs, fetch
bigquery_jobs.ROWS_PER_PART = 100
bigquery_jobs.ROWS_PER_PAGE = 50
fetch(TraceRequest.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
"""


def start(request: TraceRequest, into: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, request.model_dump_json(), str(into)], env=os.environ.copy()
    )


def kill_when(process: subprocess.Popen, happened) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert process.poll() is None, "it finished before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_download_goes_on(gcs: GcsFront, tmp_path: Path):
    data = big_part()
    gcs.put(BUCKET, NAME, data)
    gcs.faults.add(Fault(MEDIA, "slow", seconds=0.3))
    request = TraceRequest(source="gcs", location=f"gs://{BUCKET}")

    def part_size() -> int:
        return sum(path.stat().st_size for path in tmp_path.rglob("*.part"))

    kill_when(start(request, tmp_path), lambda: part_size() > 150_000)
    kept = part_size()
    assert 0 < kept < len(data)
    assert not (tmp_path / NAME).exists()
    assert not (tmp_path / "manifest.json").exists()
    manifest = fetch(request, tmp_path)
    assert (tmp_path / NAME).read_bytes() == data
    assert manifest.files[0].bytes == len(data)
    rest = [entry.sent_bytes for entry in gcs.media(NAME) if entry.status == 206]
    assert rest == [len(data) - kept]


def test_a_killed_extraction_pays_once(bigquery: BigQueryDouble, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(bigquery_jobs, "ROWS_PER_PART", 100)
    monkeypatch.setattr(bigquery_jobs, "ROWS_PER_PAGE", 50)
    request = TraceRequest(source="bigquery", location=f"{PROJECT}.{DATASET}")
    whole = fetch(request, tmp_path / "whole")
    paid = bigquery.billed_bytes
    assert paid == 4 * 10 * (1 << 20)

    other = request.model_copy(update={"start_us": 1})  # other jobs
    pages = r"GET .*/queries/stratoform_instances_.*"
    bigquery.faults.add(Fault(pages + "pageToken=p350", "wait", seconds=30, times=1))
    into = tmp_path / "killed"

    def third_part_is_noted() -> bool:
        ledger = into / "arrived.json"
        return ledger.is_file() and "instance_events/part-000002" in ledger.read_text()

    kill_when(start(other, into), third_part_is_noted)
    bigquery.faults.waiting.clear()
    assert not (into / "manifest.json").exists()
    # The statement on machines is the same whatever the start: its job was there, and free.
    assert bigquery.billed_bytes == paid + 2 * 10 * (1 << 20)

    before = len(bigquery.faults.log)
    manifest = fetch(other, into)
    assert bigquery.billed_bytes == paid + 3 * 10 * (1 << 20)  # usage alone was still to be paid
    later = [entry.line for entry in bigquery.faults.log[before:]]
    inserts = [x for x in later if x.startswith("POST") and "dryRun" not in x]
    assert len(inserts) == 2  # one finds its job there already, one is new
    reads = [line for line in later if "/queries/stratoform_instances_" in line]
    assert "startIndex=300" in reads[0]
    assert not any("stratoform_machines" in line and "/queries/" in line for line in later)
    assert len(manifest.files) == len(whole.files)
    for file in manifest.files:
        if file.table == "instances":
            ours = pq.read_table(into / file.path)
            assert ours.equals(pq.read_table(tmp_path / "whole" / file.path))
    assert RawManifest.load(into) == manifest
