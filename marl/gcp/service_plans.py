"""From what a policy held beside VMs to disks, buckets, network, database and cache.

Each size with its reason. VMs belong to `fleet_plan`, prices times sizes to `cost`.
"""

import math
from typing import Final

import polars as pl

from marl.cloud.buckets import LATER
from marl.cloud.params import DATABASE_IOPS_PER_GIB, HYPERDISK_STEP_IOPS, TIER_STEP_VCPU
from marl.cloud.params import DISK_STEP_GIB as SIM_DISK_GIB
from marl.gcp.groups import (
    DISK_STEP_GIB,
    HYPERDISK_FREE_IOPS,
    fitting_disk,
    iops_per_gib,
    takes_disk,
)
from marl.gcp.plan import (
    BucketPlan,
    CachePlan,
    ComputePlan,
    DatabasePlan,
    DiskPlan,
    NetworkPlan,
    Reason,
    StoragePlan,
)
from marl.gcp.series import at, mean, up
from marl.gcp.setting import Setting

HIGH: Final = 0.99  # quantile over steps, so that one odd step decides nothing
HYPERDISK_SHARE: Final = 0.05  # of the IOPS held: less is not worth another kind of disk
CDN_SHARE: Final = 0.10  # of cacheable traffic: less is not worth a cache
REDIS_GIB: Final = 0.5  # held on average: less is no cache
_HALF: Final = 0.5  # from which on a choice between two things is the second
_TIERS: Final = (1, *range(2, 97, 2))  # vCPUs a db-custom tier can have
_MIB_STEP: Final = 256
_BACKUP_DAYS: Final = 90
_COLDER: Final = ("NEARLINE", "COLDLINE", "ARCHIVE")


def size_storage(
    trajectory: pl.DataFrame, vms: pl.Series, compute: ComputePlan, setting: Setting
) -> tuple[StoragePlan, ComputePlan, Reason]:
    """Data disk of a replica and buckets.

    Args:
        trajectory: steps of one policy.
        vms: replicas in all by step.
        compute: the groups; those whose machines take another disk come back with it.
        setting: what the steps were played in.

    Returns:
        The plan of storage, `compute` with the groups' own disks, the reason.
    """
    config = setting.config
    replicas = vms.clip(lower_bound=1.0)
    held_gib = trajectory["units_disk"] * SIM_DISK_GIB
    hyper_iops = trajectory["units_hyperdisk"] * HYPERDISK_STEP_IOPS
    disk_iops = held_gib * iops_per_gib(config.disk_type, config.io_kib)
    hyper_share = mean(hyper_iops) / max(mean(hyper_iops) + mean(disk_iops), 1e-9)
    is_hyper = hyper_share >= HYPERDISK_SHARE
    gib = at(held_gib / replicas, HIGH)
    iops = at((disk_iops + hyper_iops if is_hyper else disk_iops) / replicas, HIGH)
    wanted = "hyperdisk-balanced" if is_hyper else config.disk_type

    def disk(machine_type: str) -> DiskPlan:
        return fitting_disk(machine_type, wanted, gib, iops, config.io_kib)

    main = disk(compute.groups[0].machine_type)
    own = {group.key: disk(group.machine_type) for group in compute.groups}
    groups = tuple(
        group.model_copy(update={"data_disk": own[group.key] if own[group.key] != main else None})
        for group in compute.groups
    )
    buckets, bucket_text = _buckets(trajectory, setting)
    machines: dict[DiskPlan, dict[str, None]] = {}
    for group in groups:
        machines.setdefault(own[group.key], {})[group.machine_type] = None
    told = "; ".join(f"{_words(one)} for {', '.join(names)}" for one, names in machines.items())
    text = (
        f"The policy held {mean(held_gib):,.0f} GiB of {config.disk_type} and "
        f"{mean(hyper_iops):,.0f} IOPS of Hyperdisk on average ({hyper_share:.0%} of all IOPS; "
        f"Hyperdisk is used from {HYPERDISK_SHARE:.0%} on). A replica's part is {gib:.0f} GiB and "
        f"{iops:,.0f} IOPS (99th percentile): {told}. "
    )
    if is_hyper:
        text += (
            "The simulated Hyperdisk Extreme attaches only to large machines (64 vCPUs and more), "
            f"so Hyperdisk Balanced takes its place: {HYPERDISK_FREE_IOPS:,} IOPS come with it. "
        )
        if not all(takes_disk(group.machine_type, wanted) for group in groups):
            text += "Machines that do not take it get the same IOPS from SSD disks by size. "
    text += "Disks go with their replicas: what must last lies in the bucket or the database. "
    plan = StoragePlan(**main.model_dump(), buckets=buckets)
    return (
        plan,
        compute.model_copy(update={"groups": groups}),
        Reason(resource="storage", text=text + bucket_text),
    )


