"""The rules for everything beside the VMs, by hand-worked numbers."""

import dataclasses

import pytest
import torch

from marl.cloud.dynamics import initial_state
from marl.cloud.rounding import EXACT
from marl.cloud.scaling import database_downtime, held_loads
from marl.cloud.types import DELAY_SLOTS, LOADS, POOLS
from tests.unit.marl.cloud.helpers import (
    cell,
    knob_column,
    pool,
    provision_once,
    quiet_weather,
    small_cloud,
    with_loads,
)

PLAIN = {"spot_share": 0.0, "read_replicas": 0.0}


@pytest.fixture
def cloud():
    return small_cloud()


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


# Orders and delays.


def test_no_capacity_before_its_delay(cloud):
    state = initial_state(quiet_weather(), cloud)
    knobs = knob_column(floor_share=1.5, cache_share=1.0, **PLAIN | {"read_replicas": 2.0})
    before = units(state)
    seen = []
    for _ in range(4):
        now, state = provision_once(state, knobs, quiet_weather(), cloud)
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
    _, state = provision_once(
        state, knob_column(database__floor_share=1.0, **PLAIN), quiet_weather(), cloud
    )
    assert ordered(state)["tier"] == 6.0  # 15 are wanted, 9 there
    assert ordered(state)["db_disk"] == 0.0
    more = knob_column(database__floor_share=1.5, has_ha=0.0, storage_free_share=1.0, **PLAIN)
    for _ in range(2):
        now, state = provision_once(state, more, quiet_weather(), cloud)
        assert ordered(state)["tier"] == 6.0
        # Nor is HA switched or the instance's disk enlarged meanwhile.
        assert float(now.has_ha) == 1.0
        assert ordered(state)["db_disk"] == 0.0
    now, state = provision_once(state, more, quiet_weather(), cloud)
    assert units(now)["tier"] == 15.0
    assert ordered(state)["tier"] == 8.0
    assert ordered(state)["db_disk"] == 24.0  # 600 GiB, twice the data
    assert float(now.has_ha) == 0.0


def test_switching_ha_restarts_the_database_once(cloud):
    state = initial_state(quiet_weather(), cloud)
    knobs = knob_column(has_ha=0.4, target_utilisation=0.6, **PLAIN)
    now, state = provision_once(state, knobs, quiet_weather(), cloud)
    assert (float(now.has_ha), float(now.is_restarting)) == (0.0, 1.0)
    assert float(database_downtime(now, quiet_weather(), cloud.params)) == pytest.approx(0.1)
    now, state = provision_once(state, knobs, quiet_weather(), cloud)
    assert (float(now.has_ha), float(now.is_restarting), float(now.changes)) == (0.0, 0.0, 0.0)


def test_what_serves_stays_though_more_is_on_order_than_wanted(cloud):
    state = initial_state(quiet_weather(), cloud)
    pending = torch.zeros(DELAY_SLOTS, len(POOLS), 1)
    pending[3, pool("replica")] = 2.0
    state.pools[pool("replica")] = 1.0
    state = dataclasses.replace(state, pending_pools=pending)
    knobs = knob_column(read_replicas=1.0)
    for expected in (1.0, 1.0, 1.0, 1.0):
        now, state = provision_once(state, knobs, quiet_weather(), cloud)
        assert units(now)["replica"] == expected
    # The two arrive in the fourth step and go at once.
    assert ordered(state)["replica"] == 0.0


