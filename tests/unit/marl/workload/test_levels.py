"""Noise with memory, the infinite-server kernel, and levels that keep the mean and memory."""

import numpy as np
import pytest

from marl.traces.schema import WINDOW_US
from marl.workload.history import window_means
from marl.workload.levels import fit_level, follow, survival_kernel
from marl.workload.lifetimes import LifetimeModel
from marl.workload.noise import ArNoise, autocorrelation, fit_noise


def test_noise_has_unit_variance_and_its_stated_memory():
    noise = ArNoise(weights=(0.4, 0.6), phis=(0.3, 0.97))
    paths = noise.sample(400, 600, np.random.default_rng(0)).astype(float)
    assert paths.var() == pytest.approx(1.0, abs=0.05)
    assert paths[:, 0].var() == pytest.approx(1.0, abs=0.2)  # stationary from the first step on
    for lag in (1, 12):
        empirical = (paths[:, lag:] * paths[:, :-lag]).mean()
        assert empirical == pytest.approx(noise.autocorrelation(np.array([lag]))[0], abs=0.05)


@pytest.mark.parametrize(
    "truth",
    [ArNoise(phis=(0.7,)), ArNoise(weights=(0.5, 0.5), phis=(0.2, 0.95)), ArNoise()],
    ids=["one", "two", "white"],
)
def test_fitted_noise_has_the_memory_of_the_data(truth):
    path = truth.sample(1, 30_000, np.random.default_rng(1))[0].astype(float)
    lags = np.arange(1, 25)
    assert fit_noise(path).autocorrelation(lags) == pytest.approx(
        truth.autocorrelation(lags), abs=0.06
    )


def test_autocorrelation_by_hand():
    # centred: -1, 1, -1, 1; sum of squares 4; lag 1: -3/4, lag 2: 2/4
    found = autocorrelation(np.array([1.0, 3.0, 1.0, 3.0]), 2)
    assert found == pytest.approx([1.0, -0.75, 0.5])
    assert autocorrelation(np.ones(5), 2).tolist() == [1.0, 0.0, 0.0]


def test_bad_noise_is_refused():
    with pytest.raises(ValueError, match="phi"):
        ArNoise(phis=(1.0,))
    with pytest.raises(ValueError, match="sum to 1"):
        ArNoise(weights=(0.5,), phis=(0.1,))


def test_kernel_equals_counting_simulated_jobs():
    lives = LifetimeModel(family="lognormal", parameters={"mu": 6.5, "sigma": 1.0})
    rng = np.random.default_rng(0)
    windows = np.arange(40, dtype=np.int64) * WINDOW_US
    start = rng.integers(0, WINDOW_US, 200_000)
    end = start + (lives.sample(200_000, rng) * 1e6).astype(np.int64)
    counted = window_means(start, end, np.full(200_000, 1 / 200_000), windows)
    assert survival_kernel(lives, 40) == pytest.approx(counted, abs=0.01)


def test_kernel_sums_to_the_mean_lifetime():
    """Little's law: arrivals a window × mean lifetime = mean number running."""
    lives = LifetimeModel(family="weibull", parameters={"shape": 1.0, "scale_s": 1500.0})
    assert survival_kernel(lives).sum() == pytest.approx(1500 / 300, rel=0.01)


def test_follow_is_a_plain_convolution():
    rng = np.random.default_rng(0)
    counts, kernel = rng.poisson(5, (3, 60)).astype(float), rng.random(20)
    slow = np.stack([np.convolve(row, kernel)[19:60] for row in counts])
    assert follow(counts, kernel) == pytest.approx(slow)


def test_window_means_by_hand():
    windows = np.array([600, 900, 1200]) * 1_000_000
    # job of weight 2 from 750 s to 1050 s: half of window 1, half of window 2
    # job of weight 1 from before to after everything
    start = np.array([750, 0]) * 1_000_000
    end = np.array([1050, 9999]) * 1_000_000
    assert window_means(start, end, np.array([2.0, 1.0]), windows) == pytest.approx([2, 2, 1])
    inside = window_means(np.array([660_000_000]), np.array([690_000_000]), np.ones(1), windows)
    assert inside == pytest.approx([0.1, 0, 0])


def test_level_recovers_base_slope_and_memory():
    rng = np.random.default_rng(0)
    at = np.arange(2500, dtype=np.int64) * WINDOW_US
    echo = 5 + 3 * np.sin(np.arange(2500) / 40) + rng.random(2500)
    truth = ArNoise(phis=(0.8,))
    values = (4.0 + 2.0 * echo) * np.exp(0.1 * truth.sample(1, 2500, rng)[0])
    found, scores = fit_level(values, echo, at, 0)
    assert found.slope == pytest.approx(2.0, rel=0.1)
    assert found.base == pytest.approx(4.0, rel=0.2)
    assert found.noise.autocorrelation(np.array([1]))[0] == pytest.approx(0.8, abs=0.05)
    assert scores.std() == pytest.approx(1.0, abs=0.02)
    echo_many = np.tile(echo, (60, 1))
    z = found.noise.sample(60, 2500, rng)
    made = found.apply(echo_many, z, np.tile(at, (60, 1)))
    assert made.mean() == pytest.approx(values.mean(), rel=0.02)
    assert made.std() == pytest.approx(values.std(), rel=0.05)


def test_a_level_of_nothing_and_a_constant_level():
    at = np.arange(50, dtype=np.int64) * WINDOW_US
    nothing, _ = fit_level(np.zeros(50), np.ones(50), at, 0)
    assert nothing.apply(np.ones((2, 50)), np.ones((2, 50)), np.tile(at, (2, 1))).max() == 0
    constant, _ = fit_level(np.full(50, 3.0), np.zeros(50), at, 0)
    z = constant.noise.sample(4, 50, np.random.default_rng(0))
    made = constant.apply(np.zeros((4, 50)), z, np.tile(at, (4, 1)))
    assert made == pytest.approx(np.full((4, 50), 3.0), rel=1e-3)


def test_no_level_exceeds_one_and_a_half_times_what_was_seen():
    rng = np.random.default_rng(0)
    at = np.arange(400, dtype=np.int64) * WINDOW_US
    values = np.exp(2 * rng.standard_normal(400))
    found, _ = fit_level(values, rng.random(400), at, 0)
    made = found.apply(np.full((50, 400), 1e3), np.full((50, 400), 9.0), np.tile(at, (50, 1)))
    assert made.max() <= 1.5 * values.max() * (1 + 1e-6)
