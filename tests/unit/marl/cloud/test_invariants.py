"""What must hold whatever agents and weather do."""

import dataclasses

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marl.cloud import pricing
from marl.cloud.actions import SIZES
from marl.cloud.catalogue import default_catalog
from marl.cloud.dynamics import build_cloud, initial_state, knobs_from_actions, step
from marl.cloud.observation import global_state, observations
from marl.cloud.params import CloudConfig, build_params
from marl.cloud.service import serve
from marl.cloud.weather import draw_weather
from marl.workload.toy import ToyGenerator
from tests.unit.marl.cloud.helpers import REFERENCE, small_cloud

STEPS, CLOUDS = 60, 6
FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEEDS = st.integers(0, 2**31)
WORLDS = st.fixed_dictionaries(
    {
        "quota_share": st.floats(0.05, 3.0),
        "spot_shock_time_share": st.floats(0.01, 0.5),
        "failover_per_step": st.floats(0.0, 0.5),
        "batch_deadline_steps": st.integers(1, 40),
        "vm_boot_median_s": st.floats(10.0, 900.0),
        "database_median_s": st.floats(10.0, 1500.0),
    }
)


def episode(seed, cloud, steps=STEPS, noise=0.4):
    """Step by step: state before, state after, outcome, weather of random policies."""
    weather = draw_weather(
        ToyGenerator(mean_vcpu=120, noise=noise), CLOUDS, steps, seed, 0, cloud.params
    )
    rng = torch.Generator().manual_seed(seed)
    state = initial_state(weather.steps[0], cloud)
    for t in range(steps):
        actions = torch.rand((CLOUDS, sum(SIZES)), generator=rng) * 2 - 1
        if t % 3 == 0:
            actions = actions.sign()  # the corners of the action space
        before = state
        state, outcome = step(state, knobs_from_actions(actions, cloud), weather.steps[t], cloud)
        yield before, state, outcome, weather.steps[t]


@FEW
@given(SEEDS, WORLDS)
def test_work_requests_money_and_machines_are_conserved(seed, world):
    cloud = small_cloud(**world)
    params = cloud.params
    arrived = served = 0.0
    for before, after, outcome, weather in episode(seed, cloud):
        info = outcome.info
        # Web requests: what was there and came is served, lost or still there; none appears.
        offered = (before.backlog + weather.work)[:, 0, 4] * params.step_s
        kept = after.backlog[:, 0, 4] * params.step_s
        assert (info["dropped"] >= 0).all()
        assert (kept + info["dropped"] <= offered * (1 + 1e-5)).all()
        # Nobody waits longer than the time-out allows.
        limit = (offered - kept - info["dropped"]) * params.config.web_timeout_s / params.step_s
        assert (kept <= limit + offered * 1e-5).all()
        # Background work is never lost.
        arrived = arrived + weather.work[:, 1:, 0]
        served = after.served
        torch.testing.assert_close(arrived, served + after.backlog[:, 1:, 0], rtol=1e-4, atol=1e-2)
        # Money: the services' bills are the bill, and so are capacity and traffic.
        services = sum(info[f"cost_{s}_usd"] for s in ("compute", "storage", "network", "database"))
        torch.testing.assert_close(info["cost_usd"], services)
        torch.testing.assert_close(
            info["cost_usd"], info["cost_capacity_usd"] + info["cost_traffic_usd"]
        )
        # Machines: whole, and spot VMs are where the pool says.
        for units in (after.pools, after.pending, after.spot):
            assert torch.equal(units, units.round())
            assert (units >= 0).all()
        assert torch.equal(after.spot.sum(1), after.pools[:, 1])


