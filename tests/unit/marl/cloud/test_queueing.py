"""Latency formulas against exact results and against a simulated queue."""

import heapq
import math

import numpy as np
import pytest
import torch
from scipy import stats

from marl.cloud.queueing import Z95, gamma_below, gamma_quantile, gamma_spread, waits


def erlang_c_wait(rho, servers, service_s):
    """Exact mean wait of M/M/c."""
    load = rho * servers
    block = 1.0
    for k in range(1, servers + 1):
        block = load * block / (k + load * block)
    delayed = block / (1 - rho * (1 - block))
    return delayed * service_s / (servers * (1 - rho))


def one(rho, servers, service_s=0.02, variability=1.0):
    mean, variance = waits(
        torch.tensor([[rho]]),
        torch.tensor([[float(servers)]]),
        torch.tensor([service_s]),
        variability,
    )
    return float(mean), float(variance)


def test_a_single_server_is_exact():
    for rho in (0.1, 0.5, 0.9, 0.98):
        mean, variance = one(rho, 1)
        assert mean == pytest.approx(rho * 0.02 / (1 - rho), rel=1e-4)
        assert variance == pytest.approx(rho * (2 - rho) * (0.02 / (1 - rho)) ** 2, rel=1e-4)


@pytest.mark.parametrize("servers", [2, 4, 8, 16])
@pytest.mark.parametrize("rho", [0.5, 0.7, 0.8, 0.9, 0.95])
def test_several_servers_are_near_erlang(servers, rho):
    # Where the wait is short the formula is off by more, but of the time in the system, which is
    # what a user feels, it is never off by more than three percent.
    mean, _ = one(rho, servers)
    exact = erlang_c_wait(rho, servers, 0.02)
    assert 0.02 + mean == pytest.approx(0.02 + exact, rel=0.03)


def simulated_sojourns(rho, servers, service_s, seed, customers=200_000):
    """G/G/c by its own recursion: each customer takes the server that is free first."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(service_s / (servers * rho), customers))
    service = rng.exponential(service_s, customers)
    free = [0.0] * servers
    out = np.empty(customers)
    for i, (at, work) in enumerate(zip(arrivals.tolist(), service.tolist(), strict=True)):
        done = max(at, heapq.heappop(free)) + work
        heapq.heappush(free, done)
        out[i] = done - at
    return out[customers // 10 :]


@pytest.mark.parametrize(("rho", "servers"), [(0.5, 4), (0.7, 4), (0.85, 4), (0.9, 1), (0.8, 16)])
def test_percentiles_of_two_stations_are_near_a_simulation(rho, servers):
    service_s = (0.02, 0.008)
    simulated = sum(simulated_sojourns(rho, servers, s, seed) for seed, s in enumerate(service_s))
    tensor = torch.tensor(service_s)
    wait, wait_variance = waits(
        torch.full((1, 2), rho), torch.full((1, 2), float(servers)), tensor, 1.0
    )
    mean = (wait + tensor).sum(1)
    spread = gamma_spread(mean, (wait_variance + tensor**2).sum(1))
    assert float(mean) == pytest.approx(simulated.mean(), rel=0.05)
    p95 = float(gamma_quantile(mean, spread, Z95))
    assert p95 == pytest.approx(np.quantile(simulated, 0.95), rel=0.08)
    for limit in (0.05, 0.1, 0.2):
        share = float(gamma_below(limit, mean, spread))
        assert share == pytest.approx((simulated <= limit).mean(), abs=0.03)


@pytest.mark.parametrize("shape", [1.0, 2.0, 5.0, 30.0])
def test_the_gamma_approximation_is_near_scipys(shape):
    mean = torch.tensor([0.1], dtype=torch.float64)
    spread = gamma_spread(mean, mean**2 / shape)
    exact = stats.gamma(shape, scale=0.1 / shape)
    assert float(gamma_quantile(mean, spread, Z95)) == pytest.approx(exact.ppf(0.95), rel=0.01)
    assert float(gamma_quantile(mean, spread, 0.0)) == pytest.approx(exact.ppf(0.5), rel=0.02)
    assert float(gamma_below(0.15, mean, spread)) == pytest.approx(exact.cdf(0.15), abs=0.005)


def test_latency_grows_with_utilisation():
    rho = torch.linspace(0, 0.98, 50)[:, None]
    mean, variance = waits(rho, torch.tensor([4.0]), torch.tensor([0.02]), 1.0)
    assert (mean.diff(dim=0) > 0).all()
    assert (variance.diff(dim=0) > 0).all()
    assert math.isclose(float(mean[0]), 0.0)
