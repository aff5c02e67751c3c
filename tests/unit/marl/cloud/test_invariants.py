"""What must hold of the exact clouds whatever agents and weather do."""

import dataclasses

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marl.cloud import latency, pricing, scaling, service
from marl.cloud.actions import WIDTH
from marl.cloud.catalogue import default_catalog
from marl.cloud.config import CloudConfig
from marl.cloud.dynamics import build_cloud, initial_state, knobs_from_actions, step
from marl.cloud.figures import figure_names
from marl.cloud.observation import LIMIT
from marl.cloud.params import build_params
from marl.cloud.rounding import EXACT
from marl.cloud.types import SERVICES
from marl.cloud.weather import draw_weather
from marl.workload.toy import ToyGenerator
from tests.unit.marl.cloud.helpers import REFERENCE, small_cloud

STEPS, CLOUDS = 40, 6
FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MANY = settings(FEW, max_examples=60)
SEEDS = st.integers(0, 2**31)
WORLDS = st.fixed_dictionaries(
    {
        "zones": st.integers(1, 4),
        "quota_share": st.floats(0.05, 3.0),
        "quota_cut_per_day": st.floats(0.0, 20.0),
        "spot_shock_time_share": st.floats(0.01, 0.5),
        "spot_hazard_factor": st.floats(0.0, 50.0),
        "stock_out_time_share": st.floats(0.0, 0.5),
        "zone_outage_per_day": st.floats(0.0, 10.0),
        "zone_outage_hours": st.floats(0.1, 3.0),
        "vm_failure_per_h": st.floats(0.0, 1.0),
        "disk_slow_per_day": st.floats(0.0, 10.0),
        "failover_per_step": st.floats(0.0, 0.5),
        "retry_share": st.floats(0.0, 0.95),
        "batch_deadline_steps": st.integers(1, 40),
        "vm_boot_median_s": st.floats(10.0, 900.0),
        "database_median_s": st.floats(10.0, 1500.0),
        "commitment_review_h": st.floats(0.1, 6.0),
    }
)
# Figures that may be below zero: rewards, and what decisions take from the price of traffic.
SIGNED = ("reward", "cost_decided_usd")


def played(seed, cloud, steps=STEPS, clouds=CLOUDS, noise=0.4):
    """Step by step: state before and after, figures by name, weather; random policies."""
    weather = draw_weather(
        ToyGenerator(mean_vcpu=120, noise=noise), clouds, steps, seed, 0, cloud.params
    )
    rng = torch.Generator().manual_seed(seed)
    names = figure_names(cloud.params.config.zones)
    state = initial_state(weather.at(0), cloud)
    for t in range(steps):
        actions = torch.rand((WIDTH, clouds), generator=rng) * 2 - 1
        if t % 3 == 0:
            actions = actions.sign()  # the corners of the action space
        before = state
        state, outcome = step(state, knobs_from_actions(actions, cloud), weather.at(t), cloud)
        figures = dict(zip(names, outcome.figures, strict=True))
        yield before, state, figures, weather.at(t), cloud.observe(state, weather.told[t + 1])