@FEW
@given(SEEDS, WORLDS)
def test_nothing_is_negative_endless_or_out_of_its_range(seed, world):
    cloud = small_cloud(**world)
    for _, after, outcome, _ in episode(seed, cloud):
        for key, value in outcome.info.items():
            assert torch.isfinite(value).all(), key
            if not key.startswith("reward"):
                assert (value >= 0).all(), key
            else:
                assert (value <= 1e-6).all(), key
        for key in ("slo_attainment", "waste", "utilisation_compute", "utilisation_database"):
            assert (outcome.info[key] <= 1 + 1e-5).all(), key
        info = outcome.info
        assert (info["latency_p95_ms"] >= info["latency_p50_ms"]).all()
        assert (info["latency_p50_ms"] >= cloud.params.config.propagation_ms).all()
        assert torch.isfinite(outcome.reward).all()
        calendar = torch.zeros(CLOUDS, 5)
        features = global_state(after, calendar, cloud.feature_scale)
        assert torch.isfinite(features).all()
        assert features.abs().max() <= 10
        assert set(observations(features)) == {"compute", "storage", "network", "database"}


@FEW
@given(SEEDS, WORLDS)
def test_no_capacity_before_its_delay(seed, world):
    cloud = small_cloud(**world)
    for before, after, _, weather in episode(seed, cloud):
        arriving = before.pending[:, :, 0]
        assert (after.pools <= before.pools + arriving).all()
        fresh = after.pending[:, :, :-1] - before.pending[:, :, 1:]
        slot = torch.arange(fresh.shape[2]) + 1
        assert (fresh * (weather.delay[..., None] != slot) == 0).all()


@FEW
@given(SEEDS, st.integers(0, 3), st.floats(1.0, 3.0))
def test_more_capacity_never_worsens_latency_or_service(seed, service, more):
    cloud = small_cloud()
    rng = torch.Generator().manual_seed(seed)
    weather = draw_weather(ToyGenerator(noise=0.5), CLOUDS, 2, seed, 0, cloud.params).steps[1]
    backlog = torch.rand((CLOUDS, 3, 5), generator=rng) * weather.work
    capacity = weather.load * (0.4 + torch.rand((CLOUDS, 4), generator=rng))
    served, tier = torch.zeros(CLOUDS, 2), torch.full((CLOUDS,), 8.0)
    richer = capacity.clone()
    richer[:, service] *= more
    poor = serve(backlog, served, capacity, tier, weather, cloud.params)
    rich = serve(backlog, served, richer, tier, weather, cloud.params)
    slack = 1e-4
    assert (rich.latency_p95_s <= poor.latency_p95_s + slack).all()
    assert (rich.latency_p50_s <= poor.latency_p50_s + slack).all()
    assert (rich.latency_share >= poor.latency_share - slack).all()
    assert (rich.dropped_share <= poor.dropped_share + slack).all()
    assert (rich.dropped <= poor.dropped * (1 + slack) + 1).all()


@FEW
@given(SEEDS, st.floats(1.0, 5.0))
def test_cost_follows_prices(seed, factor):
    plain = small_cloud()
    catalog = plain.params.catalog
    dearer = catalog.model_copy(
        update={
            "prices": tuple(p.model_copy(update={"usd": p.usd * factor}) for p in catalog.prices),
            "machines": tuple(
                m.model_copy(
                    update={
                        "on_demand_usd_per_h": m.on_demand_usd_per_h * factor,
                        "cud_1y_usd_per_h": m.cud_1y_usd_per_h * factor,
                    }
                )
                for m in catalog.machines
            ),
            "disks": tuple(
                d.model_copy(update={"usd_per_gib_month": d.usd_per_gib_month * factor})
                for d in catalog.disks
            ),
        }
    )
    params = build_params(CloudConfig(), dearer, REFERENCE, torch.device("cpu"), 300.0)
    rng = torch.Generator().manual_seed(seed)
    pools = torch.randint(0, 50, (8, 6), generator=rng).float()
    ratio, stored = torch.rand(8, generator=rng), torch.rand(8, generator=rng) * 1e4
    gbps = torch.rand((8, 2), generator=rng)
    cheap = pricing.bill(pools, ratio, stored, gbps, plain.prices, plain.params)
    dear = pricing.bill(pools, ratio, stored, gbps, build_cloud(params).prices, params)
    torch.testing.assert_close(dear.by_service, cheap.by_service * factor, rtol=1e-4, atol=1e-5)


