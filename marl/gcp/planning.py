"""From what a policy held to what to provision: sizes, estimate, and the reason for each.

Reads the steps that a policy lived through (`marl.evaluate.rollout.trajectory`) and nothing else of
learning. Prices times sizes belong to `cost`; writing the result to `terraform`.
"""

import math
from dataclasses import dataclass
from typing import Final

import polars as pl

from marl.cloud.catalogue import PriceCatalog
from marl.cloud.catalogue_data import ZONES
from marl.cloud.config import CloudConfig
from marl.cloud.params import GIB_PER_GBPS_S, Reference
from marl.cloud.types import SERVICES
from marl.gcp.cost import HOURS_PER_MONTH, ExpectedUse, estimate
from marl.gcp.groups import instance_groups
from marl.gcp.plan import (
    BucketPlan,
    ComputePlan,
    DatabasePlan,
    NetworkPlan,
    ProvisioningPlan,
    Reason,
    StoragePlan,
)

HEADROOM: Final = 1.25  # of the largest fleet seen: a day may be worse than those played
_LOW, _HIGH = 0.02, 0.99  # quantiles over steps, so that one odd step decides nothing
_DISK_STEP_GIB: Final = 10
_TIERS: Final = (1, *range(2, 97, 2))  # vCPUs a db-custom tier can have
_MIB_STEP: Final = 256
_BOOT_P95_Z: Final = 1.645
_KNOBS: Final = (
    "compute_target_utilisation",
    "compute_spot_share",
    "compute_scale_in_window",
    "storage_target_utilisation",
    "database_read_replicas",
)
_NEARLINE_DAYS, _COLDLINE_DAYS, _BACKUP_DAYS = 30, 90, 90


@dataclass(frozen=True)
class Setting:
    """What the trajectory was played in, beside the policy.

    Attributes:
        config: of the simulated cloud.
        catalog: prices of the region to provision in.
        reference: the scale of the demand.
        is_synthetic: whether the workload was fitted to a generated trace.
    """

    config: CloudConfig
    catalog: PriceCatalog
    reference: Reference
    is_synthetic: bool


def plan_from_trajectory(
    trajectory: pl.DataFrame, setting: Setting, *, name: str = "stratoform", step_s: float = 300.0
) -> ProvisioningPlan:
    """The plan that a policy's own behaviour implies for the demand it was played on.

    Args:
        trajectory: steps of one or more episodes of one policy, one row a step, as
            `marl.evaluate.rollout.trajectory` returns them.
        setting: what they were played in.
        name: prefix of every resource.
        step_s: seconds a step lasts.

    Returns:
        The plan, with its estimate and a reason for each size.

    Raises:
        ValueError: no step, a column missing or not finite, more than one policy or kind of demand
            (one plan serves one), or a demand that the largest Cloud SQL tier cannot carry.
    """
    _check(trajectory)
    machine = setting.catalog.machine(setting.config.machine_type)
    vms = trajectory["capacity_compute"] / machine.vcpu
    compute, compute_why = _compute(trajectory, vms, setting)
    storage, storage_why = _storage(trajectory, vms, setting)
    network, network_why = _network(trajectory)
    database, database_why = _database(trajectory, setting)
    use = _use(trajectory, vms, compute, setting)
    region = setting.catalog.region
    if region not in ZONES:
        raise ValueError(f"the zones of region {region!r} are not known; known: {', '.join(ZONES)}")
    return ProvisioningPlan(
        name=name,
        region=region,
        zones=ZONES[region][: setting.config.zones],
        policy=trajectory["policy"][0],
        demand=describe_demand(trajectory, step_s),
        is_synthetic=setting.is_synthetic,
        compute=compute,
        storage=storage,
        network=network,
        database=database,
        costs=estimate(compute, storage, network, database, setting.catalog, use),
        reasons=(compute_why, storage_why, network_why, database_why),
    )


def describe_demand(trajectory: pl.DataFrame, step_s: float) -> str:
    """The demand of a trajectory in one sentence with its numbers."""
    hours = trajectory.height * step_s / 3600
    requests = trajectory["requests"] / step_s
    vcpu = trajectory["demand_compute"]
    episodes = trajectory["episode"].n_unique()
    return (
        f"{hours:.1f} h of {trajectory['scenario'][0]} demand ({episodes} episode(s)): "
        f"{_mean(requests):,.1f} requests/s on average and {_at(requests, 0.95):,.1f} at the p95; "
        f"{_mean(vcpu):,.1f} vCPUs of work on average and {_at(vcpu, 0.95):,.1f} at the p95; "
        f"{_at(trajectory['demand_network'], 0.95):,.3f} Gbps at the p95"
    )


