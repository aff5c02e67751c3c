"""What a bucket delivers: the right objects, in the right bytes, once, within the budget."""

import gzip
import hashlib
import json
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marl.traces.manifest import RawManifest, TraceRequest
from marl.traces.sources import fetch
from marl.traces.sources.base import BudgetExceeded, SourceError
from tests.doubles.bigquery_double.schemas import TABLES, to_arrow
from tests.doubles.gcs_front import GcsFront
from tests.doubles.small_traces import HOUR_US, google2011, google2019
from tests.integration.traces_remote.conftest import BUCKET


def ask(**more) -> TraceRequest:
    return TraceRequest(**{"source": "gcs", "location": f"gs://{BUCKET}"} | more)


def names(manifest: RawManifest) -> set[str]:
    return {file.path for file in manifest.files}


def test_brings_a_whole_trace_home_byte_for_byte(bucket_2011: GcsFront, objects_2011, tmp_path):
    manifest = fetch(ask(), tmp_path)
    assert names(manifest) == set(objects_2011)
    for file in manifest.files:
        data = (tmp_path / file.path).read_bytes()
        assert data == objects_2011[file.path]
        assert (file.bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert (file.layout, file.encoding) == ("google2011", "csv.gz")
        assert file.origin.startswith(f"gs://{BUCKET}/{file.path}#")
    tables = {file.path.split("/")[0]: file.table for file in manifest.files}
    assert tables == {
        "job_events": "collections",
        "task_events": "instances",
        "task_usage": "usage",
        "machine_events": "machines",
    }
    assert bucket_2011.media_bytes == sum(map(len, objects_2011.values()))
    assert RawManifest.load(tmp_path) == manifest
    assert not list(tmp_path.rglob("*.part"))


def test_a_second_call_downloads_nothing(bucket_2011: GcsFront, tmp_path):
    first = fetch(ask(), tmp_path)
    before = bucket_2011.media_bytes
    assert fetch(ask(), tmp_path) == first
    assert bucket_2011.media_bytes == before


def test_a_damaged_or_deleted_file_alone_is_loaded_again(
    bucket_2011: GcsFront, objects_2011, tmp_path
):
    first = fetch(ask(), tmp_path)
    damaged = "job_events/part-00003-of-00008.csv.gz"
    gone = "task_usage/part-00001-of-00008.csv.gz"
    (tmp_path / damaged).write_bytes(b"x" * len(objects_2011[damaged]))
    (tmp_path / gone).unlink()
    before = bucket_2011.media_bytes
    assert fetch(ask(), tmp_path) == first
    assert bucket_2011.media_bytes - before == len(objects_2011[damaged]) + len(objects_2011[gone])


@pytest.mark.parametrize("page_size", [1, 7, 25])
def test_reads_every_page_of_the_listing(
    bucket_2011: GcsFront, objects_2011, tmp_path, page_size: int
):
    bucket_2011.page_size = page_size
    assert names(fetch(ask(), tmp_path)) == set(objects_2011)


def part_times(data: bytes) -> list[int]:
    return [int(line.split(b",", 1)[0]) for line in gzip.decompress(data).splitlines()]


@pytest.mark.parametrize(
    ("start_h", "hours"), [(0, 1), (0, 2.5), (3, 1), (4.999, 0.002), (6, 50), (2, 0.5)]
)
def test_loads_only_parts_with_rows_of_the_window(
    bucket_2011: GcsFront, objects_2011, tmp_path, start_h: float, hours: float
):
    request = ask(start_us=round(start_h * HOUR_US), duration_s=hours * 3600)
    manifest = fetch(request, tmp_path)
    end_us = request.end_us
    must = set()
    for name, data in objects_2011.items():
        times = part_times(data)
        if any(time == 0 or request.start_us <= time < end_us for time in times):
            must.add(name)
    got = names(manifest)
    assert must <= got
    # The part before each window may end just before it: nothing tells.
    assert len(got - must) <= 3  # one a table
    unneeded = [bucket_2011.media(name) for name in set(objects_2011) - got]
    assert all(entry.sent_bytes <= 4096 for log in unneeded for entry in log)
    if start_h == 3:
        assert any("were not downloaded" in note for note in manifest.notes)


def test_usage_windows_that_began_before_the_window_are_there(bucket_2011: GcsFront, tmp_path):
    # Five-minute windows of hour 2 reach one minute into hour 3.
    manifest = fetch(ask(start_us=3 * HOUR_US + 60_000_000, duration_s=60), tmp_path)
    usage = {file.path for file in manifest.files if file.table == "usage"}
    assert "task_usage/part-00002-of-00008.csv.gz" in usage


def test_a_wider_window_later_loads_only_what_is_new(bucket_2011: GcsFront, objects_2011, tmp_path):
    first = fetch(ask(duration_s=3600), tmp_path)
    before = bucket_2011.media_bytes
    second = fetch(ask(duration_s=3 * 3600), tmp_path)
    new = names(second) - names(first)
    assert new
    assert (
        bucket_2011.media_bytes - before <= sum(len(objects_2011[name]) for name in new) + 4096 * 9
    )
    for file in second.files:
        assert (tmp_path / file.path).read_bytes() == objects_2011[file.path]


def test_unsorted_parts_are_all_read(gcs: GcsFront, tmp_path):
    jobs = {n: data for n, data in google2011(parts=4).items() if n.startswith("job")}
    turned = dict(zip(sorted(jobs), [jobs[n] for n in sorted(jobs, reverse=True)], strict=True))
    for name, data in turned.items():
        gcs.put(BUCKET, name, data)
    manifest = fetch(ask(start_us=HOUR_US, duration_s=3600), tmp_path)
    assert names(manifest) == set(turned)
    assert any("not sorted by time" in note for note in manifest.notes)


def test_over_budget_is_refused_before_any_download(bucket_2011: GcsFront, objects_2011, tmp_path):
    total = sum(map(len, objects_2011.values()))
    with pytest.raises(BudgetExceeded, match=r"To narrow.*TRACE_HOURS.*prefix") as refused:
        fetch(ask(budget_bytes=total - 1), tmp_path)
    assert refused.value.wanted_bytes == total
    assert f"{total:,} bytes" in str(refused.value)
    assert "usage" in str(refused.value)
    assert bucket_2011.media_bytes == 0
    fetch(ask(budget_bytes=total), tmp_path)
    assert bucket_2011.media_bytes == total


def test_a_listing_that_lies_about_sizes_cannot_break_the_budget(
    bucket_2011: GcsFront, objects_2011, tmp_path
):
    name = "task_usage/part-00000-of-00008.csv.gz"
    bucket_2011.replace[name] = {"size": "1000", "crc32c": None, "md5Hash": None}
    with pytest.raises(SourceError, match="part-00000-of-00008"):
        fetch(ask(location=f"gs://{BUCKET}/{name}", budget_bytes=4000), tmp_path)
    assert not (tmp_path / "part-00000-of-00008.csv.gz").exists()
    received = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert received < 20_000


def test_tables_and_prefixes_narrow(bucket_2011: GcsFront, tmp_path):
    some = fetch(ask(tables=("machines", "collections")), tmp_path / "a")
    assert {file.table for file in some.files} == {"machines", "collections"}
    by_prefix = fetch(ask(location=f"gs://{BUCKET}/job_ev"), tmp_path / "b")
    assert {file.table for file in by_prefix.files} == {"collections"}
    assert all((tmp_path / "b" / file.path).is_file() for file in by_prefix.files)
    assert any("lacks: machines, instances, usage" in note for note in by_prefix.notes)
    with pytest.raises(SourceError, match="holds none of the tables machines"):
        fetch(ask(location=f"gs://{BUCKET}/job_ev", tables=("machines",)), tmp_path / "c")


def put_2019(gcs: GcsFront, folder: str = "", *, is_parquet: bool = True) -> dict[str, bytes]:
    objects = {}
    for native, rows in google2019().items():
        lines = [
            json.dumps(
                {k: str(v) if isinstance(v, int) else v for k, v in r.items() if v is not None}
            )
            for r in rows
        ]
        data = gzip.compress("\n".join(lines).encode() + b"\n", mtime=0)
        objects[f"{folder}{native}-000000000000.json.gz"] = data
        if is_parquet:
            sink = pa.BufferOutputStream()
            pq.write_table(pa.Table.from_pylist(rows, schema=to_arrow(TABLES[native])), sink)
            objects[f"{folder}{native}-000000000000.parquet.gz"] = sink.getvalue().to_pybytes()
    for name, data in objects.items():
        gcs.put("other", name, data)
    return objects


def test_of_two_encodings_of_2019_one_is_loaded(gcs: GcsFront, tmp_path):
    objects = put_2019(gcs)
    manifest = fetch(ask(location="gs://other"), tmp_path)
    assert {(f.table, f.encoding) for f in manifest.files} == {
        (table, "parquet") for table in ("machines", "collections", "instances", "usage")
    }
    assert {f.layout for f in manifest.files} == {"google2019"}
    assert gcs.media_bytes == sum(len(d) for n, d in objects.items() if "parquet" in n)
    rows = duckdb.sql(
        f"SELECT count(*) FROM read_parquet('{tmp_path}/instance_usage-*.parquet.gz')"
    ).fetchall()
    assert rows == [(600,)]


def test_json_of_2019_below_a_folder_and_a_window_that_cannot_prune(gcs: GcsFront, tmp_path):
    objects = put_2019(gcs, "cells/a/", is_parquet=False)
    manifest = fetch(ask(location="gs://other/cells/a", duration_s=60), tmp_path)
    assert {f.encoding for f in manifest.files} == {"json.gz"}
    assert {Path(f.path).name for f in manifest.files} == {Path(name).name for name in objects}
    assert any("2019 parts are not sorted" in note for note in manifest.notes)


def test_data_under_other_names_is_told_by_looking(gcs: GcsFront, objects_2011, tmp_path):
    gcs.put("other", "mine/jobs.csv.gz", objects_2011["job_events/part-00002-of-00008.csv.gz"])
    gcs.put("other", "mine/notes.csv", b"a,b\n1,2\n")
    manifest = fetch(ask(location="gs://other/mine/"), tmp_path)
    assert [(f.path, f.table, f.layout) for f in manifest.files] == [
        ("jobs.csv.gz", "collections", "google2011")
    ]
    assert any("notes.csv" in note for note in manifest.notes)
    assert gcs.media_bytes == manifest.files[0].bytes + len(b"a,b\n1,2\n")


def test_layouts_do_not_mix(gcs: GcsFront, objects_2011, tmp_path):
    put_2019(gcs, "new/", is_parquet=False)
    name = "job_events/part-00002-of-00008.csv.gz"
    gcs.put("other", f"old/{name}", objects_2011[name])
    with pytest.raises(SourceError, match="several layouts"):
        fetch(ask(location="gs://other"), tmp_path)
    assert gcs.media_bytes == 0


@pytest.mark.parametrize(
    "name",
    [
        "../../evil/job_events/part-00000-of-00001.csv.gz",
        "/etc/job_events/part-00000-of-00001.csv.gz",
        "a/../../../job_events/part-00000-of-00001.csv.gz",
        "..//../x/../../borg_traces_data.csv",
    ],
)
def test_object_names_cannot_leave_the_folder(bucket_2011: GcsFront, tmp_path, name: str):
    bucket_2011.extra_items = [{"name": name, "size": "10", "generation": "1"}]
    target = tmp_path / "deep" / "into"
    with pytest.raises(SourceError, match="refused the object name"):
        fetch(ask(), target)
    assert bucket_2011.media_bytes == 0
    outside = [p for p in tmp_path.rglob("*") if p.is_file() and not p.is_relative_to(target)]
    assert outside == []


def test_two_names_for_one_file_are_refused(bucket_2011: GcsFront, tmp_path):
    bucket_2011.extra_items = [
        {"name": "job_events//part-00000-of-00008.csv.gz", "size": "10", "generation": "1"},
        {"name": "./job_events/part-00000-of-00008.csv.gz", "size": "10", "generation": "1"},
    ]
    with pytest.raises(SourceError, match="same file"):
        fetch(ask(), tmp_path)


@pytest.mark.parametrize(
    "location",
    ["clusterdata-2011-2", "gs://", "gs://UPPER/x", "gs://user:pw@bucket", "gs://b/x?a=b"],
)
def test_nonsense_locations_are_refused(location: str, tmp_path):
    with pytest.raises(SourceError, match="TRACE_PATH must be gs://bucket"):
        fetch(ask(location=location), tmp_path)


def test_missing_and_empty_places_say_so(gcs: GcsFront, tmp_path):
    with pytest.raises(SourceError, match=r"no trace found in gs://clusterdata-2011-2/nothing"):
        fetch(ask(location=f"gs://{BUCKET}/nothing"), tmp_path)
    with pytest.raises(SourceError, match="check the name of the bucket"):
        fetch(ask(location="gs://no-such-bucket"), tmp_path)


def test_a_window_after_the_trace_says_so(bucket_2011: GcsFront, tmp_path):
    late = ask(location=f"gs://{BUCKET}/task_usage", start_us=0, duration_s=1e-6, tables=("usage",))
    assert len(fetch(late, tmp_path).files) == 1  # usage of the first instant