def test_one_hour_of_a_small_plan_by_hand():
    cloud = small_cloud(committed_share=0.0)
    pools = torch.tensor([[10.0, 5.0, 100.0, 20.0, 4.0, 1.0]])
    gbps = torch.tensor([[1.0, 2.0]])
    spot_ratio, stored = torch.tensor([0.5]), torch.tensor([1000.0])
    bill = pricing.bill(pools, spot_ratio, stored, gbps, cloud.prices, cloud.params)
    compute, storage, network, database = (bill.by_service[0] * 12).tolist()
    assert compute == pytest.approx(10 * 0.194236 + 5 * 0.5 * 0.194236, rel=1e-5)
    assert storage == pytest.approx(1000 * 0.04 / 730, rel=1e-5)
    gib = 1e9 / 8 * 3600 / 2**30  # an hour of one Gbps
    # 2 Gbps of web traffic, a tenth of it to the internet, is above 10 TiB a month: .08 a GiB.
    traffic = gib * (0.008 + 0.1 * 0.08) + 2 * gib * 0.1 * 0.01
    assert network == pytest.approx(20 * 0.025 + 0.025 + 0.0448 + 0.005 + traffic, rel=1e-5)
    primary = 8 * (0.0826 + 4 * 0.0140)
    replica = 8 * (0.0413 + 4 * 0.0070)
    disk = 1000 * 0.05 * (0.34 + 0.08) / 730
    assert database == pytest.approx(primary + replica + disk, rel=1e-5)


def test_commitments_are_paid_and_used_first():
    cloud = small_cloud(committed_share=0.5)  # 25 VMs of the peak's 50
    assert cloud.params.committed_vms == 25
    zero = torch.zeros(1)
    for vms, extra in ((10.0, 0.0), (25.0, 0.0), (30.0, 5.0)):
        pools = torch.tensor([[vms, 0.0, 1.0, 1.0, 1.0, 0.0]])
        bill = pricing.bill(pools, zero, zero, torch.zeros(1, 2), cloud.prices, cloud.params)
        expected = (25 * 0.122364 + extra * 0.194236) / 12
        assert float(bill.by_service[0, 0]) == pytest.approx(expected, rel=1e-5)


def test_deadlines_count_late_work():
    """Batch work of 8 vCPU·steps due after two steps; 5 of it can be served by then."""
    cloud = small_cloud(batch_deadline_steps=1)
    weather = draw_weather(ToyGenerator(), 1, 2, 0, 0, cloud.params).steps[0]
    work = torch.zeros(1, 3, 5)
    work[0, 1, 0] = 8.0
    one = dataclasses.replace(
        weather, work=work, due=torch.tensor([[8.0, 0.0]]), due_now=torch.tensor([[8.0, 0.0]])
    )
    capacity = torch.tensor([[5.0, 1e4, 1e4, 1e4]])
    now = serve(torch.zeros(1, 3, 5), torch.zeros(1, 2), capacity, torch.ones(1), one, cloud.params)
    assert float(now.on_time_share) == pytest.approx(5 / 8)
    assert float(now.backlog[0, 1, 0]) == pytest.approx(3.0)


@pytest.mark.parametrize("region", ["us-central1", "us-west1"])
def test_carbon_follows_the_grid(region):
    cloud = small_cloud(region)
    home = small_cloud()
    share = cloud.carbon.vm_busy / home.carbon.vm_busy
    grids = [default_catalog(r).carbon for r in (region, "us-central1")]
    watts = [g.grid_gco2_per_kwh * g.pue for g in grids]
    assert share == pytest.approx(watts[0] / watts[1])
    # A VM of 4 vCPU and 16 GiB at full power for an hour.
    kwh = 4 * 3.642 / 1e3 + 16 * 0.000392
    full = (cloud.carbon.vm_idle + cloud.carbon.vm_busy) * 12
    assert full == pytest.approx(kwh * watts[0], rel=1e-6)
