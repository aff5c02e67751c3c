"""Plans from trajectories: sizes worked by hand, and from policies that really played."""

import dataclasses
import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marl.cloud.catalogue import default_catalog
from marl.cloud.config import CloudConfig
from marl.cloud.params import Reference
from marl.cloud.types import KINDS, PURCHASES
from marl.gcp.planning import Setting, plan_from_trajectory
from marl.gcp.terraform import render
from tests.unit.marl.gcp.played import play

STEPS = 112  # the first hour is not counted: 100 are
SETTING = Setting(
    config=CloudConfig(),
    catalog=default_catalog("us-central1"),
    reference=Reference(
        peak=(40.0, 900.0, 0.4, 4.0),
        memory_gib=120.0,
        ml_vcpu=10.0,
        requests_per_s=150.0,
        stored_gib=500.0,
        web_gbps=0.2,
        all_gbps=0.25,
    ),
    is_synthetic=True,
)


def trajectory(**columns) -> pl.DataFrame:
    """A policy that holds 8 VMs on demand, and 20 of them in one step; nothing else."""
    base = {
        "policy": "maddpg",
        "scenario": "mixed",
        "episode": 0,
        "requests": 30_000.0,
        **{f"vms_{purchase}_{kind}": 0.0 for purchase in PURCHASES for kind in KINDS},
        "vms_on_demand_general": [50.0] * 12 + [8.0] * (STEPS - 13) + [20.0],
        "units_disk": 72.0,
        "units_hyperdisk": 0.0,
        "units_tier": 3.0,
        "units_replica": 1.4,
        "units_redis": 0.0,
        "units_db_disk": 3.0,
        "committed_1y": 0.0,
        "committed_3y": 0.0,
        "has_ha": 1.0,
        "cdn_hits": 0.0,
        "redis_hits": 0.0,
        "demand_compute": 18.0,
        "demand_network": 0.25,
        "demand_database": 5.0,
        "compute_target_utilisation": 0.6,
        "compute_scale_in_window": 12.5,
        "compute_zone_spread": 1.0,
        "compute_fallback_share": 0.0,
        "storage_nearline_after": 30.0,
        "network_cdn_share": 0.0,
        "network_premium_share": 1.0,
        "network_zone_locality": 0.0,
    }
    frame = pl.DataFrame({"step": range(STEPS)})
    values = base | columns
    return frame.with_columns(
        pl.Series(name, value) if isinstance(value, list) else pl.lit(value).alias(name)
        for name, value in values.items()
    )


def planned(**columns):
    return plan_from_trajectory(trajectory(**columns), SETTING)


def reasons(plan) -> dict[str, str]:
    return {reason.resource: reason.text for reason in plan.reasons}


def ranges(plan) -> dict[str, tuple[int, int]]:
    return {each.key: (each.min_replicas, each.max_replicas) for each in plan.compute.groups}


def test_sizes_worked_by_hand() -> None:
    plan = planned()
    assert ranges(plan) == {"on-demand": (8, 25)}  # 20 × 1.25; the first hour's 50 do not count
    compute = plan.compute
    assert compute.target_cpu_utilisation == 0.6
    assert compute.target_shape == "EVEN"
    assert compute.scale_in_window_s == 750
    assert compute.initialization_period_s == math.ceil(20 * math.exp(1.645 * 0.52) + 40)
    assert compute.commitments == ()
    # 720 GiB over 8 VMs
    assert (plan.storage.disk_type, plan.storage.disk_gib) == ("pd-standard", 90)
    assert plan.storage.buckets[0].lifecycle == (
        *((30, "NEARLINE"), (90, "COLDLINE")),
        (300, "ARCHIVE"),
    )
    network = plan.network
    assert network.peak_gbps == 0.25
    assert (network.is_cdn_enabled, network.nat_tier, network.keeps_zone) == (
        *(False, "PREMIUM"),
        False,
    )
    assert plan.database.tier == "db-custom-6-24576"  # 3 steps of 2 vCPUs
    assert (plan.database.read_replicas, plan.database.has_ha) == (1, True)
    assert plan.database.disk_gib == 30
    assert plan.cache is None
    assert plan.zones == ("us-central1-a", "us-central1-b", "us-central1-c")
    assert plan.is_synthetic
    assert plan.policy == "maddpg"


