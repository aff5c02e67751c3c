"""Capacity: the target-tracking rule, orders that arrive later or are refused, machines lost.

The rule is the MIG autoscaler's: recommended = load / target, the largest recommendation of the
scale-in window, within a floor and a quota. How VMs are spread over kinds, purchases and zones
belongs to `fleet`; serving demand with the capacity to `service`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from marl.cloud.actions import row
from marl.cloud.fleet import Fleet, fleet_step, pending_after
from marl.cloud.params import (
    DATABASE_IOPS_PER_GIB,
    DISK_STEP_GIB,
    HYPERDISK_STEP_IOPS,
    MAX_TIER_VCPU,
    PROXY_GBPS,
    TIER_STEP_VCPU,
    CloudParams,
)
from marl.cloud.rounding import Rounding
from marl.cloud.types import KINDS, POOLS, PURCHASES, SERVICES, CloudState, WeatherStep

_TARGET = [row(service, "target_utilisation") for service in SERVICES]
_FLOOR = [row(service, "floor_share") for service in SERVICES]
_WINDOW = {service: row(service, "scale_in_window") for service in SERVICES if service != "storage"}
_FREE_SPACE = row("storage", "free_space_share")
_PROVISIONED = row("storage", "provisioned_share")
_REPLICAS = row("database", "read_replicas")
_HAS_HA = row("database", "has_ha")
_CACHE = row("database", "cache_share")
_DB_FREE = row("database", "storage_free_share")
_GPU = row("compute", "gpu_share")
_COMMITMENT = row("compute", "commitment_share")
_THREE_YEARS = row("compute", "three_year_share")
DISK, HYPERDISK, PROXY, TIER, REPLICA, REDIS, DB_DISK = range(len(POOLS))
_HOUR_MIN = 60.0


@dataclass(frozen=True)
class Provisioned:
    """Capacity after this step's arrivals, orders and losses."""

    fleet: Fleet
    pools: Tensor  # (K, B) units in service
    pending_pools: Tensor  # (D, K, B)
    committed: Tensor  # (2, B)
    has_ha: Tensor  # (B,)
    hyperdisk_wait: Tensor  # (B,)
    changes: Tensor  # (B,) operations begun
    is_restarting: Tensor  # (B,) 1 where the database primary changes in this step


def node_share(replicas: Tensor, read_share: float) -> Tensor:
    """Load of the largest database node over the load of all: writes + reads / nodes.

    Every node applies all writes; reads spread over the primary and its replicas. Between whole
    numbers, which only smooth clouds have, it is a straight line: on the curve itself the first
    tenth of a replica would take twice what a tenth of a whole one takes, and learners would buy
    replicas for what none of them is worth.
    """
    whole = replicas.detach().floor().clamp_min(0.0)  # a staircase may end a rounding below 0
    part = replicas - whole
    return (1.0 - read_share) + read_share * ((1.0 - part) / (1.0 + whole) + part / (2.0 + whole))


def held_loads(loads: Tensor, knobs: Tensor, rounding: Rounding, params: CloudParams) -> Tensor:
    """(len(LOADS), B) the largest load each autoscaler's window still holds; disks: the newest."""
    steps_per_min = params.steps_per_hour / _HOUR_MIN
    compute, network, database = (
        knobs[_WINDOW[name]] * steps_per_min for name in ("compute", "network", "database")
    )
    newest = torch.ones_like(compute)
    windows = torch.stack((compute, newest, network, database, compute, compute))
    return (loads * rounding.is_within(params.lags, windows)).amax(0)


def provision(
    state: CloudState,
    knobs: Tensor,
    weather: WeatherStep,
    rounding: Rounding,
    params: CloudParams,
) -> Provisioned:
    """Arrivals of earlier orders, new orders and removals by the rules, then losses of VMs."""
    held = held_loads(state.loads, knobs, rounding, params)
    target = knobs[_TARGET[0] : _TARGET[0] + 1]
    peak = params.peak
    # What GPUs that serve already can take, the CPUs need not; what they shall take, they order.
    for_gpu = knobs[_GPU] * params.config.gpu_fit_share * held[5]
    gpus = (state.vms * _up(weather) * _both(params.is_gpu)).sum(0)
    on_gpu = torch.minimum(for_gpu, gpus * params.config.gpu_vcpu)
    vcpu = torch.maximum((held[0] - on_gpu) / target[0], knobs[_FLOOR[0]] * peak[0])
    memory = held[4] / params.config.memory_target
    cap = params.quota[0] * weather.quota
    gpu_vms = for_gpu / (target[0] * params.config.gpu_vcpu)
    fleet = fleet_step(state, knobs, weather, (vcpu, memory, gpu_vms, cap), rounding, params)
    return _provision_pools(state, knobs, held, fleet, weather, rounding, params)


