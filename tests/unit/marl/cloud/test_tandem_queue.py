"""The vectorised simulation of stations in a row against `ciw`, customer by customer."""

import ciw
import numpy as np
import pytest

from tests.doubles.tandem_queue import Tandem, cross, draws, sojourns, station


def ciw_times(born, services, servers):
    """The same requests through ciw: its sequences hold our draws."""
    gaps = np.diff(born, prepend=0.0).tolist()
    stations = len(servers)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential([*gaps, 1e9]), *[None] * (stations - 1)],
        service_distributions=[ciw.dists.Sequential([*s.tolist(), 1.0]) for s in services],
        number_of_servers=list(servers),
        routing=[[float(j == i + 1) for j in range(stations)] for i in range(stations)],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(len(born), method="Finish")
    entered, left = {}, {}
    for record in simulation.get_all_records():
        if record.node == 1:
            entered[record.id_number] = record.arrival_date
        if record.node == stations:
            left[record.id_number] = record.exit_date
    return np.array([left[i] - entered[i] for i in sorted(entered)])


@pytest.mark.parametrize("scv", [0.5, 1.0, 2.0])
def test_every_request_leaves_when_ciw_says(scv):
    rng = np.random.default_rng(3)
    servers, requests = (4, 1, 3), 1500
    born = np.cumsum(draws(rng, 1.0, scv, (requests, 2)), 0)
    services = [draws(rng, 0.9 * c, scv, (requests, 2)) for c in servers]
    whole = [np.zeros((requests, 2), np.intp)] * 3
    ours = cross(born, services, whole, [np.array([c, c]) for c in servers])
    for run in range(2):
        theirs = ciw_times(born[:, run], [s[:, run] for s in services], servers)
        np.testing.assert_allclose(ours[:, run], theirs, rtol=0, atol=1e-6)


def test_by_hand():
    # Two servers; the third request waits for the first to leave at 3, the fourth for 5.
    arrivals, service = np.array([[0.0], [1.0], [2.0], [2.5]]), np.array([[3.0], [4.0], [9.0], [1]])
    out = station(arrivals, service, np.zeros((4, 1), np.intp), np.array([2]))
    assert out[:, 0].tolist() == [3.0, 5.0, 12.0, 6.0]
    # At the next station, with one server, the fourth comes before the third.
    times = cross(
        arrivals,
        [service, np.ones((4, 1))],
        [np.zeros((4, 1), np.intp)] * 2,
        [np.array([2]), np.array([1])],
    )
    assert times[:, 0].tolist() == [4.0, 5.0, 11.0, 4.5]


def test_copies_do_not_share_servers():
    rng = np.random.default_rng(5)
    arrivals = np.cumsum(rng.exponential(1.0, (400, 1)), 0)
    service, copy = rng.exponential(4.0, (400, 1)), rng.integers(0, 3, (400, 1))
    together = station(arrivals, service, copy, np.array([2]))
    for k in range(3):
        here = copy[:, 0] == k
        alone = station(
            arrivals[here], service[here], np.zeros((here.sum(), 1), np.intp), np.array([2])
        )
        np.testing.assert_array_equal(together[here], alone)


@pytest.mark.parametrize("family", ["usual", "lognormal"])
@pytest.mark.parametrize("scv", [0.5, 1.0, 2.0])
def test_draws_have_the_moments_they_are_asked_for(scv, family):
    values = draws(np.random.default_rng(0), 3.0, scv, 400_000, family)
    assert values.mean() == pytest.approx(3.0, rel=0.01)
    assert values.var() == pytest.approx(scv * 9.0, rel=0.05)


def test_loads_and_seeds():
    tandem = Tandem.loaded("x", 0.8, (4, 4, 8, 8), (2, 20, 8, 4), (1, 5, 2, 1))
    # Work of one request per server: 0.5, 1, 0.5, 0.5 ms; so 0.8 requests a ms.
    assert tandem.arrivals_per_ms == pytest.approx(0.8)
    assert tandem.utilisation == pytest.approx((0.4, 0.8, 0.4, 0.4))
    pooled = Tandem.pooled("y", (0.9, 0.5), (4, 2))
    assert pooled.utilisation == pytest.approx((0.9, 0.5))
    assert sum(pooled.service_ms) == pytest.approx(34.0)
    first, again, other = (sojourns([tandem], 300, 2, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (225, 2)