def test_reasons_and_demand_hold_the_numbers() -> None:
    plan = planned(committed_1y=2.0)
    assert plan.demand.startswith(
        "9.3 h of mixed demand (1 episode(s)): 100.0 requests/s on average and 100.0 at the p95; "
        "18.0 vCPUs of work"
    )
    why = reasons(plan)
    assert set(why) == {"compute", "commitments", "storage", "network", "database", "cache"}
    assert "n2-standard-4 on demand 8 to 20, 8.1 (100% of the VMs)" in why["compute"]
    assert "committed to 2 for 1 year(s) n2-standard-4 and ran 8.1" in why["commitments"]
    assert "90 GiB and 68 IOPS" in why["storage"]
    assert "0.250 Gbps" in why["network"]
    assert "a node of 6 vCPUs" in why["database"]
    assert "none is provisioned" in why["cache"]


def test_kinds_and_purchases_become_groups_above_the_threshold() -> None:
    """8 VMs of 4 vCPUs on demand are 32; spot 4 of 4, one GPU counts 24, Arm 1 of 4 of 76."""
    vms = {
        "vms_on_demand_general": 8.0,
        "vms_spot_general": 4.0,
        "vms_on_demand_gpu": 1.0,
        "vms_spot_arm": 1.0,  # 4 of 76 are 5.3 %
        "vms_on_demand_highmem": 0.5,  # 2 of 78 are 2.6 %: no group
    }
    plan = planned(**vms)
    assert ranges(plan) == {
        "on-demand": (9, 11),  # with the half VM: 8.5, and 10.6
        "gpu": (1, 2),
        "spot": (4, 5),
        "arm-spot": (1, 2),
    }
    by_key = {each.key: each for each in plan.compute.groups}
    assert by_key["gpu"].machine_type == "g2-standard-8"
    assert by_key["arm-spot"].data_disk.disk_type == "hyperdisk-balanced"
    assert by_key["gpu"].data_disk.disk_type == "pd-balanced"
    assert by_key["spot"].data_disk is None


def test_refused_spot_falls_back_on_demand() -> None:
    """The on-demand group's maximum holds the share of the largest spot fleet beside its own."""
    vms = {"vms_on_demand_general": 8.0, "vms_spot_general": 4.0, "vms_spot_arm": 4.0}
    assert ranges(planned(**vms, compute_fallback_share=0.5))["on-demand"] == (8, 15)  # 12 × 1.25
    plan = planned(**vms)
    assert ranges(plan)["on-demand"] == (8, 10)
    assert "may grow by that share" in reasons(plan)["compute"]


@pytest.mark.parametrize(
    ("spread", "shape"), [(0.0, "ANY"), (0.32, "ANY"), (0.34, "BALANCED"), (0.7, "EVEN")]
)
def test_zone_spread_becomes_a_target_shape(spread: float, shape: str) -> None:
    assert planned(compute_zone_spread=spread).compute.target_shape == shape


def test_commitments_are_the_vms_the_policy_bought() -> None:
    plan = planned(committed_1y=5.0, committed_3y=[0.0] * 50 + [2.0] * (STEPS - 50))
    one, three = plan.compute.commitments
    assert (one.years, one.vms, one.vcpu, one.memory_mib) == (1, 5, 20, 80 * 1024)
    assert (three.years, three.vms) == (3, 2)
    assert one.commitment_type == "GENERAL_PURPOSE_N2"
    assert len(plan.commitment_costs) == 2
    assert not any("commitment" in line.resource for line in plan.costs)


def test_hyperdisk_becomes_what_the_machine_takes() -> None:
    """16 units of 1,000 IOPS over 8 VMs: 2,000 each, and 67.5 of the disks by size."""
    plan = planned(units_hyperdisk=16.0)
    assert (plan.storage.disk_type, plan.storage.disk_gib) == ("pd-ssd", 90)  # 2,067.5 / 30 = 69
    why = reasons(plan)["storage"]
    assert "Hyperdisk Extreme attaches only to large machines" in why
    assert "SSD disks by size" in why
    config = CloudConfig(machine_type="c3-standard-4", disk_type="pd-balanced")
    setting = dataclasses.replace(SETTING, config=config)
    plan = plan_from_trajectory(trajectory(units_hyperdisk=32.0), setting)
    # 4,000 of Hyperdisk and 90 GiB × 6 IOPS of balanced disk
    assert plan.storage.disk_type == "hyperdisk-balanced"
    assert (plan.storage.disk_gib, plan.storage.provisioned_iops) == (90, 4540)
    assert "SSD disks by size" not in reasons(plan)["storage"]
    few = planned(units_hyperdisk=0.02)  # 20 of 560 IOPS
    assert few.storage.disk_type == "pd-standard"


