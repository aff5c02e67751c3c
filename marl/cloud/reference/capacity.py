"""The slow reference's rules for everything beside the VMs, and what the units carry."""

import math

from marl.cloud.params import (
    DATABASE_IOPS_PER_GIB,
    DISK_STEP_GIB,
    HYPERDISK_STEP_IOPS,
    MAX_TIER_VCPU,
    PROXY_GBPS,
    TIER_STEP_VCPU,
)
from marl.cloud.reference.fleet import arrive, move_fleet, nearest, whole_part, whole_up
from marl.cloud.reference.state import LocalState, LocalWeather, Machines
from marl.cloud.types import POOLS, RESOURCES, SERVICES

_WINDOWED = {"vcpu": "compute", "memory_gib": "compute", "ml_vcpu": "compute"}
_WINDOWED |= {"gbps": "network", "db_vcpu": "database"}
_CAN_SHRINK = ("hyperdisk", "proxy", "tier", "replica", "redis")


def held(state: LocalState, knobs: dict[str, float]) -> dict[str, float]:
    """The largest of each load that its autoscaler's window still holds; of IOPS the newest."""
    minutes = state.cloud.params.step_s / 60.0
    out = {"iops": state.loads[0]["iops"]}
    for name, service in _WINDOWED.items():
        window = knobs[f"{service}_scale_in_window"] / minutes
        out[name] = max(row[name] for lag, row in enumerate(state.loads) if lag < window)
    return out


def provision(state: LocalState, knobs: dict[str, float], weather: LocalWeather) -> Machines:
    """Arrivals, orders, removals and losses of one step."""
    params, config = state.cloud.params, state.cloud.params.config
    load = held(state, knobs)
    target = knobs["compute_target_utilisation"]
    for_gpu = knobs["compute_gpu_share"] * config.gpu_fit_share * load["ml_vcpu"]
    gpus = sum(n for (_, kind, z), n in state.vms.items() if kind == "gpu" and weather.is_up[z])
    on_cpu = load["vcpu"] - min(for_gpu, gpus * config.gpu_vcpu)
    peak_vcpu = params.reference.peak[0]
    need = {
        "vcpu": max(on_cpu / target, knobs["compute_floor_share"] * peak_vcpu),
        "memory_gib": load["memory_gib"] / config.memory_target,
        "gpu_vms": for_gpu / (target * config.gpu_vcpu),
        "most_vcpu": config.quota_share * peak_vcpu * weather.quota,
    }
    refusals = arrive(state, weather)
    now = move_fleet(state, knobs, weather, need, refusals)
    _move_pools(state, knobs, weather, load, now)
    return now


def wanted_units(
    state: LocalState, knobs: dict[str, float], load: dict[str, float], replicas: float, left: float
) -> dict[str, float]:
    """Units beside the VMs for `load`, with `replicas` in service and `left` of the quota."""
    params, config = state.cloud.params, state.cloud.params.config
    need = {}
    for service, resource, peak in zip(
        SERVICES[1:], RESOURCES[1:4], params.reference.peak[1:], strict=True
    ):
        by_load = load[resource] / knobs[f"{service}_target_utilisation"]
        least = knobs[f"{service}_floor_share"] * peak
        need[resource] = min(max(by_load, least), config.quota_share * peak * left)

    fast = knobs["storage_provisioned_share"]
    on_disk = state.stored_gib * (1 - config.object_share)
    disk_gib = max(
        need["iops"] * (1 - fast) / params.iops_per_gib,
        on_disk * (1 + knobs["storage_free_space_share"]),
    )
    counted = nearest(knobs["database_read_replicas"])
    node = node_load(min(counted, replicas), config.read_share)
    in_database = on_disk * config.database_stored_share / max(1e-6, 1 - config.object_share)
    database_gib = max(
        in_database * (1 + knobs["database_storage_free_share"]),
        need["db_vcpu"] * config.database_iops_per_vcpu / DATABASE_IOPS_PER_GIB,
    )
    return {
        "disk": whole_up(max(disk_gib / DISK_STEP_GIB, 1.0)),
        "hyperdisk": whole_up(need["iops"] * fast / HYPERDISK_STEP_IOPS),
        "proxy": whole_up(max(need["gbps"] / PROXY_GBPS, 1.0)),
        "tier": whole_up(max(min(need["db_vcpu"] * node, MAX_TIER_VCPU) / TIER_STEP_VCPU, 1.0)),
        "replica": counted,
        "redis": whole_up(knobs["database_cache_share"] * params.hot_gib),
        "db_disk": whole_up(max(database_gib / DISK_STEP_GIB, 1.0)),
    }


def node_load(replicas: float, read_share: float) -> float:
    """Load of the busiest node: all writes, and its part of the reads."""
    return (1 - read_share) + read_share / (replicas + 1)


