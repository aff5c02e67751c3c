"""Ready questions over demand_windows, machines and usage: answers worked out by hand."""

import pytest

from tests.unit.sql.answers import ask, job, only, window


def test_slack_by_tier(tmp_path):
    def row(minute, request, usage, **more):
        amounts = {"running_cpu_request_ncu": request, "cpu_usage_ncu": usage}
        memory = {"running_memory_request_nmu": 2 * request, "memory_usage_nmu": usage}
        return window(minute, **amounts, **memory, **more)

    answer = ask(
        tmp_path,
        "slack_by_tier",
        demand_windows=[
            row(0, 1.2, 0.3),
            row(5, 1.2, 0.9, scheduling_class=3),
            row(10, 1.2, None),  # usage is not covered: neither counts
            row(0, 0.0, 0.12, tier="free"),
        ],
    )
    assert answer["tier"].to_list() == ["free", "production"]
    found = only(answer, tier="production")
    assert found["requested_ncu_h"] == pytest.approx(0.2)
    assert found["used_ncu_h"] == pytest.approx(0.1)
    assert found["relative_cpu_slack"] == pytest.approx(0.5)
    assert found["relative_memory_slack"] == pytest.approx(0.75)
    assert only(answer, tier="free")["relative_cpu_slack"] is None


def test_arrivals_by_hour(tmp_path):
    answer = ask(
        tmp_path,
        "arrivals_by_hour",
        demand_windows=[
            window(0, collection_arrivals=3, instance_arrivals=10),
            window(0, collection_arrivals=1, instance_arrivals=0, tier="free"),
            window(5, collection_arrivals=0, instance_arrivals=2),
            window(24 * 60, collection_arrivals=5),  # the next day; tasks are not covered
            window(60, collection_arrivals=3, instance_arrivals=0),
        ],
    )
    midnight = only(answer, hour_of_day=0)
    assert midnight["days"] == 2
    assert midnight["jobs_per_hour"] == pytest.approx(9 / (3 / 12))
    assert midnight["tasks_per_hour"] == pytest.approx(12 / (2 / 12))
    assert midnight["share_of_jobs"] == pytest.approx(9 / 12)
    assert only(answer, hour_of_day=1)["tasks_per_hour"] == 0
    assert answer.height == 2


def test_arrival_dispersion(tmp_path):
    counts = [1, 3] * 6
    rows = [window(5 * place, collection_arrivals=count - 1) for place, count in enumerate(counts)]
    rows += [window(5 * place, collection_arrivals=1, tier="free") for place in range(12)]
    rows.append(window(60, collection_arrivals=2))  # begins an hour that is not seen whole
    answer = ask(tmp_path, "arrival_dispersion", demand_windows=rows)
    assert set(answer["arrivals"]) == {"jobs"}  # tasks are not covered
    five = only(answer, bin_minutes=5)
    assert (five["bins"], five["mean"]) == (13, 2)
    assert five["index_of_dispersion"] == pytest.approx(1 / 2)  # 12 deviations of 1 over 12
    quarter = only(answer, bin_minutes=15)  # 5 7 5 7
    assert (quarter["bins"], quarter["mean"]) == (4, 6)
    assert quarter["index_of_dispersion"] == pytest.approx(4 / 3 / 6)
    assert quarter["lag_1_autocorrelation"] == pytest.approx(-1)
    hour = only(answer, bin_minutes=60)
    assert (hour["bins"], hour["mean"], hour["lag_1_autocorrelation"]) == (1, 24, None)


def test_evictions_by_tier(tmp_path):
    answer = ask(
        tmp_path,
        "evictions_by_tier",
        demand_windows=[
            window(0, running_instances=12.0, evictions=1, failures=0),
            window(5, running_instances=12.0, evictions=2, failures=1),
            window(0, running_instances=0.0, evictions=0, failures=0, tier=None),
            window(9999, evictions=None, running_instances=None),
        ],
    )
    found = only(answer, tier="production")
    assert (found["task_hours"], found["evictions"], found["failures"]) == (2.0, 3, 1)
    assert found["evictions_per_1000_task_hours"] == 1500
    assert found["failures_per_1000_task_hours"] == 500
    assert only(answer, tier=None)["evictions_per_1000_task_hours"] is None


