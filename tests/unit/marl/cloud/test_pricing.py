"""The bill by hand, against the price list of us-central1 typed in here."""

import dataclasses

import pytest
import torch

from marl.cloud.buckets import Objects
from marl.cloud.dynamics import initial_state
from marl.cloud.pricing import bill, reference_capacity_usd, reference_traffic_usd
from marl.cloud.rounding import EXACT
from marl.cloud.scaling import provision
from marl.cloud.service import offer, serve
from marl.cloud.types import KINDS, POOLS, PURCHASES
from tests.unit.marl.cloud.helpers import knob_column, quiet_weather, small_cloud

GENERAL, HIGHMEM, ARM, GPU = 0.194236, 0.262028, 0.1796, 0.853624271  # USD an hour
ONE_YEAR, THREE_YEARS = 0.122364, 0.087412
GIB_H = 1e9 / 8 * 3600 / 2**30  # of one Gbps in an hour
NOTHING = {"gib": [0.0] * 4, "moved": [0.0] * 3, "read": [0.0] * 4}


def column(values):
    return torch.tensor(values, dtype=torch.float32)[:, None]


def charged(cloud, vms=None, pools=None, data=None, weather=None, cdn=0.0, **fixed):
    """USD an hour of a plan: VMs by (purchase, kind), units by pool, GiB of objects."""
    weather = weather or quiet_weather(work=torch.zeros(3, 6, 1))
    knobs = knob_column(
        **{k: fixed.pop(k) for k in ("premium_share", "zone_locality") if k in fixed}
    )
    state = initial_state(quiet_weather(), cloud)
    now = provision(state, knobs, quiet_weather(), EXACT, cloud.params)
    serving = torch.zeros(len(PURCHASES), len(KINDS), 1)
    for (purchase, kind), count in (vms or {}).items():
        serving[PURCHASES.index(purchase), KINDS.index(kind)] = count
    fleet = dataclasses.replace(
        now.fleet, serving=serving, vcpu_by_zone=column(fixed.pop("by_zone", [20.0] * 3))
    )
    plan = {"committed": column([0.0, 0.0]), "has_ha": torch.zeros(1)} | {
        name: torch.tensor(value) for name, value in fixed.items()
    }
    units = column([float((pools or {}).get(name, 0)) for name in POOLS])
    now = dataclasses.replace(now, fleet=fleet, pools=units, **plan)
    data = NOTHING | (data or {})
    objects = Objects(
        colder=column([0.0] * 3),
        gib=column(data["gib"]),
        moved_gib=column(data["moved"]),
        read_gib=column(data["read"]),
    )
    zero, params = torch.zeros(1), cloud.params
    offered = offer(torch.zeros(3, 6, 1), zero, torch.full((1,), cdn), zero, zero, weather, params)
    plenty = column([1e5] * 5)
    served = serve(offered, torch.zeros(2, 1), plenty, zero, weather, EXACT, params)
    money = bill(now, objects, offered, served, knobs, weather, cloud.prices, params)
    return {
        field.name: (getattr(money, field.name) * (1 if field.name == "crossing" else 12))
        .flatten()
        .tolist()
        for field in dataclasses.fields(money)
    }


@pytest.fixture
def cloud():
    return small_cloud()


def test_vms_by_kind_and_purchase(cloud):
    vms = {
        ("on_demand", "general"): 10,
        ("spot", "general"): 5,
        ("on_demand", "highmem"): 2,
        ("spot", "arm"): 3,
        ("on_demand", "gpu"): 1,
    }
    got = charged(cloud, vms)  # spot at .4 of on-demand
    spot = 5 * 0.4 * GENERAL + 3 * 0.4 * ARM
    assert got["spot"] == pytest.approx([spot], rel=1e-5)
    expected = 10 * GENERAL + 2 * HIGHMEM + GPU + spot
    assert got["capacity"][0] == pytest.approx(expected, rel=1e-5)
    assert got["by_service"][0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("vms", "extra"), [(10, 0), (25, 0), (30, 5)])
def test_commitments_are_paid_and_used_first(cloud, vms, extra):
    got = charged(cloud, {("on_demand", "general"): vms}, committed=[[20.0], [5.0]])
    fixed = 20 * ONE_YEAR + 5 * THREE_YEARS
    assert got["committed"] == pytest.approx([fixed], rel=1e-5)
    assert got["capacity"][0] == pytest.approx(fixed + extra * GENERAL, rel=1e-5)
    # Of other kinds and of spot VMs a commitment pays nothing.
    other = charged(cloud, {("spot", "general"): 25}, committed=[[20.0], [5.0]])
    assert other["capacity"][0] == pytest.approx(fixed + 25 * 0.4 * GENERAL, rel=1e-5)


def test_disks_and_objects(cloud):
    got = charged(
        cloud,
        pools={"disk": 100, "hyperdisk": 3},
        data={"gib": [1000.0, 500.0, 200.0, 100.0]},
    )
    disks = 1000 * 0.04 + 3 * (10 * 0.125 + 1000 * 0.032)
    objects = 1000 * 0.02 + 500 * 0.01 + 200 * 0.004 + 100 * 0.0012
    assert got["capacity"][1] == pytest.approx((disks + objects) / 730, rel=1e-5)


def test_moving_and_reading_cold_objects_costs_use_not_capacity(cloud):
    got = charged(cloud, data={"moved": [10.0, 5.0, 1.0], "read": [100.0, 10.0, 5.0, 1.0]})
    # Objects of .01 GiB: 100 operations a GiB; USD for 10,000, then retrieval a GiB.
    moved = (10 * 0.1 + 5 * 0.1 + 1 * 0.5) / 100
    read = 100 * 0.004 / 100 + 10 * (0.01 + 0.01 / 100) + 5 * (0.02 + 0.05 / 100)
    read += 1 * (0.05 + 0.5 / 100)
    # The helper multiplies a step's bill by 12.
    assert got["traffic"] == pytest.approx([12 * (moved + read)], rel=1e-5)
    assert got["by_service"][1] == pytest.approx(12 * (moved + read), rel=1e-5)
    assert got["capacity"][1] == 0.0


