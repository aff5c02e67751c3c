"""The knobs agents turn: names, units, ranges, and the way between [-1, 1] and engineers' values.

The table is the action space. What a knob does to capacity belongs to `scaling`.
"""

from collections.abc import Mapping
from typing import Final

import torch
from pydantic import Field
from torch import Tensor

from marl.cloud.types import SERVICES
from marl.frozen import Frozen


class Knob(Frozen):
    """One component of an agent's action.

    Attributes:
        name: what an engineer calls it.
        unit: of `low` and `high`.
        low: value at action -1.
        high: value at action +1.
        operation: the Google Cloud call it becomes.
    """

    name: str
    unit: str
    low: float
    high: float = Field(description="above low")
    operation: str


_AUTOSCALER: Final = "compute.regionAutoscalers.update: autoscalingPolicy"


def _target(operation: str) -> Knob:
    return Knob(
        name="target_utilisation", unit="of capacity", low=0.3, high=0.95, operation=operation
    )


def _floor(operation: str) -> Knob:
    return Knob(
        name="floor_share", unit="of reference peak", low=0.0, high=1.5, operation=operation
    )


def _window(operation: str) -> Knob:
    return Knob(name="scale_in_window", unit="min", low=5.0, high=60.0, operation=operation)


_KNOBS: Final[dict[str, tuple[Knob, ...]]] = {
    "compute": (
        _target(f"{_AUTOSCALER}.cpuUtilization.utilizationTarget"),
        _floor(f"{_AUTOSCALER}.minNumReplicas"),
        Knob(
            name="spot_share",
            unit="of VMs",
            low=0.0,
            high=0.9,
            operation="compute.regionInstanceGroupManagers.resize of the spot and on-demand groups",
        ),
        _window(f"{_AUTOSCALER}.scaleInControl.timeWindowSec"),
    ),
    "storage": (
        _target("compute.disks.resize: sizeGb (its IOPS follow the size)"),
        _floor("compute.disks.resize: sizeGb, lower bound"),
        Knob(
            name="free_space_share",
            unit="of data stored",
            low=0.05,
            high=1.0,
            operation="compute.disks.resize: sizeGb above the data",
        ),
    ),
    "network": (
        _target("compute.regionBackendServices.patch: proxies by traffic"),
        _floor("compute.regionBackendServices.patch: proxies, lower bound"),
        _window("compute.regionBackendServices.patch: time proxies are kept"),
    ),
    "database": (
        _target("sqladmin.instances.patch: settings.tier"),
        _floor("sqladmin.instances.patch: settings.tier, lower bound"),
        Knob(
            name="read_replicas",
            unit="nodes, rounded",
            low=0.0,
            high=3.0,
            operation="sqladmin.instances.insert / delete: replica of the primary",
        ),
        _window("sqladmin.instances.patch: time a larger tier is kept"),
    ),
}

SIZES: Final = tuple(len(_KNOBS[service]) for service in SERVICES)
WIDTH: Final = sum(SIZES)
_STARTS: Final = {service: sum(SIZES[:i]) for i, service in enumerate(SERVICES)}


def knobs(agent: str) -> tuple[Knob, ...]:
    """The components of `agent`'s action, in order.

    Raises:
        ValueError: not one of the four agents.
    """
    if agent not in _KNOBS:
        raise ValueError(f"no agent {agent!r}; agents are {', '.join(SERVICES)}")
    return _KNOBS[agent]


def column(agent: str, name: str) -> int:
    """Column of a knob in the matrix of all agents' knobs, (B, 14)."""
    for index, knob in enumerate(knobs(agent)):
        if knob.name == name:
            return _STARTS[agent] + index
    known = ", ".join(knob.name for knob in knobs(agent))
    raise ValueError(f"{agent} has no knob {name!r}; it has {known}")


def _bounds(agents: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    table = [(knob.low, knob.high) for agent in agents for knob in knobs(agent)]
    low, high = torch.tensor(table, dtype=torch.float32).unbind(1)
    return low, high


LOW, HIGH = _bounds(SERVICES)


def gather(actions: Mapping[str, Tensor], batch: int, device: torch.device) -> Tensor:
    """One (B, 14) float32 matrix of the four agents' actions, clipped to [-1, 1].

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
        parts.append(part)
    joined = torch.cat(parts, 1).clamp(-1.0, 1.0)
    if bool(torch.isnan(joined.sum())):
        bad = [a for a, part in zip(SERVICES, parts, strict=True) if bool(torch.isnan(part).any())]
        raise ValueError(f"not-a-number in the actions of {bad}")
    return joined


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
