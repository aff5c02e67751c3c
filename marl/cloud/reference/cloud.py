"""The same dynamics once more, for one cloud, in plain Python: slow, and easy to read.

The oracle of the tests: written loop by loop from the documentation, sharing with the tensors only
the configuration, the unit prices and emissions, the chances of preemption, constants and the
weather. Exact mode only. Nothing but the tests may import it. Its parts: `state`,
`fleet`, `capacity`, `serving`, `accounts`.
"""

from marl.cloud.actions import ROWS
from marl.cloud.dynamics import Cloud
from marl.cloud.features import MEASURED
from marl.cloud.reference.accounts import Marks, Money, age_objects, charge, crossing, emit, judge
from marl.cloud.reference.capacity import carried, downtime, provision, wanted_units
from marl.cloud.reference.fleet import share_out, whole_up
from marl.cloud.reference.serving import Asked, Done, Times, ask, serve, wait_for
from marl.cloud.reference.state import LocalState, LocalWeather, Machines
from marl.cloud.types import (
    AGE_GROUPS,
    BUCKET_CLASSES,
    HISTORY,
    KINDS,
    LOADS,
    OBJECTIVES,
    POOLS,
    PURCHASES,
    RESOURCES,
    SERVICES,
    CloudState,
    WeatherStep,
)
from marl.workload.demand import CLASSES


class ReferenceCloud:
    """One cloud that remembers its state.

    Attributes:
        state: after the last step; `state.flat()` lists it as `CloudState` does.
    """

    def __init__(self, state: LocalState) -> None:
        self.state = state

    @classmethod
    def start(cls, cloud: Cloud, first: WeatherStep, index: int) -> "ReferenceCloud":
        """Cloud number `index` as a running system would be found before its first step."""
        return cls(_first_state(cloud, LocalWeather.of(first, index)))

    @classmethod
    def at(cls, cloud: Cloud, state: CloudState, index: int) -> "ReferenceCloud":
        """Cloud number `index` of a batch, between two steps."""
        return cls(LocalState.of(cloud, state, index))

    def step(self, knobs: list[float], weather: WeatherStep, index: int) -> dict[str, float]:
        """Advance by one step.

        Args:
            knobs: physical values, in the order of `actions.ROWS`.
            weather: of this step, for all clouds.
            index: which of them this cloud is.

        Returns:
            Every name of `figures.figure_names`, and `agent_{service}`, the agents' rewards.
        """
        return _step(
            self.state, dict(zip(ROWS, knobs, strict=True)), LocalWeather.of(weather, index)
        )


def _step(state: LocalState, knobs: dict[str, float], weather: LocalWeather) -> dict[str, float]:
    params, config = state.cloud.params, state.cloud.params.config
    now = provision(state, knobs, weather)
    capacity = carried(state, now, knobs, weather)
    failing = downtime(state, now, weather)
    state.cdn += (knobs["network_cdn_share"] - state.cdn) / config.cdn_warm_up_steps
    asked = ask(state, now, weather)
    done = serve(state, asked, capacity, now, weather)
    times = wait_for(state, now, asked, done, knobs, crossing(now, knobs), weather)
    objects = age_objects(state, knobs, weather)
    money = charge(state, now, objects, asked, done, knobs, weather)
    gco2 = emit(state, now, asked, done, weather)
    state.spent_usd += sum(money.by_service)
    state.elapsed += 1
    marks = judge(state, now, money, gco2, done, times, failing)

    # What the autoscalers will see: arrivals, and the part of the backlog that presses.
    deadlines = {"web": 1.0, "batch": config.batch_deadline_steps, "ml": config.ml_deadline_steps}
    press = {"web": 1.0} | {c: 1 / max(1.0, deadlines[c] / 4) for c in CLASSES[1:]}
    load = {
        name: asked.load[r] + sum(state.backlog[c][r] * press[c] for c in CLASSES)
        for r, name in enumerate(RESOURCES)
    }
    load["ml_vcpu"] = weather.work["ml"][0] + state.backlog["ml"][0] * press["ml"]
    state.loads = [load, *state.loads[: HISTORY - 1]]
    state.stored_gib = weather.stored_gib
    state.measured = _measured(now, capacity, done, times, money, gco2, failing, weather)
    state.time += 1

    pending = state.flat()["pending_vms"]
    return (
        _figures_of_work(asked, done, times, capacity, state, weather, params.step_s)
        | _figures_of_money(money, gco2, marks, done)
        | {f"vms_{p}_{k}": now.serving[p, k] for p in PURCHASES for k in KINDS}
        | {
            f"vms_zone{z}": sum(n for cell, n in state.vms.items() if cell[2] == z)
            for z in range(config.zones)
        }
        | {f"units_{pool}": state.pools[pool] for pool in POOLS}
        | {f"gib_{c}": gib for c, gib in zip(BUCKET_CLASSES, objects.gib, strict=True)}
        | {
            "committed_1y": state.committed[0],
            "committed_3y": state.committed[1],
            "has_ha": state.has_ha,
            "pending_vms": sum(pending),
            "preemptions": now.preempted,
            "failures": now.lost - now.preempted,
            "refusals": now.refusals,
            "changes": now.changes,
            "zones_down": float(weather.is_up.count(False)),
            "is_failing_over": weather.failover,
            "disk_speed": weather.disk_speed,
            "quota": weather.quota,
            "spot_ratio": weather.spot_ratio["general"],
        }
    )


