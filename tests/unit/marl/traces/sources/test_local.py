"""Traces on disk: which files are taken, left out or refused, and that changes are noticed."""

import hashlib
import os
from pathlib import Path

import pytest

from marl.traces.manifest import RawManifest, TraceRequest
from marl.traces.sources import fetch
from marl.traces.sources.base import BudgetExceeded, SourceError
from tests.unit.marl.traces import files_to_detect as samples


@pytest.fixture
def trace(tmp_path):
    folder = tmp_path / "trace"
    folder.mkdir()
    return folder


def put(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def get(location, into, **request):
    return fetch(TraceRequest(source="local", location=str(location), **request), into / "into")


def names(manifest):
    return sorted(Path(file.path).name for file in manifest.files)


def task_part(first_s, rows=3):
    return samples.zipped(
        "".join(
            samples.TASK_EVENTS.replace("600000000", str((first_s + i) * 1_000_000))
            for i in range(rows)
        )
    )


def test_files_are_referenced_in_place_with_size_and_hash(trace, tmp_path):
    path = put(trace, "job_events/part-00000-of-00500.csv.gz", samples.zipped(samples.JOB_EVENTS))
    put(trace, "schema.csv", "file pattern,field number\n")
    put(trace, "notes.bin", b"\0\1")
    manifest = get(trace, tmp_path)
    (file,) = manifest.files
    assert file.path == str(path)
    assert (file.table, file.layout, file.encoding) == ("collections", "google2011", "csv.gz")
    assert file.bytes == path.stat().st_size
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.origin == "trace/job_events/part-00000-of-00500.csv.gz"
    assert not manifest.is_synthetic
    text = "\n".join(manifest.notes)
    assert "schema.csv" in text
    assert "notes.bin: binary content" in text
    assert "lacks: machines, instances, usage" in text.replace("\n", " ")
    assert RawManifest.load(tmp_path / "into") == manifest


def test_a_single_file_is_a_trace(trace, tmp_path):
    path = put(trace, "anything", samples.TASK_EVENTS)
    put(trace, "other", samples.JOB_EVENTS)
    assert names(get(path, tmp_path)) == ["anything"]


def test_a_second_call_gives_the_same_and_changes_are_noticed(trace, tmp_path):
    path = put(trace, "a.csv", samples.TASK_EVENTS)
    first = get(trace, tmp_path)
    written = (tmp_path / "into/manifest.json").stat().st_mtime_ns
    assert get(trace, tmp_path) == first
    assert (tmp_path / "into/manifest.json").stat().st_mtime_ns == written
    path.write_text(samples.TASK_EVENTS.replace("0.125", "0.126"))  # same size
    changed = get(trace, tmp_path)
    assert changed.files[0].sha256 != first.files[0].sha256
    put(trace, "b.csv", samples.JOB_EVENTS)
    assert names(get(trace, tmp_path)) == ["a.csv", "b.csv"]
    path.unlink()
    assert names(get(trace, tmp_path)) == ["b.csv"]


def test_over_budget_is_refused_with_the_numbers_before_a_file_is_read(trace, tmp_path):
    put(trace, "a.csv", samples.TASK_EVENTS * 10)
    put(trace, "b.csv", samples.JOB_EVENTS * 10)
    size = sum(path.stat().st_size for path in trace.iterdir())
    with pytest.raises(BudgetExceeded, match=r"Per table: collections .* instances") as caught:
        get(trace, tmp_path, budget_bytes=size - 1)
    assert caught.value.wanted_bytes == size
    assert "duration_s" in str(caught.value)
    assert not (tmp_path / "into/manifest.json").exists()
    assert len(get(trace, tmp_path, budget_bytes=size).files) == 2


def test_2011_parts_outside_the_window_are_not_read(trace, tmp_path):
    for index, first_s in enumerate((0, 1000, 2000, 3000)):
        put(trace, f"task_events/part-0000{index}-of-00500.csv.gz", task_part(first_s))
    put(trace, "machine_events/part-00000-of-00001.csv", samples.MACHINE_EVENTS)
    manifest = get(trace, tmp_path, start_us=1_500_000_000, duration_s=600)
    # Part 0 holds the snapshot, part 1 may reach to the first row of part 2; machines always stay.
    assert names(manifest) == [
        "part-00000-of-00001.csv",
        "part-00000-of-00500.csv.gz",
        "part-00001-of-00500.csv.gz",
        "part-00002-of-00500.csv.gz",
    ]
    assert any("skipped 1 of 4 instances parts" in note for note in manifest.notes)
    beyond = get(trace, tmp_path, start_us=2_000_000_001, duration_s=600)
    assert "part-00001-of-00500.csv.gz" not in names(beyond)


def test_unsorted_2011_parts_are_all_kept(trace, tmp_path):
    for index, first_s in enumerate((3000, 1000, 2000)):
        put(trace, f"part-0000{index}.csv.gz", task_part(first_s))
    assert len(get(trace, tmp_path, start_us=0, duration_s=600).files) == 3


def test_parquet_parts_are_skipped_by_their_footers(trace, tmp_path):
    for index, start in enumerate((0, 10**9, 2 * 10**9)):
        usage = samples.parquet(
            average_usage=[{"cpus": 0.1, "memory": 0.1}],
            start_time=[start],
            end_time=[start + 300_000_000],
            collection_id=[1],
        )
        put(trace, f"usage-{index}.parquet", usage)
    manifest = get(trace, tmp_path, start_us=10**9, duration_s=100)
    assert names(manifest) == ["usage-0.parquet", "usage-1.parquet"]


def test_a_window_with_nothing_in_it_is_refused(trace, tmp_path):
    put(trace, "part-00000.csv.gz", task_part(1000))
    with pytest.raises(SourceError, match="outside the window"):
        get(trace, tmp_path, start_us=0, duration_s=60)


def test_one_table_in_two_encodings_is_taken_once(trace, tmp_path):
    put(
        trace,
        "machine_events-000000000000.json.gz",
        samples.zipped(samples.json_lines(samples.MACHINE_EVENT)),
    )
    put(trace, "machine_events-000000000000.parquet.gz", samples.machine_parquet())
    manifest = get(trace, tmp_path)
    assert [file.encoding for file in manifest.files] == ["parquet"]
    assert any("left out 1 json.gz files of machines" in note for note in manifest.notes)


def test_the_encoding_with_more_parts_wins(trace, tmp_path):
    for index in range(3):
        put(trace, f"m-{index}.json", samples.json_lines(samples.MACHINE_EVENT, index + 1))
    put(trace, "m-0.parquet", samples.machine_parquet())
    assert names(get(trace, tmp_path)) == ["m-0.json", "m-1.json", "m-2.json"]


def test_parts_in_different_encodings_that_complete_each_other_are_all_taken(trace, tmp_path):
    put(trace, "m-0.json", samples.json_lines(samples.MACHINE_EVENT))
    put(trace, "m-1.parquet", samples.machine_parquet())
    assert names(get(trace, tmp_path)) == ["m-0.json", "m-1.parquet"]


def test_overlapping_encodings_nobody_can_tell_apart_are_refused(trace, tmp_path):
    for name in ("m-0.json", "m-1.json"):
        put(trace, name, samples.json_lines(samples.MACHINE_EVENT))
    for name in ("m-1.parquet", "m-2.parquet"):
        put(trace, name, samples.machine_parquet())
    with pytest.raises(SourceError, match="Remove one of the copies"):
        get(trace, tmp_path)


def test_two_files_of_one_stem_and_encoding_are_both_kept(trace, tmp_path):
    put(trace, "m.json", samples.json_lines(samples.MACHINE_EVENT, 1))
    put(trace, "m", samples.json_lines(samples.MACHINE_EVENT, 2))
    assert names(get(trace, tmp_path)) == ["m", "m.json"]


def test_exact_copies_are_taken_once(trace, tmp_path):
    put(trace, "a/part.csv", samples.TASK_EVENTS)
    put(trace, "backup/part-copy.csv", samples.TASK_EVENTS)
    manifest = get(trace, tmp_path)
    assert names(manifest) == ["part.csv"]
    assert any("the same bytes as a/part.csv" in note for note in manifest.notes)


def test_layouts_that_do_not_mix_are_refused_with_the_choices(trace, tmp_path):
    put(trace, "old/part.csv", samples.TASK_EVENTS)
    put(trace, "new/e.json", samples.json_lines(samples.INSTANCE_EVENT))
    with pytest.raises(SourceError, match=r"new \(google2019\); old \(google2011\)"):
        get(trace, tmp_path)


def test_kaggle_gives_way_to_native_tables_but_joins_machines(trace, tmp_path):
    put(trace, "k.csv", samples.KAGGLE)
    put(trace, "m.json", samples.json_lines(samples.MACHINE_EVENT))
    manifest = get(trace, tmp_path)
    assert names(manifest) == ["k.csv", "m.json"]
    assert manifest.tables() == {"machines", "instances", "usage"}
    put(trace, "e.json", samples.json_lines(samples.INSTANCE_EVENT))
    manifest = get(trace, tmp_path)
    assert names(manifest) == ["e.json", "m.json"]
    assert any("left out k.csv" in note for note in manifest.notes)


def test_gzipped_parquet_is_unpacked_beside_the_manifest(trace, tmp_path):
    content = samples.machine_parquet()
    path = put(trace, "m.parquet.gz", samples.zipped(content))
    (file,) = get(trace, tmp_path).files
    assert file.encoding == "parquet"
    unpacked = tmp_path / "into" / file.path
    assert unpacked.read_bytes() == content
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    unpacked.write_bytes(b"damaged")
    get(trace, tmp_path)
    assert unpacked.read_bytes() == content
    path.unlink()
    put(trace, "m.json", samples.json_lines(samples.MACHINE_EVENT))
    get(trace, tmp_path)
    assert not unpacked.exists()


def test_links_that_leave_the_folder_are_refused(trace, tmp_path):
    put(trace, "a.csv", samples.TASK_EVENTS)
    outside = put(tmp_path / "elsewhere", "secret.csv", samples.JOB_EVENTS)
    (trace / "link.csv").symlink_to(outside)
    with pytest.raises(SourceError, match=r"link\.csv: a symbolic link that leaves"):
        get(trace, tmp_path)
    (trace / "link.csv").unlink()
    (trace / "folder").symlink_to(outside.parent)
    with pytest.raises(SourceError, match="symbolic link that leaves"):
        get(trace, tmp_path)


def test_links_inside_the_folder_are_counted_once(trace, tmp_path):
    put(trace, "a/part.csv", samples.TASK_EVENTS)
    (trace / "again.csv").symlink_to(trace / "a/part.csv")
    (trace / "loop").symlink_to(trace)
    assert names(get(trace, tmp_path)) == ["part.csv"]


def test_a_location_that_is_a_link_is_the_users_choice(trace, tmp_path):
    put(trace, "a.csv", samples.TASK_EVENTS)
    (tmp_path / "shortcut").symlink_to(trace)
    assert names(get(tmp_path / "shortcut", tmp_path)) == ["a.csv"]


def test_names_no_manifest_could_hold_are_listed(trace, tmp_path):
    put(trace, "a.csv", samples.TASK_EVENTS)
    (trace / os.fsdecode(b"bad\xff.csv")).write_text(samples.JOB_EVENTS)
    manifest = get(trace, tmp_path)
    assert names(manifest) == ["a.csv"]
    assert any("not valid UTF-8" in note for note in manifest.notes)


def test_hidden_files_and_the_target_folder_are_not_part_of_a_trace(trace, tmp_path):
    put(trace, "a.csv", samples.TASK_EVENTS)
    put(trace, ".cache/b.csv", samples.JOB_EVENTS)
    put(trace, "into/m.csv", samples.MACHINE_EVENTS)
    assert names(get(trace, trace)) == ["a.csv"]


@pytest.mark.parametrize("name", ["", "missing", "empty"])
def test_nothing_there_says_so(trace, tmp_path, name):
    (trace / "empty").mkdir()
    with pytest.raises(SourceError, match=r"not there|holds no files"):
        get(trace / name, tmp_path)


def test_nothing_usable_lists_what_was_seen(trace, tmp_path):
    put(trace, "a.zip", b"PK\x03\x04")
    with pytest.raises(SourceError, match=r"a\.zip: a zip archive: unpack it first"):
        get(trace, tmp_path)


@pytest.mark.real_traces
@pytest.mark.parametrize(
    ("folder", "files", "tables"),
    [
        ("google2011", 125, {"machines", "collections", "instances", "usage"}),
        ("google2011/task_events", 2, {"instances"}),
        ("google2019/clusterdata_2019_a", 3, {"machines", "instances", "usage"}),
        ("google2019/kaggle_layout", 1, {"instances", "usage"}),
        ("google2019", 9, {"machines", "instances", "usage"}),
    ],
)
def test_real_folders(shared_traces, tmp_path, folder, files, tables):
    manifest = get(shared_traces / folder, tmp_path)
    assert len(manifest.files) == files
    assert manifest.tables() == tables


@pytest.mark.real_traces
def test_a_real_folder_of_everything_is_refused(shared_traces, tmp_path):
    with pytest.raises(SourceError, match=r"google2011 \(google2011\); google2019 \(google2019"):
        get(shared_traces, tmp_path)


@pytest.mark.real_traces
def test_a_real_window_takes_the_parts_duckdb_finds_rows_in(shared_traces, tmp_path):
    import duckdb

    start, hours = 100_000_000_000, 2
    manifest = get(shared_traces / "google2011", tmp_path, start_us=start, duration_s=hours * 3600)
    rows = duckdb.sql(
        "select distinct filename from read_csv(?, header=false, filename=true, all_varchar=true)"
        " where column0::bigint = 0 or column0::bigint between ? and ?",
        params=[
            str(shared_traces / "google2011/job_events/*.gz"),
            start,
            start + hours * 3_600_000_000 - 1,
        ],
    ).fetchall()
    needed = {Path(name).name for (name,) in rows}
    taken = {name for name in names(manifest) if name.endswith("of-00500.csv.gz")}
    assert needed <= taken
    assert len([f for f in manifest.files if f.table == "collections"]) <= len(needed) + 2
