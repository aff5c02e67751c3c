"""Decisions while episodes come: each reason by hand, error rates and power by simulation."""

import numpy as np
import pytest
from scipy import stats

from marl.evaluate.ab import Guard, always_valid, group_sequential, monitor
from marl.evaluate.ab.monitor import repeated_interval, standardised

TRIALS = 1000
ERROR = 2 * (0.05 * 0.95 / TRIALS) ** 0.5  # two Monte-Carlo standard errors of 5 %
PLANS = {
    "obrien-fleming": group_sequential(1.0, 0.3),
    "pocock": group_sequential(1.0, 0.3, method="pocock"),
    "eight looks": group_sequential(1.0, 0.3, looks=8),
    "no futility": group_sequential(1.0, 0.3, futility=0.0),
    "msprt": always_valid(1.0, 0.3, looks=12),
}
CASES = [*((name, "normal") for name in PLANS), ("obrien-fleming", "skewed"), ("pocock", "skewed")]


def decide(plan, values, guards=(), **options):
    """The verdict on arrays metric → all differences; an array alone is the metric's."""
    values = values if isinstance(values, dict) else {"reward": values}
    source = lambda n: {name: array[:n] for name, array in values.items()}  # noqa: E731
    return monitor(plan, source, "reward", guards, **options)


def noise(rng, kind, shape):
    """Of mean zero and standard deviation one."""
    return rng.normal(size=shape) if kind == "normal" else 2.0 - rng.gamma(4.0, 0.5, shape)


def told(verdict):
    return str(verdict.decision), verdict.reason, len(verdict.looks)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_equal_policies_are_shipped_or_called_worse_no_more_often_than_alpha(name, kind):
    plan, rng = PLANS[name], np.random.default_rng(1)
    found = [told(decide(plan, path))[1] for path in noise(rng, kind, (TRIALS, plan.episodes[-1]))]
    shipped, worse = np.mean([f == "better" for f in found]), np.mean([f == "worse" for f in found])
    assert shipped + worse <= 0.05 + ERROR
    # Of skewed differences few episodes tell little: shipped more often, called worse less.
    assert shipped <= (0.05 if kind == "skewed" else 0.025 + ERROR)


def test_looking_without_a_plan_would_not_keep_alpha():
    rng, plan = np.random.default_rng(1), PLANS["eight looks"]
    paths = rng.normal(size=(TRIALS, plan.episodes[-1]))
    p_values = [stats.ttest_1samp(paths[:, :n], 0, axis=1).pvalue for n in plan.episodes]
    assert np.mean(np.min(p_values, axis=0) < 0.05) > 0.14


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_better_policy_is_shipped_with_the_planned_power(name, kind):
    plan, rng = PLANS[name], np.random.default_rng(2)
    found = [decide(plan, 0.3 + noise(rng, kind, plan.episodes[-1])) for _ in range(TRIALS)]
    power = np.mean([verdict.decision == "SHIP" for verdict in found])
    allowed = 2 * (0.8 * 0.2 / TRIALS) ** 0.5
    # Skewed to the left, a gain is told from luck a little later than the normal says.
    assert power >= 0.8 - allowed - (0.06 if kind == "skewed" else 0.0)
    seen = np.mean([verdict.looks[-1].episodes for verdict in found])
    assert seen == pytest.approx(plan.expected_episodes, rel=0.08)


def test_repeated_intervals_cover_at_all_looks_together():
    plan, rng = PLANS["obrien-fleming"], np.random.default_rng(3)
    covered = 0
    for path in 0.2 + rng.normal(size=(TRIALS, plan.episodes[-1])):
        ends = [
            repeated_interval(path[:n], c)
            for n, c in zip(plan.episodes, plan.critical, strict=True)
        ]
        covered += all(lo <= 0.2 <= hi for _, lo, hi in ends)
    assert covered / TRIALS >= 0.95 - ERROR