@FEW
@given(SEEDS, WORLDS)
def test_money_requests_and_machines_are_conserved(seed, world):
    cloud = small_cloud(**world)
    step_s, config = cloud.params.step_s, cloud.params.config
    arrived = torch.zeros(2, CLOUDS)
    for before, after, info, weather, _ in played(seed, cloud):
        # Money: the services' bills are the bill, and so are capacity and use.
        bill = info["cost_usd"]
        torch.testing.assert_close(bill, sum(info[f"cost_{name}_usd"] for name in SERVICES))
        torch.testing.assert_close(bill, info["cost_capacity_usd"] + info["cost_traffic_usd"])
        torch.testing.assert_close(after.spent_usd, before.spent_usd + bill)
        # Web requests: new ones and those that come again; none appears, none is lost twice.
        torch.testing.assert_close(info["requests"], weather.work[0, 5] * step_s)
        came = info["requests"] + before.retries * step_s
        offered = before.backlog[0, 5] * step_s + came - info["cdn_hits"]
        kept = after.backlog[0, 5] * step_s
        served = offered - kept - info["dropped"]
        assert (served >= -1e-5 * offered).all()
        answered = info["requests_served"] - info["cdn_hits"]
        torch.testing.assert_close(answered, served, rtol=1e-4, atol=1.0)
        # Nobody waits longer than the time-out; retries are part of the lost.
        assert (kept <= served * config.web_timeout_s / step_s + 1e-5 * offered).all()
        again = config.retry_share * info["dropped"]
        torch.testing.assert_close(after.retries * step_s, again, rtol=1e-5, atol=1e-3)
        # What fell due was in time or late, class by class; together they are the service level.
        classes = ("web", "batch", "ml")
        due, late = (sum(info[f"{what}_{c}"] for c in classes) for what in ("due", "late"))
        level = torch.where(due > 1e-6, 1 - late / due.clamp_min(1e-6), 1.0)
        torch.testing.assert_close(info["slo_attainment"], level, rtol=1e-4, atol=1e-4)
        assert all((info[f"late_{c}"] <= info[f"due_{c}"] * (1 + 1e-5)).all() for c in classes)
        torch.testing.assert_close(
            info["deadline_misses"], info["late_batch"] + info["late_ml"], rtol=1e-5, atol=1e-5
        )
        # Background work is never lost.
        done = torch.stack((info["work_done_batch"], info["work_done_ml"]))
        torch.testing.assert_close(after.served, before.served + done)
        arrived += weather.work[1:, 0]
        there = after.served + after.backlog[1:, 0]
        torch.testing.assert_close(arrived, there, rtol=1e-4, atol=1e-2)
        # Machines: whole; what is there was there or came, less what was removed or lost.
        for units in (after.vms, after.pending_vms, after.pools, after.pending_pools):
            assert torch.equal(units, units.round())
            assert (units >= 0).all()
        came_vms = before.pending_vms[0].sum(0) - info["refusals"]
        lost = info["preemptions"] + info["failures"]
        removed = before.vms.sum(0) + came_vms - lost - after.vms.sum(0)
        assert (removed >= 0).all()
        moved = torch.cat((before.pending_vms[1:], torch.zeros_like(before.pending_vms[:1])))
        ordered = after.pending_vms - moved
        assert (ordered >= 0).all()
        torch.testing.assert_close(info["pending_vms"], after.pending_vms.sum((0, 1)))
        # Whatever is removed or ordered is an operation.
        assert ((info["changes"] > 0) | ((removed == 0) & (ordered.sum((0, 1)) == 0))).all()
        # Commitments are never given back, disks never shrink.
        assert (after.committed >= before.committed).all()
        for pool in (scaling.DISK, scaling.DB_DISK):
            assert (after.pools[pool] >= before.pools[pool]).all()


@FEW
@given(SEEDS, WORLDS)
def test_nothing_is_negative_endless_or_out_of_its_range(seed, world):
    cloud = small_cloud(**world)
    shares = ("slo_attainment", "waste", "redis_hits", "has_ha", "dependency_gap", "utilisation_")
    for _, after, info, _, features in played(seed, cloud):
        for key, value in info.items():
            assert value.isfinite().all(), key
            if not key.startswith(SIGNED):
                assert (value >= 0).all(), key
            if key.startswith(shares):
                assert (value <= 1 + 1e-5).all(), key
        for name in ("performance", "reliability", "sustainability", "penalty"):
            assert (info[f"reward_{name}"] <= 1e-6).all(), name
        assert (info["latency_p99_ms"] >= info["latency_p95_ms"]).all()
        assert (info["latency_p95_ms"] >= info["latency_p50_ms"]).all()
        assert (info["latency_p50_ms"] >= cloud.params.config.propagation_ms).all()
        for field in dataclasses.fields(after):
            value = getattr(after, field.name)
            assert value.isfinite().all(), field.name
            assert (value >= -1e-6).all() or field.name == "measured", field.name
        torch.testing.assert_close(after.ages.sum(0), torch.ones_like(after.ages[0]))
        assert (after.cdn <= 1).all()
        assert (after.refused <= 1).all()
        assert (after.colder[1:] <= after.colder[:-1] + 1e-6).all()
        assert features.isfinite().all()
        assert features.abs().max() <= LIMIT


@FEW
@given(SEEDS, WORLDS)
def test_no_capacity_before_its_delay(seed, world):
    cloud = small_cloud(**world)
    zones = cloud.params.config.zones
    for before, after, _, weather, _ in played(seed, cloud):
        assert (after.vms <= before.vms + before.pending_vms[0]).all()
        assert (after.pools <= before.pools + before.pending_pools[0]).all()
        # What is new on order stands in the slot of the step's delay alone: VMs, GPU VMs.
        fresh = after.pending_vms[:-1] - before.pending_vms[1:]
        cells = torch.cat(
            (weather.delay[:1].expand(3 * zones, -1), weather.delay[1:2].expand(zones, -1))
        )
        slot = torch.arange(1, len(fresh) + 1)[:, None, None]
        assert (fresh * (cells.repeat(2, 1) != slot) == 0).all()
        # A zone that is down, or has none of the kind, delivers nothing.
        grown = after.vms - before.vms
        shut = torch.maximum(weather.is_sold_out, 1 - weather.is_up.repeat(4, 1)).repeat(2, 1)
        assert (grown * shut <= 0).all()