def _move_pools(
    state: LocalState,
    knobs: dict[str, float],
    weather: LocalWeather,
    load: dict[str, float],
    now: Machines,
) -> None:
    config = state.cloud.params.config
    arrived = dict.fromkeys(POOLS, 0.0)
    for when, pool, units in state.pool_orders:
        if when == state.time:
            arrived[pool] += units
            state.pools[pool] += units
    state.pool_orders = [order for order in state.pool_orders if order[0] > state.time]
    ordered = {p: sum(n for _, pool, n in state.pool_orders if pool == p) for p in POOLS}
    wanted = wanted_units(state, knobs, load, state.pools["replica"], weather.quota)
    delay = dict.fromkeys(POOLS, 1) | {
        "tier": weather.delay["database"],
        "replica": weather.delay["database"],
        "redis": weather.delay["redis"],
    }
    is_busy = ordered["tier"] > 0
    wait = max(state.hyperdisk_wait - 1.0, 0.0)
    removed = dict.fromkeys(POOLS, 0.0)
    for pool in POOLS:
        if (pool in ("tier", "db_disk") and is_busy) or (pool == "hyperdisk" and wait > 0):
            continue
        more = wanted[pool] - state.pools[pool] - ordered[pool]
        if more > 0:
            state.pool_orders.append((state.time + delay[pool], pool, more))
        elif pool in _CAN_SHRINK:
            # Only what is not wanted, though more was ordered than is wanted now.
            removed[pool] = min(-more, max(state.pools[pool] - wanted[pool], 0.0))
            state.pools[pool] -= removed[pool]
        if more > 0 or removed[pool] > 0:
            now.changes += 1
            if pool == "hyperdisk":
                steps = config.hyperdisk_hours * state.cloud.params.steps_per_hour
                wait = float(math.ceil(steps))
    state.hyperdisk_wait = wait

    has_ha = 1.0 if knobs["database_has_ha"] > 0.5 else 0.0
    is_switched = not is_busy and has_ha != state.has_ha
    if is_switched:
        state.has_ha = has_ha
        now.changes += 1
    now.is_restarting = is_switched or arrived["tier"] > 0 or removed["tier"] > 0
    if weather.is_review:
        _commit(state, knobs)


def _commit(state: LocalState, knobs: dict[str, float]) -> None:
    """Buy the commitments that are missing; none is ever given back."""
    params = state.cloud.params
    peak_vms = params.reference.peak[0] / params.machine.vcpu
    wanted = whole_part(knobs["compute_commitment_share"] * peak_vms)
    more = max(wanted - sum(state.committed), 0.0)
    three = nearest(more * knobs["compute_three_year_share"])
    state.committed = [state.committed[0] + more - three, state.committed[1] + three]


def downtime(state: LocalState, now: Machines, weather: LocalWeather) -> float:
    """Share of the step in which the database's primary takes no writes."""
    config, step_s = state.cloud.params.config, state.cloud.params.step_s
    down_s = weather.failover * (config.failover_s if state.has_ha else config.recovery_s)
    if now.is_restarting:
        down_s += config.resize_downtime_s
    if not weather.is_up[0] and not state.has_ha:
        down_s = step_s
    return min(down_s / step_s, 1.0)


def carried(
    state: LocalState, now: Machines, knobs: dict[str, float], weather: LocalWeather
) -> dict[str, float]:
    """What the units in service carry of each resource."""
    params, config = state.cloud.params, state.cloud.params.config
    pools = state.pools
    vcpu = sum(now.vcpu_by_zone)
    in_up_zones = [n for n, up in zip(now.vcpu_by_zone, weather.is_up, strict=True) if up]
    even = min(in_up_zones) * len(in_up_zones) if in_up_zones else 0.0
    wasted = knobs["network_zone_locality"] * config.locality_cost * max(vcpu - even, 0.0)

    gib = pools["disk"] * DISK_STEP_GIB
    on_disk = max(weather.stored_gib * (1 - config.object_share), 1e-6)
    iops = gib * params.iops_per_gib * min(gib / on_disk, 1.0)
    iops = (iops + pools["hyperdisk"] * HYPERDISK_STEP_IOPS) * weather.disk_speed

    database = pools["tier"] * TIER_STEP_VCPU / node_load(pools["replica"], config.read_share)
    if config.database_iops_per_vcpu > 0:
        disk_iops = pools["db_disk"] * DISK_STEP_GIB * DATABASE_IOPS_PER_GIB
        database = min(database, disk_iops / config.database_iops_per_vcpu)
    stopped = 1 - config.read_share if pools["replica"] >= 1 else 1.0
    database *= 1 - stopped * downtime(state, now, weather)
    return {
        "vcpu": vcpu - wasted,
        "iops": iops,
        "gbps": pools["proxy"] * PROXY_GBPS,
        "db_vcpu": database,
        "memory_gib": now.memory_gib,
    }
