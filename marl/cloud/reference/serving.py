"""The slow reference's requests: caches, who comes first, what waits or is lost, how long."""

import math
from dataclasses import dataclass

from marl.cloud.params import TIER_STEP_VCPU
from marl.cloud.queueing import LAG, RHO_MAX, Z95, Z99
from marl.cloud.reference.state import LocalState, LocalWeather, Machines
from marl.cloud.types import RESOURCES, SERVICES
from marl.workload.demand import CLASSES

_EPS = 1e-6
_N = len(RESOURCES)
_VCPU, _GBPS, _DB, _REQUESTS = 0, 2, 3, 5
_BACKGROUND = CLASSES[1:]


@dataclass
class Asked:
    """Work that asks to be served."""

    work: dict[str, list[float]]  # by class, backlog included
    load: list[float]  # arrivals alone, by resource
    on_gpu: float
    web_gbps: float  # arriving, those that come again and those a cache answers included
    web_requests: float
    hits: float  # share of arriving web requests that the CDN answers
    hits_vcpu: float
    redis_hit: float


@dataclass
class Done:
    """What became of it."""

    used: list[float]  # by resource
    utilisation: list[float]
    shortage: list[float]
    gap: float
    rho: list[float]
    web_share: float
    kept: float
    lost: float
    web_gbps: float
    all_gbps: float
    gpu_used: float
    work_done: list[float]
    late: list[float]
    blocked: float


@dataclass
class Times:
    """Latency and what was in time."""

    p50_s: float
    p95_s: float
    p99_s: float
    within: float
    sojourn_s: list[float]
    web_due: float
    web_late: float
    on_time: float


def ask(state: LocalState, now: Machines, weather: LocalWeather) -> Asked:
    """Arrivals with retries, less what caches answer, and the backlog."""
    params, config = state.cloud.params, state.cloud.params.config
    plain = weather.work["web"]
    again = state.retries / max(plain[_REQUESTS], _EPS) if plain[_REQUESTS] > _EPS else 0.0
    web = [value * (1 + again) for value in plain]
    hits = state.cdn * config.cacheable_share
    cached = min(state.pools["redis"] / max(params.hot_gib, _EPS), 1.0)
    redis_hit = config.redis_hit_share * (math.sqrt(cached + 1e-4) - 0.01) / 0.99005
    arriving = {"web": [value * (1 - hits) for value in web]}
    arriving |= {name: list(weather.work[name]) for name in _BACKGROUND}
    for row in arriving.values():
        row[_DB] *= 1 - config.read_share * redis_hit
    work = {
        name: [new + old for new, old in zip(arriving[name], state.backlog[name], strict=True)]
        for name in CLASSES
    }
    fit_for_gpu = config.gpu_fit_share * work["ml"][_VCPU]
    return Asked(
        work=work,
        load=[sum(arriving[name][r] for name in CLASSES) for r in range(_N)],
        on_gpu=min(now.gpu_vms * config.gpu_vcpu, fit_for_gpu),
        web_gbps=web[_GBPS],
        web_requests=web[_REQUESTS],
        hits=hits,
        hits_vcpu=web[_VCPU] * hits,
        redis_hit=redis_hit,
    )


def _narrowest(capacity: list[float], load: list[float]) -> float:
    return min(1.0, *(c / max(x, _EPS) for c, x in zip(capacity, load, strict=True)))


def _minus(capacity: list[float], used: list[float]) -> list[float]:
    return [max(c - u, 0.0) for c, u in zip(capacity, used, strict=True)]


def serve(
    state: LocalState,
    asked: Asked,
    capacity: dict[str, float],
    now: Machines,
    weather: LocalWeather,
) -> Done:
    """Web first, then what falls due, then the rest; updates backlog, retries and work done."""
    config = state.cloud.params.config
    work = {name: asked.work[name][:_N] for name in CLASSES}
    web, on_gpu = work["web"], asked.on_gpu
    work["ml"] = [work["ml"][_VCPU] - on_gpu, *work["ml"][1:]]

    starved = min(max(web[_DB] / max(capacity["db_vcpu"], _EPS) - 1.0, 0.0), 1.0)
    blocked = config.blocking * starved
    usable = [capacity[name] for name in RESOURCES]
    usable = [max(usable[0] / (1 + blocked), _EPS), *(max(c, _EPS) for c in usable[1:])]

    web_share = _narrowest(usable, web)
    used = [web_share * x for x in web]
    left = _minus(usable, used)

    urgent, done = {}, {}
    for n, name in enumerate(_BACKGROUND):
        overdue = max(weather.due[n] - state.served[n], 0.0)
        urgent[name] = min(overdue / max(asked.work[name][_VCPU], _EPS), 1.0)
        done[name] = 0.0
    for of_each in (urgent, {name: 1 - urgent[name] for name in _BACKGROUND}):
        load = [sum(of_each[name] * work[name][r] for name in _BACKGROUND) for r in range(_N)]
        share = _narrowest(left, load)
        taken = [share * x for x in load]
        left = _minus(left, taken)
        used = [u + t for u, t in zip(used, taken, strict=True)]
        for name in _BACKGROUND:
            done[name] += of_each[name] * share

    step_s = state.cloud.params.step_s
    kept = min(1 - web_share, web_share * config.web_timeout_s / step_s)
    lost = 1 - web_share - kept
    state.retries = config.retry_share * lost * asked.work["web"][_REQUESTS]
    stays = {"web": kept} | {name: 1 - done[name] for name in _BACKGROUND}
    state.backlog = {name: [x * stays[name] for x in asked.work[name]] for name in CLASSES}
    late, work_done = [], []
    for n, name in enumerate(_BACKGROUND):
        work_done.append(asked.work[name][_VCPU] * done[name])
        state.served[n] += work_done[n]
        late.append(min(max(weather.due[n] - state.served[n], 0.0), weather.due_now[n]))

    rho = []
    for r in range(_N):
        background = work["batch"][r] + work["ml"][r]
        disturbing = min(background, max(usable[r] - web[r], 0.0)) * config.interference
        rho.append((web[r] + disturbing) / usable[r])
    fits = [min(c / max(x, _EPS), 1.0) for c, x in zip(usable, web, strict=True)]
    gpu_vcpu = now.gpu_vms * config.gpu_vcpu
    return Done(
        used=used,
        utilisation=[min(u / c, 1.0) for u, c in zip(used, usable, strict=True)],
        shortage=[1 - fit for fit in fits],
        gap=max(fits) - min(fits),
        rho=rho,
        web_share=web_share,
        kept=kept,
        lost=lost,
        web_gbps=web_share * web[_GBPS],
        all_gbps=used[_GBPS],
        gpu_used=min(on_gpu * done["ml"] / max(gpu_vcpu, _EPS), 1.0),
        work_done=work_done,
        late=late,
        blocked=blocked,
    )


