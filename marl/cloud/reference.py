"""The same dynamics once more, for one cloud, in plain Python: slow, and easy to read.

The oracle of the tests: written loop by loop from docs/simulator.md, sharing with the tensors only
the configuration, the unit prices and the weather. Nothing else may import it.
"""

import math
from dataclasses import dataclass, field

from marl.cloud.actions import column
from marl.cloud.dynamics import Cloud
from marl.cloud.params import DISK_STEP_GIB, MAX_TIER_VCPU, PROXY_GBPS, TIER_STEP_VCPU
from marl.cloud.queueing import RHO_MAX, Z95
from marl.cloud.types import AGE_GROUPS, HISTORY, OBJECTIVES, SERVICES, WeatherStep

_EPS = 1e-6
_OD, _SPOT, _DISK, _PROXY, _TIER, _REPLICA = range(6)


@dataclass
class ReferenceCloud:
    """One cloud that remembers its state; numbers are Python floats."""

    cloud: Cloud
    pools: list[float]
    stored_gib: float
    loads: list[list[float]]  # by service, newest first
    orders: list[tuple[int, int, float]] = field(default_factory=list)  # (step due, pool, units)
    spot: list[list[float]] = field(default_factory=list)  # by zone and age group
    backlog: list[list[float]] = field(default_factory=list)  # by class: 4 services and requests
    served: list[float] = field(default_factory=lambda: [0.0, 0.0])
    time: int = 0

    @classmethod
    def start(cls, cloud: Cloud, first: WeatherStep, row: int) -> "ReferenceCloud":
        """Cloud number `row` as `dynamics.initial_state` makes it."""
        params, config = cloud.params, cloud.params.config
        load = first.load[row].tolist()
        stored = float(first.stored_gib[row])
        wanted = [
            min(x / config.initial_utilisation, q)
            for x, q in zip(load, params.quota.tolist(), strict=True)
        ]
        gib = max(wanted[1] / params.disk.iops_per_gib, stored * 1.2)
        pools = [
            _whole(wanted[0] / params.machine.vcpu),
            0.0,
            _whole(gib / DISK_STEP_GIB),
            _whole(wanted[2] / PROXY_GBPS),
            _whole(min(wanted[3], MAX_TIER_VCPU) / TIER_STEP_VCPU),
            0.0,
        ]
        return cls(
            cloud=cloud,
            pools=pools,
            stored_gib=stored,
            loads=[[x] * HISTORY for x in load],
            spot=[[0.0] * AGE_GROUPS for _ in range(config.zones)],
            backlog=[[0.0] * 5 for _ in range(3)],
        )

    def step(self, knobs: list[float], weather: WeatherStep, row: int) -> dict[str, float]:
        """Advance by one step; the named quantities of `dynamics.step`, agents' rewards included.

        Args:
            knobs: 14 physical values.
            weather: of this step, for all clouds.
            row: which of them this cloud is.
        """
        restart, preempted, changes = self._provision(knobs, weather, row)
        capacity = self._capacity(restart, weather, row)
        out = self._serve(capacity, weather, row)
        out |= {"preemptions": preempted, "changes": changes}
        out |= {f"capacity_{s}": c for s, c in zip(SERVICES, capacity, strict=True)}
        self._account(out, weather, row)
        self.stored_gib = float(weather.stored_gib[row])
        self.time += 1
        return out

    def _provision(
        self, knobs: list[float], weather: WeatherStep, row: int
    ) -> tuple[bool, float, float]:
        config = self.cloud.params.config
        arrived = [0.0] * 6
        for due, pool, units in self.orders:
            if due == self.time:
                arrived[pool] += units
        self.orders = [order for order in self.orders if order[0] > self.time]

        if weather.is_new_hour:
            for zone in self.spot:
                zone[:] = [0.0, *zone[: AGE_GROUPS - 2], zone[-2] + zone[-1]]
        delivered = 0.0
        for z, zone in enumerate(self.spot):
            asked = math.floor((arrived[_SPOT] + config.zones - 1 - z) / config.zones)
            part = asked * float(weather.spot_open[row, z])
            zone[0] += part
            delivered += part
        arrived[_SPOT] = delivered
        self.pools = [a + b for a, b in zip(self.pools, arrived, strict=True)]

        target = self._target(knobs)
        pending = [sum(u for _, p, u in self.orders if p == pool) for pool in range(6)]
        order = [t - p - q for t, p, q in zip(target, self.pools, pending, strict=True)]
        if pending[_TIER] > 0:
            order[_TIER] = 0.0
        down = [min(max(-o, 0.0), p) for o, p in zip(order, self.pools, strict=True)]
        down[_DISK] = 0.0
        spare = max(self.pools[_OD] + self.pools[_SPOT] - target[_OD] - target[_SPOT], 0.0)
        down[_OD] = min(down[_OD], spare)
        down[_SPOT] = min(down[_SPOT], spare - down[_OD])
        for pool in range(6):
            if order[pool] > 0:
                due = self.time + int(weather.delay[row, pool])
                self.orders.append((due, pool, order[pool]))
            self.pools[pool] -= down[pool]
        self._remove_spot(down[_SPOT])
        preempted = self._preempt(weather, row)
        changes = sum(1.0 for o, d in zip(order, down, strict=True) if o > 0 or d > 0)
        restart = arrived[_TIER] > 0 or down[_TIER] > 0
        return restart, preempted, changes

    def _target(self, knobs: list[float]) -> list[float]:
        params, config = self.cloud.params, self.cloud.params.config
        wanted = []
        for s, service in enumerate(SERVICES):
            window = 1.0
            if service != "storage":
                window = knobs[column(service, "scale_in_window")] * 60.0 / params.step_s
            held = max(x for lag, x in enumerate(self.loads[s]) if lag < window)
            peak = params.reference.peak[s]
            value = max(
                held / knobs[column(service, "target_utilisation")],
                knobs[column(service, "floor_share")] * peak,
            )
            wanted.append(min(value, config.quota_share * peak))
        replicas = math.floor(knobs[column("database", "read_replicas")] + 0.5001)
        usable = min(replicas, self.pools[_REPLICA])
        tier = wanted[3] * (1 - config.read_share + config.read_share / (1 + usable))
        free = knobs[column("storage", "free_space_share")]
        gib = max(wanted[1] / params.disk.iops_per_gib, self.stored_gib * (1 + free))
        vms = _whole(wanted[0] / params.machine.vcpu)
        spot = math.floor(knobs[column("compute", "spot_share")] * vms + 0.5001)
        return [
            vms - spot,
            float(spot),
            _whole(gib / DISK_STEP_GIB),
            _whole(wanted[2] / PROXY_GBPS),
            _whole(min(tier, MAX_TIER_VCPU) / TIER_STEP_VCPU),
            float(replicas),
        ]

    def _remove_spot(self, total: float) -> None:
        count = sum(map(sum, self.spot))
        share = total / max(count, 1.0)
        running, edge = 0.0, 0
        for zone in self.spot:
            for a, vms in enumerate(zone):
                running += vms
                new_edge = math.floor(running * share + 0.5001)
                zone[a] -= new_edge - edge
                edge = new_edge

    def _preempt(self, weather: WeatherStep, row: int) -> float:
        probability = weather.preemption[row].tolist()
        draw = float(weather.preemption_draw[row])
        expected, edge, lost = 0.0, 0, 0.0
        for z, zone in enumerate(self.spot):
            for a, vms in enumerate(zone):
                expected += vms * probability[z * AGE_GROUPS + a]
                new_edge = math.floor(expected + draw)
                gone = min(new_edge - edge, vms)
                edge = new_edge
                zone[a] -= gone
                lost += gone
        self.pools[_SPOT] -= lost
        return lost

    def _capacity(self, restart: bool, weather: WeatherStep, row: int) -> list[float]:
        params, config = self.cloud.params, self.cloud.params.config
        gib = self.pools[_DISK] * DISK_STEP_GIB
        fits = min(1.0, gib / max(float(weather.stored_gib[row]), _EPS))
        down = float(weather.failover[row])
        if restart:
            down += config.resize_downtime_s / params.step_s
        replicas = self.pools[_REPLICA]
        affected = 1 - config.read_share if replicas > 0 else 1.0
        nodes = 1 - config.read_share + config.read_share / (1 + replicas)
        return [
            (self.pools[_OD] + self.pools[_SPOT]) * params.machine.vcpu,
            gib * params.disk.iops_per_gib * fits,
            self.pools[_PROXY] * PROXY_GBPS,
            self.pools[_TIER] * TIER_STEP_VCPU / nodes * (1 - affected * min(down, 1.0)),
        ]

    def _serve(self, capacity: list[float], weather: WeatherStep, row: int) -> dict[str, float]:
        params, config = self.cloud.params, self.cloud.params.config
        work = weather.work[row].tolist()
        offered = [[b + w for b, w in zip(self.backlog[c], work[c], strict=True)] for c in range(3)]
        web = offered[0]
        background = [offered[1][s] + offered[2][s] for s in range(4)]
        starved = min(max(web[3] / max(capacity[3], _EPS) - 1, 0.0), 1.0)
        usable = [capacity[0] / (1 + config.blocking * starved), *capacity[1:]]
        usable = [max(x, _EPS) for x in usable]
        fits = [min(1.0, usable[s] / max(web[s], _EPS)) for s in range(4)]
        web_share = min(fits)
        left = [max(usable[s] - web_share * web[s], 0.0) for s in range(4)]
        share = min(1.0, *(left[s] / max(background[s], _EPS) for s in range(4)))
        kept = min(1 - web_share, web_share * config.web_timeout_s / params.step_s)
        lost = 1 - web_share - kept
        for c, rest in enumerate((kept, 1 - share, 1 - share)):
            self.backlog[c] = [x * rest for x in offered[c]]
        on_time, due_total = 0.0, web[0] * (web_share + lost)
        for i in range(2):
            self.served[i] += offered[1 + i][0] * share
            due, due_now = float(weather.due[row, i]), float(weather.due_now[row, i])
            late = min(max(due - self.served[i], 0.0), due_now)
            on_time += due_now - late
            due_total += due_now
        rho = [
            min(
                (web[s] + config.interference * min(background[s], max(usable[s] - web[s], 0.0)))
                / usable[s],
                RHO_MAX,
            )
            for s in range(4)
        ]
        out, waits = self._latency(rho, web_share, kept)
        on_time += web[0] * web_share * out["latency_share"]
        used = [web_share * web[s] + share * background[s] for s in range(4)]
        load = [sum(work[c][s] for c in range(3)) for s in range(4)]
        drains = (1.0, 4 / config.batch_deadline_steps, 4 / config.ml_deadline_steps)
        for s in range(4):
            carried = sum(min(1.0, d) * self.backlog[c][s] for c, d in enumerate(drains))
            self.loads[s] = [load[s] + carried, *self.loads[s][:-1]]
            out[f"utilisation_{SERVICES[s]}"] = min(used[s] / usable[s], 1.0)
            out[f"demand_{SERVICES[s]}"] = load[s]
            out[f"_wait_{s}"] = waits[s]
            out[f"_shortage_{s}"] = 1 - fits[s]
        out |= {
            "slo_attainment": on_time / due_total if due_total > _EPS else 1.0,
            "requests": work[0][4] * params.step_s,
            "dropped": web[4] * lost * params.step_s,
            "backlog": sum(self.backlog[c][0] for c in range(3)),
            "_dropped_share": lost / max(web_share + lost, _EPS),
            "_web_gbps": web_share * web[2],
            "_gbps": used[2],
        }
        return out

    def _latency(
        self, rho: list[float], web_share: float, kept: float
    ) -> tuple[dict[str, float], list[float]]:
        params, config = self.cloud.params, self.cloud.params.config
        servers = [
            float(params.machine.vcpu),
            config.storage_channels,
            config.network_channels,
            max(self.pools[_TIER] * TIER_STEP_VCPU, 1.0),
        ]
        service_s = [
            x / 1e3
            for x in (config.compute_ms, config.storage_ms, config.network_ms, config.database_ms)
        ]
        waits, mean, variance = [], 0.0, 0.0
        for r, c, s in zip(rho, servers, service_s, strict=True):
            delayed = r ** (math.sqrt(2 * (c + 1)) - 1)
            if_delayed = (config.arrival_scv + config.service_scv) / 2 * s / (c * (1 - r))
            waits.append(delayed * if_delayed)
            mean += s + delayed * if_delayed
            variance += config.service_scv * s**2 + delayed * (2 - delayed) * if_delayed**2
        a = variance / (9 * mean**2)
        longest = min(kept / max(web_share, _EPS) * params.step_s, config.web_timeout_s)
        base, limit = config.propagation_ms / 1e3, config.slo_ms / 1e3
        z = (((limit - base) / mean) ** (1 / 3) - 1 + a) / math.sqrt(a)
        within = 0.5 * math.erfc(-z / math.sqrt(2)) * limit / max(longest, limit)
        p50 = base + mean * (1 - a) ** 3 + 0.5 * longest
        p95 = base + mean * (1 - a + Z95 * math.sqrt(a)) ** 3 + 0.95 * longest
        named = {"latency_p50_ms": p50 * 1e3, "latency_p95_ms": p95 * 1e3}
        return {"latency_share": within, **named}, waits

    def _account(self, out: dict[str, float], weather: WeatherStep, row: int) -> None:
        params, config, prices = self.cloud.params, self.cloud.params.config, self.cloud.prices
        ratio = float(weather.spot_ratio[row])
        stored = float(weather.stored_gib[row])
        committed = params.committed_vms
        spot_usd = self.pools[_SPOT] * ratio * prices.on_demand
        extra = max(self.pools[_OD] - committed, 0.0)
        usd = [
            extra * prices.on_demand + committed * prices.committed + spot_usd,
            self.pools[_DISK] * prices.disk,
            self.pools[_PROXY] * prices.proxy + prices.network_base,
            self.pools[_TIER] * (prices.primary + self.pools[_REPLICA] * prices.replica)
            + stored * config.database_stored_share * prices.database_gib,
        ]
        traffic = out["_web_gbps"] * prices.web_traffic + out["_gbps"] * prices.all_traffic
        unit = self.cloud.carbon
        vms = self.pools[_OD] + self.pools[_SPOT]
        gco2 = vms * (unit.vm_idle + out["utilisation_compute"] * unit.vm_busy)
        nodes = self.pools[_TIER] * (2 + self.pools[_REPLICA])
        gco2 += nodes * (unit.tier_idle + out["utilisation_database"] * unit.tier_busy)
        gco2 += self.pools[_DISK] * unit.disk + self.pools[_PROXY] * unit.proxy
        gco2 += out["_gbps"] * unit.gbps
        idle = [1 - out[f"utilisation_{s}"] for s in SERVICES]
        waste = sum(u * i for u, i in zip(usd, idle, strict=True)) / sum(usd)
        scales, weights = self.cloud.scales, config.weights.values()
        failed = (
            out["_dropped_share"]
            + 0.1 * out["preemptions"] / max(vms + out["preemptions"], 1.0)
            + 0.1 * float(weather.failover[row])
            + 0.001 * out["changes"]
        )
        terms = [
            -sum(usd) / scales.total_usd,
            math.exp(-(1 - out["slo_attainment"]) / config.violation_scale) - 1,
            math.exp(-failed / config.failure_scale) - 1,
            -0.5 * (gco2 / scales.gco2 + waste),
        ]
        team = sum(w * t for w, t in zip(weights, terms, strict=True))
        share = config.local_share
        for s, service in enumerate(SERVICES):
            local = -(
                weights[0] * usd[s] / float(scales.capacity_usd[s])
                + weights[1] * (1 - math.exp(-out[f"_wait_{s}"] * 1e3 / config.slo_ms))
                + weights[2] * (1 - math.exp(-out[f"_shortage_{s}"] / config.failure_scale))
                + weights[3] * idle[s]
            )
            out[f"reward_local_{service}"] = local
            out[f"agent_{service}"] = (1 - share) * team + share * local
            out[f"cost_{service}_usd"] = usd[s] + (traffic if service == "network" else 0.0)
        out |= {f"reward_{name}": term for name, term in zip(OBJECTIVES, terms, strict=True)}
        out |= {"reward_team": team, "waste": waste, "carbon_gco2": gco2}
        out |= {
            "cost_usd": sum(usd) + traffic,
            "cost_capacity_usd": sum(usd),
            "cost_traffic_usd": traffic,
            "cost_spot_usd": spot_usd,
            "cost_committed_usd": committed * prices.committed,
        }
        out.pop("latency_share")
        for key in [key for key in out if key.startswith("_")]:
            del out[key]


def _whole(units: float) -> float:
    """Whole units that hold `units`, at least one; 50.00001 is 50."""
    return float(max(math.ceil(units - 1e-4), 1))