def test_the_database_by_hand(cloud):
    pools = {"tier": 4, "replica": 1, "db_disk": 10, "redis": 5}
    node = 8 * (0.0413 + 4 * 0.0070)
    disk = 100 * 0.17 / 730
    backup, redis = 100 * 0.08 / 730, 5 * 1.035 / 22.5
    got = charged(cloud, pools=pools)
    assert got["capacity"][3] == pytest.approx(2 * (node + disk) + backup + redis, rel=1e-5)
    # A standby costs as much as a primary; replicas have none.
    with_ha = charged(cloud, pools=pools, has_ha=[1.0])
    assert with_ha["capacity"][3] == pytest.approx(3 * (node + disk) + backup + redis, rel=1e-5)


def test_an_hour_of_traffic_by_hand(cloud):
    weather = quiet_weather()  # 3 Gbps, 1.2 of them web, .1 of that to the internet
    got = charged(cloud, pools={"proxy": 20}, weather=weather)
    fixed = 20 * 0.025 + 0.025 + 0.0448 + 0.005
    passing = 1.2 * (0.1 * 0.08 + 0.008) + 3 * 0.1 * 0.01 + 1.8 * 0.02 * 0.045
    assert got["capacity"][2] == pytest.approx(fixed, rel=1e-5)
    assert got["by_service"][2] == pytest.approx(fixed + passing * GIB_H, rel=1e-5)
    assert got["traffic"] == pytest.approx([passing * GIB_H], rel=1e-5)
    # As the plain choices are, nothing but capacity is decided.
    assert got["decided"] == pytest.approx([sum(got["capacity"])], rel=1e-5)


def test_choices_about_traffic_are_decided_and_priced(cloud):
    weather = quiet_weather()
    plain = charged(cloud, weather=weather)
    # The standard tier at .065 a GiB instead of .08.
    cheap = charged(cloud, weather=weather, premium_share=0.0)
    saved = 1.2 * 0.1 * (0.08 - 0.065) * GIB_H
    assert plain["traffic"][0] - cheap["traffic"][0] == pytest.approx(saved, rel=1e-4)
    assert plain["decided"][0] - cheap["decided"][0] == pytest.approx(saved, rel=1e-3)
    # The CDN answers .4 of the web: its egress is .055, a look-up .0075 for 10,000.
    cached = charged(cloud, weather=weather, cdn=1.0)
    hits = 0.4 * 1.2
    lookups = 2000 * 3600 / 1e4 * 0.0075
    change = hits * (0.1 * 0.055 - 0.1 * 0.08 - 0.008) * GIB_H + lookups
    assert cached["decided"][0] - plain["decided"][0] == pytest.approx(change, rel=1e-3)
    # Requests kept in their zone save hops.
    near = charged(cloud, weather=weather, zone_locality=0.75)
    assert near["crossing"] == pytest.approx([0.25])
    hops = 0.75 * 3 * 0.1 * 0.01 * GIB_H
    assert plain["decided"][0] - near["decided"][0] == pytest.approx(hops, rel=1e-3)


def test_a_lost_request_saves_nothing_that_is_decided(cloud):
    """What is asked counts, not what is served: two clouds that differ only in what they serve."""
    weather = quiet_weather()
    one = torch.zeros(1)
    offered = offer(torch.zeros(3, 6, 1), one, one, one, one, weather, cloud.params)
    state = initial_state(weather, cloud)
    knobs = knob_column()
    now = provision(state, knobs, weather, EXACT, cloud.params)
    objects = Objects(column([0.0] * 3), column([0.0] * 4), column([0.0] * 3), column([0.0] * 4))
    bills = []
    for vcpu in (1000.0, 10.0):
        capacity = column([vcpu, 1e5, 1e5, 1e5, 1e5])
        served = serve(offered, torch.zeros(2, 1), capacity, one, weather, EXACT, cloud.params)
        bills.append(
            bill(now, objects, offered, served, knobs, weather, cloud.prices, cloud.params)
        )
    assert bills[0].decided.tolist() == bills[1].decided.tolist()
    assert bills[0].traffic > bills[1].traffic


def test_the_static_plan_by_hand(cloud):
    compute, storage, network, database = (12 * usd for usd in reference_capacity_usd(cloud.params))
    # 200 vCPU at 70 % in VMs of 4; 6000 / .7 IOPS at .75 a GiB; 8 / .7 Gbps; 30 / .7 vCPU with HA.
    assert compute == pytest.approx(200 / 0.7 / 4 * GENERAL, rel=1e-5)
    gib = 6000 / 0.7 / 0.75
    assert storage == pytest.approx((gib * 0.04 + 9000 * 0.6 * 0.02) / 730, rel=1e-5)
    assert network == pytest.approx(8 / 0.7 / 0.15 * 0.025 + 0.025 + 0.0448 + 0.005, rel=1e-5)
    node = 30 / 0.7 * (0.0826 + 4 * 0.014)
    assert database == pytest.approx(node + 450 * (2 * 0.17 + 0.08) / 730, rel=1e-5)
    traffic = 2 * (0.1 * 0.08 + 0.008) + 6 * 0.1 * 0.01
    assert 12 * reference_traffic_usd(cloud.params) == pytest.approx(traffic * GIB_H, rel=1e-5)