@MANY
@given(SEEDS, WORLDS, st.floats(0.0, 4.0))
def test_offered_work_is_served_kept_or_lost(seed, world, scale):
    """Resource by resource: offered = used + kept + lost, and no more is used than is there."""
    cloud = small_cloud(**world)
    params, rng = cloud.params, torch.Generator().manual_seed(seed)
    weather = draw_weather(ToyGenerator(noise=0.5), CLOUDS, 2, seed, 0, params).at(1)

    def some(*shape):
        return torch.rand((*shape, CLOUDS), generator=rng)

    gpus = (some() * 5).floor()
    offered = service.offer(
        some(3, 1) * weather.work, some() * 500, some(), some() * 20, gpus, weather, params
    )
    carries = offered.load * some(5) * scale
    due = some(2) * 200
    weather = dataclasses.replace(weather, due=due, due_now=due * some(2))
    before = some(2) * 100
    gpu_vcpu = gpus * params.config.gpu_vcpu
    now = service.serve(offered, before, carries, gpu_vcpu, weather, EXACT, params)
    torch.testing.assert_close(now.web_share + now.kept + now.lost_share, torch.ones(CLOUDS))
    assert (now.used <= carries * (1 + 1e-4) + 1e-4).all()
    total, kept = offered.work[:, :5].sum(0), now.backlog[:, :5].sum(0)
    lost = offered.work[0, :5] * now.lost_share
    by_gpu = torch.zeros_like(total)
    by_gpu[0] = now.gpu_used * gpu_vcpu
    torch.testing.assert_close(total, now.used + kept + lost + by_gpu, rtol=1e-4, atol=1e-3)
    done = offered.work[1:, 0] - now.backlog[1:, 0]
    torch.testing.assert_close(now.served, before + done, rtol=1e-4, atol=1e-3)


@MANY
@given(
    SEEDS,
    st.sampled_from(("vms", "proxy", "tier", "disk", "hyperdisk", "replica", "redis", "db_disk")),
    st.integers(1, 40),
)
def test_more_capacity_never_worsens_latency_or_service(seed, what, more):
    """The same arrivals and backlog, more of one thing in service."""
    cloud = small_cloud()
    params = cloud.params
    rng = torch.Generator().manual_seed(seed)
    weather = draw_weather(ToyGenerator(noise=0.5), CLOUDS, 2, seed, 0, params).at(1)
    knobs = knobs_from_actions(torch.rand((WIDTH, CLOUDS), generator=rng) * 2 - 1, cloud)
    backlog = torch.rand((3, 1, CLOUDS), generator=rng) * weather.work
    state = initial_state(weather, cloud)
    poor = scaling.provision(state, knobs, weather, EXACT, params)
    shrink = 0.4 + 0.6 * torch.rand((2, CLOUDS), generator=rng)  # some services are short
    pools = torch.maximum((poor.pools * shrink[0]).floor(), (poor.pools > 0).float())
    fleet = dataclasses.replace(
        poor.fleet,
        vcpu_by_zone=poor.fleet.vcpu_by_zone * shrink[1],
        memory_gib=poor.fleet.memory_gib * shrink[1],
    )
    poor = dataclasses.replace(poor, pools=pools, fleet=fleet)
    if what == "vms":
        zone = torch.zeros(3, 1)
        zone[more % 3] = more * params.machine.vcpu
        gib = poor.fleet.memory_gib + more * params.machine.memory_gib
        bigger = dataclasses.replace(
            poor.fleet, vcpu_by_zone=poor.fleet.vcpu_by_zone + zone, memory_gib=gib
        )
        rich = dataclasses.replace(poor, fleet=bigger)
    else:
        pools = poor.pools.clone()
        pools[getattr(scaling, what.upper())] += more
        rich = dataclasses.replace(poor, pools=pools)

    def result(now):
        carries = scaling.capacity(now, knobs, weather, params)
        zero = torch.zeros(CLOUDS)
        redis = now.pools[scaling.REDIS]
        offered = service.offer(backlog, zero, zero, redis, zero, weather, params)
        served = service.serve(
            offered, torch.zeros(2, CLOUDS), carries, zero, weather, EXACT, params
        )
        still = (torch.ones(CLOUDS), zero)
        return served, latency.latency(offered, served, now, still, weather, params)

    (served, slow), (better, fast) = result(poor), result(rich)
    slack = 1e-4
    for name in ("p50_s", "p95_s", "p99_s"):
        assert (getattr(fast, name) <= getattr(slow, name) * (1 + slack) + slack).all(), name
    assert (fast.sojourn_s <= slow.sojourn_s * (1 + slack) + slack).all()
    assert (better.web_share >= served.web_share - slack).all()
    assert (better.lost_share <= served.lost_share + slack).all()
    assert (better.late <= served.late * (1 + slack) + 1e-2).all()
    # A gamma distribution changes its shape: where almost nothing is in time, by up to 0.02.
    assert (fast.within >= slow.within - torch.where(slow.within < 0.06, 0.02, 5e-4)).all()


