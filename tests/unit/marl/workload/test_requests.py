"""Requests: both families come back, tails and correlation included."""

import numpy as np
import pytest
from scipy import integrate, stats

from marl.workload.requests import RequestModel, fit_requests

MIXTURE = RequestModel(
    family="lognormal_mixture",
    weights=(0.6, 0.4),
    means=((-5.0, -5.0), (-3.0, -4.0)),
    covariances=(((0.3, 0.2), (0.2, 0.4)), ((0.2, -0.1), (-0.1, 0.3))),
)


def box_with_pareto_tail(size, rng):
    """No Gaussian in sight: uniform logs below, exponential excess of logs (Pareto) above."""
    is_tail = rng.random((size, 2)) > 0.95
    return np.exp(
        np.where(
            is_tail,
            -4 + rng.exponential(0.6, (size, 2)),
            -5 + rng.random((size, 2)),
        )
    )


def test_mixture_is_chosen_and_recovered():
    rng = np.random.default_rng(0)
    found = fit_requests(MIXTURE.sample(6000, rng), MIXTURE.sample(500, rng), rng)
    assert found.family == "lognormal_mixture"
    assert found.weights == pytest.approx((0.6, 0.4), abs=0.04)
    assert np.array(found.means) == pytest.approx(np.array(MIXTURE.means), abs=0.08)
    assert np.array(found.covariances) == pytest.approx(np.array(MIXTURE.covariances), abs=0.06)
    assert found.scores["lognormal_mixture"].held_out > found.scores["copula_pareto"].held_out


def test_copula_is_chosen_and_its_tail_recovered():
    rng = np.random.default_rng(0)
    found = fit_requests(box_with_pareto_tail(8000, rng), np.zeros((0, 2)), rng)
    assert found.family == "copula_pareto"
    assert found.cpu.shape == pytest.approx(0.0, abs=0.15)
    assert found.cpu.scale == pytest.approx(0.6, abs=0.1)
    assert found.scores["copula_pareto"].held_out is None


@pytest.mark.parametrize("draw", [lambda n, r: MIXTURE.sample(n, r), box_with_pareto_tail])
def test_samples_look_like_the_data(draw):
    rng = np.random.default_rng(3)
    data = np.minimum(draw(6000, rng), 1.0)
    found = fit_requests(data, np.zeros((0, 2)), rng)
    made = found.sample(6000, rng)
    for column in (0, 1):
        assert stats.ks_2samp(data[:, column], made[:, column]).statistic < 0.04
    real, fitted = (stats.spearmanr(x).statistic for x in (data, made))
    assert fitted == pytest.approx(real, abs=0.06)


@pytest.mark.parametrize("family", ["lognormal_mixture", "copula_pareto"])
def test_densities_integrate_to_one(family):
    rng = np.random.default_rng(1)
    found = fit_requests(MIXTURE.sample(4000, rng), np.zeros((0, 2)), rng, families=(family,))
    grid = np.linspace(-12, 3, 500)
    pairs = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 2)
    density = np.exp(found.log_density(pairs)).reshape(500, 500)
    total = integrate.trapezoid(integrate.trapezoid(density, grid), grid)
    assert total == pytest.approx(1.0, abs=0.02)


def test_copula_keeps_strong_dependence():
    rng = np.random.default_rng(2)
    z = rng.standard_normal(5000)
    data = np.exp(-4 + np.stack([z, 0.95 * z + 0.3 * rng.standard_normal(5000)], axis=1))
    found = fit_requests(data, np.zeros((0, 2)), rng, families=("copula_pareto",))
    made = found.sample(5000, rng)
    assert stats.spearmanr(made).statistic == pytest.approx(
        stats.spearmanr(data).statistic, abs=0.06
    )


def test_zero_requests_keep_their_share_and_nothing_exceeds_the_largest_machine():
    rng = np.random.default_rng(0)
    data = MIXTURE.sample(4000, rng)
    data[::4, 0] = 0.0
    found = fit_requests(data, np.zeros((0, 2)), rng)
    made = found.sample(20_000, rng)
    assert (made[:, 0] == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert made.max() <= 1.0
    assert made.min() >= 0.0


def test_rounded_requests_do_not_break_the_likelihood():
    """Real traces hold few distinct values; a density must not explode on them."""
    rng = np.random.default_rng(0)
    data = rng.choice([0.0125, 0.025, 0.0625], (3000, 2))
    found = fit_requests(data, data[:100], rng)
    assert all(np.isfinite(score.validation) for score in found.scores.values())
    assert stats.ks_2samp(data[:, 0], found.sample(3000, rng)[:, 0]).statistic < 0.45


def test_missing_requests_are_left_out_and_too_few_give_none():
    rng = np.random.default_rng(0)
    data = MIXTURE.sample(100, rng)
    data[:80] = np.nan
    assert fit_requests(data, np.zeros((0, 2)), rng) is None
    assert fit_requests(np.zeros((0, 2)), np.zeros((0, 2)), rng) is None
