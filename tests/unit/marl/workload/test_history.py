"""Demand per class: measured windows add up to usage, others are built from requests."""

import numpy as np
import polars as pl
import pytest

from marl.workload.classes import classify
from marl.workload.config import WorkloadConfig
from marl.workload.history import class_demand, class_marks, demand_notes, draw_work
from tests.unit.marl.workload.handmade import S, job, joined, usage, write


def by_class(demand, name, column):
    return demand.filter(workload_class=name).sort("window_us")[column].to_numpy()


def test_measured_demand_is_the_usage_of_each_class(tmp_path):
    jobs = [
        job(1, 600, None, scheduling_class=3, tasks=2),
        job(2, 1500, 3000, cpu=0.1),
        job(3, 600, 6600, cpu=0.05),
    ]
    rows = joined(jobs)
    at = range(600, 6600, 300)
    rows["usage"] = [usage(1, t, 0.02, index=i) for t in at for i in (0, 1)]
    rows["usage"] += [usage(2, t, 0.05) for t in range(1500, 3000, 300)]
    rows["usage"] += [usage(3, t, 0.01) for t in at]
    tables = write(tmp_path, **rows)
    demand = class_demand(tables, classify(tables))
    assert demand["window_us"].unique().len() == 20
    assert not demand["is_imputed"].any()
    assert by_class(demand, "web", "cpu_ncu") == pytest.approx(np.full(20, 0.04))
    expected = np.full(20, 0.01)
    expected[3:8] += 0.05
    assert by_class(demand, "batch", "cpu_ncu") == pytest.approx(expected)
    assert by_class(demand, "ml", "cpu_ncu").sum() == 0
    total = sum(row["cpu_usage_ncu"] for row in rows["usage"])
    assert demand["cpu_ncu"].sum() == pytest.approx(total)
    assert by_class(demand, "batch", "collection_arrivals").nonzero()[0].tolist() == [0, 3]
    assert by_class(demand, "batch", "running_tasks") == pytest.approx(1.0 * (expected > 0.02) + 1)
    assert demand_notes(tables, demand) == ()


def test_without_usage_demand_is_requests_times_the_stated_share(tmp_path):
    jobs = [job(1, 600, 5100, cpu=0.1, memory=0.2), job(2, 2100, 2400, tasks=4, cpu=0.05)]
    tables = write(tmp_path, **joined(jobs))
    config = WorkloadConfig(usage_per_request=0.4)
    demand = class_demand(tables, classify(tables), config)
    expected = np.full(15, 0.1)
    expected[5] += 0.2
    assert by_class(demand, "batch", "requested_cpu_ncu") == pytest.approx(expected)
    assert by_class(demand, "batch", "cpu_ncu") == pytest.approx(expected * 0.4)
    assert by_class(demand, "batch", "memory_nmu")[0] == pytest.approx(0.2 * 0.4)
    assert demand["is_imputed"].all()
    notes = demand_notes(tables, demand)
    assert any("no usage" in note for note in notes)
    assert any("100.0% of the windows lack measured usage" in note for note in notes)


def test_a_class_learns_its_share_from_measured_training_windows(tmp_path):
    """Usage is a quarter of the request while measured; later windows are imputed with that."""
    rows = joined([job(1, 600, 600 + 40 * 300, cpu=0.2)])
    rows["usage"] = [usage(1, 600 + 300 * k, 0.05) for k in range(20)]
    tables = write(tmp_path, **rows)
    demand = class_demand(tables, classify(tables))
    assert by_class(demand, "batch", "cpu_ncu") == pytest.approx(np.full(40, 0.05), rel=1e-6)
    assert by_class(demand, "batch", "is_imputed").tolist() == [False] * 20 + [True] * 20


def test_a_handful_of_usage_rows_does_not_pass_for_a_measurement(tmp_path):
    """As in the 2011 sample: one window with usage of a few tasks among many."""
    rows = joined([job(1, 600, 600 + 40 * 300, tasks=20, cpu=0.01)])
    rows["usage"] = [usage(1, 600, 0.005, index=i) for i in range(3)]
    tables = write(tmp_path, **rows)
    demand = class_demand(tables, classify(tables))
    assert demand["is_imputed"].all()
    assert by_class(demand, "ml", "cpu_ncu") == pytest.approx(np.full(40, 0.2 * 0.5))