def test_network_knobs_become_switches() -> None:
    plan = planned(
        network_cdn_share=0.5,
        cdn_hits=6_000.0,
        network_premium_share=0.2,
        network_zone_locality=0.9,
    )
    network = plan.network
    assert (network.is_cdn_enabled, network.nat_tier, network.keeps_zone) == (
        *(True, "STANDARD"),
        True,
    )
    why = reasons(plan)["network"]
    assert "answered 20% of the requests: Cloud CDN is on" in why
    assert "premium tier only" in why
    assert "WATERFALL_BY_ZONE" in why
    costs = {line.resource: line.monthly_usd for line in plan.costs}
    gib = 0.25 * (1e9 / 8 / 2**30) * 3600 * 730 * 0.8  # of the web
    lookups = 100 * 3600 * 730 / 1e4
    assert costs["Cloud CDN"] == pytest.approx(gib * 0.2 * 0.1 * 0.08 + lookups * 0.0075)
    assert costs["load balancer"] == pytest.approx(730 * 0.025 + gib * 0.8 * 0.008)


def test_the_database_is_as_available_as_the_policy_kept_it() -> None:
    plan = planned(has_ha=[1.0] * 60 + [0.0] * (STEPS - 60), units_redis=5.5, redis_hits=0.8)
    assert not plan.database.has_ha  # 48 of 100 steps
    assert plan.cache is not None
    assert plan.cache.memory_gib == 6
    why = reasons(plan)
    assert "a standby 48% of the time: zonal" in why["database"]
    assert "80% of the reads and 64% of the queries" in why["cache"]
    line = next(line for line in plan.costs if line.resource == "Redis, 6 GiB")
    assert line.monthly_usd == pytest.approx(6 * 730 * 0.054)


def test_cost_follows_the_mean_not_the_peak() -> None:
    plan = planned()
    machines = [line for line in plan.costs if line.resource.startswith("n2-standard-4")]
    assert [line.monthly_usd for line in machines] == pytest.approx([8.12 * 0.194236 * 730])
    egress = next(line for line in plan.costs if line.resource == "internet egress")
    gib = 0.25 * (1e9 / 8 / 2**30) * 3600 * 730 * (0.2 / 0.25) * 0.1
    assert egress.monthly_usd == pytest.approx(1024 * 0.12 + (gib - 1024) * 0.11)
    # 300 GiB of objects of a mean age of 60 days, moved at 30, 90 and 300
    held = [300 * (math.exp(-a / 60) - math.exp(-b / 60)) for a, b in ((0, 30), (30, 90))]
    buckets = [line for line in plan.costs if line.resource.startswith("bucket data")]
    assert buckets[0].monthly_usd == pytest.approx(held[0] * 0.02)
    read = 300 * 0.05 * 730 / 24 * (math.exp(-30 / 15) - math.exp(-90 / 15))
    assert buckets[1].monthly_usd == pytest.approx(held[1] * 0.01 + read * 0.01)


def test_an_idle_policy_still_gets_a_cloud_that_can_start() -> None:
    idle = dict.fromkeys(("demand_compute", "demand_network", "demand_database", "requests"), 0.0)
    plan = planned(
        vms_on_demand_general=1.0, units_disk=1.0, units_tier=1.0, units_db_disk=1.0, **idle
    )
    assert ranges(plan) == {"on-demand": (1, 2)}
    assert plan.storage.disk_gib == 10
    assert plan.database.tier == "db-custom-2-8192"


def test_a_short_trajectory_is_planned_whole() -> None:
    assert ranges(plan_from_trajectory(trajectory().head(12), SETTING)) == {"on-demand": (50, 63)}


@given(
    st.lists(st.integers(0, 40), min_size=8, max_size=8).filter(lambda v: sum(v[:3] + v[4:7]) > 0)
)
def test_every_fleet_is_a_plan_terraform_can_be_written_from(counts) -> None:
    names = [f"vms_{purchase}_{kind}" for purchase in PURCHASES for kind in KINDS]
    plan = planned(**{name: float(count) for name, count in zip(names, counts, strict=True)})
    weights = dict(zip(names, [4, 4, 4, 24] * 2, strict=True))
    total = sum(count * weights[name] for name, count in zip(names, counts, strict=True))
    held = sum(
        each.min_replicas * (24 if each.kind == "gpu" else 4) for each in plan.compute.groups
    )
    # Nothing is lost: what has no group of its own is counted to another.
    assert total <= held + 1e-6 <= total + 4 * len(counts) + 24 + 1e-6
    assert all(usd.monthly_usd >= 0 for usd in plan.costs)
    assert f'"{plan.compute.groups[0].machine_type}"' in render(plan)["variables.tf"]


