"""`write_table` as a user meets it: one damaged thing at a time, and every mixture of them."""

import gzip
import shutil
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marl.files import sha256_file
from marl.traces.canonical import write_table
from marl.traces.formats.spec import TraceFormatError
from tests.unit.marl.traces.canonical.raw import (
    csv_2011,
    instance_2019,
    json_2019,
    make,
    manifest,
    raw_file,
    task,
    usage_2011,
)


def test_rows_keep_their_values_and_are_sorted(tmp_path):
    lines = [task(5_000_000_000, 2, 1), task(700_000_000, 9, 3, machine=77), task(0, 4, 0)]
    account, rows, _ = make(tmp_path, "instances", csv_2011(tmp_path / "t.gz", "instances", lines))
    assert rows["time_us"].to_list() == [0, 700_000_000, 5_000_000_000]
    assert rows["is_snapshot"].to_list() == [True, False, False]
    assert rows.row(1, named=True) == {
        "time_us": 700_000_000,
        "collection_id": 9,
        "instance_index": 3,
        "event": "SUBMIT",
        "machine_id": 77,
        "collection_type": "job",
        "alloc_collection_id": None,
        "priority": 2,
        "tier": "best_effort_batch",
        "scheduling_class": 2,
        "user": "user==",
        "cpu_request_ncu": 0.025,
        "memory_request_nmu": 0.0125,
        "is_snapshot": False,
    }
    assert [part.name for part in account.parts] == [
        "rows/part-000000.parquet",
        "rows/part-000001.parquet",
    ]
    assert (account.first_us, account.last_us) == (700_000_000, 5_000_000_000)
    assert account.snapshot_rows == 1


# One damaged line of task_events 2011 and the reason it must be quarantined with.
BAD_TASKS = [
    (task(time=2**63 - 1), "after_trace_end"),
    (task(time=""), "missing_time_us"),
    (task(time=-5), "negative_time_us"),
    (task(time=10**17), "absurd_time_us"),
    (task(time="12.5"), "bad_time_us"),
    (task(time="9" * 25), "bad_time_us"),
    (task(job=""), "missing_collection_id"),
    (task(job="x"), "bad_collection_id"),
    (task(job=-3), "negative_collection_id"),
    (task(index=""), "missing_instance_index"),
    (task(index=2**40), "absurd_instance_index"),
    (task(event=9), "unknown_event"),
    (task(event=-1), "unknown_event"),
    (task(event=""), "missing_event"),
    (task(event="SUBMIT"), "bad_event_code"),
    (task(machine="m7"), "bad_machine_id"),
    (task(machine=-9), "negative_machine_id"),
    (task(priority=12), "unknown_priority"),
    (task(priority=-1), "negative_priority"),
    (task(priority="high"), "bad_priority"),
    (task(cpu="-0.01"), "negative_cpu_request_ncu"),
    (task(cpu="10.5"), "absurd_cpu_request_ncu"),
    (task(cpu="nan"), "bad_cpu_request_ncu"),
    (task(cpu="inf"), "bad_cpu_request_ncu"),
    (task(cpu="half"), "bad_cpu_request_ncu"),
    (task().replace(",2,2,", ",4,2,"), "unknown_scheduling_class"),
    (task() + ",1", "bad_width"),
    (task().rsplit(",", 1)[0], "bad_width"),
    ("", "blank_line"),
    ("   ", "blank_line"),
    ("time,missing info,job ID,task index,machine ID,event type,user,scheduling class,priority,"
     "CPU request,memory request,disk space request,different machines restriction",
     "bad_time_us"),
]  # fmt: skip
GOOD_TASKS = [
    task(machine=0),
    task(machine=-1, job=2),
    task(cpu="", job=3),
    task(cpu="0", job=4),
    task(event=5, job=5),
    task(job=6, index=1),
    task(job=6, index=1, time=800_000_000),
]


@pytest.mark.parametrize(("line", "reason"), BAD_TASKS, ids=lambda value: str(value)[:40])
def test_a_bad_line_is_quarantined_with_its_reason_and_text(tmp_path, line, reason):
    good = [task(job=1), task(job=2)]
    file = csv_2011(tmp_path / "t.gz", "instances", [good[0], line, good[1]])
    account, rows, quarantine = make(tmp_path, "instances", file)
    assert account.rows_in == 3
    assert account.quarantined == {reason: 1}
    assert rows["collection_id"].to_list() == [1, 2]
    assert quarantine.row(0, named=True) == {
        "table": "instances",
        "reason": reason,
        "source_file": str(tmp_path / "t.gz"),
        "row_number": 2,
        "raw": line,
    }


