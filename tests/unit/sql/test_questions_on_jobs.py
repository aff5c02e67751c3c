"""Ready questions over task_profiles, events and accounts: answers worked out by hand."""

import math

import polars as pl
import pytest

from marl.features import demand_windows, task_profiles
from marl.files import write_json
from marl.traces.quarantine import QUARANTINE
from tests.unit.marl.features.rows import event, write_canonical
from tests.unit.sql.answers import ask, job, only


def test_slack_of_jobs(tmp_path):
    def row(number, request, usage, **more):
        return job(number, cpu_request_mean_ncu=request, cpu_usage_mean_ncu=usage, **more)

    answer = ask(
        tmp_path,
        "slack_of_jobs",
        task_profiles=[
            row(1, 0.5, 0.1),
            row(2, 0.5, 0.25),
            row(3, 0.5, 0.6),
            row(4, 0.5, None),
            row(5, 0.0, 0.1),
            row(6, 0.5, 0.4, collection_type="alloc_set"),
            row(7, 0.5, 0.4, collection_type=None, tier=None),
        ],
    )
    found = only(answer, tier="production")
    assert found["jobs"] == 3  # slack -0.2, 0.5, 0.8
    assert found["cpu_slack_p10"] == pytest.approx(-0.2 + 0.2 * 0.7)
    assert found["cpu_slack_p50"] == pytest.approx(0.5)
    assert found["cpu_slack_p90"] == pytest.approx(0.5 + 0.8 * 0.3)
    assert found["share_above_request"] == pytest.approx(1 / 3)
    assert only(answer, tier=None)["jobs"] == 1


def test_heavy_tail(tmp_path):
    sizes = [1.0] * 198 + [101.0] * 2
    rows = [job(number, ncu_hours=size, nmu_hours=1.0) for number, size in enumerate(sizes)]
    rows += [job(900, ncu_hours=None), job(901, ncu_hours=9e9, collection_type="alloc_set")]
    answer = ask(tmp_path, "heavy_tail", task_profiles=rows)
    cpu = only(answer, resource="cpu_ncu_h")
    assert (cpu["jobs"], cpu["mean"], cpu["median"]) == (200, 2.0, 1.0)
    assert cpu["top_1_percent_share"] == pytest.approx(202 / 400)
    assert cpu["squared_cv"] == pytest.approx((198 * 1 + 2 * 99**2) / 200 / 4)
    assert cpu["p99"] == pytest.approx(1 + 0.01 * 100)
    assert cpu["p999"] == pytest.approx(101)
    memory = only(answer, resource="memory_nmu_h")
    assert memory["top_1_percent_share"] == pytest.approx(0.01)
    assert memory["squared_cv"] == 0


def test_pareto_tail(tmp_path):
    index, jobs = 0.7, 400
    rows = [job(i, ncu_hours=(i / jobs) ** (-1 / index), nmu_hours=0.0) for i in range(1, jobs + 1)]
    answer = ask(tmp_path, "pareto_tail", task_profiles=rows)
    found = only(answer, resource="cpu_ncu_h")
    assert (found["jobs"], found["tail_jobs"]) == (400, 20)
    assert found["threshold"] == pytest.approx((21 / jobs) ** (-1 / index))
    assert found["regression_index"] == pytest.approx(index)
    assert found["r_squared"] == pytest.approx(1)
    hill = index * 20 / sum(math.log(21 / i) for i in range(1, 21))
    assert found["hill_index"] == pytest.approx(hill)
    assert answer.height == 1  # a resource without hours has no tail


def test_user_concentration(tmp_path):
    rows, number = [], 0
    for user in range(12):
        for _ in range(user + 1):
            rows.append(job(number, user=f"user{user}", ncu_hours=1.0 if user == 3 else 0.0))
            number += 1
    rows += [job(1000 + n, user=None, ncu_hours=None) for n in range(22)]
    answer = ask(tmp_path, "user_concentration", task_profiles=rows)
    jobs = only(answer, measure="jobs")
    counts = range(1, 13)
    assert jobs["users"] == 12
    assert jobs["top_10_share"] == pytest.approx(75 / 78)
    difference = sum(abs(a - b) for a in counts for b in counts)
    assert jobs["gini"] == pytest.approx(difference / (2 * 12 * 78))
    assert jobs["unknown_share"] == pytest.approx(22 / 100)
    hours = only(answer, measure="ncu_hours")
    assert hours["top_10_share"] == 1
    assert hours["gini"] == pytest.approx(11 / 12)


def test_tasks_per_job(tmp_path):
    sizes = [1, 1, 1, 5, 12, None]
    rows = [job(number, instances=size) for number, size in enumerate(sizes)]
    found = only(ask(tmp_path, "tasks_per_job", task_profiles=rows), tier="production")
    assert (found["jobs"], found["share_of_one"], found["mean"]) == (5, 0.6, 4.0)
    assert (found["p50"], found["max"]) == (1.0, 12)
    assert found["p90"] == pytest.approx(5 + 0.6 * 7)


def test_largest_jobs(tmp_path):
    rows = [job(number, ncu_hours=float(number), user=f"u{number}") for number in range(1, 31)]
    rows.append(job(99, ncu_hours=15.0))
    answer = ask(tmp_path, "largest_jobs", task_profiles=rows)
    assert answer["collection_id"].to_list() == [*range(30, 14, -1), 99, 14, 13, 12]
    assert answer["share_of_all"][0] == pytest.approx(30 / (465 + 15))


