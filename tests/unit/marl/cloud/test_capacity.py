"""What the units in service carry, and when the database takes no writes, by hand."""

import dataclasses

import pytest
import torch

from marl.cloud.dynamics import initial_state
from marl.cloud.pricing import crossing_share
from marl.cloud.rounding import EXACT
from marl.cloud.scaling import capacity, database_downtime, node_share, provision
from marl.cloud.types import LOADS, POOLS
from tests.unit.marl.cloud.helpers import (
    cell,
    knob_column,
    quiet_weather,
    small_cloud,
    with_loads,
)

PLAIN = {"spot_share": 0.0, "read_replicas": 0.0}


@pytest.fixture
def cloud():
    return small_cloud()


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


def test_parts_of_a_replica_take_their_part_of_what_a_whole_one_takes():
    replicas = torch.tensor([-1e-7, 0.0, 0.25, 1.0, 1.5, 3.0], requires_grad=True)
    share = node_share(replicas, 0.8)
    third = 0.2 + 0.8 * (1 / 2 + 1 / 3) / 2
    expected = torch.tensor([1.0, 1.0, 0.75 * 1.0 + 0.25 * 0.6, 0.6, third, 0.4])
    torch.testing.assert_close(share, expected, atol=1e-6, rtol=0)
    share.sum().backward()
    assert replicas.grad[:3].tolist() == pytest.approx([-0.4] * 3)  # all the way to the first one


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
