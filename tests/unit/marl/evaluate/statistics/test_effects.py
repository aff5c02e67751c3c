"""Effect sizes by hand, against scipy and against rliable."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rliable import metrics
from scipy import stats

from marl.evaluate.statistics import (
    cohens_d_z,
    improvement_interval,
    interquartile_mean,
    probability_of_improvement,
    rank_biserial,
)
from tests.unit.marl.evaluate.statistics.frames import draws

WHOLE = st.lists(st.integers(-5, 5), min_size=2, max_size=30).map(lambda v: np.array(v, float))


def test_d_z_is_the_t_statistic_over_root_n():
    a, b = draws(50, shift=0.1)
    assert cohens_d_z(b - a) == pytest.approx(stats.ttest_rel(b, a).statistic / 50**0.5, abs=1e-12)
    assert cohens_d_z(np.zeros(5)) == 0
    assert cohens_d_z(np.full(5, 0.1)) is None
    assert cohens_d_z(np.array([2.0])) is None


def test_rank_biserial_by_hand_and_from_scipys_rank_sum():
    # |d| 1 2 3 4 have ranks 1 2 3 4; favourable 1 + 3 + 4 = 8, unfavourable 2: (8 − 2)/10.
    assert rank_biserial(np.array([1.0, -2.0, 3.0, 4.0, 0.0])) == pytest.approx(0.6)
    a, b = draws(60, shift=0.1)
    smaller = stats.wilcoxon(b, a).statistic  # the smaller of the two rank sums
    assert abs(rank_biserial(b - a)) == pytest.approx(1 - 2 * smaller / (60 * 61 / 2), abs=1e-12)


@given(WHOLE)
def test_effects_turn_with_the_sides(difference):
    assert rank_biserial(-difference) == pytest.approx(-rank_biserial(difference))
    assert -1 <= rank_biserial(difference) <= 1
    other = probability_of_improvement(-difference)
    assert probability_of_improvement(difference) == pytest.approx(1 - other)
    found = improvement_interval(difference)
    assert 0 <= found.lo <= found.estimate <= found.hi <= 1
    mirrored = improvement_interval(-difference)
    assert (found.lo, found.hi) == pytest.approx((1 - mirrored.hi, 1 - mirrored.lo), abs=1e-9)


def test_equal_to_rliable_on_the_same_numbers():
    """Its tasks are our episodes; with more training seeds a task has as many runs."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, 40).astype(float), rng.integers(1, 10, 40).astype(float)
    theirs = metrics.probability_of_improvement(b[None], a[None])
    assert probability_of_improvement(b - a) == pytest.approx(theirs, abs=1e-12)
    scores = rng.normal(size=(30, 5))
    assert interquartile_mean(scores, axis=None) == pytest.approx(
        metrics.aggregate_iqm(scores), abs=1e-12
    )


def test_the_intervals_ends_without_ties_are_wilsons():
    won = np.r_[np.ones(45), -np.ones(19)]
    theirs = stats.binomtest(45, 64).proportion_ci(method="wilson")
    found = improvement_interval(won)
    assert (found.lo, found.hi) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    itself = improvement_interval(np.zeros(64))
    assert (itself.lo, itself.estimate, itself.hi) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(("won", "ties"), [(0.5, 0.0), (0.9, 0.0), (0.6, 0.3)])
def test_the_probabilitys_interval_covers_it(won, ties):
    rng = np.random.default_rng(1)
    outcomes = rng.choice(
        [1.0, 0.0, -1.0], (4000, 64), p=[won * (1 - ties), ties, (1 - won) * (1 - ties)]
    )
    truth = won * (1 - ties) + ties / 2
    found = [improvement_interval(one) for one in outcomes]
    assert 0.93 <= np.mean([f.lo <= truth <= f.hi for f in found]) <= 0.97
