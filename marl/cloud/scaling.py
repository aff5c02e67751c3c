"""Capacity: the target-tracking rule, orders that arrive later, spot VMs lost to preemption.

The rule is the MIG autoscaler's: recommended = load / target, the largest recommendation of the
scale-in window, within a floor and a quota. Serving demand with the capacity belongs to `service`.
"""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from marl.cloud.actions import column
from marl.cloud.params import (
    DISK_STEP_GIB,
    MAX_TIER_VCPU,
    PROXY_GBPS,
    TIER_STEP_VCPU,
    CloudParams,
)
from marl.cloud.types import AGE_GROUPS, SERVICES, CloudState, WeatherStep

_TOLERANCE = 1e-4  # a recommendation of 50.00001 VMs is 50 VMs, whatever the rounding of float32
_HALF_UP = 0.5 + _TOLERANCE
_TARGET = [column(service, "target_utilisation") for service in SERVICES]
_FLOOR = [column(service, "floor_share") for service in SERVICES]
# Disks have no window; `params.lags` sees to that, and the network's stands in its place.
_WINDOW = [
    column(service if service != "storage" else "network", "scale_in_window")
    for service in SERVICES
]
_SPOT_SHARE = column("compute", "spot_share")
FREE_SPACE = column("storage", "free_space_share")
_REPLICAS = column("database", "read_replicas")


@cache
def _rule_columns(device: torch.device) -> Tensor:
    """(12,) columns of target, floor and window of each service."""
    return torch.tensor(_TARGET + _FLOOR + _WINDOW, device=device)


@dataclass(frozen=True)
class Provisioned:
    """Capacity after this step's arrivals, orders and losses."""

    pools: Tensor  # (B, K) units in service
    pending: Tensor  # (B, K, D)
    spot: Tensor  # (B, Z * A)
    changes: Tensor  # (B,) operations begun
    preempted: Tensor  # (B,) VMs
    is_restarting: Tensor  # (B,) 1 where the database primary changes its tier in this step


def node_share(replicas: Tensor, read_share: float) -> Tensor:
    """Load of the largest database node over the load of all: writes + reads / nodes.

    Every node applies all writes; reads spread over the primary and its replicas.
    """
    return (1.0 - read_share) + read_share / (1.0 + replicas)


def recommended_load(loads: Tensor, knobs: Tensor, params: CloudParams) -> Tensor:
    """(B, S) capacity the autoscalers want, in the unit of each service."""
    rule = knobs.index_select(1, _rule_columns(knobs.device)).view(-1, 3, len(SERVICES))
    target, floor, window_min = rule.unbind(1)
    window = window_min * (60.0 / params.step_s)
    held = torch.where(params.lags < window[..., None], loads, 0.0).amax(2)
    return torch.minimum(torch.maximum(held / target, floor * params.peak), params.quota)


def desired_units(
    wanted: Tensor,
    knobs: Tensor,
    stored_gib: Tensor,
    replicas_now: Tensor,
    params: CloudParams,
) -> Tensor:
    """(B, K) whole units that carry the capacity `wanted` (B, S).

    The database's tier counts only on replicas that serve already (`replicas_now`, (B,)).
    """
    replicas = torch.floor(knobs[:, _REPLICAS] + _HALF_UP)
    vms, disks, proxies, tier = (wanted * params.units_per_load).unbind(1)
    room = stored_gib * ((1.0 + knobs[:, FREE_SPACE]) * (1.0 / DISK_STEP_GIB))
    tier = tier * node_share(torch.minimum(replicas, replicas_now), params.config.read_share)
    tier = tier.clamp_max(MAX_TIER_VCPU / TIER_STEP_VCPU)
    units = torch.stack((vms, torch.maximum(disks, room), proxies, tier), 1)
    vms, disks, proxies, tier = torch.ceil(units - _TOLERANCE).clamp_min(1.0).unbind(1)
    spot = torch.floor(knobs[:, _SPOT_SHARE] * vms + _HALF_UP)
    return torch.stack((vms - spot, spot, disks, proxies, tier, replicas), 1)


def take(counts: Tensor, total: Tensor) -> Tensor:
    """(B, N) whole machines to remove from `counts` (B, N), `total` (B,) in all, evenly."""
    running = counts.cumsum(1)
    share = total / running[:, -1].clamp_min(1.0)
    edges = torch.floor(running * share[:, None] + _HALF_UP)
    return torch.diff(edges, dim=1, prepend=torch.zeros_like(edges[:, :1]))