@pytest.mark.parametrize(
    ("name", "overrides", "keys"),
    [
        ("plain", {"committed_share": 0.0}, {"on-demand"}),
        (
            "rich",
            {},
            {"on-demand", "spot", "highmem", "mem-spot", "arm", "arm-spot", "gpu", "gpu-spot"},
        ),
    ],
)
def test_a_policy_that_really_played(name, overrides, keys) -> None:
    steps, setting = play(name, **overrides)
    plan = plan_from_trajectory(steps, setting)
    is_rich = name == "rich"
    assert set(ranges(plan)) == keys
    assert plan.compute.target_shape == ("BALANCED" if is_rich else "EVEN")
    assert [each.years for each in plan.compute.commitments] == ([1, 3] if is_rich else [])
    assert plan.network.is_cdn_enabled == plan.network.keeps_zone == is_rich
    assert plan.database.has_ha != is_rich
    assert plan.database.read_replicas == (2 if is_rich else 0)
    assert (plan.cache is not None) == is_rich
    assert plan == plan_from_trajectory(steps, setting)


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"machine_type": "c3-standard-4", "disk_type": "pd-balanced", "zone_outage_per_day": 2.0},
        {"machine_type": "e2-standard-2", "arm_type": "n4a-standard-4", "zones": 1},
    ],
)
def test_whatever_is_played_becomes_a_module(overrides) -> None:
    """Knobs drawn anew at every step: nothing the simulator does is refused, no size is lost."""
    steps, setting = play("random", **overrides)
    plan = plan_from_trajectory(steps, setting)
    settled = steps.filter(pl.col("step") >= 12)
    vcpu = {kind: setting.catalog.machine(setting.machine_type(kind)).vcpu for kind in KINDS[:3]}
    largest = max(
        sum(row[f"vms_{purchase}_{kind}"] * vcpu[kind] for purchase in PURCHASES for kind in vcpu)
        for row in settled.iter_rows(named=True)
    )
    groups = plan.compute.groups
    assert sum(each.max_replicas * vcpu.get(each.kind, 0) for each in groups) >= largest
    assert {line.resource for line in plan.costs}.issuperset(
        f"{each.machine_type}, {each.key}" for each in plan.compute.groups
    )
    texts = render(plan)
    assert all(each.machine_type in texts["variables.tf"] for each in plan.compute.groups)
    assert len(plan.zones) == setting.config.zones


def test_the_simulators_bill_and_the_estimate_agree_on_compute() -> None:
    """Two ways to one figure: the simulator's bill by the step, the estimate by the month."""
    steps, setting = play("plain", committed_share=0.0)
    plan = plan_from_trajectory(steps, setting)
    settled = steps.filter(pl.col("step") >= 12)
    estimated = sum(x.monthly_usd for x in plan.costs if x.resource.startswith("n2-standard-4"))
    billed = settled["cost_compute_usd"].sum() / (settled.height * 300 / 3600) * 730
    assert estimated == pytest.approx(billed, rel=1e-3)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (trajectory().clear(), "without steps"),
        (trajectory().drop("units_tier"), r"lacks \['units_tier'\]"),
        (trajectory(demand_network=math.nan), "demand_network holds values that are not numbers"),
        (trajectory(policy=["a", "b"] * 56), r"one policy; the trajectory holds \['a', 'b'\]"),
        (trajectory(units_tier=60.0), "120 vCPUs exceeds Cloud SQL's 96"),
        (trajectory(units_redis=301.0), "at most 300 GiB; the policy held 301"),
    ],
)
def test_what_cannot_be_planned_is_refused(frame, message) -> None:
    with pytest.raises(ValueError, match=message):
        plan_from_trajectory(frame, SETTING)


def test_a_region_without_known_zones_is_refused() -> None:
    elsewhere = SETTING.catalog.model_copy(update={"region": "me-west1"})
    with pytest.raises(ValueError, match="zones of region 'me-west1' are not known"):
        plan_from_trajectory(trajectory(), dataclasses.replace(SETTING, catalog=elsewhere))
