"""The signed-rank test against scipy, Holm's correction by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from marl.evaluate.statistics import both_p, holm, mean_p, signed_rank_p, signed_rank_ps
from marl.evaluate.statistics.significance import hall_inverse, hall_transform
from tests.unit.marl.evaluate.statistics.frames import draws


@pytest.mark.parametrize("n", [6, 20, 50, 80])
def test_the_signed_rank_test_is_scipys(n):
    a, b = draws(n)
    assert signed_rank_p(b - a) == stats.wilcoxon(b, a).pvalue
    assert signed_rank_p(np.zeros(n)) == 1.0


@pytest.mark.parametrize("seed", range(6))
def test_few_pairs_with_ties_are_scipys_too(seed):
    d = np.random.default_rng(seed).integers(-2, 5, 9 + seed % 5).astype(float)
    assert signed_rank_p(d) == pytest.approx(
        stats.wilcoxon(d, zero_method="pratt").pvalue, abs=1e-12
    )


def test_many_at_once_are_one_by_one():
    rng = np.random.default_rng(0)
    samples = [rng.normal(0.1, 1, n) for n in (12, 50, 64, 64, 64, 80)]
    samples[3] = np.round(samples[3])  # ties and zeros
    samples.append(np.zeros(64))
    expected = [signed_rank_p(sample) for sample in samples]
    assert signed_rank_ps(samples) == pytest.approx(expected, abs=1e-15)


def test_holm_by_hand_and_in_the_order_given():
    # Sorted .01 .02 .03 .04 → ×4 ×3 ×2 ×1 → .04 .06 .06 .04 → running maximum .04 .06 .06 .06.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert holm([0.2]).tolist() == [0.2]
    assert holm([]).tolist() == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_the_raw_and_bonferronis_and_keeps_the_order(p):
    adjusted = holm(p)
    assert (adjusted >= np.array(p) - 1e-12).all()
    assert (adjusted <= np.minimum(np.array(p) * len(p), 1) + 1e-12).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()


def test_the_means_test_is_students_where_nothing_is_skewed():
    d = np.array([-1.0, 0.0, 1.0]) + 0.5
    assert mean_p(d) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=1e-12)
    assert mean_p(np.zeros(9)) == 1.0
    assert mean_p(np.full(9, 0.1)) == 0.0
    assert mean_p(np.array([3.0])) == 1.0


def test_the_means_test_by_hand():
    d = np.array([0.0, 0.0, 0.0, 4.0])  # mean 1, sd 2, T 1; skewness 1.1547, over √4 → .57735
    g = 1 + 0.57735 / 3 + 0.57735**2 / 27 + 0.57735 / 6
    assert mean_p(d) == pytest.approx(2 * stats.t.sf(g, 3), abs=1e-5)


def test_the_means_test_keeps_its_level_where_students_does_not():
    rng = np.random.default_rng(0)
    samples = 2.0 - rng.gamma(4.0, 0.5, (6000, 64))
    above = samples.mean(1) > 0
    called = np.mean([mean_p(sample) < 0.02 for sample in samples] & above)
    students = np.mean((stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.02) & above)
    assert called <= 0.01 + 2 * (0.01 / 6000) ** 0.5
    assert students > 0.014


def test_both_tests_must_find_it_and_agree():
    a, b = draws(60, shift=0.2)
    d = b - a
    assert both_p(d, signed_rank_p(d)) == max(signed_rank_p(d), mean_p(d)) < 0.05
    # Many small gains, a few great losses: ranks say up, the mean says down.
    torn = np.r_[np.full(50, 1.0) + rng_noise(50), np.full(10, -60.0) + rng_noise(10)]
    assert signed_rank_p(torn) < 0.05
    assert mean_p(torn) < 0.05
    assert both_p(torn, signed_rank_p(torn)) == 1.0
    assert both_p(np.zeros(60), 1.0) == 1.0
    assert both_p(np.full(60, 0.1), 1e-9) == 1e-9


def rng_noise(n):
    return 0.1 * np.random.default_rng(n).normal(size=n)


@given(st.floats(-8, 8), st.floats(-0.8, 0.8))
def test_halls_transformation_has_its_inverse(t, r):
    assert hall_inverse(hall_transform(t, r), r) == pytest.approx(
        t, abs=1e-6 + 1e-3 * (abs(r) < 1e-4)
    )
