"""Intervals against scipy and slow references on the same numbers, and their coverage."""

import numpy as np
import pytest
from scipy import stats

from marl.evaluate.statistics import interquartile_mean, paired_bootstrap, retraining_interval
from tests.unit.marl.evaluate.statistics.frames import draws


def test_interquartile_mean_by_hand_and_as_scipy_has_it():
    assert interquartile_mean(np.array([100.0, 2, 3, 4, 5, 6, 7, -90])) == pytest.approx(4.5)
    a, b = draws()
    assert interquartile_mean(b - a) == pytest.approx(stats.trim_mean(b - a, 0.25), abs=1e-12)


def test_the_means_interval_is_a_slow_bootstrap_t_on_the_same_draws():
    a, b = draws(40)
    d = b - a
    ours = paired_bootstrap(d, np.random.default_rng(5), resamples=300)
    t = [
        (d[picks].mean() - d.mean()) / (d[picks].std(ddof=1) / np.sqrt(40))
        for picks in np.random.default_rng(5).integers(0, 40, (300, 40))
    ]
    error = d.std(ddof=1) / np.sqrt(40)
    hi, lo = d.mean() - np.quantile(t, [0.025, 0.975]) * error
    assert (ours.estimate, ours.lo, ours.hi) == pytest.approx((d.mean(), lo, hi), abs=1e-12)


def test_the_means_interval_is_near_scipys_bca_where_nothing_is_skewed():
    a, b = draws(400)
    ours = paired_bootstrap(b - a, np.random.default_rng(0), resamples=8000)
    theirs = stats.bootstrap((b - a,), np.mean, n_resamples=8000, rng=np.random.default_rng(1))
    width = ours.hi - ours.lo
    assert (ours.lo, ours.hi) == pytest.approx(tuple(theirs.confidence_interval), abs=0.04 * width)


def test_the_interquartile_means_interval_is_scipys_on_the_same_draws():
    a, b = draws(61)
    d = np.sort(b - a)  # ours draws from ordered values, so in order both draw the same
    ours = paired_bootstrap(d, np.random.default_rng(5), statistic="iqm")
    theirs = stats.bootstrap(
        (d,),
        lambda x, axis: stats.trim_mean(x, 0.25, axis=axis),
        method="percentile",
        n_resamples=2000,
        rng=np.random.default_rng(5),
    )
    assert (ours.lo, ours.hi) == pytest.approx(tuple(theirs.confidence_interval), abs=1e-12)


def test_what_does_not_vary_has_no_width_and_few_episodes_have_students():
    rng = np.random.default_rng(0)
    for constant in (np.zeros(9), np.full(9, 0.1) + 1e-17, np.array([2.0])):
        found = paired_bootstrap(constant, rng)
        assert found.lo == found.hi == found.estimate
    few = paired_bootstrap(np.array([1.0, 2.0, 3.0]), rng)
    # Mean 2, standard error 1/√3, t quantile of two degrees of freedom 4.3027.
    assert (few.lo, few.hi) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-4)


def test_one_episode_that_differs_shows_nothing():
    """Every second resample or so has no spread: bootstrap-t would end at the estimate."""
    lonely = np.zeros(64)
    lonely[7] = 1.0
    found = paired_bootstrap(lonely, np.random.default_rng(0))
    assert found.lo == 0.0
    assert found.hi > found.estimate


def test_another_statistic_is_refused():
    with pytest.raises(ValueError, match='"mean" or "iqm"; got \'median\''):
        paired_bootstrap(np.arange(9.0), np.random.default_rng(0), statistic="median")


SKEWED = {"normal": stats.norm(), "skewness 1": stats.gamma(4), "skewness 2": stats.expon()}


@pytest.mark.parametrize("name", SKEWED)
@pytest.mark.parametrize("statistic", ["mean", "iqm"])
def test_the_95_percent_interval_covers_the_truth_as_often_as_it_says(name, statistic):
    """Skewed paired differences, as costs are; 64 episodes, the fewest any profile plays."""
    kind = SKEWED[name]
    middle = kind.expect(lb=kind.ppf(0.25), ub=kind.ppf(0.75)) * 2
    truth = kind.mean() if statistic == "mean" else middle
    rng = np.random.default_rng(2)
    trials = 1200
    samples = kind.rvs((trials, 64), random_state=rng)
    found = [paired_bootstrap(s, rng, statistic=statistic, resamples=400) for s in samples]
    assert 0.93 <= np.mean([f.lo <= truth <= f.hi for f in found]) <= 0.97


def test_a_policy_trained_anew_by_hand():
    """Rows differ by 2, columns by 1, no interaction: the variance is of the two effects alone."""
    found = retraining_interval(np.array([[0.0, 1.0], [2.0, 3.0]]))
    # A = E·Var(rows) = 2·2 = 4, B = S·Var(columns) = 2·.5 = 1, R = 0; (A + B)/(SE) = 5/4; both
    # effects have one degree of freedom.
    half = stats.t.ppf(0.975, 1) * np.sqrt(5 / 4)
    assert (found.estimate, found.hi) == pytest.approx((1.5, 1.5 + half))
    assert retraining_interval(np.ones((1, 9))) is None
    same = retraining_interval(np.ones((2, 9)))
    assert (same.lo, same.hi) == (1, 1)


@pytest.mark.parametrize(("seeds", "of_seeds"), [(3, 1.0), (5, 1.0), (5, 0.2)])
def test_a_policy_trained_anew_is_covered(seeds, of_seeds):
    rng = np.random.default_rng(seeds)
    trials, episodes = 3000, 64
    covered = 0
    for _ in range(trials):
        weather = rng.gamma(4, 0.5, (1, episodes)) - 2
        training = of_seeds * rng.normal(size=(seeds, 1))
        found = retraining_interval(weather + training + 0.5 * rng.normal(size=(seeds, episodes)))
        covered += found.lo <= 0 <= found.hi
    assert 0.94 <= covered / trials <= 0.98  # where seeds hardly differ it is a little wide
