"""The autoscalers' rule and everything beside the VMs, by hand-worked numbers."""

import dataclasses
import math

import pytest
import torch

from marl.cloud.dynamics import initial_state, step
from marl.cloud.pricing import crossing_share
from marl.cloud.rounding import EXACT
from marl.cloud.scaling import capacity, database_downtime, held_loads, provision
from marl.cloud.types import DELAY_SLOTS, LOADS, POOLS
from tests.unit.marl.cloud.helpers import cell, knob_column, pool, quiet_weather, small_cloud

PLAIN = {"spot_share": 0.0, "read_replicas": 0.0}


@pytest.fixture
def cloud():
    return small_cloud()


def run(state, knobs, weather, cloud):
    """Provision once: what there is, and a state to go on from (loads as they were)."""
    now = provision(state, knobs, weather, EXACT, cloud.params)
    after = dataclasses.replace(
        state,
        vms=now.fleet.vms,
        pending_vms=now.fleet.pending,
        pools=now.pools,
        pending_pools=now.pending_pools,
        committed=now.committed,
        has_ha=now.has_ha,
        hyperdisk_wait=now.hyperdisk_wait,
    )
    return now, after


def with_loads(state, **loads):
    """The state with each measured load constant over the last hour."""
    changed = state.loads.clone()
    for name, value in loads.items():
        changed[:, LOADS.index(name)] = value
    return dataclasses.replace(state, loads=changed)


def units(now):
    return dict(zip(POOLS, now.pools[:, 0].tolist(), strict=True))


def ordered(state):
    return dict(zip(POOLS, state.pending_pools.sum(0)[:, 0].tolist(), strict=True))


def test_the_first_state_runs_at_60_percent(cloud):
    state = initial_state(quiet_weather(), cloud)
    # 100/.6 vCPU in VMs of 4, an even part in each zone; memory would need 300/.9/16 = 21.
    assert state.vms.sum() == 42
    assert state.vms[:3, 0].tolist() == [14.0, 14.0, 14.0]
    # 3000/.6 IOPS at .75 a GiB are more than 2400 · 1.2 GiB; 5 Gbps in proxies of .15; 16.7
    # database vCPU in steps of 2; 300 GiB in the database, a fifth more.
    assert units(state) == {
        "disk": 667.0,
        "hyperdisk": 0.0,
        "proxy": 34.0,
        "tier": 9.0,
        "replica": 0.0,
        "redis": 0.0,
        "db_disk": 36.0,
    }
    assert (float(state.has_ha), state.committed[:, 0].tolist()) == (1.0, [10.0, 0.0])


def test_scale_in_waits_for_the_window(cloud):
    loads = torch.zeros(12, len(LOADS), 1)
    loads[3] = 70.0  # four measurements ago: within 20 minutes, not within 15

    def held(window):
        knobs = knob_column(scale_in_window=window)
        return held_loads(loads, knobs, EXACT, cloud.params)[:, 0].tolist()

    disks = LOADS.index("iops")
    assert [value for i, value in enumerate(held(20.0)) if i != disks] == [70.0] * 5
    assert held(20.0)[disks] == 0.0  # disks have no window
    assert held(15.0) == [0.0] * len(LOADS)


# A constant action is a classic autoscaler.