def test_jobs_whose_tasks_are_not_shown_get_the_work_of_jobs_alike(tmp_path):
    known = [job(i, 600 + 20 * i, 1200 + 20 * i, tasks=3, cpu=0.1) for i in range(1, 31)]
    rows = joined([*known, job(50, 600, 12_000, cpu=0.0)])  # the last one only fills the time
    unknown = [job(100 + i, 9000 + 20 * i, 9600 + 20 * i) for i in range(30)]
    rows["collections"] += [row for one, _ in unknown for row in one]
    tables = write(tmp_path, **rows)
    demand = class_demand(tables, classify(tables), WorkloadConfig(train_share=0.5))
    requested = by_class(demand, "batch", "requested_cpu_ncu")
    area = 30 * 600 / 300 * 3 * 0.1  # jobs × windows × tasks × NCU
    late = requested[(9000 - 600) // 300 :]
    assert late.sum() == pytest.approx(area)
    assert by_class(demand, "batch", "drawn_share")[29] > 0.9
    assert by_class(demand, "batch", "drawn_share")[2] == 0.0


def test_nobody_in_the_held_out_part_gives_work():
    base = {
        "workload_class": "batch",
        "is_snapshot": False,
        "lifetime_s": 100.0,
        "cpu_request_ncu": 0.1,
        "memory_request_nmu": 0.1,
        "busy_share": 1.0,
    }
    rows = [{**base, "start_us": i * S, "tasks": 1} for i in range(50)]
    rows += [{**base, "start_us": (100 + i) * S, "tasks": 999} for i in range(50)]
    rows += [{**base, "start_us": 10 * S, "tasks": None, "cpu_request_ncu": None}]
    found = draw_work(pl.DataFrame(rows), 100 * S, np.random.default_rng(0))
    assert found["tasks"][-1] == 1
    assert found["is_drawn"].to_list() == [False] * 100 + [True]
    assert found["cpu_request_ncu"].null_count() == 0


def test_marks_leave_out_what_ran_before_the_trace(tmp_path):
    jobs = [job(1, 0, 3600, is_snapshot=True), job(2, 700, 1000), job(3, 800, None)]
    tables = write(tmp_path, **joined(jobs))
    marks = class_marks(tables, classify(tables))
    assert marks["collection_id"].to_list() == [2, 3]
    assert marks["lifetime_s"].to_list() == [300.0, 2800.0]
    assert marks["is_censored"].to_list() == [False, True]
    demand = class_demand(tables, classify(tables))
    assert by_class(demand, "batch", "collection_arrivals").sum() == 2
    assert by_class(demand, "batch", "running_tasks")[0] > 1  # the snapshot job runs all the same


def test_missing_tables(tmp_path):
    with pytest.raises(ValueError, match="all empty"):
        class_demand(
            write(tmp_path / "none"),
            pl.DataFrame(schema={"collection_id": pl.Int64, "workload_class": pl.String}),
        )
    rows = joined([job(1, 600, 6000, cpu=0.1)])
    only = write(tmp_path / "instances", instances=rows["instances"])
    demand = class_demand(only, classify(only))
    assert by_class(demand, "batch", "cpu_ncu")[0] == pytest.approx(0.05)
    assert any("no collection events" in note for note in demand_notes(only, demand))
    # As an asset without the instances table asks: demand_windows tells the stretch.
    without = {name: only[name] for name in ("demand_windows", "task_profiles")}
    assert class_demand(without, classify(without)).equals(class_demand(only, classify(only)))
    alone = write(tmp_path / "usage", usage=[usage(1, 600 + 300 * k, 0.03) for k in range(20)])
    demand = class_demand(alone, classify(alone))
    assert demand["cpu_ncu"].sum() == pytest.approx(0.6)
    assert not demand["is_imputed"].any()


def test_too_short_a_trace_is_refused_with_its_length(tmp_path):
    tables = write(tmp_path, **joined([job(1, 600, 1800)]))
    with pytest.raises(ValueError, match=r"4 windows.*at least 10"):
        class_demand(tables, classify(tables))
