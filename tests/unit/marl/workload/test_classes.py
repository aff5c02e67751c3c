"""Classing: each rule on a job made for it, and jobs whose tasks the trace does not show."""

import polars as pl
import pytest

from marl.workload.classes import RULES, classify, explain
from marl.workload.config import ClassRules
from tests.unit.marl.workload.handmade import job, joined, write

HOUR = 3600


def decided(tables, rules=None):
    found = classify(tables, rules)
    return {row["collection_id"]: (row["workload_class"], row["rule"]) for row in found.to_dicts()}


def filler(first=100, count=10):
    """Small short batch jobs, so that quantiles of requests mean something."""
    return [job(first + i, 600 + i, 700 + i, cpu=0.001, memory=0.001) for i in range(count)]


def test_each_rule_on_a_job_made_for_it(tmp_path):
    long, gang = 600 + 2 * HOUR, {"tasks": 10, "cpu": 0.1, "memory": 0.1}
    jobs = [
        job(1, 600, long, tier="production"),
        job(2, 600, 900, tier="production"),  # production, but short and not sensitive
        job(3, 600, 900, tier="monitoring", scheduling_class=2),
        job(4, 600, 900, scheduling_class=3),
        job(5, 600, long, scheduling_class=2),
        job(6, 600, 900, scheduling_class=2),  # sensitive, but short
        job(7, 600, 600 + HOUR, **gang),
        job(8, 600, 900, **gang),  # a gang, but short
        job(9, 600, 600 + HOUR, tasks=10, cpu=[0.1] * 9 + [0.5], memory=0.1),  # unequal
        job(10, 600, 600 + HOUR, tasks=10, cpu=0.0005, memory=0.0005),  # small
        job(11, 600, None, tier="production"),  # still running at the end
        *filler(),
    ]
    found = decided(write(tmp_path, **joined(jobs)))
    assert [found[number] for number in range(1, 12)] == [
        ("web", "serving_tier"),
        ("batch", "rest"),
        ("web", "serving_tier"),
        ("web", "latency_sensitive"),
        ("web", "latency_sensitive"),
        ("batch", "rest"),
        ("ml", "training_gang"),
        ("batch", "rest"),
        ("batch", "rest"),
        ("batch", "rest"),
        ("web", "serving_tier"),
    ]


def test_thresholds_are_configuration(tmp_path):
    jobs = [job(7, 600, 4200, tasks=4, cpu=0.1, memory=0.1), *filler()]
    tables = write(tmp_path, **joined(jobs))
    assert decided(tables)[7][0] == "batch"
    assert decided(tables, ClassRules(gang_tasks=4))[7][0] == "ml"


def test_jobs_without_tasks_follow_their_program_then_their_peers(tmp_path):
    seen = [
        job(1, 600, 600 + HOUR, tasks=10, cpu=0.1, memory=0.1, logical_name="train"),
        *[job(10 + i, 600, 700, scheduling_class=0) for i in range(30)],
        *[job(50 + i, 600, 700, scheduling_class=1, tier="monitoring") for i in range(2)],
    ]
    rows = joined(seen)
    unseen = [
        job(200, 7000, 7300, logical_name="train"),
        *[job(300 + i, 7000, 7100, scheduling_class=0) for i in range(40)],
        job(400, 7000, 7100, scheduling_class=3),
        job(401, 600, 600 + 2 * HOUR, scheduling_class=1),
    ]
    rows["collections"] += [row for one, _ in unseen for row in one]
    found = decided(write(tmp_path, **rows))
    assert found[200] == ("ml", "same_program")
    assert {found[300 + i] for i in range(40)} == {("batch", "share_of_peers")}
    assert found[400] == ("web", "scheduling_class_only")
    assert found[401] == ("batch", "scheduling_class_only")


def test_drawn_shares_are_the_peers(tmp_path):
    """Two thirds of the peers are ML: so are about two thirds of 3,000 jobs without tasks."""
    gang = {"tasks": 8, "cpu": 0.1, "memory": 0.1}
    seen = [job(i, 600, 600 + 2 * HOUR, **gang) for i in range(1, 21)]
    seen += [job(i, 600, 600 + 2 * HOUR, cpu=0.001, memory=0.001) for i in range(21, 31)]
    rows = joined(seen)
    rows["collections"] += [
        row for i in range(3000) for row in job(10_000 + i, 700, 700 + 2 * HOUR)[0]
    ]
    drawn = classify(write(tmp_path, **rows)).filter(rule="share_of_peers")
    assert drawn.height == 3000
    assert (drawn["workload_class"] == "ml").mean() == pytest.approx(2 / 3, abs=0.04)


def test_alloc_sets_have_no_class(tmp_path):
    rows = joined([job(1, 600, 900), job(2, 600, 900)])
    for row in rows["collections"] + rows["instances"]:
        row["collection_type"] = "alloc_set" if row["collection_id"] == 2 else "job"
    assert classify(write(tmp_path, **rows))["collection_id"].to_list() == [1]


def test_every_job_has_one_class_and_the_table_of_rules_adds_up(tmp_path):
    jobs = [job(i, 600, 900, scheduling_class=i % 4) for i in range(1, 41)]
    found = classify(write(tmp_path, **joined(jobs)))
    assert found["collection_id"].to_list() == list(range(1, 41))
    table = explain(found)
    assert table["collections"].sum() == 40
    assert table["share"].sum() == pytest.approx(1)
    assert set(table["rule"]) == {rule.name for rule in RULES}
    assert table["reason"].str.len_chars().min() > 20


def test_without_profiles_the_error_says_what_to_make(tmp_path):
    with pytest.raises(FileNotFoundError, match="materialise task_profiles"):
        classify({"task_profiles": tmp_path / "nowhere"})


def test_classes_do_not_depend_on_the_order_of_rows(tmp_path):
    jobs = [job(i, 600 + i, 900 + i, scheduling_class=i % 4) for i in range(1, 30)]
    one = classify(write(tmp_path / "one", **joined(jobs)))
    two = classify(write(tmp_path / "two", **joined(jobs[::-1])))
    assert one.equals(two)
    assert one.schema == {
        "collection_id": pl.Int64,
        "workload_class": pl.String,
        "rule": pl.String,
    }