@pytest.mark.parametrize("target", [0.4, 0.6, 0.75, 0.95])
@pytest.mark.parametrize("vcpu", [37.0, 100.0, 180.0, 900.0])
def test_a_constant_action_orders_what_a_migs_autoscaler_recommends(cloud, target, vcpu):
    """The recommendation is ceil(load / target / size): the window's largest, within bounds.

    Computed here from the loads alone, as the documentation of managed instance groups has it.
    """
    window_min, floor_share = 20.0, 0.2
    history = [vcpu * factor for factor in (0.9, 0.7, 1.0, 0.95, 1.3, 1.6, *[0.5] * 6)]
    in_window = history[: int(window_min / 5)]
    recommended = max(math.ceil(load / target / 4) for load in in_window)
    recommended = min(max(recommended, math.ceil(floor_share * 200 / 4)), 600 // 4)

    state = with_loads(initial_state(quiet_weather(), cloud), memory_gib=0.0)
    loads = state.loads.clone()
    loads[:, 0, 0] = torch.tensor(history)
    state = dataclasses.replace(state, loads=loads)
    knobs = knob_column(
        compute__target_utilisation=target,
        compute__floor_share=floor_share,
        compute__scale_in_window=window_min,
        **PLAIN,
    )
    now, after = run(state, knobs, quiet_weather(), cloud)
    had = 42
    assert now.fleet.vms.sum() == min(had, recommended)
    assert after.pending_vms.sum() == max(recommended - had, 0)
    now, after = run(after, knobs, quiet_weather(), cloud)
    assert now.fleet.vms.sum() == recommended
    assert after.pending_vms.sum() == 0


def test_so_it_does_over_hours_of_changing_load(cloud):
    knobs = knob_column(compute__target_utilisation=0.6, compute__scale_in_window=30.0, **PLAIN)
    weather = quiet_weather(delay=torch.ones(4, 1))
    state = initial_state(weather, cloud)
    history = [100.0] * 12
    running, pending, counts = 42, 0, []
    for t in range(60):
        vcpu = 100 + 80 * math.sin(t / 6)
        busy = dataclasses.replace(weather, work=weather.work.clone())
        # Web work alone, and much more of everything else than it needs: no backlog, no memory.
        busy.work[:] = 0.0
        busy.work[0, 0], busy.work[0, 5] = vcpu, 1000.0
        # By hand: arrivals, the recommendation on what was measured, orders or removals.
        running += pending
        wanted = max(math.ceil(load / 0.6 / 4 - 1e-4) for load in history[:6])
        pending = max(wanted - running, 0)
        running = min(running, max(wanted, 1))
        state, _ = step(state, knobs, busy, cloud)
        assert (state.vms.sum(), state.pending_vms.sum()) == (running, pending), t
        carried = state.backlog[0, 0, 0]
        history = [vcpu + float(carried), *history[:11]]
        counts.append(running)
    assert min(counts) <= 12
    assert max(counts) == 75  # 180 / .6 / 4


# Orders and delays.


def test_no_capacity_before_its_delay(cloud):
    state = initial_state(quiet_weather(), cloud)
    knobs = knob_column(floor_share=1.5, cache_share=1.0, **PLAIN | {"read_replicas": 2.0})
    before = units(state)
    seen = []
    for _ in range(4):
        now, state = run(state, knobs, quiet_weather(), cloud)
        seen.append(units(now))
    assert seen[0] == before
    # 9000 IOPS at .75 a GiB, 12 Gbps in proxies of .15, 45 vCPU · 50 IOPS at 30 a GiB = 75 GiB:
    # the database's disk is large enough. Redis holds 450 · .05 GiB after two steps.
    assert seen[1] == before | {"disk": 1200.0, "proxy": 80.0}
    assert seen[2] == seen[1] | {"redis": 23.0}
    # 45 vCPU in steps of 2 after three; replicas too. They count from then on: 45 · (.2 + .8/3).
    assert seen[3]["replica"] == 2.0
    assert seen[3]["tier"] == 11.0  # 23 arrived, 12 of them go: 21 vCPU are enough now
    assert now.is_restarting.tolist() == [1.0]


def test_one_cloud_sql_operation_at_a_time(cloud):
    state = initial_state(quiet_weather(), cloud)
    _, state = run(state, knob_column(database__floor_share=1.0, **PLAIN), quiet_weather(), cloud)
    assert ordered(state)["tier"] == 6.0  # 15 are wanted, 9 there
    more = knob_column(database__floor_share=1.5, has_ha=0.0, **PLAIN)
    for _ in range(2):
        now, state = run(state, more, quiet_weather(), cloud)
        assert ordered(state)["tier"] == 6.0
        assert float(now.has_ha) == 1.0  # nor is HA switched meanwhile
    now, state = run(state, more, quiet_weather(), cloud)
    assert units(now)["tier"] == 15.0
    assert ordered(state)["tier"] == 8.0
    assert float(now.has_ha) == 0.0


def test_switching_ha_restarts_the_database_once(cloud):
    state = initial_state(quiet_weather(), cloud)
    knobs = knob_column(has_ha=0.4, target_utilisation=0.6, **PLAIN)
    now, state = run(state, knobs, quiet_weather(), cloud)
    assert (float(now.has_ha), float(now.is_restarting)) == (0.0, 1.0)
    assert float(database_downtime(now, quiet_weather(), cloud.params)) == pytest.approx(0.1)
    now, state = run(state, knobs, quiet_weather(), cloud)
    assert (float(now.has_ha), float(now.is_restarting), float(now.changes)) == (0.0, 0.0, 0.0)


def test_what_serves_stays_though_more_is_on_order_than_wanted(cloud):
    state = initial_state(quiet_weather(), cloud)
    pending = torch.zeros(DELAY_SLOTS, len(POOLS), 1)
    pending[3, pool("replica")] = 2.0
    state.pools[pool("replica")] = 1.0
    state = dataclasses.replace(state, pending_pools=pending)
    knobs = knob_column(read_replicas=1.0)
    for expected in (1.0, 1.0, 1.0, 1.0):
        now, state = run(state, knobs, quiet_weather(), cloud)
        assert units(now)["replica"] == expected
    # The two arrive in the fourth step and go at once.
    assert ordered(state)["replica"] == 0.0


def test_disks_only_grow_and_all_else_shrinks(cloud):
    state = with_loads(initial_state(quiet_weather(), cloud), **dict.fromkeys(LOADS, 0.0))
    state = dataclasses.replace(state, stored_gib=torch.tensor([100.0]))
    state.pools[pool("redis")] = 5.0
    state.pools[pool("hyperdisk")] = 5.0
    now, _ = run(state, knob_column(**PLAIN), quiet_weather(), cloud)
    assert units(now) == {
        "disk": 667.0,
        "hyperdisk": 0.0,
        "proxy": 1.0,
        "tier": 1.0,
        "replica": 0.0,
        "redis": 0.0,
        "db_disk": 36.0,
    }
    assert now.fleet.vms.sum() == 1


def test_hyperdisk_takes_its_part_of_the_iops_and_changes_once_in_four_hours(cloud):
    state = with_loads(initial_state(quiet_weather(), cloud), iops=6000.0)
    half = knob_column(provisioned_share=0.5, storage__target_utilisation=0.6, **PLAIN)
    _, state = run(state, half, quiet_weather(), cloud)
    assert ordered(state)["hyperdisk"] == 5.0  # 10,000 IOPS, half of them in steps of 1,000
    assert float(state.hyperdisk_wait) == 48.0
    everything = knob_column(provisioned_share=1.0, storage__target_utilisation=0.6, **PLAIN)
    for _ in range(47):
        now, state = run(state, everything, quiet_weather(), cloud)
    assert units(now)["hyperdisk"] == 5.0
    assert ordered(state)["hyperdisk"] == 0.0
    _, state = run(state, everything, quiet_weather(), cloud)
    assert ordered(state)["hyperdisk"] == 5.0


def test_a_wait_of_part_of_a_step_is_a_whole_one():
    cloud = small_cloud(hyperdisk_hours=0.11)  # 1.3 steps
    state = with_loads(initial_state(quiet_weather(), cloud), iops=6000.0)
    for share in (0.5, 1.0, 0.2, 0.9):
        knobs = knob_column(provisioned_share=share, **PLAIN)
        now, state = run(state, knobs, quiet_weather(), cloud)
        assert torch.equal(now.pools, now.pools.round())
        assert torch.equal(now.pending_pools, now.pending_pools.round())


def test_commitments_are_bought_at_reviews_only_and_never_given_back(cloud):
    state = initial_state(quiet_weather(), cloud)  # 10 VMs for a year
    knobs = knob_column(commitment_share=0.5, three_year_share=0.4, **PLAIN)
    now, state = run(state, knobs, quiet_weather(), cloud)
    assert now.committed[:, 0].tolist() == [10.0, 0.0]
    review = quiet_weather(is_review=torch.ones(1))
    now, state = run(state, knobs, review, cloud)
    assert now.committed[:, 0].tolist() == [19.0, 6.0]  # 15 more of the peak's 50, 6 for 3 years
    now, state = run(state, knob_column(commitment_share=0.0, **PLAIN), review, cloud)
    assert now.committed[:, 0].tolist() == [19.0, 6.0]


def test_a_cut_quota_bounds_what_is_wanted_beside_vms(cloud):
    state = with_loads(initial_state(quiet_weather(), cloud), gbps=50.0)
    knobs = knob_column(**PLAIN)
    for quota, proxies in ((1.0, 160), (0.5, 80)):  # of 24 Gbps in proxies of .15
        cut = quiet_weather(quota=torch.tensor([quota]))
        _, after = run(state, knobs, cut, cloud)
        assert 34 + ordered(after)["proxy"] == proxies


# GPUs.


def test_gpus_are_ordered_for_their_share_of_ml_and_relieve_the_cpus(cloud):
    state = with_loads(
        initial_state(quiet_weather(), cloud), vcpu=120.0, ml_vcpu=80.0, memory_gib=0.0
    )
    knobs = knob_column(gpu_share=0.5, compute__target_utilisation=0.6, **PLAIN)
    slow = quiet_weather(delay=torch.tensor([[1.0], [2.0], [1.0], [1.0]]))
    now, state = run(state, knobs, slow, cloud)
    gpus = [cell("on_demand", "gpu", zone) for zone in range(3)]
    # .5 · .6 · 80 = 24 vCPU for GPUs of 24 at 60 %: 1.67, so 2. Until they serve, CPUs carry all.
    assert now.fleet.pending[:, gpus].sum() == 2
    assert now.fleet.vms[:3].sum() + now.fleet.pending[:, :3].sum() == 50
    now, state = run(state, knobs, slow, cloud)
    assert now.fleet.gpu_vms.tolist() == [0.0]
    now, state = run(state, knobs, slow, cloud)
    assert now.fleet.gpu_vms.tolist() == [2.0]
    now, state = run(state, knobs, slow, cloud)
    assert now.fleet.vms[:3].sum() == 40  # (120 - 24) / .6 / 4


# What units carry.


def provisioned(cloud, fleet, weather=None, **pools):
    """A `Provisioned` with VMs by (purchase, kind, zone) and units of pools."""
    weather = weather or quiet_weather()
    state = initial_state(quiet_weather(), cloud)
    vms = torch.zeros(24, 1)
    for key, count in fleet.items():
        vms[cell(*key)] = count
    total = sum(n for (_, kind, _), n in fleet.items() if kind != "gpu")
    knobs = knob_column(compute__floor_share=total * 4 / 200, **PLAIN)
    idle = with_loads(state, **dict.fromkeys(LOADS, 0.0))
    now = provision(dataclasses.replace(idle, vms=vms), knobs, weather, EXACT, cloud.params)
    wanted = torch.tensor([[float(pools.get(name, 10))] for name in POOLS])
    return dataclasses.replace(now, pools=wanted, is_restarting=torch.zeros(1))


EVEN = {("on_demand", "general", zone): 5 for zone in range(3)}


def carried(cloud, now, weather=None, **knobs):
    values = capacity(now, knob_column(**knobs), weather or quiet_weather(), cloud.params)
    return dict(zip(("vcpu", "iops", "gbps", "db", "gib"), values[:, 0].tolist(), strict=True))


def test_capacity_of_each_service_by_hand(cloud):
    pools = {"disk": 120, "hyperdisk": 2, "proxy": 20, "tier": 8, "replica": 1, "db_disk": 100}
    now = provisioned(cloud, EVEN, **pools)
    got = carried(cloud, now)
    assert got["vcpu"] == 60.0
    assert got["gib"] == 240.0
    # 1200 GiB hold half of the 2400 on disks; Hyperdisk's IOPS are its own.
    assert got["iops"] == pytest.approx(1200 * 0.75 * 0.5 + 2000)
    assert got["gbps"] == pytest.approx(3.0)
    # Two nodes of 16 vCPU: writes (.2) go to both, reads (.8) to either: 16 / (.2 + .4).
    assert got["db"] == pytest.approx(16 / 0.6)
    slow = quiet_weather(disk_speed=torch.tensor([0.25]))
    assert carried(cloud, now, slow)["iops"] == pytest.approx(got["iops"] / 4)
    # A small disk bounds the database: 1 · 300 IOPS, 50 for each vCPU of load.
    small = provisioned(cloud, EVEN, **pools | {"db_disk": 1})
    assert carried(cloud, small)["db"] == pytest.approx(6.0)


@pytest.mark.parametrize("replicas", [0, 1, 3])
def test_more_replicas_carry_more_reads_and_only_reads(cloud, replicas):
    now = provisioned(cloud, EVEN, tier=8, replica=replicas, db_disk=1000)
    assert carried(cloud, now)["db"] == pytest.approx(16 / (0.2 + 0.8 / (1 + replicas)))


def test_a_failover_with_and_without_standby_and_replica(cloud):
    failing = quiet_weather(failover=torch.ones(1))

    def share(has_ha, replicas):
        now = provisioned(cloud, EVEN, tier=8, replica=replicas, db_disk=1000)
        now = dataclasses.replace(now, has_ha=torch.tensor([has_ha]))
        return carried(cloud, now, failing)["db"] / carried(cloud, now)["db"]

    # A switch takes 120 s of 300; a restart 600 s, all of it. Replicas go on reading.
    assert share(1.0, 0) == pytest.approx(0.6)
    assert share(0.0, 0) == pytest.approx(0.0)
    assert share(1.0, 1) == pytest.approx(1 - 0.2 * 0.4)
    assert share(0.0, 1) == pytest.approx(1 - 0.2)


def test_a_zone_outage_with_and_without_ha(cloud):
    home_down = quiet_weather(is_up=torch.tensor([[0.0], [1.0], [1.0]]))
    other_down = quiet_weather(is_up=torch.tensor([[1.0], [0.0], [1.0]]))
    for has_ha, weather, downtime in (
        (1.0, home_down, 0.0),
        (0.0, home_down, 1.0),
        (0.0, other_down, 0.0),
    ):
        now = provisioned(cloud, EVEN, weather, tier=8, replica=0, db_disk=1000)
        now = dataclasses.replace(now, has_ha=torch.tensor([has_ha]))
        assert float(database_downtime(now, weather, cloud.params)) == downtime
        got = carried(cloud, now, weather)
        assert (got["vcpu"], got["gib"]) == (40.0, 160.0)
        assert got["db"] == pytest.approx(16.0 * (1 - downtime))


def test_the_outage_in_which_the_zone_falls_fails_the_primary_over(cloud):
    """`weather._failovers` marks that step: with HA it costs a switch, then nothing."""
    falling = quiet_weather(is_up=torch.tensor([[0.0], [1.0], [1.0]]), failover=torch.ones(1))
    now = provisioned(cloud, EVEN, falling)
    assert float(database_downtime(now, falling, cloud.params)) == pytest.approx(0.4)


UNEVEN = {("on_demand", "general", 0): 9, ("on_demand", "general", 1): 3}
UNEVEN |= {("on_demand", "general", 2): 3}


def test_locality_wastes_an_uneven_fleet_and_saves_hops(cloud):
    even, uneven = provisioned(cloud, EVEN), provisioned(cloud, UNEVEN)
    assert carried(cloud, even, zone_locality=1.0)["vcpu"] == pytest.approx(60.0)
    # An even split could use 3 · 12 vCPU of 60; half of the difference is not spilled over.
    assert carried(cloud, uneven, zone_locality=1.0)["vcpu"] == pytest.approx(60 - 0.5 * 24)
    assert carried(cloud, uneven, zone_locality=0.5)["vcpu"] == pytest.approx(60 - 0.25 * 24)

    def crossing(now, locality):
        return float(crossing_share(now, knob_column(zone_locality=locality)))

    # 1 - Σ share² over that of an even fleet: 2/3 of all hops.
    assert crossing(even, 0.0) == pytest.approx(1.0)
    assert crossing(even, 0.7) == pytest.approx(0.3)
    assert crossing(uneven, 0.0) == pytest.approx((1 - 0.36 - 0.04 - 0.04) * 1.5)
    one_zone = provisioned(cloud, {("on_demand", "general", 0): 4})
    assert crossing(one_zone, 0.0) == pytest.approx(0.0)


def test_a_cloud_of_one_zone_has_no_hops():
    alone = small_cloud(zones=1)
    weather = quiet_weather(zones=1)
    state = initial_state(weather, alone)
    now = provision(state, knob_column(**PLAIN), weather, EXACT, alone.params)
    assert crossing_share(now, knob_column()).tolist() == [0.0]