def test_rows_that_only_look_odd_are_kept(tmp_path):
    account, rows, _ = make(
        tmp_path, "instances", csv_2011(tmp_path / "t.gz", "instances", GOOD_TASKS)
    )
    assert account.rows_kept == len(GOOD_TASKS)
    assert account.quarantined == {}
    by_job = rows.filter(pl.col("collection_id") <= 4).sort("collection_id")
    assert by_job["machine_id"].to_list() == [None] * 4
    assert by_job["cpu_request_ncu"].to_list() == [0.025, 0.025, None, 0.0]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    picks=st.lists(
        st.one_of(
            st.sampled_from([line for line, _ in BAD_TASKS]),
            st.sampled_from(GOOD_TASKS),
            st.binary(max_size=60).map(lambda data: data.replace(b"\n", b" ")),
        ),
        max_size=60,
    ),
    ending=st.sampled_from([b"\n", b"\r\n"]),
    has_mark=st.booleans(),
    has_last_end=st.booleans(),
)
def test_any_mixture_is_accounted_for(tmp_path_factory, picks, ending, has_mark, has_last_end):
    folder = tmp_path_factory.mktemp("mixture")
    records = [pick if isinstance(pick, bytes) else pick.encode() for pick in picks]
    data = ending.join(records) + (ending if has_last_end and records else b"")
    count = data.count(b"\n") + bool(data and not data.endswith(b"\n"))
    file = csv_2011(folder / "t.gz", "instances", (b"\xef\xbb\xbf" if has_mark else b"") + data)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return  # a UTF-16 mark: refused, see test_lines
    account, rows, quarantine = make(folder, "instances", file, start_us=0, duration_s=3600.0)
    assert account.rows_in == count
    assert rows.height + quarantine.height + account.rows_filtered == account.rows_in
    assert rows.is_duplicated().sum() == 0
    assert quarantine["row_number"].is_between(1, max(count, 1)).all()
    wanted = {line.encode() for line in GOOD_TASKS}
    assert rows.height == len({record for record in records if record in wanted})
    shutil.rmtree(folder)


def test_exact_duplicates_are_kept_once(tmp_path):
    first = csv_2011(tmp_path / "a.gz", "instances", [task(job=1), task(job=2), task(job=1)])
    second = csv_2011(tmp_path / "b.gz", "instances", [task(job=2), task(job=2, cpu="0.5")])
    account, rows, quarantine = make(tmp_path, "instances", first, second)
    assert account.quarantined == {"duplicate": 2}
    assert rows["collection_id"].to_list() == [1, 2, 2]
    found = [(Path(f).name, n, raw) for f, n, raw in
             quarantine.select("source_file", "row_number", "raw").iter_rows()]  # fmt: skip
    assert found == [("a.gz", 3, task(job=1)), ("b.gz", 1, task(job=2))]
    assert [file.rows_kept for file in account.files] == [2, 1]


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.999])
def test_a_file_cut_midway_gives_its_whole_lines(tmp_path, keep):
    lines = [usage_2011(index=index, cpu=f"0.0{index * 7919 % 9973}") for index in range(3000)]
    data = gzip.compress("".join(line + "\n" for line in lines).encode(), mtime=0)
    path = tmp_path / "u.gz"
    path.write_bytes(data[: int(len(data) * keep)])
    account, rows, quarantine = make(
        tmp_path, "usage", raw_file(path, "usage", "google2011", "csv.gz")
    )
    assert rows.height == account.rows_kept
    assert 0 < account.rows_kept < 3000
    assert account.quarantined in ({}, {"cut_record": 1})
    assert rows["instance_index"].to_list() == list(range(rows.height))
    if quarantine.height:
        number = quarantine["row_number"].item()
        assert number == account.rows_in
        assert lines[number - 1].startswith(quarantine["raw"].item())
    assert any("cut short" in note for note in account.notes)


def test_window_keeps_snapshot_rows_and_half_open_bounds(tmp_path):
    hour = 3_600_000_000
    times = [0, 700_000_000, hour - 1, hour, hour + 5, 2 * hour - 1, 2 * hour, 2**63 - 1]
    lines = [task(time, job) for job, time in enumerate(times)]
    account, rows, _ = make(
        tmp_path,
        "instances",
        csv_2011(tmp_path / "t.gz", "instances", lines),
        start_us=hour,
        duration_s=3600.0,
    )
    assert rows["time_us"].to_list() == [0, hour, hour + 5, 2 * hour - 1]
    assert account.filtered == {"outside_window": 3}
    assert account.quarantined == {"after_trace_end": 1}


def test_machines_keep_what_happened_before_the_window(tmp_path):
    lines = [f"{time},5,0,platform,0.5,0.25" for time in (0, 700_000_000, 3_700_000_000, 9 * 10**9)]
    account, rows, _ = make(
        tmp_path,
        "machines",
        csv_2011(tmp_path / "m.gz", "machines", lines),
        start_us=3_600_000_000,
        duration_s=3600.0,
    )
    assert rows["time_us"].to_list() == [0, 700_000_000, 3_700_000_000]
    assert account.filtered == {"outside_window": 1}


