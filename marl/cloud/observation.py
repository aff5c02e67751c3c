"""What each agent sees: a named, normalised, flat vector, and the whole state for critics.

All features are first laid side by side (the state); an agent's observation is a selection of its
rows: its own service in detail, the others only by how busy they are, what a team knows ahead, no
future. Scales are the reference demand's, so that the same policy fits clouds of any size; values
are held in [-10, 10]. The list of queued work with its deadlines is `requests`.
"""

from typing import Final

import torch
from torch import Tensor

from marl.cloud.actions import SIZES, row
from marl.cloud.features import CELLS, LAGS, observation_names, state_names
from marl.cloud.params import CloudParams
from marl.cloud.types import HISTORY, KINDS, POOLS, PURCHASES, RESOURCES, SERVICES, CloudState

LIMIT: Final = 10.0


def observation_rows(agent: str, zones: int) -> Tensor:
    """(F,) int64 rows of the state that `agent` sees."""
    names = state_names(zones)
    return torch.tensor([names.index(name) for name in observation_names(agent, zones)])


def feature_scale(params: CloudParams, total_usd: float, gco2: float) -> Tensor:
    """(len(state_names), 1) factor that brings each feature of the state to about one.

    Args:
        params: of the cloud.
        total_usd: reference bill a step.
        gco2: reference grams a step.
    """
    config, reference = params.config, params.reference
    peak = dict(zip(RESOURCES, (*reference.peak, reference.memory_gib), strict=True))
    peak |= dict(zip(SERVICES, reference.peak, strict=True))
    peak["ml_vcpu"] = max(reference.ml_vcpu, 1e-3 * reference.peak[0])
    vms = reference.peak[0] / params.machine.vcpu
    gpus = max(1.0, peak["ml_vcpu"] * config.gpu_fit_share / config.gpu_vcpu)
    disks = max(
        reference.peak[1] / params.iops_per_gib, reference.stored_gib * (1 - config.object_share)
    )
    pool = dict(
        zip(
            POOLS,
            (
                disks / 10.0,
                reference.peak[1] / 1000.0,
                reference.peak[2] / 0.15,
                reference.peak[3] / 2.0,
                1.0,
                max(1.0, params.hot_gib),
                max(1.0, params.database_gib / 10.0),
            ),
            strict=True,
        )
    )
    pool |= {cell: gpus if cell.endswith("gpu") else vms for cell in CELLS}
    fixed = {
        "latency_p95": config.slo_ms / 1e3,
        "cost": total_usd,
        "carbon": gco2,
        "lost_vms": vms,
        "refusals": vms,
        "retries": max(reference.requests_per_s, 1e-6),
        "committed_1y": vms,
        "committed_3y": vms,
        "hyperdisk_wait": max(1.0, config.hyperdisk_hours * params.steps_per_hour),
    }
    scale = []
    for name in state_names(config.zones):
        kind, _, rest = name.partition("_")
        if name in fixed:
            value = fixed[name]
        elif kind in ("units", "pending", "arriving"):
            value = pool[rest]
        elif name.startswith("vms_zone"):
            value = vms
        elif kind in ("backlog", "arrivals") or name.startswith("scheduled"):
            value = peak["vcpu"]
        elif kind == "sojourn":
            value = config.slo_ms / 1e3
        else:
            value = _load_scale(name, peak)
        scale.append(1.0 / value)
    return torch.tensor(scale, dtype=torch.float32, device=params.device)[:, None]


def _load_scale(name: str, peak: dict[str, float]) -> float:
    """Reference of a load, a capacity or a forecast; 1 for what has no unit."""
    for kind in ("load_", "capacity_", "day_ago_", "week_ago_", "forecast_"):
        if name.startswith(kind):
            rest = name.removeprefix(kind)
            found = [key for key in peak if rest == key or rest.startswith(f"{key}_")]
            return peak[max(found, key=len)]
    return 1.0


def global_state(state: CloudState, told: Tensor, budget_usd: float, scale: Tensor) -> Tensor:
    """(len(state_names), B) normalised features of the whole cloud.

    Args:
        state: of the clouds.
        told: (len(FORESIGHT), B) what is known of time, prices and the hours ahead.
        budget_usd: of a step.
        scale: from `feature_scale`.
    """
    batch = told.shape[-1]
    zones = len(state.vms) // (len(PURCHASES) * len(KINDS))

    def by_cell(values: Tensor) -> Tensor:
        return values.view(len(CELLS), zones, batch).sum(1)

    def by_zone(values: Tensor) -> Tensor:
        return values.view(len(CELLS), zones, batch).sum(0)

    spent = state.spent_usd / ((state.elapsed * budget_usd).clamp_min(1e-9))
    rest = torch.stack(
        (
            state.has_ha,
            state.cdn,
            *state.colder.unbind(0),
            state.hyperdisk_wait,
            *state.backlog[:, 0].unbind(0),
            state.retries,
            1.0 - spent,
        )
    )
    features = torch.cat(
        (
            told,
            state.loads[:LAGS].flatten(0, 1),
            state.loads.sum(0) * (1.0 / HISTORY),
            state.loads.amax(0),
            by_cell(state.vms),
            by_cell(state.pending_vms.sum(0)),
            by_cell(state.pending_vms[0]),
            by_cell(state.refused) * (1.0 / zones),
            by_zone(state.vms),
            by_zone(state.refused) * (1.0 / len(CELLS)),
            state.ages.mean(1),
            state.pools,
            state.pending_pools.sum(0),
            state.pending_pools[0],
            state.committed,
            rest,
            state.measured,
        )
    )
    return (features * scale).clamp(-LIMIT, LIMIT)


_TIER_KNOBS: Final = [
    row("database", name) - sum(SIZES[:3])
    for name in (
        "target_utilisation",
        "floor_share",
        "scale_in_window",
        "has_ha",
        "storage_free_share",
    )
]
_COMMITMENT_KNOBS: Final = [
    row("compute", name) for name in ("commitment_share", "three_year_share")
]
_PROVISIONED: Final = row("storage", "provisioned_share") - SIZES[0]


def action_masks(state: CloudState, is_review: Tensor) -> dict[str, Tensor]:
    """Agent to (B, A) int8, 0 where a knob can do nothing in the coming step.

    That is the database's tier while a change of it is under way and will still be then, the
    commitments between reviews, and Hyperdisk's IOPS within four hours of their last change.

    Args:
        state: of the clouds.
        is_review: (B,) 1 where commitments may be bought in the coming step.
    """
    batch = state.vms.shape[-1]
    masks = {
        agent: torch.ones((size, batch), dtype=torch.int8, device=state.vms.device)
        for agent, size in zip(SERVICES, SIZES, strict=True)
    }
    is_free = state.pending_pools[1:, POOLS.index("tier")].sum(0) <= 0
    masks["database"][_TIER_KNOBS] = is_free.to(torch.int8)
    masks["compute"][_COMMITMENT_KNOBS] = (is_review > 0).to(torch.int8)
    masks["storage"][_PROVISIONED] = (state.hyperdisk_wait <= 1.0).to(torch.int8)
    return {agent: mask.t() for agent, mask in masks.items()}
