"""`task_profiles` on hand-worked collections, and what it says when tables are missing."""

import polars as pl
import pytest

from marl.features import profile_instances, profile_parts, task_profiles
from tests.unit.marl.features.rows import S, event, used, write_canonical
from tests.unit.marl.features.test_demand_windows import random_trace


def build(folders, into):
    result = task_profiles.build(folders, into)
    return result, pl.read_parquet(into / "rows" / "*.parquet")


def profile(frame, collection=1):
    return frame.row(by_predicate=pl.col("collection_id") == collection, named=True)


def job(time_s, name, collection=1, **more):
    row = {
        "time_us": time_s * S,
        "event": name,
        "collection_id": collection,
        "collection_type": "job",
        "scheduling_class": 2,
        "user": "ann",
        "is_snapshot": time_s == 0,
    }
    return row | more


def test_a_hand_worked_job(tmp_path):
    folders = write_canonical(
        tmp_path,
        collections=[job(100, "SUBMIT"), job(101, "SCHEDULE"), job(3800, "FINISH")],
        instances=[
            event(100, "SUBMIT", index=0),
            event(200, "SCHEDULE", index=0),
            event(2000, "EVICT", index=0),  # 1800 s
            event(2000, "SUBMIT", index=0),
            event(2600, "SCHEDULE", index=0, cpu_request_ncu=0.7),
            event(3800, "FINISH", index=0),  # 1200 s at .7
            event(100, "SUBMIT", index=1, cpu_request_ncu=0.1, memory_request_nmu=0.05),
            event(200, "SCHEDULE", index=1, cpu_request_ncu=0.1, memory_request_nmu=0.05),
            event(3800, "KILL", index=1, cpu_request_ncu=None, memory_request_nmu=None),  # 3600 s
        ],
    )
    result, frame = build(folders, tmp_path / "out")
    found = profile(frame)
    assert (found["instances"], found["submits"], found["resubmissions"]) == (2, 3, 1)
    assert (found["evictions"], found["finishes"], found["kills"], found["failures"]) == (
        1,
        1,
        1,
        0,
    )
    assert (found["first_us"], found["last_us"], found["duration_s"]) == (100 * S, 3800 * S, 3700.0)
    assert not found["is_censored"]
    assert not found["is_snapshot"]
    assert found["cpu_request_mean_ncu"] == pytest.approx((0.5 + 0.1) / 2)
    assert found["cpu_request_max_ncu"] == 0.7
    assert found["cpu_to_memory_request"] == pytest.approx(0.3 / 0.15)
    assert (found["runs"], found["runs_observed"]) == (3, 3)
    assert found["run_time_mean_s"] == pytest.approx((1800 + 1200 + 3600) / 3)
    assert (found["run_time_p50_s"], found["run_time_max_s"]) == (1800.0, 3600.0)
    assert found["ncu_hours"] == pytest.approx(0.5 * 0.5 + 0.7 / 3 + 0.1, abs=1e-11)
    assert found["nmu_hours"] == pytest.approx(0.25 * 0.5 + 0.25 / 3 + 0.05, abs=1e-11)
    assert found["hours_basis"] == "requests"
    assert (found["tier"], found["scheduling_class"], found["user"]) == ("production", 2, "ann")
    assert found["cpu_usage_to_request"] is None
    assert any("1 of 1 collections have no usage" in note for note in result.notes)


def test_usage_is_weighted_by_time_and_gives_the_hours(tmp_path):
    folders = write_canonical(
        tmp_path,
        instances=[event(0, "SUBMIT"), event(0, "SCHEDULE"), event(900, "FINISH")],
        usage=[
            used(0, 300, 0.2, cpu_usage_max_ncu=0.9),
            used(300, 400, 0.6),
            used(400, 500, None),  # not measured: neither amount nor time counts
        ],
    )
    found = profile(build(folders, tmp_path / "out")[1])
    mean = (0.2 * 300 + 0.6 * 100) / 400
    assert found["cpu_usage_mean_ncu"] == pytest.approx(mean)
    assert found["cpu_usage_max_ncu"] == 0.9
    assert found["cpu_usage_to_request"] == pytest.approx(mean / 0.5)
    assert found["memory_usage_to_request"] == pytest.approx(mean / 2 / 0.25)
    assert found["ncu_hours"] == pytest.approx(mean * 400 / 3600)
    assert (found["hours_basis"], found["usage_rows"]) == ("usage", 3)
    assert found["is_snapshot"]
    assert (found["runs"], found["runs_observed"]) == (1, 0)  # its beginning was not seen
    assert found["run_time_mean_s"] is None
    assert not found["is_censored"]  # no collection events: its only instance ended