def _words(disk: DiskPlan) -> str:
    bought = f" with {disk.provisioned_iops:,} IOPS" if disk.provisioned_iops else ""
    return f"{disk.disk_gib} GiB of {disk.disk_type}{bought}"


def _buckets(trajectory: pl.DataFrame, setting: Setting) -> tuple[tuple[BucketPlan, ...], str]:
    config, usd = setting.config, setting.catalog.usd
    nearline = mean(trajectory["storage_nearline_after"])
    ages = tuple(max(1, round(nearline * times)) for times in LATER)
    lifecycle = tuple(zip(ages, _COLDER, strict=True))
    buckets = (
        BucketPlan(name_suffix="data", lifecycle=lifecycle),  # type: ignore[arg-type]
        BucketPlan(name_suffix="backups", storage_class="NEARLINE", delete_after_days=_BACKUP_DAYS),
    )
    standard, share = usd("gcs.standard"), math.exp(-ages[0] / config.object_age_days)
    text = (
        f"Of the {setting.reference.stored_gib:,.0f} GiB of data {config.object_share:.0%} are "
        f"objects. They move to Nearline after {ages[0]} days (the policy's mean), to Coldline "
        f"after {ages[1]}, to Archive after {ages[2]}: with a mean age of "
        f"{config.object_age_days:.0f} days (assumed) {share:.0%} lie beyond the first, at "
        f"{usd('gcs.nearline'):.3f} USD a GB and month or less instead of {standard:.3f}, and cost "
        f"{usd('gcs.retrieval.nearline'):.2f} USD a GB or more when read."
    )
    return buckets, text


def size_network(trajectory: pl.DataFrame, setting: Setting) -> tuple[NetworkPlan, Reason]:
    """CDN, network tier and locality."""
    peak, average = at(trajectory["demand_network"], HIGH), mean(trajectory["demand_network"])
    cdn = mean(trajectory["network_cdn_share"])
    premium = mean(trajectory["network_premium_share"])
    locality = mean(trajectory["network_zone_locality"])
    answered = cdn_hit_share(trajectory)
    plan = NetworkPlan(
        peak_gbps=peak,
        is_cdn_enabled=cdn >= CDN_SHARE,
        nat_tier="STANDARD" if premium < _HALF else "PREMIUM",
        keeps_zone=locality >= _HALF,
    )
    usd = setting.catalog.usd
    texts = [
        f"Traffic reached {peak:.3f} Gbps (99th percentile), {average:.3f} on average. Google's "
        "global load balancer grows by itself; replicas have no public address and leave through "
        "Cloud NAT.",
        f"The policy let the CDN have {cdn:.0%} of the cacheable traffic and it answered "
        f"{answered:.0%} of the requests: Cloud CDN is {'on' if plan.is_cdn_enabled else 'off'} "
        f"(on from {CDN_SHARE:.0%}).",
        f"It sent {premium:.0%} of the egress over the premium tier. A global load balancer's "
        "address exists in the premium tier only; the standard tier "
        f"({usd('egress.standard.first_10_tib'):.3f} instead of "
        f"{usd('egress.internet.first_tib'):.3f} USD a GiB at first) would need a regional one, "
        f"without anycast, so only Cloud NAT's addresses follow it: {plan.nat_tier}.",
    ]
    if plan.keeps_zone:
        texts.append(
            f"It kept {locality:.0%} of the requests in their zone. That is a service load-"
            "balancing policy (WATERFALL_BY_ZONE), for which this provider has no resource: "
            "create one and name it in `service_lb_policy`."
        )
    else:
        texts.append(f"It kept {locality:.0%} of the requests in their zone: no policy for that.")
    return plan, Reason(resource="network", text=" ".join(texts))