def _up(weather: WeatherStep) -> Tensor:
    """(N, B) 1 for cells whose zone is up."""
    return weather.is_up.repeat(len(PURCHASES) * len(KINDS), 1)


def _both(by_kind: Tensor) -> Tensor:
    """(N, 1) of (M·Z, 1): the same for both purchases."""
    return by_kind.repeat(2, 1)


def _provision_pools(
    state: CloudState,
    knobs: Tensor,
    held: Tensor,
    fleet: Fleet,
    weather: WeatherStep,
    rounding: Rounding,
    params: CloudParams,
) -> Provisioned:
    """Everything beside the VMs.

    Cloud SQL runs one operation on an instance at a time; Hyperdisk changes its IOPS once in four
    hours; disks only grow.
    """
    config = params.config
    arrived = state.pending_pools[0]
    pools = state.pools + arrived
    wanted = wanted_pools(knobs, held, state.stored_gib, pools, weather.quota, rounding, params)
    pending = state.pending_pools[1:].sum(0)
    wait = (state.hyperdisk_wait - 1.0).clamp_min(0.0)
    is_busy = rounding.is_any(pending[TIER])
    one = torch.ones_like(wait)
    free = 1.0 - is_busy  # the instance's tier and disk are changed one at a time
    may_change = torch.stack((one, 1.0 - wait.clamp_max(1.0), one, free, one, one, free))
    order = (wanted - pools - pending) * may_change
    up = order.clamp_min(0.0)
    shrinks = torch.stack((0.0 * one, one, one, one, one, one, 0.0 * one))
    # What serves and is wanted stays, though more of it was ordered than is wanted now.
    spare = (pools - wanted).clamp_min(0.0)
    down = torch.minimum((up - order) * shrinks, spare)
    pools = pools - down
    slow = weather.delay[2]
    delay = torch.stack((one, one, one, slow, slow, weather.delay[3], one))
    changed = (up + down).clamp_max(1.0)
    is_changed = rounding.is_any((up + down)[HYPERDISK])
    new_wait = math.ceil(config.hyperdisk_hours * params.steps_per_hour) * is_changed
    has_ha = state.has_ha + (rounding.is_on(knobs[_HAS_HA]) - state.has_ha) * (1.0 - is_busy)
    switched = (has_ha - state.has_ha).abs()
    committed = _committed(state.committed, knobs, weather.is_review, rounding, params)
    restarted = (arrived[TIER] + down[TIER] + switched).clamp_max(1.0)
    return Provisioned(
        fleet=fleet,
        pools=pools,
        pending_pools=pending_after(state.pending_pools, up, delay, params.slots),
        committed=committed,
        has_ha=has_ha,
        hyperdisk_wait=torch.maximum(wait, new_wait),
        changes=fleet.changes + changed.sum(0) + switched,
        is_restarting=restarted,
    )


def wanted_pools(
    knobs: Tensor,
    held: Tensor,
    stored_gib: Tensor,
    pools: Tensor,
    quota: Tensor,
    rounding: Rounding,
    params: CloudParams,
) -> Tensor:
    """(K, B) whole units beside the VMs that carry the load `held` at the knobs' targets.

    The database's tier counts only on replicas that serve already (`pools`).
    """
    config = params.config

    def needed(s: int) -> Tensor:
        floor = knobs[_FLOOR[s]] * params.peak[s]
        want = torch.maximum(held[s] / knobs[_TARGET[s]], floor)
        return torch.minimum(want, params.quota[s] * quota)

    iops, gbps, database = needed(1), needed(2), needed(3)
    provisioned = knobs[_PROVISIONED]
    on_disk = stored_gib * (1.0 - config.object_share)
    by_size = iops * ((1.0 - provisioned) * (1.0 / (params.iops_per_gib * DISK_STEP_GIB)))
    room = on_disk * ((1.0 + knobs[_FREE_SPACE]) * (1.0 / DISK_STEP_GIB))
    replicas = rounding.nearest(knobs[_REPLICAS])
    share = node_share(torch.minimum(replicas, pools[REPLICA]), config.read_share)
    tier = (database * share * (1.0 / TIER_STEP_VCPU)).clamp_max(MAX_TIER_VCPU / TIER_STEP_VCPU)
    in_database = on_disk * (config.database_stored_share / max(1e-6, 1.0 - config.object_share))
    db_room = in_database * ((1.0 + knobs[_DB_FREE]) * (1.0 / DISK_STEP_GIB))
    db_iops = database * (config.database_iops_per_vcpu / (DATABASE_IOPS_PER_GIB * DISK_STEP_GIB))
    units = torch.stack(
        (
            torch.maximum(by_size, room).clamp_min(1.0),
            iops * provisioned * (1.0 / HYPERDISK_STEP_IOPS),
            (gbps * (1.0 / PROXY_GBPS)).clamp_min(1.0),
            tier.clamp_min(1.0),
            knobs[_CACHE] * params.hot_gib,
            torch.maximum(db_room, db_iops).clamp_min(1.0),
        )
    )
    disk, hyperdisk, proxy, node, redis, db_disk = rounding.up(units).unbind(0)
    return torch.stack((disk, hyperdisk, proxy, node, replicas, redis, db_disk))