def test_a_job_that_never_ends_is_censored_at_the_last_moment(tmp_path):
    folders = write_canonical(
        tmp_path,
        collections=[job(100, "SUBMIT"), job(200, "SUBMIT", 2), job(700, "KILL", 2)],
        instances=[event(150, "SCHEDULE", index=0), event(160, "SUBMIT", index=1)],
        usage=[used(600, 800, 0.1, 3)],
    )
    frame = build(folders, tmp_path / "out")[1]
    one = profile(frame, 1)
    assert one["is_censored"]
    assert one["duration_s"] == 700.0
    # Requests are counted while instance events were watched: until 160 s.
    assert one["ncu_hours"] == pytest.approx(0.5 * 10 / 3600)
    two = profile(frame, 2)
    assert not two["is_censored"]
    assert two["duration_s"] == 500.0
    assert (two["hours_basis"], two["ncu_hours"], two["submits"]) == ("none", None, None)
    three = profile(frame, 3)
    assert (three["first_us"], three["last_us"]) == (600 * S, 800 * S)
    assert three["instances"] is None
    assert three["is_censored"]


def test_without_its_own_events_a_job_ends_with_its_last_instance(tmp_path):
    rows = [event(10, "SUBMIT"), event(20, "FINISH"), event(10, "SUBMIT", index=1)]
    folders = write_canonical(tmp_path / "open", instances=rows)
    assert profile(build(folders, tmp_path / "out")[1])["is_censored"]
    folders = write_canonical(tmp_path / "ended", instances=[*rows, event(70, "FAIL", index=1)])
    assert profile(build(folders, tmp_path / "out")[1])["duration_s"] == 60


def test_life_after_an_end_counts_as_not_ended(tmp_path):
    rows = [job(100, "SUBMIT"), job(200, "KILL"), job(300, "SUBMIT")]
    assert profile(build(write_canonical(tmp_path, collections=rows), tmp_path / "out")[1])[
        "is_censored"
    ]


def test_unknown_requests_give_no_hours_rather_than_none_used(tmp_path):
    unknown = {"cpu_request_ncu": None, "memory_request_nmu": None}
    rows = [event(10, "SCHEDULE", **unknown), event(3610, "FINISH", **unknown)]
    found = profile(build(write_canonical(tmp_path, instances=rows), tmp_path / "out")[1])
    assert (found["ncu_hours"], found["hours_basis"], found["runs"]) == (None, "none", 1)


def test_counts_reconcile_and_buckets_change_nothing(tmp_path, monkeypatch):
    folders, instances, usage = random_trace(tmp_path, seed=4)
    _, expected = build(folders, tmp_path / "out")
    assert expected["usage_rows"].sum() == len(usage)
    for column, name in profile_instances.COUNTED.items():
        assert expected[column].sum() == sum(row["event"] == name for row in instances), column
    assert expected["collection_id"].is_sorted()
    assert expected["collection_id"].is_unique().all()
    monkeypatch.setattr(profile_instances.instance_facts, "__defaults__", (60,))
    monkeypatch.setattr(profile_parts.usage_facts, "__defaults__", (50,))
    assert build(folders, tmp_path / "out")[1].equals(expected)


def test_nothing_at_all_is_an_empty_table(tmp_path):
    result, frame = build({}, tmp_path / "out")
    assert frame.schema == task_profiles.SCHEMA
    assert result.rows == 0