def cdn_hit_share(trajectory: pl.DataFrame) -> float:
    """Share of the web's requests that the CDN answered."""
    return float(trajectory["cdn_hits"].sum()) / max(float(trajectory["requests"].sum()), 1e-9)


def size_database(trajectory: pl.DataFrame, setting: Setting) -> tuple[DatabasePlan, Reason]:
    """Tier, standby, read replicas, disk."""
    config = setting.config
    held = at(trajectory["units_tier"] * TIER_STEP_VCPU, HIGH)
    vcpu = next((size for size in _TIERS if size >= up(held)), None)
    if vcpu is None:
        raise ValueError(f"a database node of {held:.0f} vCPUs exceeds Cloud SQL's {_TIERS[-1]}")
    memory_mib = up(vcpu * config.database_gib_per_vcpu * 1024, _MIB_STEP)
    replicas = math.floor(mean(trajectory["units_replica"]) + 0.5)
    standby = mean(trajectory["has_ha"])
    stored = setting.reference.stored_gib * config.database_stored_share
    disk_gib = up(at(trajectory["units_db_disk"], 1.0) * SIM_DISK_GIB, DISK_STEP_GIB)
    plan = DatabasePlan(
        tier=f"db-custom-{vcpu}-{memory_mib}",
        has_ha=standby >= _HALF,
        read_replicas=replicas,
        disk_gib=disk_gib,
    )
    text = (
        f"The policy held a node of {held:.0f} vCPUs (99th percentile) and "
        f"{mean(trajectory['units_replica']):.1f} read replicas on average for "
        f"{mean(trajectory['demand_database']):.1f} vCPUs of demand before caches: {vcpu} vCPUs "
        f"and {memory_mib / 1024:g} GiB, {replicas} read replica(s). It kept a standby "
        f"{standby:.0%} of the time: {'regional' if plan.has_ha else 'zonal'}. With a standby a "
        f"failure costs about {config.failover_s:.0f} s, without one {config.recovery_s:.0f} s and "
        f"all the time the zone is down. {disk_gib} GiB (the largest disk held) hold "
        f"{stored:.0f} GiB of data and give {disk_gib * DATABASE_IOPS_PER_GIB:,.0f} IOPS; the disk "
        "grows by itself."
    )
    return plan, Reason(resource="database", text=text)


def size_cache(trajectory: pl.DataFrame, setting: Setting) -> tuple[CachePlan | None, Reason]:
    """Redis, where the policy used it."""
    average = mean(trajectory["units_redis"])
    hits = mean(trajectory["redis_hits"])
    told = f"The policy held {average:.1f} GiB of Redis on average, which answered {hits:.0%} of "
    if average < REDIS_GIB:
        text = f"{told}the reads: none is provisioned (from {REDIS_GIB:g} GiB on)."
        return None, Reason(resource="cache", text=text)
    gib = up(at(trajectory["units_redis"], HIGH))
    if gib > 300:
        raise ValueError(f"a Redis instance has at most 300 GiB; the policy held {gib}")
    usd = setting.catalog.redis_usd_per_h(gib, is_ha=True)
    text = (
        f"{told}the reads and {hits * setting.config.read_share:.0%} of the queries: {gib} GiB "
        f"(99th percentile) with a replica in a second zone, {usd:.3f} USD an hour."
    )
    return CachePlan(memory_gib=gib), Reason(resource="cache", text=text)