def _check(trajectory: pl.DataFrame) -> None:
    if trajectory.is_empty():
        raise ValueError("cannot plan from a trajectory without steps")
    figures = [f"{kind}_{each}" for kind in ("capacity", "demand") for each in SERVICES]
    numeric = [*_KNOBS, *figures, "requests", "slo_attainment"]
    missing = sorted({*numeric, "policy", "scenario", "episode"} - set(trajectory.columns))
    if missing:
        raise ValueError(f"the trajectory lacks {missing}; see marl.evaluate.rollout.trajectory")
    for column in numeric:
        if trajectory[column].is_null().any() or not trajectory[column].is_finite().all():
            raise ValueError(f"the trajectory's {column} holds values that are not numbers")
    for column in ("policy", "scenario"):
        if trajectory[column].n_unique() > 1:
            found = sorted(trajectory[column].unique().to_list())
            raise ValueError(f"one plan serves one {column}; the trajectory holds {found}")


def _at(values: pl.Series, quantile: float) -> float:
    return float(values.quantile(quantile, "higher"))  # type: ignore[arg-type]


def _mean(values: pl.Series) -> float:
    return float(values.mean())  # type: ignore[arg-type]


def _up(value: float, step: int = 1) -> int:
    """The next multiple of `step`, forgiving what float32 adds."""
    return max(step, math.ceil(value / step - 1e-4) * step)


def _compute(
    trajectory: pl.DataFrame, vms: pl.Series, setting: Setting
) -> tuple[ComputePlan, Reason]:
    config = setting.config
    low, largest = _at(vms, _LOW), _at(vms, 1.0)
    high = _up(HEADROOM * largest)
    target = round(_mean(trajectory["compute_target_utilisation"]), 2)
    spot = round(_mean(trajectory["compute_spot_share"]), 2)
    window_s = min(3600, round(60 * _mean(trajectory["compute_scale_in_window"])))
    boot_s = config.vm_boot_median_s * math.exp(_BOOT_P95_Z * config.vm_boot_sigma)
    initial_s = math.ceil(boot_s + config.vm_warm_up_s[1])
    plan = ComputePlan(
        machine_type=config.machine_type,
        min_replicas=min(_up(low), high),
        max_replicas=high,
        target_cpu_utilisation=target,
        spot_share=spot,
        initialization_period_s=initial_s,
        scale_in_window_s=window_s,
    )
    text = (
        f"The policy held {low:.0f} (2nd percentile) to {largest:.0f} VMs, {_mean(vms):.1f} on "
        f"average, for {_mean(trajectory['demand_compute']):.1f} vCPUs of work; the maximum leaves "
        f"{HEADROOM - 1:.0%} above the largest. It aimed at {target:.0%} CPU, bought {spot:.0%} of "
        f"the VMs as spot and kept a peak's size for {window_s / 60:.0f} min. A VM is useful after "
        f"{initial_s} s (boot p95 {boot_s:.0f} s, warm-up up to {config.vm_warm_up_s[1]:.0f} s)."
    )
    return plan, Reason(resource="compute", text=text)