def test_cpu_memory_correlation(tmp_path):
    pairs = [(1, 1), (2, 8), (3, 27), (4, 64)]
    rows = [
        job(number, ncu_hours=float(cpu), nmu_hours=float(memory), hours_basis="usage")
        for number, (cpu, memory) in enumerate(pairs)
    ]
    rows.append(job(9, ncu_hours=0.0, nmu_hours=0.0, hours_basis="requests"))
    answer = ask(tmp_path, "cpu_memory_correlation", task_profiles=rows)
    found = only(answer, hours_basis="usage")
    mean, centred = 25, [(x - 2.5, y - 25) for x, y in pairs]
    expected = sum(a * b for a, b in centred) / math.sqrt(
        sum(a * a for a, _ in centred) * sum((y - mean) ** 2 for _, y in pairs)
    )
    assert found["correlation"] == pytest.approx(expected)
    assert found["rank_correlation"] == pytest.approx(1)
    assert found["log_correlation"] == pytest.approx(1)  # memory = cpu³
    assert only(answer, hours_basis="requests")["correlation"] is None
    assert only(answer, hours_basis="all")["jobs"] == 5


def test_tied_ranks_share_their_mean(tmp_path):
    pairs = [(1, 1), (1, 2), (2, 3)]
    rows = [
        job(number, ncu_hours=float(cpu), nmu_hours=float(memory), hours_basis="usage")
        for number, (cpu, memory) in enumerate(pairs)
    ]
    found = only(ask(tmp_path, "cpu_memory_correlation", task_profiles=rows), hours_basis="all")
    # Spearman of ranks 1.5 1.5 3 and 1 2 3.
    assert found["rank_correlation"] == pytest.approx(1.5 / math.sqrt(1.5 * 2))


EVENTS = [
    event(0, "SUBMIT", 1),
    event(0, "SCHEDULE", 1),
    event(500, "FINISH", 1),  # its beginning was not seen
    event(10, "SUBMIT", 2),
    event(30, "SCHEDULE", 2),
    event(130, "EVICT", 2),
    event(130, "SUBMIT", 2),
    event(190, "SCHEDULE", 2, tier=None),
    event(490, "KILL", 2),
    event(20, "SUBMIT", 3, tier=None),
    event(25, "SCHEDULE", 3, tier=None),
]


def test_queueing_delay_by_tier(tmp_path):
    answer = ask(tmp_path, "queueing_delay_by_tier", instances=EVENTS, task_profiles=[job(2)])
    found = only(answer, tier="production")
    assert (found["starts"], found["mean_s"], found["p50_s"]) == (2, 40.0, 40.0)  # 20 and 60
    assert found["p95_s"] == pytest.approx(58)
    assert only(answer, tier=None)["p50_s"] == 5.0


def test_run_times_by_tier(tmp_path):
    answer = ask(tmp_path, "run_times_by_tier", instances=EVENTS, task_profiles=[job(2)])
    found = only(answer, tier="production")
    assert (found["runs"], found["mean_s"], found["max_s"]) == (2, 200.0, 300.0)  # 100 and 300
    assert answer.height == 1  # nothing else was seen from beginning to end


def test_questions_agree_with_the_features_they_share_a_definition_with(tmp_path):
    tables = write_canonical(tmp_path, instances=EVENTS)
    demand_windows.build(tables, tmp_path / "demand_windows")
    task_profiles.build(tables, tmp_path / "task_profiles")
    delays = ask(tmp_path, "queueing_delay_by_tier")
    runs = ask(tmp_path, "run_times_by_tier")
    profiles = pl.read_parquet(tmp_path / "task_profiles" / "rows" / "*.parquet")
    windows = pl.read_parquet(tmp_path / "demand_windows" / "rows" / "*.parquet")
    assert runs["runs"].sum() == profiles["runs_observed"].sum() == 2
    assert runs["max_s"].max() == profiles["run_time_max_s"].max()
    assert delays["starts"].sum() == 3
    production = windows.filter(pl.col("tier") == "production", pl.col("window_us") == 0)
    assert production["queueing_delay_p50_s"].item() == pytest.approx(
        only(delays, tier="production")["p50_s"]
    )


def test_quarantine_by_reason(tmp_path):
    for table, rows in {
        "usage": [("late", "b", 2), ("late", "a", 7)],
        "machines": [("odd", "m", 1)],
    }.items():
        folder = tmp_path / table / "quarantine"
        folder.mkdir(parents=True)
        frame = pl.DataFrame(
            [(table, reason, file, row, f"raw {file}{row}") for reason, file, row in rows],
            schema=QUARANTINE,
            orient="row",
        )
        frame.write_parquet(folder / "part-000000.parquet")
    assert ask(tmp_path, "quarantine_by_reason").rows() == [
        ("machines", "odd", 1, 1, "m", 1, "raw m1"),
        ("usage", "late", 2, 2, "a", 7, "raw a7"),
    ]


def test_row_accounting(tmp_path):
    (tmp_path / "usage").mkdir()
    account = {
        "table": "usage",
        "rows_in": 10,
        "rows_kept": 4,
        "quarantined": {"bad": 1, "worse": 2},
        "filtered": {"outside_window": 2},
        "is_missing": False,
        "is_synthetic": True,
    }
    write_json(tmp_path / "usage" / "accounting.json", account)
    found = only(ask(tmp_path, "row_accounting"), table="usage")
    assert (found["rows_quarantined"], found["rows_filtered"], found["unaccounted"]) == (3, 2, 1)
    assert found["is_synthetic"]