def test_a_missing_table_is_written_empty_and_says_what_it_costs(tmp_path):
    file = csv_2011(tmp_path / "t.gz", "instances", [task()])
    account, rows, _ = make(tmp_path, "usage", file)
    assert account.is_missing
    assert rows.is_empty()
    assert "has no usage" in account.notes[0]
    assert not make(tmp_path / "other", "instances", file)[0].is_missing


def test_a_table_without_any_row_left_says_so(tmp_path):
    file = csv_2011(tmp_path / "t.gz", "instances", [task(), task(event=99)])
    account, rows, _ = make(tmp_path, "instances", file, start_us=10**12)
    assert rows.is_empty()
    assert not account.is_missing
    assert "no row of instances is left" in account.notes[0]


def test_a_used_folder_is_refused(tmp_path):
    file = csv_2011(tmp_path / "t.gz", "instances", [task()])
    make(tmp_path, "instances", file)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileExistsError, match="is not empty"):
        make(tmp_path, "instances", file)
    assert sorted(tmp_path.rglob("*")) == before


def test_same_input_gives_the_same_bytes(tmp_path):
    records = [instance_2019(instance_index=str(n), time=str(n * 10**9 % 7919)) for n in range(500)]
    file = json_2019(tmp_path / "i.gz", "instances", [*records, *records[:5], "broken"])
    trees = []
    for name in ("one", "two"):
        make(tmp_path / name, "instances", file)
        files = sorted(p for p in (tmp_path / name).rglob("*") if p.is_file())
        trees.append({p.relative_to(tmp_path / name): sha256_file(p) for p in files})
    assert trees[0] == trees[1]
    assert {p.suffix for p in trees[0]} == {".parquet", ".json"}  # no scratch file stays


def test_empty_files_give_no_rows(tmp_path):
    empty = csv_2011(tmp_path / "e.gz", "instances", b"")
    cut = tmp_path / "c.gz"
    cut.write_bytes(gzip.compress(b"x" * 100)[:10])
    nothing = raw_file(cut, "instances", "google2011", "csv.gz")
    account, rows, _ = make(tmp_path, "instances", empty, nothing)
    assert (account.rows_in, rows.height, account.is_missing) == (0, 0, False)


def test_what_cannot_be_read_is_refused_by_name(tmp_path):
    path = tmp_path / "u.parquet"
    path.write_bytes(b"PAR1" + b"\0" * 50)
    broken = raw_file(path, "usage", "google2019", "parquet")
    with pytest.raises(TraceFormatError, match=r"u\.parquet: damaged Parquet"):
        write_table(manifest(broken), tmp_path, "usage", tmp_path / "t")
    wrong = csv_2011(tmp_path / "m.gz", "machines", [])
    wrong = wrong.model_copy(update={"layout": "google2019"})
    with pytest.raises(TraceFormatError, match="not read from csv"):
        write_table(manifest(wrong), tmp_path, "machines", tmp_path / "t2")
    with pytest.raises(ValueError, match="unknown table 'jobs'"):
        write_table(manifest(), tmp_path, "jobs", tmp_path / "t3")
    outside = csv_2011(tmp_path / "x.gz", "usage", []).model_copy(update={"path": "../x.gz"})
    with pytest.raises(ValueError, match="would leave"):
        write_table(manifest(outside), tmp_path, "usage", tmp_path / "t4")


def test_quarantine_is_never_capped(tmp_path, monkeypatch):
    monkeypatch.setattr("marl.traces.quarantine._PART_ROWS", 1000)
    lines = [task(event=99, job=number) for number in range(2500)]
    account, _, quarantine = make(
        tmp_path, "instances", csv_2011(tmp_path / "t.gz", "instances", lines)
    )
    assert [part.rows for part in account.quarantine_parts] == [1000, 1000, 500]
    assert quarantine["raw"].to_list() == lines


def test_counts_are_per_file_and_reasons_are_counted(tmp_path):
    first = csv_2011(tmp_path / "a.gz", "instances", [task(), task(event=77), task(event=78)])
    second = csv_2011(tmp_path / "b.gz", "instances", [task(job="q"), task(9_999_000_000, 5)])
    account, _, _ = make(tmp_path, "instances", first, second, start_us=0, duration_s=3600.0)
    assert [file.quarantined for file in account.files] == [
        {"unknown_event": 2},
        {"bad_collection_id": 1},
    ]
    assert Counter(account.quarantined) == {"unknown_event": 2, "bad_collection_id": 1}
    assert account.files[1].filtered == {"outside_window": 1}