PRICES = [price.item for price in default_catalog().prices]
VM_PRICES = ("on_demand_usd_per_h", "cud_1y_usd_per_h", "cud_3y_usd_per_h")


def dearer(catalog, item, factor):
    """The catalogue with one price raised: an item, or a price of all machines or disks."""

    def raised(rows, field, is_it=lambda row: True):
        return tuple(
            row.model_copy(update={field: getattr(row, field) * factor}) if is_it(row) else row
            for row in rows
        )

    if item in VM_PRICES:
        return catalog.model_copy(update={"machines": raised(catalog.machines, item)})
    if item == "disk":
        return catalog.model_copy(update={"disks": raised(catalog.disks, "usd_per_gib_month")})
    if item == "iops":
        return catalog.model_copy(update={"disks": raised(catalog.disks, "usd_per_iops_month")})
    prices = raised(catalog.prices, "usd", lambda price: price.item == item)
    return catalog.model_copy(update={"prices": prices})


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SEEDS, st.sampled_from([*PRICES, *VM_PRICES, "disk", "iops"]), st.floats(1.0, 5.0))
def test_no_bill_falls_when_one_price_rises(seed, item, factor):
    plain = small_cloud(committed_share=0.3)
    catalog = plain.params.catalog
    config = CloudConfig(committed_share=0.3)
    params = build_params(
        config, dearer(catalog, item, factor), REFERENCE, torch.device("cpu"), 300.0
    )
    for cheap, dear in zip(
        played(seed, plain, 6, 3), played(seed, build_cloud(params), 6, 3), strict=True
    ):
        # Decisions and weather do not look at prices: the clouds are the same.
        assert torch.equal(cheap[1].vms, dear[1].vms)
        assert torch.equal(cheap[1].pools, dear[1].pools)
        low, high = cheap[2]["cost_usd"], dear[2]["cost_usd"]
        assert (high >= low * (1 - 1e-5)).all(), item
        assert (high <= low * factor * (1 + 1e-5)).all(), item


def test_all_prices_doubled_double_the_bill():
    plain = small_cloud()
    catalog = plain.params.catalog
    for item in {*PRICES, *VM_PRICES, "disk", "iops"}:
        catalog = dearer(catalog, item, 2.0)
    params = build_params(CloudConfig(), catalog, REFERENCE, torch.device("cpu"), 300.0)
    twice = build_cloud(params)
    for cheap, dear in zip(played(3, plain, 12), played(3, twice, 12), strict=True):
        torch.testing.assert_close(dear[2]["cost_usd"], 2 * cheap[2]["cost_usd"])
    usd = [sum(pricing.reference_capacity_usd(p)) for p in (plain.params, params)]
    assert usd[1] == pytest.approx(2 * usd[0])


@FEW
@given(SEEDS, st.integers(1, 40))
def test_a_seed_gives_the_same_clouds_in_a_batch_of_any_size(seed, clouds):
    cloud = small_cloud(stock_out_time_share=0.2, zone_outage_per_day=3.0, vm_failure_per_h=0.3)
    generator, steps = ToyGenerator(mean_vcpu=120, noise=0.4), 12
    rng = torch.Generator().manual_seed(seed)
    actions = torch.rand((steps, WIDTH, 41), generator=rng) * 2 - 1
    ends = []
    for batch in (clouds, 41):
        weather = draw_weather(generator, batch, steps, seed, 0, cloud.params)
        state = initial_state(weather.at(0), cloud)
        for t in range(steps):
            knobs = knobs_from_actions(actions[t, :, :batch], cloud)
            state, outcome = step(state, knobs, weather.at(t), cloud)
        ends.append((weather.packed, state.vms, state.pools, outcome.figures))
    (few_weather, few_vms, few_pools, few), (weather, vms, pools, figures) = ends
    assert torch.equal(few_weather, weather[..., :clouds])
    assert torch.equal(few_vms, vms[..., :clouds])
    assert torch.equal(few_pools, pools[..., :clouds])
    torch.testing.assert_close(few, figures[..., :clouds], rtol=1e-5, atol=1e-5)
