"""Lifetimes: parameters come back through censoring, the true family is chosen."""

import numpy as np
import pytest
from scipy import stats

from marl.workload.lifetimes import LifetimeModel, fit_family, fit_lifetimes

TRUTHS = [
    LifetimeModel(family="lognormal", parameters={"mu": 5.2, "sigma": 1.8}),
    LifetimeModel(family="weibull", parameters={"shape": 0.5, "scale_s": 900.0}),
    LifetimeModel(family="pareto", parameters={"shape": 0.8, "scale_s": 200.0}),
    LifetimeModel(
        family="lognormal_mixture",
        parameters={"share": 0.8, "mu_1": 5.0, "sigma_1": 1.0, "mu_2": 9.0, "sigma_2": 0.8},
    ),
]
NONE = (np.zeros(0), np.zeros(0, bool))


@pytest.mark.parametrize("truth", TRUTHS, ids=lambda truth: truth.family)
def test_true_family_and_parameters_come_back_through_censoring(truth):
    rng = np.random.default_rng(0)
    lives, seen = truth.sample(8000, rng), rng.exponential(5000, 8000)
    found = fit_lifetimes(np.minimum(lives, seen), lives > seen, *NONE)
    assert found.family == truth.family
    assert found.censored == (lives > seen).sum() > 800
    for name, value in truth.parameters.items():
        assert found.parameters[name] == pytest.approx(value, rel=0.12), name


def test_ignoring_censoring_would_be_wrong():
    """The same data with the censoring flags dropped gives a clearly shorter median."""
    rng = np.random.default_rng(0)
    lives, seen = TRUTHS[0].sample(4000, rng), rng.exponential(300, 4000)
    observed, is_censored = np.minimum(lives, seen), lives > seen
    half = np.array([0.5])
    right = fit_family("lognormal", observed, is_censored).quantile(half)[0]
    wrong = fit_family("lognormal", observed, np.zeros(4000, bool)).quantile(half)[0]
    assert right == pytest.approx(np.exp(5.2), rel=0.15)
    assert wrong < 0.7 * np.exp(5.2)


@pytest.mark.parametrize(
    ("model", "reference"),
    [
        (TRUTHS[0], stats.lognorm(1.8, scale=np.exp(5.2))),
        (TRUTHS[1], stats.weibull_min(0.5, scale=900)),
        (TRUTHS[2], stats.lomax(0.8, scale=200)),
    ],
    ids=["lognormal", "weibull", "pareto"],
)
def test_densities_survival_and_quantiles_are_scipys(model, reference):
    x = np.array([2.0, 60.0, 3600.0, 1e6])
    flags = np.zeros(4, bool)
    assert model.log_likelihoods(x, flags) == pytest.approx(reference.logpdf(x))
    assert model.log_likelihoods(x, ~flags) == pytest.approx(reference.logsf(x))
    assert model.survival(x) == pytest.approx(reference.sf(x))
    p = np.array([0.01, 0.5, 0.99])
    assert model.quantile(p) == pytest.approx(reference.ppf(p))


def test_a_lifetime_below_a_second_counts_as_that():
    model = TRUTHS[0]
    found = model.log_likelihoods(np.array([0.0, 1.0]), np.zeros(2, bool))
    assert found == pytest.approx([np.log(1 - model.survival(np.array([1.0]))[0])] * 2)


@pytest.mark.parametrize("truth", TRUTHS, ids=lambda truth: truth.family)
def test_quantile_inverts_survival(truth):
    p = np.linspace(0.02, 0.98, 25)
    assert 1 - truth.survival(truth.quantile(p)) == pytest.approx(p, abs=2e-3)


def test_too_few_complete_lives_give_none():
    assert fit_lifetimes(np.ones(7) * 9, np.zeros(7, bool), *NONE) is None
    assert fit_lifetimes(np.ones(50), np.ones(50, bool), *NONE) is None


def test_equal_lives_are_fitted_without_trouble():
    found = fit_lifetimes(np.full(40, 300.0), np.zeros(40, bool), *NONE)
    assert found.quantile(np.array([0.5]))[0] == pytest.approx(300, rel=0.1)


def test_wrong_parameter_names_are_refused():
    with pytest.raises(ValueError, match="weibull needs"):
        LifetimeModel(family="weibull", parameters={"mu": 1.0})