def _committed(
    committed: Tensor,
    knobs: Tensor,
    is_review: Tensor,
    rounding: Rounding,
    params: CloudParams,
) -> Tensor:
    """(2, B) VMs committed for one and three years: bought at reviews, never given back."""
    peak_vms = params.reference.peak[0] / params.machine.vcpu
    wanted = rounding.whole_part(knobs[_COMMITMENT] * peak_vms)
    more = (wanted - committed.sum(0)).clamp_min(0.0) * is_review
    three = rounding.nearest(more * knobs[_THREE_YEARS])
    return committed + torch.stack((more - three, three))


def capacity(now: Provisioned, knobs: Tensor, weather: WeatherStep, params: CloudParams) -> Tensor:
    """(R, B) what the units in service carry: vCPU, IOPS, Gbps, database vCPU, GiB of memory.

    A disk fuller than its size serves only the share that fits. While the primary fails over or
    restarts, writes stop, and reads too where there is no replica. The more requests are kept in
    their zone, the more an uneven fleet wastes.
    """
    config = params.config
    disks, hyperdisk, proxies, tier, replicas, _, db_disks = now.pools.unbind(0)
    gib = disks * DISK_STEP_GIB
    on_disk = (weather.stored_gib * (1.0 - config.object_share)).clamp_min(1e-6)
    fits = (gib / on_disk).clamp_max(1.0)
    iops = (gib * params.iops_per_gib * fits + hyperdisk * HYPERDISK_STEP_IOPS) * weather.disk_speed
    down = database_downtime(now, weather, params)
    affected = 1.0 - config.read_share * replicas.clamp_max(1.0)
    nodes = node_share(replicas, config.read_share)
    database = tier * TIER_STEP_VCPU / nodes
    if config.database_iops_per_vcpu > 0:
        by_disk = db_disks * (DISK_STEP_GIB * DATABASE_IOPS_PER_GIB / config.database_iops_per_vcpu)
        database = torch.minimum(database, by_disk)
    database = database * (1.0 - affected * down)
    fleet = now.fleet
    locality = knobs[row("network", "zone_locality")] * config.locality_cost
    vcpu = fleet.vcpu_by_zone.sum(0)
    zones_up = weather.is_up.sum(0)
    # The smallest zone that is up sets what an even split could carry.
    smallest = torch.where(weather.is_up > 0, fleet.vcpu_by_zone, torch.inf).amin(0)
    even = torch.where(zones_up > 0, smallest, 0.0) * zones_up
    vcpu = vcpu - locality * (vcpu - even).clamp_min(0.0)
    return torch.stack((vcpu, iops, proxies * PROXY_GBPS, database, fleet.memory_gib))


def database_downtime(now: Provisioned, weather: WeatherStep, params: CloudParams) -> Tensor:
    """(B,) share of the step in which the primary takes no writes.

    With a standby a failure costs the time to switch over; without one, the time to restart, and
    all the time its zone is down.
    """
    config = params.config
    with_ha, without = config.failover_s / params.step_s, config.recovery_s / params.step_s
    failing = weather.failover * (without + now.has_ha * (with_ha - without))
    lost_zone = (1.0 - weather.is_up[0]) * (1.0 - now.has_ha)
    restart = now.is_restarting * (config.resize_downtime_s / params.step_s)
    return (failing + lost_zone + restart).clamp_max(1.0)