def _storage(
    trajectory: pl.DataFrame, vms: pl.Series, setting: Setting
) -> tuple[StoragePlan, Reason]:
    disk = setting.catalog.disk(setting.config.disk_type)
    wanted = trajectory["demand_storage"] / trajectory["storage_target_utilisation"]
    iops = _at(wanted / vms.clip(lower_bound=1.0), _HIGH)
    gib = _up(iops / disk.iops_per_gib, _DISK_STEP_GIB)
    buckets = (
        BucketPlan(
            name_suffix="data",
            lifecycle=((_NEARLINE_DAYS, "NEARLINE"), (_COLDLINE_DAYS, "COLDLINE")),
        ),
        BucketPlan(name_suffix="backups", storage_class="NEARLINE", delete_after_days=_BACKUP_DAYS),
    )
    saved = setting.catalog.usd("gcs.standard") - setting.catalog.usd("gcs.nearline")
    read = setting.catalog.usd("gcs.retrieval.nearline")
    text = (
        f"{iops:,.0f} IOPS a replica (99th percentile of demand over the policy's target, "
        f"{_mean(trajectory['storage_target_utilisation']):.0%} on average) need {gib} GiB of "
        f"{disk.name} at {disk.iops_per_gib:g} IOPS per GiB. Disks go with their replicas, so the "
        f"{setting.reference.stored_gib * setting.config.object_share:,.0f} GiB of objects lie in "
        f"the bucket. Nearline saves "
        f"{saved:.3f} USD a GB and month and costs {read:.2f} a GB read: objects move when they "
        f"are expected to be read less than {saved / read:.1f} times a month, assumed after "
        f"{_NEARLINE_DAYS} days."
    )
    plan = StoragePlan(disk_type=disk.name, disk_gib=gib, buckets=buckets)  # type: ignore[arg-type]
    return plan, Reason(resource="storage", text=text)


def _network(trajectory: pl.DataFrame) -> tuple[NetworkPlan, Reason]:
    peak, mean = _at(trajectory["demand_network"], _HIGH), _mean(trajectory["demand_network"])
    text = (
        f"Traffic reached {peak:.3f} Gbps (99th percentile), {mean:.3f} on average. Google's "
        "global load balancer grows by itself; replicas have no public address and leave through "
        "Cloud NAT. No CDN: the trace does not show what could be cached."
    )
    return NetworkPlan(peak_gbps=peak), Reason(resource="network", text=text)


def _database(trajectory: pl.DataFrame, setting: Setting) -> tuple[DatabasePlan, Reason]:
    config = setting.config
    replicas = math.floor(_mean(trajectory["database_read_replicas"]) + 0.5)
    # Every node applies all writes; reads spread over the primary and its replicas.
    node_share = (1 - config.read_share) + config.read_share / (1 + replicas)
    held = _at(trajectory["capacity_database"], _HIGH)
    needed = _up(held * node_share)
    vcpu = next((size for size in _TIERS if size >= needed), None)
    if vcpu is None:
        raise ValueError(f"a database node of {needed} vCPUs exceeds Cloud SQL's {_TIERS[-1]}")
    memory_mib = _up(vcpu * config.database_gib_per_vcpu * 1024, _MIB_STEP)
    stored = setting.reference.stored_gib * config.database_stored_share
    disk_gib = _up(1.2 * stored, _DISK_STEP_GIB)
    plan = DatabasePlan(
        tier=f"db-custom-{vcpu}-{memory_mib}",
        has_ha=True,
        read_replicas=replicas,
        disk_gib=disk_gib,
    )
    text = (
        f"The policy held {held:.1f} vCPUs of database capacity (99th percentile) for "
        f"{_mean(trajectory['demand_database']):.1f} of demand on average. With {replicas} read "
        f"replica(s) a node carries {node_share:.0%} of it ({config.read_share:.0%} reads, "
        f"assumed): {vcpu} vCPUs and {memory_mib / 1024:g} GiB. With a standby a lost zone costs "
        f"about {config.failover_s:.0f} s; without one the database waits for the zone. "
        f"{disk_gib} GiB hold {stored:.0f} GiB with a fifth to spare; the disk grows by itself."
    )
    return plan, Reason(resource="database", text=text)


def _use(
    trajectory: pl.DataFrame, vms: pl.Series, compute: ComputePlan, setting: Setting
) -> ExpectedUse:
    groups = instance_groups(compute).values()
    low, high = sum(g.min_replicas for g in groups), sum(g.max_replicas for g in groups)
    monthly_gib = GIB_PER_GBPS_S * 3600 * HOURS_PER_MONTH * _mean(trajectory["demand_network"])
    reference, config = setting.reference, setting.config
    web_share = reference.web_gbps / reference.all_gbps if reference.all_gbps > 0 else 0.0
    return ExpectedUse(
        mean_replicas=min(max(_mean(vms), low), high),
        balanced_gib=monthly_gib * web_share,
        egress_gib=monthly_gib * web_share * config.internet_share,
        inter_zone_gib=monthly_gib * config.inter_zone_share,
        bucket_gib={"data": reference.stored_gib * config.object_share},
    )
