"""From what a policy held to what to provision: sizes, estimate, and the reason for each.

Reads the steps that a policy lived through (`marl.evaluate.rollout.trajectory`) and nothing else of
learning. VMs are sized in `fleet_plan`, the rest in `service_plans`; prices times sizes belong to
`cost`; writing the result to `terraform`.
"""

import math
from itertools import pairwise
from typing import Final

import polars as pl

from marl.cloud.catalogue.data import ZONES
from marl.cloud.params import GIB_PER_GBPS_S
from marl.gcp.cost import HOURS_PER_MONTH, ExpectedUse, commitment_costs, estimate
from marl.gcp.fleet_plan import CELLS, Cell, figure, fleet, size_compute
from marl.gcp.plan import BucketPlan, ComputePlan, NetworkPlan, ProvisioningPlan, StoragePlan
from marl.gcp.series import at, mean
from marl.gcp.service_plans import (
    cdn_hit_share,
    size_cache,
    size_database,
    size_network,
    size_storage,
)
from marl.gcp.setting import Setting

__all__ = ["Setting", "describe_demand", "plan_from_trajectory"]

_DAYS_PER_MONTH: Final = HOURS_PER_MONTH / 24.0
_START_STEPS: Final = 12
_NUMERIC: Final = (
    "step",
    *(figure(cell) for cell in CELLS),
    *(f"units_{pool}" for pool in ("disk", "hyperdisk", "tier", "replica", "redis", "db_disk")),
    *(f"demand_{service}" for service in ("compute", "network", "database")),
    *("committed_1y", "committed_3y", "has_ha", "cdn_hits", "redis_hits", "requests"),
    *(
        f"compute_{knob}"
        for knob in ("target_utilisation", "scale_in_window", "zone_spread", "fallback_share")
    ),
    "storage_nearline_after",
    *(f"network_{knob}" for knob in ("cdn_share", "premium_share", "zone_locality")),
)


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
            (one plan serves one), a region without known zones, or a size that Google does not
            offer.
    """
    _check(trajectory)
    region = setting.catalog.region
    if region not in ZONES:
        raise ValueError(f"the zones of region {region!r} are not known; known: {', '.join(ZONES)}")
    demand = describe_demand(trajectory, step_s)
    trajectory = _settled(trajectory)
    held = fleet(trajectory, setting)
    vms = sum(list(held.values())[1:], start=next(iter(held.values())))
    compute, compute_why = size_compute(trajectory, held, setting)
    storage, compute, storage_why = size_storage(trajectory, vms, compute, setting)
    network, network_why = size_network(trajectory, setting)
    database, database_why = size_database(trajectory, setting)
    cache, cache_why = size_cache(trajectory, setting)
    use = _use(trajectory, held, compute, storage, network, setting, step_s)
    return ProvisioningPlan(
        name=name,
        region=region,
        zones=ZONES[region][: setting.config.zones],
        policy=trajectory["policy"][0],
        demand=demand,
        is_synthetic=setting.is_synthetic,
        compute=compute,
        storage=storage,
        network=network,
        database=database,
        cache=cache,
        costs=estimate(compute, storage, network, database, cache, setting.catalog, use),
        commitment_costs=commitment_costs(compute, setting.catalog),
        reasons=(*compute_why, storage_why, network_why, database_why, cache_why),
    )


def describe_demand(trajectory: pl.DataFrame, step_s: float) -> str:
    """The demand of a trajectory in one sentence with its numbers."""
    hours = trajectory.height * step_s / 3600
    requests = trajectory["requests"] / step_s
    vcpu = trajectory["demand_compute"]
    episodes = trajectory["episode"].n_unique()
    return (
        f"{hours:.1f} h of {trajectory['scenario'][0]} demand ({episodes} episode(s)): "
        f"{mean(requests):,.1f} requests/s on average and {at(requests, 0.95):,.1f} at the p95; "
        f"{mean(vcpu):,.1f} vCPUs of work on average and {at(vcpu, 0.95):,.1f} at the p95; "
        f"{at(trajectory['demand_network'], 0.95):,.3f} Gbps at the p95"
    )


def _check(trajectory: pl.DataFrame) -> None:
    if trajectory.is_empty():
        raise ValueError("cannot plan from a trajectory without steps")
    missing = sorted({*_NUMERIC, "policy", "scenario", "episode"} - set(trajectory.columns))
    if missing:
        raise ValueError(f"the trajectory lacks {missing}; see marl.evaluate.rollout.trajectory")
    for column in _NUMERIC:
        if trajectory[column].is_null().any() or not trajectory[column].is_finite().all():
            raise ValueError(f"the trajectory's {column} holds values that are not numbers")
    for column in ("policy", "scenario"):
        if trajectory[column].n_unique() > 1:
            found = sorted(trajectory[column].unique().to_list())
            raise ValueError(f"one plan serves one {column}; the trajectory holds {found}")


def _settled(trajectory: pl.DataFrame) -> pl.DataFrame:
    """Without each episode's first hour, where it lasts longer.

    An episode begins with an ordinary fleet that the policy did not choose.
    """
    settled = trajectory.filter(pl.col("step") >= _START_STEPS)
    return trajectory if settled.is_empty() else settled


def _use(
    trajectory: pl.DataFrame,
    held: dict[Cell, pl.Series],
    compute: ComputePlan,
    storage: StoragePlan,
    network: NetworkPlan,
    setting: Setting,
    step_s: float,
) -> ExpectedUse:
    """What a month like the steps brings; the traffic's mix is the reference's."""
    reference, config = setting.reference, setting.config
    monthly_gib = GIB_PER_GBPS_S * 3600 * HOURS_PER_MONTH * mean(trajectory["demand_network"])
    web_gib = monthly_gib * reference.web_gbps / max(reference.all_gbps, 1e-12)
    hits = cdn_hit_share(trajectory) if network.is_cdn_enabled else 0.0
    requests = mean(trajectory["requests"]) / step_s * 3600 * HOURS_PER_MONTH
    data = next(bucket for bucket in storage.buckets if bucket.name_suffix == "data")
    objects = reference.stored_gib * config.object_share
    reads = objects * config.object_reads_per_day * _DAYS_PER_MONTH
    return ExpectedUse(
        mean_replicas={
            group.key: min(max(mean(vms), group.min_replicas), group.max_replicas)
            for group, vms in zip(compute.groups, held.values(), strict=True)
        },
        balanced_gib=web_gib * (1 - hits),
        egress_gib=web_gib * (1 - hits) * config.internet_share,
        inter_zone_gib=monthly_gib * config.inter_zone_share,
        nat_gib=(monthly_gib - web_gib) * config.nat_share,
        cdn_gib=web_gib * hits * config.internet_share,
        cdn_requests=requests if network.is_cdn_enabled else 0.0,
        bucket_gib={"data": _by_class(data, objects, config.object_age_days)},
        bucket_read_gib={"data": _by_class(data, reads, config.object_read_age_days)},
    )


def _by_class(bucket: BucketPlan, gib: float, mean_age_days: float) -> dict[str, float]:
    """GiB by storage class, once the lifecycle has run: ages are exponential."""
    ages = [0, *(age for age, _ in bucket.lifecycle)]
    beyond = [*(math.exp(-age / mean_age_days) for age in ages), 0.0]
    kinds = [bucket.storage_class, *(kind for _, kind in bucket.lifecycle)]
    return {
        kind: gib * (share - older)
        for kind, (share, older) in zip(kinds, pairwise(beyond), strict=True)
    }