def test_disks_only_grow_and_all_else_shrinks(cloud):
    state = with_loads(initial_state(quiet_weather(), cloud), **dict.fromkeys(LOADS, 0.0))
    state = dataclasses.replace(state, stored_gib=torch.tensor([100.0]))
    state.pools[pool("redis")] = 5.0
    state.pools[pool("hyperdisk")] = 5.0
    now, _ = provision_once(state, knob_column(**PLAIN), quiet_weather(), cloud)
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
    _, state = provision_once(state, half, quiet_weather(), cloud)
    assert ordered(state)["hyperdisk"] == 5.0  # 10,000 IOPS, half of them in steps of 1,000
    assert float(state.hyperdisk_wait) == 48.0
    everything = knob_column(provisioned_share=1.0, storage__target_utilisation=0.6, **PLAIN)
    for _ in range(47):
        now, state = provision_once(state, everything, quiet_weather(), cloud)
    assert units(now)["hyperdisk"] == 5.0
    assert ordered(state)["hyperdisk"] == 0.0
    _, state = provision_once(state, everything, quiet_weather(), cloud)
    assert ordered(state)["hyperdisk"] == 5.0


def test_a_wait_of_part_of_a_step_is_a_whole_one():
    cloud = small_cloud(hyperdisk_hours=0.11)  # 1.3 steps
    state = with_loads(initial_state(quiet_weather(), cloud), iops=6000.0)
    for share in (0.5, 1.0, 0.2, 0.9):
        knobs = knob_column(provisioned_share=share, **PLAIN)
        now, state = provision_once(state, knobs, quiet_weather(), cloud)
        assert torch.equal(now.pools, now.pools.round())
        assert torch.equal(now.pending_pools, now.pending_pools.round())


def test_commitments_are_bought_at_reviews_only_and_never_given_back(cloud):
    state = initial_state(quiet_weather(), cloud)  # 10 VMs for a year
    knobs = knob_column(commitment_share=0.5, three_year_share=0.4, **PLAIN)
    now, state = provision_once(state, knobs, quiet_weather(), cloud)
    assert now.committed[:, 0].tolist() == [10.0, 0.0]
    review = quiet_weather(is_review=torch.ones(1))
    now, state = provision_once(state, knobs, review, cloud)
    assert now.committed[:, 0].tolist() == [19.0, 6.0]  # 15 more of the peak's 50, 6 for 3 years
    now, state = provision_once(state, knob_column(commitment_share=0.0, **PLAIN), review, cloud)
    assert now.committed[:, 0].tolist() == [19.0, 6.0]


def test_a_cut_quota_bounds_what_is_wanted_beside_vms(cloud):
    state = with_loads(initial_state(quiet_weather(), cloud), gbps=50.0)
    knobs = knob_column(**PLAIN)
    for quota, proxies in ((1.0, 160), (0.5, 80)):  # of 24 Gbps in proxies of .15
        cut = quiet_weather(quota=torch.tensor([quota]))
        _, after = provision_once(state, knobs, cut, cloud)
        assert 34 + ordered(after)["proxy"] == proxies


# GPUs.


def test_gpus_are_ordered_for_their_share_of_ml_and_relieve_the_cpus(cloud):
    state = with_loads(
        initial_state(quiet_weather(), cloud), vcpu=120.0, ml_vcpu=80.0, memory_gib=0.0
    )
    knobs = knob_column(gpu_share=0.5, compute__target_utilisation=0.6, **PLAIN)
    slow = quiet_weather(delay=torch.tensor([[1.0], [2.0], [1.0], [1.0]]))
    now, state = provision_once(state, knobs, slow, cloud)
    gpus = [cell("on_demand", "gpu", zone) for zone in range(3)]
    # .5 · .6 · 80 = 24 vCPU for GPUs of 24 at 60 %: 1.67, so 2. Until they serve, CPUs carry all.
    assert now.fleet.pending[:, gpus].sum() == 2
    assert now.fleet.vms[:3].sum() + now.fleet.pending[:, :3].sum() == 50
    now, state = provision_once(state, knobs, slow, cloud)
    assert now.fleet.gpu_vms.tolist() == [0.0]
    now, state = provision_once(state, knobs, slow, cloud)
    assert now.fleet.gpu_vms.tolist() == [2.0]
    now, state = provision_once(state, knobs, slow, cloud)
    assert now.fleet.vms[:3].sum() == 40  # (120 - 24) / .6 / 4