def test_resubmissions_by_tier(tmp_path):
    rows = [
        window(0, instance_arrivals=6, resubmissions=1),
        window(5, instance_arrivals=4, resubmissions=3),
    ]
    found = only(ask(tmp_path, "resubmissions_by_tier", demand_windows=rows), tier="production")
    assert (found["submissions"], found["new_tasks"], found["resubmissions"]) == (10, 6, 4)
    assert found["resubmissions_per_new_task"] == pytest.approx(4 / 6)


CAPACITIES = ("time_us", "machine_id", "event", "cpu_capacity_ncu", "memory_capacity_nmu")
MACHINES = [
    dict(zip(CAPACITIES, row, strict=True))
    for row in (
        (0, 1, "ADD", 0.5, 0.25),
        (0, 2, "ADD", 1.0, 1.0),
        (1800 * 10**6, 2, "REMOVE", 1.0, 1.0),
        (5400 * 10**6, 1, "UPDATE", 0.75, None),
        (9000 * 10**6, 2, "ADD", None, None),  # back, with its known capacity
    )
]


def test_capacity_follows_machines(tmp_path):
    rows = [window(60 * hour) for hour in range(4)]
    answer = ask(tmp_path, "FROM capacity ORDER BY hour", machines=MACHINES, demand_windows=rows)
    assert answer.rows() == [
        (0, 2, 1.5, 1.25),
        (1, 1, 0.5, 0.25),
        (2, 1, 0.75, 0.25),
        (3, 2, 1.75, 1.25),
    ]


def test_machine_utilisation(tmp_path):
    rows = [
        window(0, cpu_usage_ncu=0.2, memory_usage_nmu=0.5),
        window(0, cpu_usage_ncu=0.1, memory_usage_nmu=0.0, tier="free"),
        window(5, cpu_usage_ncu=0.6, memory_usage_nmu=0.5),
        window(60),
    ]
    answer = ask(tmp_path, "machine_utilisation", machines=MACHINES, demand_windows=rows)
    first = only(answer, hour=0)
    assert first["cpu_utilisation"] == pytest.approx(0.45 / 1.5)
    assert first["memory_utilisation"] == pytest.approx(0.5 / 1.25)
    assert only(answer, hour=1)["cpu_utilisation"] is None


def test_overcommit_by_tier(tmp_path):
    def row(minute, request, **more):
        return window(
            minute, running_cpu_request_ncu=request, running_memory_request_nmu=0.1, **more
        )

    rows = [row(0, 1.5), row(5, 0.5), row(5, 0.7, scheduling_class=0), row(0, 0.3, tier="free"),
            row(5, 0.3, tier="free")]  # fmt: skip
    answer = ask(tmp_path, "overcommit_by_tier", machines=MACHINES, demand_windows=rows)
    assert answer["tier"].to_list() == ["free", "production", "all"]
    assert only(answer, tier="production")["cpu_request_ncu"] == pytest.approx(2.7 / 2)
    assert only(answer, tier="all")["cpu_allocation"] == pytest.approx((2.7 + 0.6) / 2 / 1.5)
    assert only(answer, tier="free")["memory_allocation"] == pytest.approx(0.1 / 1.25)


def test_cpu_bursts(tmp_path):
    def row(collection, histogram, mean):
        columns = {"cpu_usage_histogram_ncu": histogram, "cpu_usage_ncu": mean}
        return {
            "collection_id": collection,
            "start_us": 0,
            "end_us": 1,
            "cpu_usage_max_ncu": 0.4,
        } | columns

    flat, rising = [0.2] * 11, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    usage = [
        row(1, flat, 0.2),
        row(1, rising, 0.1),
        row(1, [], 0.3),
        row(1, None, 0.3),
        row(2, flat, 0.0),
    ]
    answer = ask(tmp_path, "cpu_bursts", usage=usage, task_profiles=[job(1)])
    found = only(answer, tier="production")
    assert found["rows"] == 2
    assert found["p90_to_median"] == pytest.approx((1 + 9 / 5) / 2)
    assert found["max_to_mean"] == pytest.approx((2 + 4) / 2)
    assert only(answer, tier=None)["rows"] == 1
