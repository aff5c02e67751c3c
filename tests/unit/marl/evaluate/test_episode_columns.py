"""What an operator asks for, worked by hand from an episode's sums."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marl.evaluate.episode_columns import DERIVED, with_derived

EPISODE = {
    "steps": 288, "hours": 24.0, "cost_usd": 100.0, "cost_traffic_usd": 20.0,
    "cost_spot_usd": 10.0, "cost_committed_usd": 25.0, "cost_capacity_usd": 80.0, "slack_usd": 20.0,
    "used_compute": 14_400.0, "capacity_compute": 100.0,
    "requests_served": 864_000.0, "dropped": 96_000.0, "steps_up": 216.0,
    "work_done_batch": 2_880.0, "work_done_ml": 576.0,
    "due_web": 1000.0, "late_web": 0.0, "due_batch": 500.0, "late_batch": 250.0,
    "due_ml": 0.0, "late_ml": 0.0,
    "preemptions": 8.0, "preemptions_survived": 6.0, "changes": 48.0,
    "steps_in_violation": 72.0, "steps_over_budget": 36.0,
}  # fmt: skip


def derived(**changes):
    return with_derived(pl.DataFrame([EPISODE | changes])).row(0, named=True)


def test_a_day_by_hand():
    row = derived()
    assert row["cost_on_demand_usd"] == 45.0  # 80 of capacity, 10 spot, 25 committed
    parts = ("on_demand", "spot", "committed", "traffic")
    assert sum(row[f"cost_{part}_usd"] for part in parts) == row["cost_usd"]
    assert row["slack"] == 0.25  # 20 of 80 USD of capacity bought nothing
    assert row["slack_compute"] == 0.5  # 14,400 of 28,800 vCPU × steps used
    assert row["slack_vcpu_h"] == 1200.0  # half of 100 vCPU over 24 h
    assert row["availability"] == 0.9
    assert row["up_share"] == 0.75
    assert row["requests_per_s"] == 10.0  # 864,000 in 86,400 s
    assert row["done_batch_vcpu_h"] == 240.0  # 2,880 vCPU × 5 min
    assert row["done_ml_vcpu_h"] == 48.0
    assert row["service_level_web"] == 1.0
    assert row["service_level_batch"] == 0.5
    assert row["service_level_ml"] == 1.0  # nothing due, nothing late
    assert row["deadline_miss_share"] == 0.5
    # ML had nothing due: two classes, (1 + .5)² / (2 · (1 + .25)).
    assert row["fairness"] == pytest.approx(0.9)
    assert row["preemption_survival"] == 0.75
    assert row["changes_per_h"] == 2.0
    assert row["violation_share"] == 0.25
    assert row["over_budget_share"] == 0.125


def test_nothing_bought_asked_or_lost():
    row = derived(
        requests_served=0.0, dropped=0.0, preemptions=0.0, preemptions_survived=0.0,
        due_web=0.0, due_batch=0.0, late_batch=0.0, cost_capacity_usd=0.0, slack_usd=0.0,
        capacity_compute=0.0, used_compute=0.0,
    )  # fmt: skip
    ones = ("availability", "preemption_survival", "fairness", "service_level_batch")
    assert [row[name] for name in ones] == [1.0] * 4
    assert [row[name] for name in ("slack", "slack_compute", "deadline_miss_share")] == [0.0] * 3


def test_one_class_that_gets_everything_is_a_third_fair():
    row = derived(due_ml=10.0, late_ml=10.0, late_batch=500.0)
    assert row["fairness"] == pytest.approx(1 / 3)
    assert derived(due_ml=10.0, late_ml=10.0, late_batch=500.0, late_web=1000.0)["fairness"] == 1.0


LEVELS = st.lists(st.floats(0, 1), min_size=3, max_size=3)


@given(LEVELS, st.floats(0.01, 1))
def test_fairness_lies_between_a_third_and_one_and_knows_no_scale(levels, scale):
    def fairness(values):
        classes = ("web", "batch", "ml")
        late = {f"late_{c}": 100 * (1 - v) for c, v in zip(classes, values, strict=True)}
        return derived(due_web=100.0, due_batch=100.0, due_ml=100.0, **late)["fairness"]

    assert 1 / 3 - 1e-9 <= fairness(levels) <= 1 + 1e-9
    if max(levels) > 0.01:
        scaled = fairness([scale * level for level in levels])
        assert scaled == pytest.approx(fairness(levels), rel=1e-6)
    assert fairness([levels[0]] * 3) == pytest.approx(1.0)


def test_columns_without_sources_are_left_out():
    frame = pl.DataFrame({"steps": [1], "changes": [2.0]})
    assert with_derived(frame).equals(frame)
    assert "changes_per_h" in with_derived(frame.with_columns(hours=0.5)).columns
    assert len(DERIVED) == len(set(DERIVED) - set(EPISODE))