def _figures_of_work(
    asked: Asked,
    done: Done,
    times: Times,
    capacity: dict[str, float],
    state: LocalState,
    weather: LocalWeather,
    step_s: float,
) -> dict[str, float]:
    services = (*SERVICES, "memory")
    dues, lates = [times.web_due, *weather.due_now], [times.web_late, *done.late]
    demand = [sum(weather.work[c][r] for c in CLASSES) for r in range(len(RESOURCES))]
    return {
        "slo_attainment": times.on_time,
        "requests": weather.work["web"][-1] * step_s,
        "requests_served": (
            asked.work["web"][-1] * done.web_share + asked.web_requests * asked.hits
        )
        * step_s,
        "dropped": asked.work["web"][-1] * done.lost * step_s,
        "retries": state.retries * step_s,
        "latency_p50_ms": times.p50_s * 1e3,
        "latency_p95_ms": times.p95_s * 1e3,
        "latency_p99_ms": times.p99_s * 1e3,
        "deadline_misses": sum(done.late),
        **{f"due_{c}": due for c, due in zip(CLASSES, dues, strict=True)},
        **{f"late_{c}": late for c, late in zip(CLASSES, lates, strict=True)},
        "work_done_batch": done.work_done[0],
        "work_done_ml": done.work_done[1],
        "backlog": sum(state.backlog[c][0] for c in CLASSES),
        **{f"backlog_{c}": state.backlog[c][0] for c in CLASSES},
        **{f"utilisation_{s}": u for s, u in zip(services, done.utilisation, strict=True)},
        "utilisation_gpu": done.gpu_used,
        **{f"capacity_{s}": capacity[r] for s, r in zip(services, RESOURCES, strict=True)},
        **{f"demand_{s}": d for s, d in zip(services, demand, strict=True)},
        "cdn_hits": asked.web_requests * asked.hits * step_s,
        "redis_hits": asked.redis_hit,
        "dependency_gap": done.gap,
    }


def _figures_of_money(money: Money, gco2: float, marks: Marks, done: Done) -> dict[str, float]:
    return {
        "cost_usd": sum(money.by_service),
        **{f"cost_{s}_usd": usd for s, usd in zip(SERVICES, money.by_service, strict=True)},
        "cost_capacity_usd": sum(money.capacity),
        "cost_traffic_usd": money.traffic,
        "cost_decided_usd": money.decided,
        "cost_spot_usd": money.spot,
        "cost_committed_usd": money.committed,
        "waste": marks.waste,
        "carbon_gco2": gco2,
        "over_budget": marks.over_budget,
        **{f"reward_{o}": mark for o, mark in zip(OBJECTIVES, marks.objectives, strict=True)},
        "reward_penalty": -marks.penalty,
        "reward_team": marks.team,
        **{f"reward_local_{s}": mark for s, mark in zip(SERVICES, marks.local, strict=True)},
        **{f"agent_{s}": mark for s, mark in zip(SERVICES, marks.agents, strict=True)},
    }


