"""The knobs agents turn: names, units, ranges, and the way between [-1, 1] and engineers' values.

The table is the action space, and the source of the documentation's. What a knob does to capacity
belongs to `scaling`; the operations it becomes to `marl.gcp.operations`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from pydantic import Field
from torch import Tensor

from marl.cloud.rounding import EXACT
from marl.cloud.types import SERVICES
from marl.frozen import Frozen


class Knob(Frozen):
    """One component of an agent's action.

    Attributes:
        name: what an engineer calls it.
        unit: of `low` and `high`.
        low: value at action -1.
        high: value at action +1.
        operation: the Google API method and field it becomes, `method: field`, several by `; `.
        terraform: the attribute of the `google` provider it becomes, several by `; `.
    """

    name: str
    unit: str
    low: float
    high: float = Field(description="above low")
    operation: str
    terraform: str


def _knob(name: str, unit: str, low: float, high: float, operation: str, terraform: str) -> Knob:
    return Knob(name=name, unit=unit, low=low, high=high, operation=operation, terraform=terraform)


def _target(operation: str, terraform: str) -> Knob:
    return _knob("target_utilisation", "of capacity", 0.3, 0.95, operation, terraform)


def _floor(operation: str, terraform: str) -> Knob:
    return _knob("floor_share", "of reference peak", 0.0, 1.5, operation, terraform)


def _window(operation: str, terraform: str) -> Knob:
    return _knob("scale_in_window", "min", 5.0, 60.0, operation, terraform)


# `method: field`, the one that keeps the knob's value first, then what acts on it. Where Google has
# no field for it, the value is kept as labels of the resource that it governs.
_SCALER: Final = "compute.autoscalers.patch: autoscalingPolicy"
_TF_SCALER: Final = "google_compute_autoscaler.autoscaling_policy"
_MIX: Final = (
    "compute.instanceGroupManagers.patch: allInstancesConfig.properties.labels; "
    "compute.instanceGroupManagers.resize: size"
)
_TF_MIX: Final = (
    "google_compute_instance_group_manager.all_instances_config.labels; "
    "google_compute_instance_group_manager.target_size"
)
_COMMIT: Final = (
    "compute.instanceGroupManagers.patch: allInstancesConfig.properties.labels; "
    "compute.regionCommitments.insert"
)
_TF_COMMIT: Final = (
    "google_compute_instance_group_manager.all_instances_config.labels; "
    "google_compute_region_commitment"
)
_DISK: Final = "compute.disks.setLabels: labels; compute.disks"
_TF_DISK: Final = "google_compute_disk.labels; google_compute_disk"
_PROXY: Final = "compute.regionAutoscalers.patch: autoscalingPolicy"
_TF_PROXY: Final = "google_compute_region_autoscaler.autoscaling_policy"
_ROUTE: Final = (
    "compute.urlMaps.patch: "
    "pathMatchers[].routeRules[].routeAction.weightedBackendServices[].weight"
)
_TF_ROUTE: Final = (
    "google_compute_url_map.path_matcher.route_rules.route_action.weighted_backend_services.weight"
)
_LABELLED: Final = "sqladmin.instances.patch: settings.userLabels"
_TF_LABELLED: Final = "google_sql_database_instance.settings.user_labels"
_SQL: Final = f"{_LABELLED}; sqladmin.instances"
_TF_SQL: Final = f"{_TF_LABELLED}; google_sql_database_instance"

_KNOBS: Final[dict[str, tuple[Knob, ...]]] = {
    "compute": (
        _target(
            f"{_SCALER}.cpuUtilization.utilizationTarget", f"{_TF_SCALER}.cpu_utilization.target"
        ),
        _floor(f"{_SCALER}.minNumReplicas", f"{_TF_SCALER}.min_replicas"),
        _window(
            f"{_SCALER}.scaleInControl.timeWindowSec",
            f"{_TF_SCALER}.scale_in_control.time_window_sec",
        ),
        _knob("spot_share", "of VMs", 0.0, 0.9, _MIX, _TF_MIX),
        _knob("arm_share", "of standard VMs", 0.0, 1.0, _MIX, _TF_MIX),
        _knob("highmem_share", "of VMs", 0.0, 1.0, _MIX, _TF_MIX),
        _knob("gpu_share", "of ML work fit for GPUs", 0.0, 1.0, _MIX, _TF_MIX),
        _knob("zone_spread", "0 home zone, 1 even", 0.0, 1.0, _MIX, _TF_MIX),
        _knob("fallback_share", "of refused VMs", 0.0, 1.0, _MIX, _TF_MIX),
        _knob(
            "commitment_share",
            "of reference peak",
            0.0,
            1.0,
            f"{_COMMIT}: resources[].amount",
            f"{_TF_COMMIT}.resources.amount",
        ),
        _knob(
            "three_year_share",
            "of commitments",
            0.0,
            1.0,
            f"{_COMMIT}: plan",
            f"{_TF_COMMIT}.plan",
        ),
    ),
    "storage": (
        _target(f"{_DISK}.resize: sizeGb", f"{_TF_DISK}.size"),
        _floor(f"{_DISK}.resize: sizeGb", f"{_TF_DISK}.size"),
        _knob(
            "free_space_share",
            "of data stored",
            0.05,
            1.0,
            f"{_DISK}.resize: sizeGb",
            f"{_TF_DISK}.size",
        ),
        _knob(
            "provisioned_share",
            "of IOPS",
            0.0,
            1.0,
            f"{_DISK}.update: provisionedIops",
            f"{_TF_DISK}.provisioned_iops",
        ),
        _knob(
            "nearline_after",
            "days",
            7.0,
            180.0,
            "storage.buckets.patch: lifecycle.rule[].condition.age",
            "google_storage_bucket.lifecycle_rule.condition.age",
        ),
    ),
    "network": (
        _target(
            f"{_PROXY}.customMetricUtilizations[].utilizationTarget", f"{_TF_PROXY}.metric.target"
        ),
        _floor(f"{_PROXY}.minNumReplicas", f"{_TF_PROXY}.min_replicas"),
        _window(
            f"{_PROXY}.scaleInControl.timeWindowSec",
            f"{_TF_PROXY}.scale_in_control.time_window_sec",
        ),
        _knob("cdn_share", "of cacheable traffic", 0.0, 1.0, _ROUTE, _TF_ROUTE),
        _knob(
            "premium_share",
            "of egress",
            0.0,
            1.0,
            "dns.resourceRecordSets.patch: routingPolicy.wrr.items[].weight",
            "google_dns_record_set.routing_policy.wrr.weight",
        ),
        _knob("zone_locality", "of requests kept in their zone", 0.0, 1.0, _ROUTE, _TF_ROUTE),
    ),
    "database": (
        _target(f"{_SQL}.patch: settings.tier", f"{_TF_SQL}.settings.tier"),
        _floor(f"{_SQL}.patch: settings.tier", f"{_TF_SQL}.settings.tier"),
        _window(f"{_SQL}.patch: settings.tier", f"{_TF_SQL}.settings.tier"),
        _knob(
            "read_replicas",
            "nodes, rounded",
            0.0,
            3.0,
            f"{_SQL}.insert: masterInstanceName",
            f"{_TF_SQL}.master_instance_name",
        ),
        _knob(
            "has_ha",
            "above 0.5",
            0.0,
            1.0,
            f"{_SQL}.patch: settings.availabilityType",
            f"{_TF_SQL}.settings.availability_type",
        ),
        _knob(
            "cache_share",
            "of the hot data",
            0.0,
            1.0,
            f"{_LABELLED}; redis.projects.locations.instances.patch: memorySizeGb",
            f"{_TF_LABELLED}; google_redis_instance.memory_size_gb",
        ),
        _knob(
            "storage_free_share",
            "of data stored",
            0.05,
            1.0,
            f"{_SQL}.patch: settings.dataDiskSizeGb",
            f"{_TF_SQL}.settings.disk_size",
        ),
    ),
}

# Knobs that the exact clouds round, and how.
_ROUNDED: Final = {"read_replicas": EXACT.nearest, "has_ha": EXACT.is_on}

SIZES: Final = tuple(len(_KNOBS[service]) for service in SERVICES)
WIDTH: Final = sum(SIZES)
_STARTS: Final = {service: sum(SIZES[:i]) for i, service in enumerate(SERVICES)}
ROWS: Final[dict[str, int]] = {
    f"{service}_{knob.name}": _STARTS[service] + i
    for service in SERVICES
    for i, knob in enumerate(_KNOBS[service])
}


def knobs(agent: str) -> tuple[Knob, ...]:
    """The components of `agent`'s action, in order.

    Raises:
        ValueError: not one of the four agents.
    """
    if agent not in _KNOBS:
        raise ValueError(f"no agent {agent!r}; agents are {', '.join(SERVICES)}")
    return _KNOBS[agent]


def row(agent: str, name: str) -> int:
    """Row of a knob in the matrix of all agents' knobs, (WIDTH, B)."""
    known = ", ".join(knob.name for knob in knobs(agent))
    key = f"{agent}_{name}"
    if key not in ROWS:
        raise ValueError(f"{agent} has no knob {name!r}; it has {known}")
    return ROWS[key]


