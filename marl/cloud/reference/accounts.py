"""The slow reference's accounts: objects in buckets, the bill, the grams, the rewards."""

import math
from dataclasses import dataclass

from marl.cloud.reference.serving import Asked, Done, Times
from marl.cloud.reference.state import LocalState, LocalWeather, Machines, numbers
from marl.cloud.types import KINDS, SERVICES


@dataclass
class Objects:
    """Data in buckets: standard, nearline, coldline, archive."""

    gib: list[float]
    moved_gib: list[float]  # into the last three
    read_gib: list[float]


@dataclass
class Money:
    """USD of the step."""

    by_service: list[float]
    capacity: list[float]
    traffic: float
    decided: float
    spot: float
    committed: float


@dataclass
class Marks:
    """Rewards of the step."""

    agents: list[float]
    team: float
    objectives: list[float]
    local: list[float]
    waste: float
    over_budget: float
    penalty: float


def age_objects(state: LocalState, knobs: dict[str, float], weather: LocalWeather) -> Objects:
    """Move objects that grew old, one way; say where the data lie and what was read."""
    config = state.cloud.params.config
    days = state.cloud.params.step_s / 86_400.0
    pace = min(days / config.lifecycle_days, 1.0)
    objects = weather.stored_gib * config.object_share
    moved = []
    for c, times in enumerate((1, 3, 10)):
        older = math.exp(-times * knobs["storage_nearline_after"] / config.object_age_days)
        moved.append(max(older - state.colder[c], 0.0) * pace)
        state.colder[c] += moved[c]
    power = config.object_age_days / config.object_read_age_days
    read = [share**power for share in state.colder]
    reads = objects * config.object_reads_per_day * days
    return Objects(
        gib=[share * objects for share in _between(state.colder)],
        moved_gib=[share * objects for share in moved],
        read_gib=[share * reads for share in _between(read)],
    )


def _between(beyond: list[float]) -> list[float]:
    first, second, third = beyond
    return [1 - first, first - second, second - third, third]


def crossing(now: Machines, knobs: dict[str, float]) -> float:
    """Share of hops to another zone, of those in an even fleet without locality."""
    zones, everything = len(now.vcpu_by_zone), max(sum(now.vcpu_by_zone), 1e-6)
    if zones == 1:
        return 0.0
    apart = 1 - sum((vcpu / everything) ** 2 for vcpu in now.vcpu_by_zone)
    share = apart / (1 - 1 / zones) * (1 - knobs["network_zone_locality"])
    return min(max(share, 0.0), 1.0)


def charge(
    state: LocalState,
    now: Machines,
    objects: Objects,
    asked: Asked,
    done: Done,
    knobs: dict[str, float],
    weather: LocalWeather,
) -> Money:
    """The bill of the step."""
    prices, pools = state.cloud.prices, state.pools
    list_price = dict(zip(KINDS, numbers(prices.on_demand), strict=True))
    committed = sum(
        n * usd for n, usd in zip(state.committed, numbers(prices.committed), strict=True)
    )
    spot, compute = 0.0, committed
    for kind in KINDS:
        paid = now.serving["on_demand", kind]
        if kind == "general":
            paid = max(paid - sum(state.committed), 0.0)
        compute += paid * list_price[kind]
        spot += now.serving["spot", kind] * weather.spot_ratio[kind] * list_price[kind]
    compute += spot

    buckets = sum(g * usd for g, usd in zip(objects.gib, numbers(prices.buckets), strict=True))
    storage = pools["disk"] * prices.disk + pools["hyperdisk"] * prices.hyperdisk + buckets
    network = pools["proxy"] * prices.proxy + prices.network_base
    primary = pools["tier"] * prices.primary + pools["db_disk"] * prices.database_disk
    standby = pools["tier"] * prices.standby + pools["db_disk"] * prices.database_disk
    database = primary * (1 + pools["replica"]) + pools["db_disk"] * prices.backup
    database += (standby if state.has_ha else 0.0) + pools["redis"] * prices.redis_gib
    capacity = [compute, storage, network, database]

    premium, share = knobs["network_premium_share"], crossing(now, knobs)
    egress = premium * prices.internet + (1 - premium) * prices.standard
    cached = asked.web_gbps * asked.hits * prices.cdn
    cached += asked.web_requests * state.cdn * prices.lookup
    passing = done.web_gbps * (egress + prices.processed) + cached
    passing += done.all_gbps * share * prices.inter_zone
    passing += max(done.all_gbps - done.web_gbps, 0.0) * prices.nat
    moves = zip(objects.moved_gib, numbers(prices.moves), strict=True)
    reads = zip(objects.read_gib, numbers(prices.reads), strict=True)
    reading = sum(g * usd for g, usd in moves) + sum(g * usd for g, usd in reads)

    # What the choices change about the price of the traffic that asked to be served.
    chosen = asked.web_gbps * (1 - asked.hits) * (egress + prices.processed) + cached
    plain = asked.web_gbps * (prices.internet + prices.processed)
    arriving_gbps = sum(row[2] for row in weather.work.values())
    hops = arriving_gbps * (share - 1) * prices.inter_zone
    return Money(
        by_service=[compute, storage + reading, network + passing, database],
        capacity=capacity,
        traffic=passing + reading,
        decided=sum(capacity) + reading + chosen - plain + hops,
        spot=spot,
        committed=committed,
    )


