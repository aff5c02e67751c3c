"""What each agent sees: a named, normalised, flat vector, and the whole state for critics.

All features are first laid side by side (the state); an agent's observation is a selection of its
columns: its own service in detail, the others only by how busy they are, no future. Scales are the
reference demand's, so that the same policy fits clouds of any size; values are held in [-10, 10].
"""

from functools import cache
from typing import Final

import torch
from torch import Tensor

from marl.cloud.actions import SIZES, column
from marl.cloud.params import CloudParams
from marl.cloud.pricing import reference_capacity_usd
from marl.cloud.types import AGE_GROUPS, HISTORY, POOLS, SERVICES, CloudState
from marl.cloud.weather import CALENDAR
from marl.workload.demand import CLASSES

LIMIT: Final = 10.0
_LAGS: Final = 4

# What monitoring shows of the last step: columns of `CloudState.measured`, in their own units.
MEASURED: Final = (
    *(f"utilisation_{service}" for service in SERVICES),
    *(f"capacity_{service}" for service in SERVICES),
    *(f"sojourn_{service}" for service in SERVICES),
    *(f"shortage_{service}" for service in SERVICES),
    *(f"arrivals_{name}" for name in CLASSES),
    "slo_attainment",
    "latency_share",
    "latency_p95",
    "dropped_share",
    "cost",
    "carbon",
    "preempted",
    "blocked",
    "failover",
)
STATE_NAMES: Final = (
    *CALENDAR,
    *(f"load_{service}_lag{lag}" for service in SERVICES for lag in range(_LAGS)),
    *(f"load_{service}_mean" for service in SERVICES),
    *(f"load_{service}_max" for service in SERVICES),
    *(f"units_{pool}" for pool in POOLS),
    *(f"pending_{pool}" for pool in POOLS),
    *(f"arriving_{pool}" for pool in POOLS),
    *(f"backlog_{name}" for name in CLASSES),
    "stored",
    *(f"spot_age{group}" for group in range(AGE_GROUPS)),
    *MEASURED,
)
_POOLS_OF: Final = {
    "compute": ("on_demand", "spot"),
    "storage": ("disk",),
    "network": ("proxy",),
    "database": ("database", "replica"),
}
_EXTRA: Final[dict[str, tuple[str, ...]]] = {
    "compute": (
        *(f"backlog_{name}" for name in CLASSES),
        *(f"arrivals_{name}" for name in CLASSES),
        *(f"spot_age{group}" for group in range(AGE_GROUPS)),
        "preempted",
        "blocked",
    ),
    "storage": ("stored",),
    "network": ("dropped_share",),
    "database": ("blocked", "failover"),
}


def _names_of(agent: str) -> tuple[str, ...]:
    own = [f"load_{agent}_lag{lag}" for lag in range(_LAGS)]
    own += [f"load_{agent}_{kind}" for kind in ("mean", "max")]
    own += [
        f"{kind}_{pool}" for pool in _POOLS_OF[agent] for kind in ("units", "pending", "arriving")
    ]
    own += [f"{kind}_{agent}" for kind in ("utilisation", "capacity", "sojourn", "shortage")]
    own += _EXTRA[agent]
    shared = [*CALENDAR, "slo_attainment", "latency_share", "latency_p95", "cost", "carbon"]
    others = [f"utilisation_{service}" for service in SERVICES if service != agent]
    return (*own, *shared, *others)


_NAMES: Final = {agent: _names_of(agent) for agent in SERVICES}


@cache
def _columns(agent: str, device: torch.device) -> Tensor:
    """(F,) columns of the state that `agent` sees."""
    return torch.tensor([STATE_NAMES.index(name) for name in _NAMES[agent]], device=device)


def observation_names(agent: str) -> tuple[str, ...]:
    """Names of the columns of `agent`'s observation.

    Raises:
        ValueError: not one of the four agents.
    """
    if agent not in _NAMES:
        raise ValueError(f"no agent {agent!r}; agents are {', '.join(SERVICES)}")
    return _NAMES[agent]


def feature_scale(params: CloudParams, gco2: float) -> Tensor:
    """(S,) factor that brings each feature of the state to about one.

    Args:
        params: of the cloud.
        gco2: reference grams a step.
    """
    peak = dict(zip(SERVICES, params.reference.peak, strict=True))
    units = (params.peak * params.units_per_load).tolist()
    gib = params.reference.stored_gib
    disks = max(units[1], gib / 10.0)
    pool = dict(zip(POOLS, (units[0], units[0], disks, units[2], units[3], 1.0), strict=True))
    vms = units[0]
    config = params.config
    fixed = {
        "stored": gib,
        "latency_p95": config.slo_ms / 1e3,
        "cost": sum(reference_capacity_usd(params)),
        "carbon": gco2,
        "preempted": vms,
    }
    scale = []
    for name in STATE_NAMES:
        kind, _, rest = name.partition("_")
        what = rest.split("_lag")[0].removesuffix("_mean").removesuffix("_max")
        if name in fixed:
            value = fixed[name]
        elif kind in ("load", "capacity"):
            value = peak[what]
        elif kind in ("units", "pending", "arriving"):
            value = pool[rest]
        elif kind in ("backlog", "arrivals"):
            value = peak["compute"]
        elif kind == "sojourn":
            value = config.slo_ms / 1e3
        elif name.startswith("spot_age"):
            value = vms
        else:
            value = 1.0
        scale.append(1.0 / value)
    return torch.tensor(scale, dtype=torch.float32, device=params.device)


def global_state(state: CloudState, calendar: Tensor, scale: Tensor) -> Tensor:
    """(B, len(STATE_NAMES)) normalised features of the whole cloud.

    Args:
        state: of the clouds.
        calendar: (B, 5) what is known of time and prices now.
        scale: from `feature_scale`.
    """
    batch = len(calendar)
    spot = state.spot.view(batch, -1, AGE_GROUPS).sum(1)
    features = torch.cat(
        (
            calendar,
            state.loads[:, :, :_LAGS].reshape(batch, -1),
            state.loads.sum(2) * (1.0 / HISTORY),
            state.loads.amax(2),
            state.pools,
            state.pending.sum(2),
            state.pending[:, :, 0],
            state.backlog[:, :, 0],
            state.stored_gib[:, None],
            spot,
            state.measured,
        ),
        1,
    )
    return (features * scale).clamp(-LIMIT, LIMIT)


def observations(features: Tensor) -> dict[str, Tensor]:
    """Agent to (B, F): each agent's columns of `global_state`."""
    return {agent: features.index_select(1, _columns(agent, features.device)) for agent in SERVICES}


_TIER_KNOBS: Final = [
    column("database", name) - sum(SIZES[:3])
    for name in ("target_utilisation", "floor_share", "scale_in_window")
]


def action_masks(state: CloudState) -> dict[str, Tensor]:
    """Agent to (B, A) int8, 0 where a knob can do nothing in the coming step.

    That is the database's tier while a change of it is under way and will still be then.
    """
    batch = len(state.pools)
    masks = {
        agent: torch.ones((batch, size), dtype=torch.int8, device=state.pools.device)
        for agent, size in zip(SERVICES, SIZES, strict=True)
    }
    is_free = state.pending[:, POOLS.index("database"), 1:].sum(1) <= 0
    masks["database"][:, _TIER_KNOBS] = is_free[:, None].to(torch.int8)
    return masks