def test_small_samples_are_standardised_by_their_p_value():
    d = np.array([0.3, -0.1, 0.5, 0.2, 0.4, -0.2, 0.1, 0.6])
    level = np.r_[d, 2 * d.mean() - d]  # symmetric: no skewness to correct
    p = stats.ttest_1samp(level, 0).pvalue
    assert standardised(level) == pytest.approx(stats.norm.isf(p / 2), abs=1e-9)
    assert standardised(-d) == pytest.approx(-standardised(d))
    left = 1.0 - np.array([0.0, 0.1, 0.1, 0.2, 0.3, 0.5, 0.9, 2.9])
    assert 0 < standardised(left) < stats.norm.isf(stats.ttest_1samp(left, 0).pvalue / 2)
    assert standardised(np.zeros(8)) == 0
    assert standardised(np.full(8, 0.1)) > 30
    # The interval ends where the statistic is at the boundary.
    for sample in (d, left, level):
        _, lo, hi = repeated_interval(sample, 2.5)
        assert standardised(sample - lo) == pytest.approx(2.5, abs=1e-7)
        assert standardised(sample - hi) == pytest.approx(-2.5, abs=1e-7)


def test_every_reason_by_hand():
    plan = PLANS["obrien-fleming"]
    rng = np.random.default_rng(0)
    path = rng.normal(size=plan.episodes[-1])
    path = (path - path.mean()) / path.std()
    assert told(decide(plan, path + 3)) == ("SHIP", "better", 1)
    assert told(decide(plan, path - 3)) == ("KEEP", "worse", 1)
    assert told(decide(plan, 0.0 * path)) == ("KEEP", "no difference", 1)
    level = np.tile([1.0, -1.0], 60)  # no difference at any look
    verdict = decide(plan, level)
    assert told(verdict) == ("KEEP", "futile", 3)
    assert verdict.looks[1].conditional_power >= 0.1 > verdict.looks[2].conditional_power
    assert verdict.episodes_left == plan.episodes[-1] - plan.episodes[2]
    assert told(decide(PLANS["no futility"], level)) == ("KEEP", "not shown", 4)
    verdict = decide(plan, level, max_episodes=plan.episodes[2] - 1)
    assert told(verdict) == ("CONTINUE", "episodes left", 2)


def test_guards_must_be_held_to_ship():
    plan = PLANS["obrien-fleming"]
    rng = np.random.default_rng(0)
    better, wild = (rng.normal(m, 1, plan.episodes[-1]) for m in (3.0, 0.0))
    wild = wild - wild.mean()
    guard = Guard(metric="cost_usd", margin=0.5)

    def reason(cost, **options):
        return told(decide(plan, {"reward": better, "cost_usd": cost}, (guard,), **options))

    assert reason(0.01 * wild) == ("SHIP", "better", 1)
    assert reason(0.01 * wild - 1.0) == ("KEEP", "guard broken", 1)
    decision, why, looks = reason(wild)  # needs some looks to be sure of the guard
    assert (decision, why) == ("SHIP", "better")
    assert looks > 1
    assert reason(wild, max_episodes=plan.episodes[0]) == ("CONTINUE", "guard open", 1)
    assert reason(5 * wild - 0.4) == ("KEEP", "guard open", 4)
    strict = (Guard(metric="cost_usd", margin=0.0),)
    same = {"reward": better, "cost_usd": 0 * wild}
    assert told(decide(plan, same, strict)) == ("SHIP", "better", 1)  # no worse at all


def test_a_policy_that_is_worse_by_more_than_the_margin_is_hardly_ever_shipped():
    """However good the metric: the guard's error rate holds over all looks."""
    plan, rng = PLANS["obrien-fleming"], np.random.default_rng(4)
    guard = (Guard(metric="slo_attainment", margin=0.2),)
    shipped = 0
    for _ in range(TRIALS):
        reward, level = rng.normal(1, 1, plan.episodes[-1]), rng.normal(-0.2, 1, plan.episodes[-1])
        verdict = decide(plan, {"reward": reward, "slo_attainment": level}, guard)
        shipped += verdict.decision == "SHIP"
    assert shipped / TRIALS <= 0.025 + ERROR


def test_nonsense_is_refused():
    plan = PLANS["obrien-fleming"]
    with pytest.raises(ValueError, match="the first look needs 24 episodes and at most 9"):
        decide(plan, np.ones(100), max_episodes=9)
    with pytest.raises(ValueError, match="reward holds values that are not finite"):
        decide(plan, np.full(100, np.nan))