def emit(
    state: LocalState, now: Machines, asked: Asked, done: Done, weather: LocalWeather
) -> float:
    """Grams of CO2-equivalent of the step."""
    unit, pools = state.cloud.carbon, state.pools
    idle = dict(zip(KINDS, numbers(unit.vm_idle), strict=True))
    busy = dict(zip(KINDS, numbers(unit.vm_busy), strict=True))
    grams = 0.0
    for (_, kind), vms in now.serving.items():
        use = done.gpu_used if kind == "gpu" else done.utilisation[0]
        grams += vms * (idle[kind] + use * busy[kind])
    nodes = 1 + pools["replica"] + state.has_ha
    grams += nodes * pools["tier"] * (unit.tier_idle + done.utilisation[3] * unit.tier_busy)
    grams += nodes * pools["db_disk"] * unit.hyperdisk + pools["hyperdisk"] * unit.hyperdisk
    grams += pools["disk"] * unit.disk + pools["proxy"] * unit.proxy
    grams += pools["redis"] * unit.redis_gib
    grams += weather.stored_gib * state.cloud.params.config.object_share * unit.object_gib
    return grams + (done.all_gbps + asked.web_gbps * asked.hits) * unit.gbps


def _hurt(x: float, scale: float) -> float:
    return -math.log(1 + x / scale) / math.log(1 + 1 / scale)


def judge(
    state: LocalState,
    now: Machines,
    money: Money,
    gco2: float,
    done: Done,
    times: Times,
    failing: float,
) -> Marks:
    """The rewards; `state` has the step's bill and time added already."""
    params, config, scales = state.cloud.params, state.cloud.params.config, state.cloud.scales
    weights = numbers(params.weights)
    capacity_usd = sum(money.capacity)
    idle = [1 - use for use in done.utilisation[:4]]
    waste = sum(usd * part for usd, part in zip(money.capacity, idle, strict=True)) / capacity_usd
    vms = max(sum(state.vms.values()) + now.lost, 1.0)
    resolved = max(done.web_share + done.lost, 1e-6)
    failed = done.lost / resolved + 0.1 * now.lost / vms + 0.1 * failing + 0.0005 * now.changes
    objectives = [
        -money.decided / scales.total_usd,
        _hurt(max(1 - times.on_time, 0.0), config.violation_scale),
        _hurt(failed, config.failure_scale),
        -(gco2 / scales.gco2 + waste) / 2,
    ]
    over = max(state.spent_usd / (state.elapsed * scales.budget_usd) - 1, 0.0)
    penalty = config.budget_penalty * over + config.dependency_penalty * done.gap
    team = sum(w * mark for w, mark in zip(weights, objectives, strict=True)) - penalty

    nominal_ms = (config.compute_ms, config.storage_ms, config.network_ms, config.database_ms)
    plan_usd = numbers(scales.capacity_usd)
    local = []
    for s in range(len(SERVICES)):
        waited_ms = max(times.sojourn_s[s] * 1e3 - nominal_ms[s], 0.0)
        local.append(
            -weights[0] * money.capacity[s] / plan_usd[s]
            - weights[1] * (1 - math.exp(-waited_ms / config.slo_ms))
            + weights[2] * _hurt(done.shortage[s], config.failure_scale)
            - weights[3] * idle[s]
        )
    own = config.local_share
    return Marks(
        agents=[(1 - own) * team + own * part for part in local],
        team=team,
        objectives=objectives,
        local=local,
        waste=waste,
        over_budget=over,
        penalty=penalty,
    )
