"""Plans from trajectories: sizes worked by hand, and one from a policy that really played."""

import dataclasses
import math

import polars as pl
import pytest

from marl.cloud.catalogue import default_catalog
from marl.cloud.config import CloudConfig
from marl.cloud.params import Reference
from marl.gcp.planning import Setting, plan_from_trajectory

STEPS = 100
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
    """100 steps of a policy that holds 8 VMs, and 20 of them in one step."""
    vms = [8.0] * (STEPS - 1) + [20.0]
    base = {
        "policy": "maddpg",
        "scenario": "mixed",
        "episode": 0,
        "requests": 30_000.0,
        "slo_attainment": 0.99,
        "capacity_compute": [4 * each for each in vms],
        "capacity_storage": 900.0,
        "capacity_network": 0.6,
        "capacity_database": 8.0,
        "demand_compute": 18.0,
        "demand_storage": 480.0,
        "demand_network": 0.25,
        "demand_database": 5.0,
        "compute_target_utilisation": 0.6,
        "compute_spot_share": 0.35,
        "compute_scale_in_window": 12.5,
        "storage_target_utilisation": 0.8,
        "database_read_replicas": 1.4,
    }
    frame = pl.DataFrame({"step": range(STEPS)})
    values = base | columns
    return frame.with_columns(
        pl.Series(name, value) if isinstance(value, list) else pl.lit(value).alias(name)
        for name, value in values.items()
    )


def test_sizes_worked_by_hand() -> None:
    plan = plan_from_trajectory(trajectory(), SETTING)
    compute = plan.compute
    assert (compute.min_replicas, compute.max_replicas) == (8, 25)  # 20 × 1.25
    assert compute.target_cpu_utilisation == 0.6
    assert compute.spot_share == 0.35
    assert compute.scale_in_window_s == 750
    assert compute.initialization_period_s == math.ceil(20 * math.exp(1.645 * 0.52) + 40)
    # 480 / 0.8 / 8 VMs = 75 IOPS a replica, 0.75 IOPS per GiB of pd-standard
    assert (plan.storage.disk_type, plan.storage.disk_gib) == ("pd-standard", 100)
    assert plan.network.peak_gbps == 0.25
    # one replica: a node carries 0.2 + 0.8 / 2 = 0.6 of 8 vCPUs; 4.8 rounds up to 5, then to even
    assert plan.database.tier == "db-custom-6-24576"
    assert plan.database.read_replicas == 1
    assert plan.database.disk_gib == 30  # 500 × 5 % × 1.2
    assert plan.zones == ("us-central1-a", "us-central1-b", "us-central1-c")
    assert plan.is_synthetic
    assert plan.policy == "maddpg"


def test_reasons_and_demand_hold_the_numbers() -> None:
    plan = plan_from_trajectory(trajectory(), SETTING)
    assert plan.demand.startswith(
        "8.3 h of mixed demand (1 episode(s)): 100.0 requests/s on average and 100.0 at the p95; "
        "18.0 vCPUs of work"
    )
    why = {reason.resource: reason.text for reason in plan.reasons}
    assert set(why) == {"compute", "storage", "network", "database"}
    assert "held 8 (2nd percentile) to 20 VMs, 8.1 on average" in why["compute"]
    assert "75 IOPS a replica" in why["storage"]
    assert "0.250 Gbps" in why["network"]
    assert "8.0 vCPUs of database capacity" in why["database"]


def test_cost_follows_the_mean_not_the_peak() -> None:
    plan = plan_from_trajectory(trajectory(), SETTING)
    machines = [line for line in plan.costs if line.resource.startswith("n2-standard-4")]
    # 8.12 VMs on average; 35 % of them would be 2.8, but the spot group keeps at least 3
    assert [line.monthly_usd for line in machines] == pytest.approx(
        [5.12 * 0.194236 * 730, 3 * 0.09212 * 730]
    )
    egress = next(line for line in plan.costs if line.resource == "internet egress")
    gib = 0.25 * (1e9 / 8 / 2**30) * 3600 * 730 * (0.2 / 0.25) * 0.1
    assert egress.monthly_usd == pytest.approx(1024 * 0.12 + (gib - 1024) * 0.11)


def test_an_idle_policy_still_gets_a_cloud_that_can_start() -> None:
    idle = dict.fromkeys(
        ("demand_compute", "demand_storage", "demand_network", "demand_database", "requests"), 0.0
    )
    frame = trajectory(capacity_compute=[4.0] * STEPS, capacity_database=0.5, **idle)
    plan = plan_from_trajectory(frame, SETTING)
    assert (plan.compute.min_replicas, plan.compute.max_replicas) == (1, 2)
    assert plan.storage.disk_gib == 10
    assert plan.database.tier == "db-custom-1-4096"


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (trajectory().clear(), "without steps"),
        (trajectory().drop("capacity_database"), r"lacks \['capacity_database'\]"),
        (trajectory(demand_network=math.nan), "demand_network holds values that are not numbers"),
        (trajectory(policy=["a", "b"] * 50), r"one policy; the trajectory holds \['a', 'b'\]"),
        (trajectory(capacity_database=400.0), "240 vCPUs exceeds Cloud SQL's 96"),
    ],
)
def test_what_cannot_be_planned_is_refused(frame, message) -> None:
    with pytest.raises(ValueError, match=message):
        plan_from_trajectory(frame, SETTING)


def test_a_region_without_known_zones_is_refused() -> None:
    elsewhere = SETTING.catalog.model_copy(update={"region": "me-west1"})
    with pytest.raises(ValueError, match="zones of region 'me-west1' are not known"):
        plan_from_trajectory(trajectory(), dataclasses.replace(SETTING, catalog=elsewhere))
