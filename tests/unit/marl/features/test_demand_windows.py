"""`demand_windows` on hand-worked traces; its promises on layout, gaps, damage, repetition."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from marl.features import demand_windows, event_windows, lifecycles, summary, tables, usage_windows
from marl.traces.schema import AFTER_END_US
from tests.unit.marl.features.rows import S, event, used, write_canonical

W = 300 * S


def build(folders, into):
    result = demand_windows.build(folders, into)
    return result, pl.read_parquet(into / "rows" / "*.parquet")


def row(frame, window_s, **where):
    found = frame.filter(
        pl.col("window_us") == window_s * S,
        *(pl.col(key).eq_missing(pl.lit(value)) for key, value in where.items()),
    )
    assert found.height == 1, found
    return found.row(0, named=True)


def test_a_hand_worked_trace(tmp_path):
    folders = write_canonical(
        tmp_path,
        collections=[
            {
                "time_us": 0,
                "collection_id": 1,
                "event": "SUBMIT",
                "tier": "production",
                "scheduling_class": 2,
            },
            {
                "time_us": 400 * S,
                "collection_id": 2,
                "event": "SUBMIT",
                "tier": "free",
                "scheduling_class": 0,
            },
            {
                "time_us": 500 * S,
                "collection_id": 2,
                "event": "SCHEDULE",
                "tier": "free",
                "scheduling_class": 0,
            },
        ],
        instances=[
            # Runs since before the trace, until 400 s.
            event(0, "SUBMIT"),
            event(0, "SCHEDULE"),
            event(400, "FINISH"),
            # Submitted at 310 s, starts 20 s later, evicted after 30 s, comes back and stays.
            event(310, "SUBMIT", index=1),
            event(330, "SCHEDULE", index=1),
            event(360, "EVICT", index=1),
            event(360, "SUBMIT", index=1),
            event(420, "SCHEDULE", index=1),
            event(700, "UPDATE_RUNNING", index=1, cpu_request_ncu=1.0),
        ],
    )
    result, frame = build(folders, tmp_path / "out")
    # The first event that is no snapshot is at 310 s: the trace begins with that window.
    assert frame["window_us"].unique().sort().to_list() == [W, 2 * W]
    first = row(frame, 300, tier="production", scheduling_class=2)
    # 100 s of one task; 30 s and 180 s of the other.
    assert first["running_instances"] == pytest.approx((100 + 30 + 180) / 300, abs=1e-9)
    assert first["running_cpu_request_ncu"] == pytest.approx(0.5 * 310 / 300, abs=1e-9)
    assert first["running_memory_request_nmu"] == pytest.approx(0.25 * 310 / 300, abs=1e-9)
    assert (first["instance_arrivals"], first["resubmissions"], first["scheduled"]) == (2, 1, 2)
    assert (first["evictions"], first["finishes"], first["failures"]) == (1, 1, 0)
    assert first["queueing_delay_p50_s"] == 40.0  # of 20 s and 60 s
    assert first["queueing_delay_p95_s"] == pytest.approx(58.0)
    assert first["collection_arrivals"] == 0
    assert row(frame, 300, tier="free", scheduling_class=0)["collection_arrivals"] == 1
    second = row(frame, 600, tier="production", scheduling_class=2)
    assert second["running_instances"] == 1.0
    assert second["running_cpu_request_ncu"] == pytest.approx((100 * 0.5 + 200 * 1.0) / 300)
    assert second["collection_arrivals"] is None  # the collections end at 500 s
    assert second["usage_rows"] is None
    assert second["queueing_delay_p50_s"] is None
    assert result.rows == frame.height == 4
    assert result.snapshot_rows == {"collections": 1, "instances": 2}
    assert "usage" in result.notes[0]


def test_what_ends_is_subtracted_to_exactly_zero(tmp_path):
    requests = [0.1, 0.2, 0.3, 0.7, 1e-7]
    rows = [
        event(time, name, index=index, cpu_request_ncu=request)
        for index, request in enumerate(requests)
        for time, name in ((10 + index, "SCHEDULE"), (3100 - index, "FINISH"))
    ]
    _, frame = build(
        write_canonical(tmp_path, instances=[*rows, event(9000, "SUBMIT")]), tmp_path / "out"
    )
    after = frame.filter(pl.col("window_us") >= 3300 * S)
    assert after["running_cpu_request_ncu"].to_list() == [0.0] * after.height
    assert after["running_instances"].to_list() == [0.0] * after.height


def test_usage_rows_are_weighted_and_split(tmp_path):
    folders = write_canonical(
        tmp_path,
        usage=[
            used(0, 300, 0.2),
            used(0, 150, 0.4, collection=2),  # half a window
            used(200, 950, 0.3, collection=3),  # straddles four
            used(20, 40, None, collection=4),  # nothing measured
        ],
    )
    _, frame = build(folders, tmp_path / "out")
    assert frame["window_us"].to_list() == [0, W, 2 * W, 3 * W]
    assert frame["cpu_usage_ncu"].to_list() == pytest.approx(
        [0.2 + 0.4 / 2 + 0.3 * 100 / 300, 0.3, 0.3, 0.3 * 50 / 300]
    )
    assert frame["memory_usage_nmu"].to_list() == pytest.approx(
        (frame["cpu_usage_ncu"] / 2).to_list()
    )
    assert frame["usage_rows"].to_list() == [4, 0, 0, 0]
    assert frame["distinct_collections"].to_list() == [4, 0, 0, 0]
    assert frame["cpu_usage_p95_ncu"].to_list() == [pytest.approx(0.39), None, None, None]
    assert frame["instance_arrivals"].null_count() == 4
    assert frame["tier"].null_count() == 4  # unknown is kept, as null


@pytest.mark.parametrize("big", [2**39, 2**62, -5])
def test_percentile_and_distinct_counts_are_exact_whatever_the_ids(tmp_path, big):
    rng = np.random.default_rng(3)
    collections = rng.choice([1, 2, 3, big], 500)
    rows = [
        used(int(rng.integers(0, 600)), 700, float(value), int(c), instance_index=int(i))
        for value, c, i in zip(
            rng.random(500), collections, rng.choice([0, 1, 2**24, 2**30], 500), strict=True
        )
    ]
    _, frame = build(write_canonical(tmp_path, usage=rows), tmp_path / "out")
    for window in (0, 1):
        inside = [r for r in rows if r["start_us"] // W == window]
        found = frame.row(window, named=True)
        assert found["cpu_usage_p95_ncu"] == pytest.approx(
            np.percentile([r["cpu_usage_ncu"] for r in inside], 95), abs=1e-15
        )
        pairs = {(r["collection_id"], r["instance_index"]) for r in inside}
        assert found["distinct_instances"] == len(pairs)
        assert found["distinct_collections"] == len({c for c, _ in pairs})


def test_tier_and_class_come_from_the_collection_where_rows_lack_them(tmp_path):
    lacking = {"tier": None, "scheduling_class": None}
    folders = write_canonical(
        tmp_path,
        # 2011: jobs have a class but no priority, tasks have both. 2019: usage has neither.
        collections=[
            {"time_us": 5 * S, "collection_id": 1, "event": "SUBMIT", "scheduling_class": 2},
            {"time_us": 6 * S, "collection_id": 9, "event": "SUBMIT"},
        ],
        instances=[event(7, "SUBMIT"), event(8, "SCHEDULE", **lacking)],
        usage=[used(10, 20, 0.1), used(10, 20, 0.1, collection=7)],
    )
    _, frame = build(folders, tmp_path / "out")
    known = row(frame, 0, tier="production", scheduling_class=2)
    assert (known["collection_arrivals"], known["scheduled"], known["usage_rows"]) == (1, 1, 1)
    unknown = row(frame, 0, tier=None, scheduling_class=None)
    assert (unknown["collection_arrivals"], unknown["usage_rows"]) == (1, 1)


def test_requests_inside_an_alloc_set_are_not_counted_twice(tmp_path):
    rows = [
        event(0, "SCHEDULE", 1, collection_type="alloc_set"),
        event(0, "SCHEDULE", 2, collection_type="job", alloc_collection_id=1),
        event(10, "SUBMIT", 3),
    ]
    _, frame = build(write_canonical(tmp_path, instances=rows), tmp_path / "out")
    assert frame["running_instances"].to_list() == [2.0]
    assert frame["running_cpu_request_ncu"].to_list() == [0.5]


def random_trace(root, seed=0, hours=True):
    """Three hours of random events and usage, ties, nulls and sentinels among them."""
    rng = np.random.default_rng(seed)
    names = ["SUBMIT", "SCHEDULE", "EVICT", "FAIL", "FINISH", "KILL", "UPDATE_RUNNING", "QUEUE"]
    tiers = ["free", "mid", "production", None]
    instances = [
        event(
            float(time),
            str(rng.choice(names)),
            int(rng.integers(1, 8)),
            int(rng.integers(0, 3)),
            tier=tiers[rng.integers(4)],
            scheduling_class=[0, 1, None][rng.integers(3)],
            cpu_request_ncu=[None, float(rng.random())][rng.integers(2)],
        )
        for time in np.sort(rng.choice(np.arange(0, 10_800, 7), 700))
    ]
    instances.append(event(0, "FINISH", 1) | {"time_us": AFTER_END_US, "is_snapshot": False})
    usage = [
        used(
            int(start),
            int(start + rng.integers(1, 900)),
            float(rng.random()),
            int(rng.integers(1, 9)),
        )
        for start in np.sort(rng.integers(0, 10_800, 900))
    ]
    return write_canonical(root, hours, instances=instances, usage=usage), instances, usage


def test_totals_reconcile_with_the_rows(tmp_path):
    folders, instances, usage = random_trace(tmp_path)
    result, frame = build(folders, tmp_path / "out")
    happened = [r for r in instances if not r["is_snapshot"] and r["time_us"] != AFTER_END_US]
    for column, name in event_windows.EVENT_COLUMNS.items():
        assert frame[column].sum() == sum(r["event"] == name for r in happened), column
    assert frame["usage_rows"].sum() == len(usage)
    assert result.input_rows["instances"] == len(instances)
    assert result.after_end_rows["instances"] == 1
    whole = sum(r["cpu_usage_ncu"] * (r["end_us"] - r["start_us"]) for r in usage) / W
    assert frame["cpu_usage_ncu"].sum() == pytest.approx(whole, rel=1e-9)
    assert frame.n_unique(["window_us", "tier", "scheduling_class"]) == frame.height
    groups = frame.n_unique(["tier", "scheduling_class"])
    assert frame.height == groups * frame.n_unique("window_us")  # no gaps


def test_neither_files_nor_slices_nor_buckets_change_the_answer(tmp_path, monkeypatch):
    folders, *_ = random_trace(tmp_path / "hours")
    _, expected = build(folders, tmp_path / "out")
    single, *_ = random_trace(tmp_path / "single", hours=False)
    _, frame = build(single, tmp_path / "out")
    assert frame.equals(expected)
    # Overlapping files: deal the rows out alternately.
    rows = pl.read_parquet(single["usage"] / "rows" / "*.parquet")
    for place in range(3):
        rows.gather_every(3, place).write_parquet(
            single["usage"] / "rows" / f"part-{place:06d}.parquet"
        )
    # Small slices and buckets: everything is cut up, events and delays pass through the disk.
    monkeypatch.setattr(usage_windows.usage_windows, "__defaults__", (50,))
    monkeypatch.setattr(event_windows.instance_windows, "__defaults__", (60,))
    _, frame = build(single, tmp_path / "out")
    assert frame.equals(expected)
    assert not list(tmp_path.glob("*staging*"))  # scratch is gone


def test_two_runs_and_one_thread_give_the_same_bytes(tmp_path):
    folders, *_ = random_trace(tmp_path)
    digests = set()
    for threads in ("1", "2", "3"):
        into = tmp_path / f"out-{threads}"
        code = (
            "import sys; from pathlib import Path; from marl.features import demand_windows as d;"
            "root = Path(sys.argv[1]);"
            "tables = {n: root / n for n in ('collections', 'instances', 'usage')};"
            "d.build(tables, Path(sys.argv[2]))"
        )
        command = [sys.executable, "-c", code, str(tmp_path), str(into)]
        subprocess.run(command, check=True, env=os.environ | {"POLARS_MAX_THREADS": threads})
        whole = b"".join(path.read_bytes() for path in sorted(into.rglob("*.*")))
        digests.add(hashlib.sha256(whole).hexdigest())
    assert len(digests) == 1
    assert folders


def test_no_rows_at_all_is_an_empty_table_and_says_why(tmp_path):
    result, frame = build({"usage": tmp_path / "nowhere"}, tmp_path / "out")
    assert frame.schema == demand_windows.SCHEMA
    assert frame.is_empty()
    assert len(result.notes) == 3
    assert result.start_us is None


def test_an_interrupted_build_leaves_the_old_result(tmp_path, monkeypatch):
    folders = write_canonical(tmp_path, usage=[used(0, 300, 0.2)])
    _, before = build(folders, tmp_path / "out")

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(summary, "write_json", fail)
    with pytest.raises(KeyboardInterrupt):
        demand_windows.build(folders, tmp_path / "out")
    assert pl.read_parquet(tmp_path / "out" / "rows" / "*.parquet").equals(before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "usage"]


def test_a_damaged_time_is_refused_with_its_size(tmp_path):
    folders = write_canonical(tmp_path, usage=[used(0, 300, 0.2), used(10**11, 10**11 + 300, 0.2)])
    with pytest.raises(ValueError, match=r"usage.*1,157,407 days.*damaged"):
        demand_windows.build(folders, tmp_path / "out")


def test_progress_is_told(tmp_path):
    said = []
    demand_windows.build(
        write_canonical(tmp_path, usage=[used(0, 9, 0.1)]), tmp_path / "out", said.append
    )
    assert len(said) == 3
    assert tables.SLICE_ROWS > lifecycles.BUCKET_ROWS > 0