def _bounds(agents: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    table = [(knob.low, knob.high) for agent in agents for knob in knobs(agent)]
    low, high = torch.tensor(table, dtype=torch.float32).unbind(1)
    return low, high


LOW, HIGH = _bounds(SERVICES)


def gather(actions: Mapping[str, Tensor], batch: int, device: torch.device) -> Tensor:
    """One (WIDTH, B) float32 matrix of the four agents' actions, clipped to [-1, 1].

    Args:
        actions: agent to (B, A); anything `torch.as_tensor` takes.
        batch: B.
        device: where the clouds live.

    Raises:
        ValueError: a missing or unknown agent, a wrong shape, or a value that is not a number.
    """
    if actions.keys() != set(SERVICES):
        missing = sorted(set(SERVICES) - set(actions))
        unknown = sorted(str(key) for key in set(actions) - set(SERVICES))
        raise ValueError(f"actions are for {SERVICES}; missing {missing}, unknown {unknown}")
    parts = []
    for agent, size in zip(SERVICES, SIZES, strict=True):
        part = torch.as_tensor(actions[agent], dtype=torch.float32, device=device)
        if part.shape != (batch, size):
            names = ", ".join(knob.name for knob in knobs(agent))
            raise ValueError(
                f"action of {agent!r} must be ({batch}, {size}) [{names}]; got {tuple(part.shape)}"
            )
        parts.append(part.t())
    joined = torch.cat(parts, 0)
    if not bool(torch.isfinite(joined.sum())) and bool(torch.isnan(joined).any()):
        bad = [a for a, part in zip(SERVICES, parts, strict=True) if bool(torch.isnan(part).any())]
        raise ValueError(f"not-a-number in the actions of {bad}")
    return joined.clamp(-1.0, 1.0)


def decode(agent: str, action: Tensor) -> Tensor:
    """(..., A) actions in [-1, 1] to physical values of `agent`'s knobs; outside is clipped."""
    low, high = (bound.to(action.device) for bound in _bounds((agent,)))
    return low + (action.clamp(-1.0, 1.0) + 1.0) * 0.5 * (high - low)


def encode(agent: str, values: Mapping[str, float]) -> Tensor:
    """(A,) action in [-1, 1] for physical `values` by knob name.

    Raises:
        ValueError: a knob missing, unknown, or out of its range.
    """
    table = knobs(agent)
    if values.keys() != {knob.name for knob in table}:
        raise ValueError(f"{agent} needs {[knob.name for knob in table]}; got {sorted(values)}")
    out = []
    for knob in table:
        value = float(values[knob.name])
        if not knob.low <= value <= knob.high:
            raise ValueError(
                f"{agent}.{knob.name} must be in [{knob.low}, {knob.high}] {knob.unit}; got {value}"
            )
        out.append(2.0 * (value - knob.low) / (knob.high - knob.low) - 1.0)
    return torch.tensor(out, dtype=torch.float32)


def settled(agent: str, action: Sequence[float]) -> tuple[float, ...]:
    """The same action to the exact clouds: rounded knobs at the whole number they are rounded to.

    What learners depart from: the smooth clouds would take .46 replicas at their word.
    """
    whole = []
    for knob, given in zip(knobs(agent), action, strict=True):
        half = (knob.high - knob.low) * 0.5
        if knob.name in _ROUNDED:
            value = torch.tensor(knob.low + (given + 1.0) * half)
            given = (float(_ROUNDED[knob.name](value)) - knob.low) / half - 1.0
        whole.append(given)
    return tuple(whole)