def preempt(counts: Tensor, probability: Tensor, draw: Tensor) -> Tensor:
    """(B, N) whole machines preempted: systematic sampling, so the mean is exactly counts·p.

    Args:
        counts: (B, N) machines.
        probability: (B, N) of each machine in the group.
        draw: (B,) uniform in [0, 1).
    """
    edges = torch.floor((counts * probability).cumsum(1) + draw[:, None])
    lost = torch.diff(edges, dim=1, prepend=torch.zeros_like(edges[:, :1]))
    return torch.minimum(lost, counts)


def age(spot: Tensor) -> Tensor:
    """(B, Z, A) spot VMs an hour later: each group moves to the next, the oldest stays."""
    older = torch.zeros_like(spot)
    older[..., 1:] = spot[..., :-1]
    older[..., -1] += spot[..., -1]
    return older


def provision(
    state: CloudState, knobs: Tensor, weather: WeatherStep, params: CloudParams
) -> Provisioned:
    """Arrivals of earlier orders, new orders and removals by the rule, then preemptions.

    Cloud SQL runs one operation on an instance at a time: while a change of tier is under way the
    rule neither adds to it nor takes it back.
    """
    arrived = state.pending[:, :, 0]
    pending = torch.cat((state.pending[:, :, 1:], torch.zeros_like(state.pending[:, :, :1])), 2)
    zones = params.config.zones
    spot = state.spot.view(-1, zones, AGE_GROUPS)
    if weather.is_new_hour:
        spot = age(spot)
    # A zone without spot capacity refuses its part of the order; the rule asks again.
    newborn = torch.floor((arrived[:, 1:2] + params.spread) / zones) * weather.spot_open
    arrived = torch.cat((arrived[:, :1], newborn.sum(1, keepdim=True), arrived[:, 2:]), 1)
    pools = state.pools + arrived
    spot = torch.cat((spot[..., :1] + newborn[..., None], spot[..., 1:]), 2).flatten(1)

    wanted = recommended_load(state.loads, knobs, params)
    target = desired_units(wanted, knobs, state.stored_gib, pools[:, 5], params)
    ordered = pending.sum(2)
    is_busy = (ordered > 0) & params.is_exclusive
    order = torch.where(is_busy, 0.0, target - pools - ordered)
    up = order.clamp_min(0.0)
    down = torch.minimum((up - order) * params.can_shrink, pools)
    # Between on-demand and spot: make before break. No VM goes while it is still needed.
    spare = (pools[:, :2] - target[:, :2]).sum(1).clamp_min(0.0)
    on_demand_down = torch.minimum(down[:, 0], spare)
    spot_down = torch.minimum(down[:, 1], spare - on_demand_down)
    down = torch.cat((torch.stack((on_demand_down, spot_down), 1), down[:, 2:]), 1)
    pending = pending + up[..., None] * (weather.delay[..., None] == params.slots)
    pools = pools - down
    spot = spot - take(spot, down[:, 1])

    lost = preempt(spot, weather.preemption, weather.preemption_draw)
    preempted = lost.sum(1)
    pools = torch.cat((pools[:, :1], (pools[:, 1] - preempted)[:, None], pools[:, 2:]), 1)
    return Provisioned(
        pools=pools,
        pending=pending,
        spot=spot - lost,
        changes=((up + down) > 0).sum(1).to(pools.dtype),
        preempted=preempted,
        is_restarting=((arrived[:, 4] + down[:, 4]) > 0).to(pools.dtype),
    )


def capacity(
    now: Provisioned, weather: WeatherStep, stored_gib: Tensor, params: CloudParams
) -> Tensor:
    """(B, S) what the units in service can carry: vCPU, IOPS, Gbps, database vCPU.

    A disk fuller than its size serves only the share that fits. While the primary fails over or
    restarts, writes stop, and reads too where there is no replica.
    """
    on_demand, spot, disks, proxies, tier, replicas = now.pools.unbind(1)
    config = params.config
    gib = disks * DISK_STEP_GIB
    fits = (gib / stored_gib.clamp_min(1e-6)).clamp_max(1.0)
    down = weather.failover + now.is_restarting * (config.resize_downtime_s / params.step_s)
    affected = torch.where(replicas > 0, 1.0 - config.read_share, 1.0)
    database = tier * TIER_STEP_VCPU / node_share(replicas, config.read_share)
    return torch.stack(
        (
            (on_demand + spot) * float(params.machine.vcpu),
            gib * params.disk.iops_per_gib * fits,
            proxies * PROXY_GBPS,
            database * (1.0 - affected * down.clamp_max(1.0)),
        ),
        1,
    )
