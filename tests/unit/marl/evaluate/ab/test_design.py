"""Plans: what they add to one look at the end, and what they refuse."""

import numpy as np
import pytest
from scipy import stats

from marl.evaluate.ab import always_valid, group_sequential, sd_limit
from marl.evaluate.statistics import episodes_needed


def test_four_looks_cost_little_more_than_one():
    one = group_sequential(1.0, 0.2, looks=1, futility=0.0)
    # For a mean the t-test's efficiency is 1, and z² / 2 is there for the estimated deviation.
    assert abs(one.episodes[-1] - episodes_needed(1.0, 0.2, efficiency=1.0)) <= 1
    four = group_sequential(1.0, 0.2, looks=4, futility=0.0)
    assert 1.0 < four.episodes[-1] / one.episodes[-1] < 1.05
    assert four.episodes[:3] == tuple(np.ceil(four.episodes[3] * np.array([0.25, 0.5, 0.75])))
    assert four.expected_episodes < one.episodes[-1]
    assert group_sequential(1.0, 0.2).episodes[-1] > four.episodes[-1]  # pays for giving up
    pocock = group_sequential(1.0, 0.2, method="pocock")
    assert pocock.critical[0] < four.critical[0]
    assert pocock.episodes[-1] > four.episodes[-1]


def test_the_end_of_the_always_valid_plan_is_just_far_enough():
    plan = always_valid(2.0, 0.5, looks=10)
    last, critical = plan.episodes[-1], plan.critical[-1]
    assert stats.norm.sf(critical - 0.25 * last**0.5) == pytest.approx(0.8, abs=0.01)
    assert plan.single_look_episodes < last
    assert plan.expected_episodes < last


def test_what_does_not_vary_is_looked_at_all_the_same():
    for plan in (group_sequential(0.0, 1.0), always_valid(0.0, 1.0, looks=4)):
        assert plan.episodes == (8, 16, 24, 32)


def test_the_limit_of_a_deviation_holds_as_often_as_it_says():
    rng = np.random.default_rng(0)
    limits = [sd_limit(sample.std(ddof=1), 20) for sample in rng.normal(size=(4000, 20))]
    assert np.mean(np.array(limits) > 1.0) == pytest.approx(0.8, abs=0.02)
    with pytest.raises(ValueError, match="at least 2 episodes"):
        sd_limit(1.0, 1)


def test_nonsense_is_refused():
    for plan in (group_sequential, always_valid):
        with pytest.raises(ValueError, match="effect > 0"):
            plan(1.0, 0.0)
        with pytest.raises(ValueError, match="over 10,000,000 episodes: ask for more"):
            plan(1.0, 1e-5)
        with pytest.raises(ValueError, match=r"power in \(alpha, 1\)"):
            plan(1.0, 1.0, power=0.01)
        with pytest.raises(ValueError, match="looks must be"):
            plan(1.0, 1.0, looks=0)
    with pytest.raises(ValueError, match="futility must be"):
        group_sequential(1.0, 1.0, futility=0.6)
