"""The embedded source on disk: deterministic bytes, kills, damage, budgets; and the dispatch."""

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from marl.files import sha256_file
from marl.traces.manifest import RawManifest, TraceRequest
from marl.traces.schema import TABLES
from marl.traces.sources import embedded, fetch
from marl.traces.sources.base import BudgetExceeded, SourceError

SMALL = TraceRequest(embedded_days=1.2, embedded_jobs_per_hour=60, embedded_machines=30, seed=11)


def content(folder):
    return {
        str(path.relative_to(folder)): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def fetched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedded")
    return folder, fetch(SMALL, folder)


def test_the_manifest_tells_the_truth(fetched):
    folder, manifest = fetched
    assert manifest.is_synthetic
    assert manifest.tables() == set(TABLES)
    assert RawManifest.load(folder) == manifest
    for file in manifest.files:
        assert sha256_file(folder / file.path) == file.sha256
        assert (folder / file.path).stat().st_size == file.bytes
    assert "synthetic" in manifest.notes[0]


def test_the_same_request_gives_the_same_bytes_and_another_seed_does_not(fetched, tmp_path):
    folder, manifest = fetched
    again = fetch(SMALL, tmp_path / "again")
    assert content(tmp_path / "again") == content(folder)
    assert again == manifest
    other = fetch(SMALL.model_copy(update={"seed": 12}), tmp_path / "other")
    assert {f.sha256 for f in other.files}.isdisjoint({f.sha256 for f in manifest.files})


def test_a_second_call_draws_nothing(tmp_path, monkeypatch):
    first = fetch(SMALL, tmp_path)

    def never(*_):
        raise AssertionError("generated again")

    monkeypatch.setattr(embedded, "plan", never)
    assert fetch(SMALL, tmp_path) == first


def test_only_what_is_damaged_is_made_again(tmp_path):
    fetch(SMALL, tmp_path)
    before = content(tmp_path)
    usage = tmp_path / "instance_usage/part-00000.parquet"
    raw = bytearray(usage.read_bytes())
    raw[len(raw) // 2] ^= 1  # same size
    usage.write_bytes(raw)
    (tmp_path / "machine_events/part-00000.parquet").unlink()
    said = []
    fetch(SMALL, tmp_path, said.append)
    assert content(tmp_path) == before
    assert sum("wrote" in line for line in said) == 2


def test_a_new_request_leaves_no_old_part_behind(tmp_path):
    fetch(SMALL, tmp_path)
    short = fetch(SMALL.model_copy(update={"embedded_days": 0.3}), tmp_path)
    parts = {name for name in content(tmp_path) if name.endswith(".parquet")}
    assert parts == {file.path for file in short.files}


def test_a_trace_of_older_code_is_not_taken_for_todays(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "_code_version", lambda: "older")
    fetch(SMALL, tmp_path)
    monkeypatch.undo()
    said = []
    fetch(SMALL, tmp_path, said.append)
    assert any("wrote" in line for line in said)


def test_over_budget_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(BudgetExceeded, match="Lower embedded_days"):
        fetch(SMALL.model_copy(update={"budget_bytes": 10_000}), tmp_path)
    assert list(tmp_path.rglob("*.parquet")) == []
    assert not (tmp_path / "manifest.json").exists()


def test_the_estimate_is_near_the_files(fetched):
    _, manifest = fetched
    size = sum(file.bytes for file in manifest.files)
    assert 0.6 < embedded.plan(SMALL).expected_bytes() / size < 1.7


def test_a_crowded_cell_says_so(tmp_path):
    crowded = {"embedded_days": 0.2, "embedded_jobs_per_hour": 100, "embedded_machines": 3}
    notes = fetch(TraceRequest(**crowded), tmp_path).notes
    assert any("waited for room" in note and "embedded_machines" in note for note in notes)


def test_no_job_at_all_is_an_error_of_the_source(tmp_path):
    tiny = {"embedded_days": 0.001, "embedded_jobs_per_hour": 0.01, "embedded_machines": 1}
    with pytest.raises(SourceError, match="raise one of them"):
        fetch(TraceRequest(**tiny), tmp_path)


SCRIPT = """
import sys
from pathlib import Path
from marl.traces.manifest import TraceRequest
from marl.traces.sources import fetch
request = TraceRequest.model_validate_json(sys.argv[1])
fetch(request, Path(sys.argv[2]), lambda line: print(line, flush=True))
"""


@pytest.mark.parametrize("parts_before", [0, 1, 4])
def test_killed_and_started_again_it_finishes_with_the_same_bytes(fetched, tmp_path, parts_before):
    folder, manifest = fetched
    into = tmp_path / "killed"
    run = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, SMALL.model_dump_json(), str(into)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    lines = iter(run.stdout.readline, "")
    wrote = 0
    for line in lines:  # "drawing …" comes first
        wrote += "wrote" in line
        if wrote >= parts_before:
            break
    time.sleep(0.02)  # somewhere inside the next part
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    run.stdout.close()
    assert not (into / "manifest.json").exists()
    for path in into.rglob("*.parquet"):
        pl.read_parquet(path)  # nothing half-written under a final name
    assert fetch(SMALL, into) == manifest
    assert content(into) == content(folder)


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    real = importlib.import_module

    def missing(name, *rest):
        if name.endswith(".bigquery"):
            raise ModuleNotFoundError("No module named 'google'", name="google.cloud")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    request = TraceRequest(source="bigquery", location="project.dataset")
    with pytest.raises(SourceError, match=r"pip install 'stratoform\[gcp\]'"):
        fetch(request, tmp_path)


def test_a_local_trace_needs_no_google_package(tmp_path):
    code = (
        "import sys, marl.traces.sources, marl.traces.sources.local, marl.traces.sources.embedded;"
        "print([m for m in sys.modules if m.startswith(('google.cloud', 'gcsfs', 'torch'))])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_folder_may_be_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny = SMALL.model_copy(update={"embedded_days": 0.1})
    assert fetch(tiny, Path("deep/er")).files
    assert (tmp_path / "deep/er/manifest.json").is_file()