def _measured(
    now: Machines,
    capacity: dict[str, float],
    done: Done,
    times: Times,
    money: Money,
    gco2: float,
    failing: float,
    weather: LocalWeather,
) -> list[float]:
    shares_late = [
        min(late / max(due, 1e-6), 1.0)
        for late, due in zip(done.late, weather.due_now, strict=True)
    ]
    seen = {
        **{f"utilisation_{r}": u for r, u in zip(RESOURCES, done.utilisation, strict=True)},
        **{f"capacity_{r}": capacity[r] for r in RESOURCES},
        **{f"sojourn_{s}": seconds for s, seconds in zip(SERVICES, times.sojourn_s, strict=True)},
        **{f"shortage_{r}": short for r, short in zip(RESOURCES, done.shortage, strict=True)},
        **{f"arrivals_{c}": weather.work[c][0] for c in CLASSES},
        "slo_attainment": times.on_time,
        "latency_share": times.within,
        "latency_p95": times.p95_s,
        "dropped_share": done.lost / max(done.web_share + done.lost, 1e-6),
        "cost": sum(money.capacity),
        "carbon": gco2,
        "lost_vms": now.lost,
        "refusals": now.refusals,
        "blocked": done.blocked,
        "failover": failing,
        "disk_speed": weather.disk_speed,
        "quota": weather.quota,
        "gpu_used": done.gpu_used,
        "late_batch": shares_late[0],
        "late_ml": shares_late[1],
    }
    return [seen[name] for name in MEASURED]


def _first_state(cloud: Cloud, weather: LocalWeather) -> LocalState:
    params, config, machine = cloud.params, cloud.params.config, cloud.params.machine
    load = {r: sum(weather.work[c][n] for c in CLASSES) for n, r in enumerate(RESOURCES)}
    load["ml_vcpu"] = weather.work["ml"][0]
    wanted = {name: value / config.initial_utilisation for name, value in load.items()}
    by_memory = load["memory_gib"] / config.memory_target / machine.memory_gib
    most = config.quota_share * params.reference.peak[0] / machine.vcpu
    vms = max(whole_up(min(max(wanted["vcpu"] / machine.vcpu, by_memory), most)), 1.0)
    zones = range(config.zones)
    cells = [(p, k, z) for p in PURCHASES for k in KINDS for z in zones]
    share = [1 / config.zones if cell[:2] == ("on_demand", "general") else 0.0 for cell in cells]

    shown = dict.fromkeys(MEASURED, 0.0)
    shown |= dict.fromkeys(("slo_attainment", "latency_share", "disk_speed", "quota"), 1.0)
    for name in RESOURCES:
        shown |= {f"utilisation_{name}": config.initial_utilisation}
        shown |= {f"capacity_{name}": wanted[name]}
    peak_vms = config.committed_share * params.reference.peak[0] / machine.vcpu
    state = LocalState(
        cloud=cloud,
        vms=dict(zip(cells, share_out([part * vms for part in share], vms), strict=True)),
        ages={(k, z): [0.0] * (AGE_GROUPS - 1) + [1.0] for k in KINDS for z in zones},
        refused=dict.fromkeys(cells, 0.0),
        vm_orders=[],
        pools=dict.fromkeys(POOLS, 0.0),
        pool_orders=[],
        committed=[float(int(peak_vms)), 0.0],
        has_ha=1.0,
        cdn=0.0,
        colder=[0.0] * (len(BUCKET_CLASSES) - 1),
        hyperdisk_wait=0.0,
        backlog={name: [0.0] * len(weather.work[name]) for name in CLASSES},
        served=[0.0, 0.0],
        retries=0.0,
        loads=[{name: load[name] for name in LOADS} for _ in range(HISTORY)],
        stored_gib=weather.stored_gib,
        spent_usd=0.0,
        elapsed=0.0,
        measured=[shown[name] for name in MEASURED],
    )
    at_first = dict.fromkeys(ROWS, 0.0)
    for service in SERVICES:
        at_first[f"{service}_target_utilisation"] = config.initial_utilisation
    at_first |= {"storage_free_space_share": 0.2, "database_storage_free_share": 0.2}
    state.pools = wanted_units(state, at_first, load, 0.0, 1.0)
    return state
