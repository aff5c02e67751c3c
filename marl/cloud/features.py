"""Names of what agents see: the features of the whole state, and each agent's selection of them.

Tables only; their values and scales belong to `observation`.
"""

from typing import Final

from marl.cloud.foresight import AHEAD, FORESIGHT
from marl.cloud.types import AGE_GROUPS, KINDS, LOADS, POOLS, PURCHASES, RESOURCES, SERVICES
from marl.workload.demand import CLASSES

LAGS: Final = 4
CELLS: Final = tuple(f"{purchase}_{kind}" for purchase in PURCHASES for kind in KINDS)

# What monitoring shows of the last step: rows of `CloudState.measured`, in their own units.
MEASURED: Final = (
    *(f"utilisation_{resource}" for resource in RESOURCES),
    *(f"capacity_{resource}" for resource in RESOURCES),
    *(f"sojourn_{service}" for service in SERVICES),
    *(f"shortage_{resource}" for resource in RESOURCES),
    *(f"arrivals_{name}" for name in CLASSES),
    "slo_attainment",
    "latency_share",
    "latency_p95",
    "dropped_share",
    "cost",
    "carbon",
    "lost_vms",
    "refusals",
    "blocked",
    "failover",
    "disk_speed",
    "quota",
    "gpu_used",
    "late_batch",
    "late_ml",
)


def state_names(zones: int) -> tuple[str, ...]:
    """Names of the rows of `global_state` of clouds with so many zones."""
    return (
        *FORESIGHT,
        *(f"load_{load}_lag{lag}" for lag in range(LAGS) for load in LOADS),
        *(f"load_{load}_mean" for load in LOADS),
        *(f"load_{load}_max" for load in LOADS),
        *(f"units_{cell}" for cell in CELLS),
        *(f"pending_{cell}" for cell in CELLS),
        *(f"arriving_{cell}" for cell in CELLS),
        *(f"refused_{cell}" for cell in CELLS),
        *(f"vms_zone{zone}" for zone in range(zones)),
        *(f"refused_zone{zone}" for zone in range(zones)),
        *(f"age{group}" for group in range(AGE_GROUPS)),
        *(f"units_{pool}" for pool in POOLS),
        *(f"pending_{pool}" for pool in POOLS),
        *(f"arriving_{pool}" for pool in POOLS),
        "committed_1y",
        "committed_3y",
        "has_ha",
        "cdn",
        "colder_nearline",
        "colder_coldline",
        "colder_archive",
        "hyperdisk_wait",
        *(f"backlog_{name}" for name in CLASSES),
        "retries",
        "budget_left",
        *MEASURED,
    )


_POOLS_OF: Final = {
    "compute": CELLS,
    "storage": ("disk", "hyperdisk"),
    "network": ("proxy",),
    "database": ("tier", "replica", "redis", "db_disk"),
}
_LOADS_OF: Final = {
    "compute": ("vcpu", "memory_gib", "ml_vcpu"),
    "storage": ("iops",),
    "network": ("gbps",),
    "database": ("db_vcpu",),
}
_RESOURCES_OF: Final = {
    "compute": ("vcpu", "memory_gib"),
    "storage": ("iops",),
    "network": ("gbps",),
    "database": ("db_vcpu",),
}
_EXTRA: Final[dict[str, tuple[str, ...]]] = {
    "compute": (
        *(f"spot_ratio_{kind}" for kind in KINDS),
        *(f"refused_{cell}" for cell in CELLS),
        *(f"arrivals_{name}" for name in CLASSES),
        *(f"age{group}" for group in range(AGE_GROUPS)),
        *(f"backlog_{name}" for name in CLASSES),
        "committed_1y",
        "committed_3y",
        "lost_vms",
        "refusals",
        "quota",
        "gpu_used",
        "late_batch",
        "late_ml",
    ),
    "storage": (
        "colder_nearline",
        "colder_coldline",
        "colder_archive",
        "hyperdisk_wait",
        "disk_speed",
    ),
    "network": ("cdn", "retries", "dropped_share", "arrivals_web"),
    "database": ("has_ha", "failover", "blocked"),
}
_SHARED: Final = (
    "day_sin",
    "day_cos",
    "week_sin",
    "week_cos",
    *(f"announced_{h}" for h in AHEAD),
    "announced_hour",
    "scheduled_batch",
    "scheduled_ml",
    "scheduled_batch_hour",
    "scheduled_ml_hour",
    "slo_attainment",
    "latency_share",
    "latency_p95",
    "cost",
    "carbon",
    "budget_left",
)


def observation_names(agent: str, zones: int) -> tuple[str, ...]:
    """Names of the columns of `agent`'s observation.

    Raises:
        ValueError: not one of the four agents.
    """
    if agent not in SERVICES:
        raise ValueError(f"no agent {agent!r}; agents are {', '.join(SERVICES)}")
    loads, pools, resources = _LOADS_OF[agent], _POOLS_OF[agent], _RESOURCES_OF[agent]
    own = [f"load_{load}_lag{lag}" for load in loads for lag in range(LAGS)]
    own += [f"load_{load}_{kind}" for load in loads for kind in ("mean", "max")]
    ahead = ("day_ago", "week_ago", "forecast")
    own += [f"{kind}_{agent}_{h}" for kind in ahead for h in AHEAD]
    own += [f"{kind}_{pool}" for pool in pools for kind in ("units", "pending", "arriving")]
    own += [
        f"{kind}_{resource}"
        for resource in resources
        for kind in ("utilisation", "capacity", "shortage")
    ]
    own += [f"sojourn_{agent}", *_EXTRA[agent]]
    if agent == "compute":
        own += [f"{kind}_zone{zone}" for kind in ("vms", "refused") for zone in range(zones)]
    others = [
        f"utilisation_{_RESOURCES_OF[service][0]}" for service in SERVICES if service != agent
    ]
    return (*own, *_SHARED, *others)
