"""Latency formulas against exact results, and against a discrete-event simulation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from marl.cloud.queueing import (
    RHO_MAX,
    Z95,
    Z99,
    gamma_below,
    gamma_quantile,
    gamma_spread,
    variabilities,
    waits,
)
from tests.benchmarks.check_queueing import BAR, LAYOUTS, SERVICE_MS, compare
from tests.doubles.tandem_queue import Tandem

SERVICE_S = torch.tensor([0.002, 0.020, 0.008, 0.004], dtype=torch.float64)
QUANTILES = ((0.5, 0.0), (0.95, Z95), (0.99, Z99))


def erlang_c(rho, servers):
    """Exact probability of waiting in M/M/c."""
    load = rho * servers
    block = 1.0
    for k in range(1, servers + 1):
        block = load * block / (k + load * block)
    return block / (1 - rho * (1 - block))


def one(rho, servers, service_s=0.02, variability=1.0):
    mean, variance = waits(
        torch.tensor([[rho]]),
        torch.tensor([[float(servers)]]),
        torch.tensor([service_s]),
        variability,
    )
    return float(mean), float(variance)


def total(rho, servers, service_scv=1.0, variability=1.0):
    """Mean and spread of the time at the four stations."""
    wait, variance = waits(rho, servers, SERVICE_S, variability)
    mean = (wait + SERVICE_S).sum(1)
    return mean, gamma_spread(mean, (variance + service_scv * SERVICE_S**2).sum(1))


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
    exact = erlang_c(rho, servers) * 0.02 / (servers * (1 - rho))
    assert 0.02 + mean == pytest.approx(0.02 + exact, rel=0.03)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    rho=st.lists(st.floats(0.0, RHO_MAX), min_size=4, max_size=4),
    servers=st.lists(st.integers(1, 16), min_size=4, max_size=4),
)
def test_quantiles_are_near_those_of_exact_stations(rho, servers):
    # M/M/c stations fed by one another are M/M/c (Burke), here taken as independent: the sum of
    # their exact times, drawn 150,000 times. The noise is under 1 %.
    rng = np.random.default_rng(0)
    times = np.zeros(150_000)
    for r, c, s in zip(rho, servers, SERVICE_S.tolist(), strict=True):
        waits_at_all = rng.random(len(times)) < erlang_c(r, c)
        times += waits_at_all * rng.exponential(s / (c * (1 - r)), len(times))
        times += rng.exponential(s, len(times))
    load = torch.tensor([rho], dtype=torch.float64)
    mean, spread = total(load, torch.tensor([servers], dtype=torch.float64))
    assert float(mean) == pytest.approx(times.mean(), rel=0.05)
    for share, z in QUANTILES:
        quantile = float(gamma_quantile(mean, spread, z))
        assert quantile == pytest.approx(np.quantile(times, share), rel=0.10)
    for limit in (0.05, 0.13, 0.3):
        within = float(gamma_below(limit, mean, spread))
        assert within == pytest.approx((times <= limit).mean(), abs=0.03)


def simulated_cases():
    """Light to heavy, each station busiest in turn, even and bursty; the rest is in the sweep."""
    loads = (
        (0.3, "even", 1.0, 2.0),
        (0.5, "small databases", 2.0, 2.0),
        (0.7, "few vms", 2.0, 0.5),
        (0.8, "one database", 2.0, 1.0),
        (0.8, "busy network", 2.0, 2.0),
        (0.8, "even", 1.0, 1.0),
        (0.85, "busy disk", 1.0, 0.5),
        (0.85, "large database", 1.0, 2.0),
    )
    cases = [
        Tandem.loaded(
            f"{most} {name}", most, (4, 4, LAYOUTS[name][0], 8), SERVICE_MS, copies
        ).with_scv(a, s)
        for most, name, a, s in loads
        for copies in [LAYOUTS[name][1]]
    ]
    uneven = (0.5, 0.9, 0.3, 0.85), (0.85, 0.4, 0.7, 0.3)
    cases += [
        Tandem.pooled(f"{u}", u, (4, 4, 8, 8)).with_scv(a, s)
        for u, a, s in ((uneven[0], 2.0, 0.5), (uneven[1], 2.0, 1.0))
    ]
    return cases


def test_quantiles_are_within_15_percent_of_the_simulation():
    found = compare(simulated_cases(), requests=40_000, runs=16, seed=11)
    for case in found:
        for name, error, noise in zip(
            ("p50", "p95", "p99"), case.error[1:], case.noise, strict=True
        ):
            assert noise < 0.05, f"{case.tandem.name}: {name} needs more requests"
            assert abs(error) <= BAR, f"{case.tandem.name}: {name} off by {error:+.1%}"


def test_bursts_ignored_downstream_would_fail_the_same_bar():
    # What `variabilities` is for: with the source's scv at every station alike, p95 is 40 % high.
    tandem = Tandem.loaded("", 0.9, (4, 4, 8, 8), SERVICE_MS, (1, 10, 2, 1)).with_scv(2.0, 0.5)
    case = compare([tandem], requests=36_000, runs=16, seed=12)[0]
    rho = torch.tensor([tandem.utilisation], dtype=torch.float64)
    servers = torch.tensor([tandem.servers], dtype=torch.float64)
    mean, spread = total(rho, servers, service_scv=0.5, variability=1.25)
    alike = 1e3 * float(gamma_quantile(mean, spread, Z95))
    assert alike > 1.25 * case.simulated_ms[2]
    assert abs(case.error[2]) < 0.1


def test_variabilities_by_hand():
    # Two stations of 4 servers at 0.6 and 0.2; ca² 2, cs² 0.5. Departures of the first smoothed by
    # q = 0.36 / (1 + 0.3 (0.4/0.8)²) = 0.36/1.075 towards 1 − 0.5/2 = 0.75, split over 5 copies.
    rho = torch.tensor([[0.2, 0.6]], dtype=torch.float64)  # the columns are not in crossing order
    servers = torch.full((1, 2), 4.0, dtype=torch.float64)
    copies = torch.tensor([[5.0, 1.0]], dtype=torch.float64)
    second, first = variabilities(rho, servers, copies, (1, 0), 2.0, 0.5)[0].tolist()
    assert first == pytest.approx(1.25)
    stream = 2.0 + 0.36 / 1.075 * (0.75 - 2.0)
    assert second == pytest.approx(0.5 * (1.0 + (stream - 1.0) / 5.0 + 0.5))


@settings(deadline=None)
@given(st.lists(st.floats(0.0, RHO_MAX), min_size=4, max_size=4), st.integers(1, 30))
def test_poisson_and_exponential_stay_so(rho, copies):
    load = torch.tensor([rho], dtype=torch.float64)
    ones = torch.ones_like(load)
    found = variabilities(load, 4 * ones, copies * ones, (2, 0, 3, 1), 1.0, 1.0)
    assert torch.equal(found, ones)


def test_variabilities_refuses_an_order_that_leaves_a_station_out():
    ones = torch.ones(1, 3)
    with pytest.raises(ValueError, match="each of 3 stations once"):
        variabilities(0.5 * ones, ones, ones, (0, 1, 1), 1.0, 1.0)


@pytest.mark.parametrize("shape", [1.0, 2.0, 5.0, 30.0])
def test_the_gamma_approximation_is_near_scipys(shape):
    mean = torch.tensor([0.1], dtype=torch.float64)
    spread = gamma_spread(mean, mean**2 / shape)
    exact = stats.gamma(shape, scale=0.1 / shape)
    assert float(gamma_quantile(mean, spread, 0.0)) == pytest.approx(exact.ppf(0.5), rel=0.02)
    assert float(gamma_quantile(mean, spread, Z95)) == pytest.approx(exact.ppf(0.95), rel=0.01)
    assert float(gamma_quantile(mean, spread, Z99)) == pytest.approx(exact.ppf(0.99), rel=0.01)
    assert float(gamma_below(0.15, mean, spread)) == pytest.approx(exact.cdf(0.15), abs=0.005)


def test_scores_are_the_normal_distributions():
    for z, share in ((Z95, 0.95), (Z99, 0.99)):
        assert z == pytest.approx(stats.norm.ppf(share), abs=1e-6)


@settings(deadline=None)
@given(
    others=st.lists(st.floats(0.0, RHO_MAX), min_size=4, max_size=4),
    servers=st.lists(st.floats(1.0, 32.0), min_size=4, max_size=4),
    scv=st.tuples(st.floats(0.0, 2.0), st.floats(0.5, 2.0)),
    station=st.integers(0, 3),
)
def test_latency_is_finite_and_grows_with_each_utilisation(others, servers, scv, station):
    rho = torch.tensor([others], dtype=torch.float64).repeat(99, 1)
    rho[:, station] = torch.linspace(0, RHO_MAX, 99, dtype=torch.float64)
    channels = torch.tensor([servers], dtype=torch.float64)
    wait, variance = waits(rho, channels, SERVICE_S, 0.5 * sum(scv))
    assert (wait[:, station].diff() >= 0).all()
    assert (variance[:, station].diff() >= 0).all()
    mean, spread = total(rho, channels, scv[1], 0.5 * sum(scv))
    for _, z in QUANTILES:
        quantile = gamma_quantile(mean, spread, z)
        assert quantile.isfinite().all()
        assert (quantile.diff() >= -1e-12 * quantile[1:]).all()
    within = gamma_below(0.13, mean, spread)
    assert ((within >= 0) & (within <= 1)).all()
    # A gamma distribution that widens gains mass near zero, one that narrows loses its far tail:
    # seen where hardly anything is in time, and by the fourth decimal place where all but that is.
    rise = torch.where(within[1:] < 0.05, 0.02, 1e-4)
    assert (within - within.cummin(0).values <= torch.cat((rise[:1], rise))).all()


def latencies(rho, servers):
    """Everything a gradient passes through."""
    copies = torch.full_like(rho, 3.0)
    variability = variabilities(rho, servers, copies, (2, 0, 3, 1), 2.0, 0.5)
    mean, spread = total(rho, servers, 0.5, variability)
    quantiles = [gamma_quantile(mean, spread, z) for _, z in QUANTILES]
    return torch.stack([mean, gamma_below(0.1, mean, spread), *quantiles])


@pytest.mark.parametrize("level", [0.05, 0.3, 0.7, 0.95])
def test_gradients_are_those_of_central_differences(level):
    generator = torch.Generator().manual_seed(0)
    rho = level * (0.8 + 0.2 * torch.rand(3, 4, generator=generator, dtype=torch.float64))
    servers = 1.0 + 15.0 * torch.rand(3, 4, generator=generator, dtype=torch.float64)
    inputs = rho.requires_grad_(), servers.requires_grad_()
    assert torch.autograd.gradcheck(latencies, inputs, eps=1e-7, rtol=1e-4)


@pytest.mark.parametrize("level", [0.0, 1e-30, RHO_MAX])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_at_the_ends(level, dtype):
    rho = torch.full((1, 4), level, dtype=dtype, requires_grad=True)
    servers = torch.tensor([[1.0, 2.0, 4.0, 16.0]], dtype=dtype, requires_grad=True)
    out = latencies(rho, servers)
    assert out.isfinite().all()
    for gradient in torch.autograd.grad(out.sum(), (rho, servers)):
        assert gradient.isfinite().all()


def test_an_idle_station_does_not_wait():
    assert one(0.0, 4) == (0.0, 0.0)
    assert math.isclose(one(0.0, 1)[0], 0.0)
