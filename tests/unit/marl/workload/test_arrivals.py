"""Arrivals: every family's parameters come back, the true family is chosen, the filter is exact."""

import numpy as np
import pytest
from scipy import integrate, stats

from marl.traces.schema import WINDOW_US
from marl.workload import daily
from marl.workload.arrivals import ArrivalModel, fit_arrivals, fit_family
from marl.workload.noise import ArNoise

DAILY = (0.3, 0.2, 0.1, 0.0, 0.0, 0.05)
TRUTHS = {
    "poisson": ArrivalModel(rate=60.0, daily=DAILY),
    "negative_binomial": ArrivalModel(family="negative_binomial", rate=60.0, daily=DAILY, size=5.0),
    "cox_ar1": ArrivalModel(
        family="cox_ar1", rate=60.0, daily=DAILY, sigma=0.4, noise=ArNoise(phis=(0.8,))
    ),
    "negative_binomial_ar1": ArrivalModel(
        family="negative_binomial_ar1",
        rate=60.0,
        daily=DAILY,
        size=8.0,
        sigma=0.35,
        noise=ArNoise(phis=(0.9,)),
    ),
}


def times(windows):
    return np.arange(windows, dtype=np.int64) * WINDOW_US


def draw(model, windows, seed=1):
    return model.sample(times(windows)[None], np.random.default_rng(seed))[0].astype(float)


@pytest.mark.parametrize("family", TRUTHS)
def test_true_family_is_chosen_and_its_parameters_recovered(family):
    truth = TRUTHS[family]
    counts = draw(truth, 2500)
    is_held_out = np.arange(2500) >= 2000
    found = fit_arrivals(counts, times(2500), is_held_out)
    assert found.family == family
    assert found.rate == pytest.approx(truth.rate, rel=0.05)
    assert found.daily[:2] == pytest.approx(truth.daily[:2], abs=0.08)
    if truth.size is not None:
        assert found.size == pytest.approx(truth.size, rel=0.25)
    assert found.sigma == pytest.approx(truth.sigma, abs=0.06)
    if truth.sigma:
        assert found.noise.phis[0] == pytest.approx(truth.noise.phis[0], abs=0.06)
    best = max(score.held_out for score in found.scores.values())
    assert found.scores[family].held_out == pytest.approx(best, abs=0.01)


def test_sampled_dispersion_is_the_formulas():
    flat = TRUTHS["negative_binomial_ar1"].model_copy(update={"daily": ()})
    counts = flat.sample(np.broadcast_to(times(500), (400, 500)), np.random.default_rng(0))
    assert counts.var() / counts.mean() == pytest.approx(flat.dispersion, rel=0.05)


def test_negative_binomial_likelihood_is_scipys():
    model = ArrivalModel(family="negative_binomial", rate=7.0, size=3.0)
    counts = np.array([0.0, 2.0, 7.0, 30.0])
    expected = stats.nbinom.logpmf(counts, 3.0, 3.0 / 10.0)
    assert model.log_likelihoods(counts, times(4)) == pytest.approx(expected)


def test_filter_equals_the_integral_over_the_modulation():
    """Two windows: the joint probability by numerical integration over both modulations."""
    sigma, phi, rate = 0.5, 0.7, 4.0
    model = ArrivalModel(family="cox_ar1", rate=rate, sigma=sigma, noise=ArNoise(phis=(phi,)))
    first, second = 6.0, 1.0

    def joint(b, a):
        def pmf(n, z):
            return stats.poisson.pmf(n, rate * np.exp(sigma * z - sigma**2 / 2))

        density = stats.norm.pdf(a) * stats.norm.pdf(b, phi * a, np.sqrt(1 - phi**2))
        return pmf(first, a) * pmf(second, b) * density

    expected, _ = integrate.dblquad(joint, -6, 6, -6, 6)
    found = model.log_likelihoods(np.array([first, second]), times(2)).sum()
    assert found == pytest.approx(np.log(expected), abs=1e-3)


def test_cyclical_mean_follows_the_day_and_steady_does_not():
    model = TRUTHS["poisson"]
    day = times(288)
    assert model.mean(day).mean() == pytest.approx(model.rate)
    assert np.ptp(model.mean(day)) > 20
    assert (model.mean(day, is_cyclical=False) == model.rate).all()


def test_held_out_windows_do_not_touch_the_fit():
    counts = draw(TRUTHS["cox_ar1"], 600)
    is_held_out = np.arange(600) >= 400
    other = np.where(is_held_out, 1000.0, counts)
    drop = {"scores"}
    fit_one = fit_arrivals(counts, times(600), is_held_out).model_dump(exclude=drop)
    fit_two = fit_arrivals(other, times(600), is_held_out).model_dump(exclude=drop)
    assert fit_one == fit_two


@pytest.mark.parametrize("counts", [np.zeros(400), np.ones(12) * 9, np.eye(1, 400, 3)[0]])
def test_nothing_much_seen_gives_a_constant_rate_without_scores(counts):
    found = fit_arrivals(counts, times(len(counts)), np.zeros(len(counts), bool))
    assert found.family == "poisson"
    assert found.daily == ()
    assert found.scores == {}
    assert found.rate == pytest.approx(counts.mean())
    assert np.isfinite(found.sample(times(5)[None], np.random.default_rng(0))).all()


def test_daily_fit_is_the_maximum_of_the_quasi_likelihood():
    """Against scipy's optimiser on the same penalised likelihood."""
    from scipy.optimize import minimize

    counts, at = draw(TRUTHS["negative_binomial"], 900), times(900)
    rate, beta = daily.fit_counts(counts, at, 3)
    x = np.column_stack([np.ones(900), daily.design(at, 3)])

    def loss(b):
        return np.exp(x @ b).sum() - counts @ (x @ b) + 0.5 * counts.mean() * (b[1:] ** 2).sum()

    slow = minimize(loss, np.r_[np.log(counts.mean()), np.zeros(6)], tol=1e-12).x
    assert beta == pytest.approx(tuple(slow[1:]), abs=1e-4)
    assert rate == pytest.approx(np.exp(x @ slow)[:864].mean(), rel=1e-4)


def test_sigma_zero_modulated_fit_is_poisson_like():
    counts = draw(TRUTHS["poisson"], 800)
    found = fit_family("cox_ar1", counts, times(800), 3)
    assert found.sigma < 0.06