def _stream_scv(
    rhos: list[float],
    servers: tuple[float, ...],
    copies: tuple[float, ...],
    arrival_scv: float,
    service_scv: float,
) -> list[float]:
    """How unevenly requests reach a copy of each station, after the stations before it."""
    path = [SERVICES.index(name) for name in ("network", "compute", "database", "storage")]
    out = [0.0] * len(path)
    for place, here in enumerate(path):
        stream = arrival_scv
        for before in path[:place]:
            departing = 1 + (max(service_scv, 0.2) - 1) / math.sqrt(servers[before])
            slower = ((1 - rhos[before]) / (1 - rhos[here])) ** 2
            smooth = rhos[before] ** 2 / (1 + LAG * slower)
            stream = (1 - smooth) * stream + smooth * departing
        out[here] = 1 + (stream - 1) / copies[here]
    return out


def wait_for(
    state: LocalState,
    now: Machines,
    asked: Asked,
    done: Done,
    knobs: dict[str, float],
    crossing: float,
    weather: LocalWeather,
) -> Times:
    """How long web requests took, and what was in time: G/G/c stations in a row."""
    params, config = state.cloud.params, state.cloud.params.config
    nominal_ms = (config.compute_ms, config.storage_ms, config.network_ms, config.database_ms)
    servers = (
        float(params.machine.vcpu),
        config.storage_channels,
        config.network_channels,
        max(state.pools["tier"] * TIER_STEP_VCPU, 1.0),
    )
    cached = 0.9 * config.read_share * asked.redis_hit
    slower = (1.0, 1.0 / weather.disk_speed, 1.0, 1.0 - cached)
    copies = (
        max(sum(n for (_, kind), n in now.serving.items() if kind != "gpu"), 1.0),
        1.0,
        state.pools["proxy"],
        1.0 + state.pools["replica"],
    )
    rhos = [min(max(done.rho[s], 0.0), RHO_MAX) for s in range(len(SERVICES))]
    scv = _stream_scv(rhos, servers, copies, config.arrival_scv, config.service_scv)
    sojourns, mean, variance = [], 0.0, 0.0
    for s in range(len(SERVICES)):
        service_s = nominal_ms[s] / 1e3 * slower[s]
        rho, c = rhos[s], servers[s]
        waits = rho ** (math.sqrt(2 * (c + 1)) - 1)  # chance that a request waits at all
        if_so = (scv[s] + config.service_scv) / 2 * service_s / (c * (1 - rho))
        sojourns.append(waits * if_so + service_s)
        mean += waits * if_so + service_s
        variance += waits * (2 - waits) * if_so**2 + config.service_scv * service_s**2
    spread = variance / (9 * mean**2)  # Wilson and Hilferty's 1/(9k)

    longest = min(done.kept / max(done.web_share, _EPS) * params.step_s, config.web_timeout_s)
    standard = 1 - knobs["network_premium_share"]
    base_ms = config.propagation_ms + config.standard_tier_ms * standard
    base = (base_ms + config.cross_zone_ms * crossing) / 1e3

    def quantile(z: float, share: float) -> float:
        return base + mean * (1 - spread + z * math.sqrt(spread)) ** 3 + share * longest

    limit = config.slo_ms / 1e3
    score = (((limit - base) / mean) ** (1 / 3) - 1 + spread) / math.sqrt(spread)
    within = 0.5 * math.erfc(-score / math.sqrt(2)) * limit / max(longest, limit)

    web = asked.work["web"][_VCPU]
    web_due = web * (done.web_share + done.lost) + asked.hits_vcpu
    web_late = web * done.web_share * (1 - within) + web * done.lost
    due = web_due + sum(weather.due_now)
    in_time = due - web_late - sum(done.late)
    return Times(
        p50_s=quantile(0.0, 0.5),
        p95_s=quantile(Z95, 0.95),
        p99_s=quantile(Z99, 0.99),
        within=within,
        sojourn_s=sojourns,
        web_due=web_due,
        web_late=web_late,
        on_time=in_time / due if due > _EPS else 1.0,
    )
