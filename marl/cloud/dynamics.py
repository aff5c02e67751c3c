"""One step of the clouds: a pure function of state, knobs, weather and what stays fixed.

The order within a step: earlier orders arrive; the autoscalers act on what was measured before;
VMs fail and are preempted; caches answer, demand is served; the bill, the grams and the rewards are
reckoned. Each of these is a module of its own; here they are only joined.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from marl.cloud import buckets, carbon, latency, pricing, scaling, service
from marl.cloud.actions import HIGH, LOW, WIDTH, row
from marl.cloud.features import MEASURED, observation_names
from marl.cloud.figures import figures
from marl.cloud.observation import LIMIT, feature_scale, global_state, observation_rows
from marl.cloud.params import CloudParams
from marl.cloud.requests import flat_requests, queued_requests, request_names
from marl.cloud.reward import RewardScales, reward
from marl.cloud.rounding import EXACT, Rounding
from marl.cloud.types import (
    AGE_GROUPS,
    DELAY_SLOTS,
    HISTORY,
    KINDS,
    LOADS,
    POOLS,
    PURCHASES,
    RESOURCES,
    SERVICES,
    CloudState,
    StepOutcome,
    WeatherStep,
)
from marl.cloud.weather import Weather

_FREE_SPACE = row("storage", "free_space_share")
_DB_FREE = row("database", "storage_free_share")
_CDN = row("network", "cdn_share")
_PREMIUM = row("network", "premium_share")


@dataclass(frozen=True)
class Cloud:
    """All that stays fixed over an episode: parameters and what follows from them."""

    params: CloudParams
    prices: pricing.StepPrices
    carbon: carbon.StepCarbon
    scales: RewardScales
    feature_scale: Tensor  # (features, 1) see `features.state_names`
    observed: tuple[Tensor, ...]  # per agent, the rows of the state it sees
    knob_low: Tensor  # (WIDTH, 1)
    knob_half_range: Tensor  # (WIDTH, 1)

    def observe(self, state: CloudState, told: Tensor) -> Tensor:
        """(features, B) normalised features of the clouds, see `observation.global_state`."""
        return global_state(state, told, self.scales.budget_usd, self.feature_scale)

    def show(
        self, features: Tensor, state: CloudState, weather: Weather, step: int
    ) -> dict[str, Tensor]:
        """Agent → (B, F) observation at the start of a step.

        Args:
            features: (features, B) from `observe`.
            state: of the clouds.
            weather: of the episode; only what is known by then is read.
            step: 0 .. T.
        """
        seen = {
            agent: features.index_select(0, rows).t()
            for agent, rows in zip(SERVICES, self.observed, strict=True)
        }
        if self.params.config.request_agents:
            requests = queued_requests(state, weather, step, self.params)
            listed = flat_requests(requests, LIMIT)
            for agent in self.params.config.request_agents:
                seen[agent] = torch.cat((seen[agent], listed), 1)
        return seen

    def shown_names(self, agent: str) -> tuple[str, ...]:
        """Names of the columns of an agent's observation."""
        config = self.params.config
        listed = request_names() if agent in config.request_agents else ()
        return (*observation_names(agent, config.zones), *listed)


def build_cloud(params: CloudParams) -> Cloud:
    """Derive unit prices, unit emissions and the reward's references."""
    usd = pricing.reference_capacity_usd(params)
    gco2 = carbon.reference_gco2(params)
    device = params.device
    return Cloud(
        params=params,
        prices=pricing.step_prices(params),
        carbon=carbon.step_carbon(params),
        scales=RewardScales(
            capacity_usd=torch.tensor(usd, dtype=torch.float32, device=device)[:, None],
            total_usd=sum(usd),
            budget_usd=(sum(usd) + pricing.reference_traffic_usd(params))
            * params.config.budget_share,
            gco2=gco2,
        ),
        feature_scale=feature_scale(params, sum(usd), gco2),
        observed=tuple(
            observation_rows(agent, params.config.zones).to(device) for agent in SERVICES
        ),
        knob_low=LOW.to(device)[:, None],
        knob_half_range=((HIGH - LOW) * 0.5).to(device)[:, None],
    )


def knobs_from_actions(actions: Tensor, cloud: Cloud) -> Tensor:
    """(WIDTH, B) physical values of actions in [-1, 1]."""
    return cloud.knob_low + (actions + 1.0) * cloud.knob_half_range


def initial_state(first: WeatherStep, cloud: Cloud) -> CloudState:
    """Clouds as a running system would be found: sized for the first load, nothing pending.

    Every service runs at `initial_utilisation`, all VMs of the general kind and on demand, spread
    evenly over the zones, a standby but no replica and no cache, disks a fifth larger than their
    data, objects in the standard class. The autoscalers' history holds the first load.
    """
    params, config = cloud.params, cloud.params.config
    dtype, batch = first.work.dtype, first.work.shape[-1]
    zones, machine = config.zones, params.machine

    def zeros(*shape: int) -> Tensor:
        return torch.zeros((*shape, batch), dtype=dtype, device=params.device)

    load = first.work[:, : len(RESOURCES)].sum(0)
    loads = torch.cat((load, first.work[2, :1]))
    wanted = load / config.initial_utilisation
    memory_vms = load[4] / (config.memory_target * machine.memory_gib)
    most = params.quota[0] / machine.vcpu
    vms = torch.minimum(torch.maximum(wanted[0] / machine.vcpu, memory_vms), most)
    vms = EXACT.up(vms).clamp_min(1.0)
    cells = torch.zeros((len(PURCHASES) * len(KINDS) * zones, 1), dtype=dtype, device=params.device)
    cells[:zones] = 1.0 / zones

    knobs = zeros(WIDTH)
    knobs += cloud.knob_low
    knobs[_FREE_SPACE] = knobs[_DB_FREE] = 0.2
    for name in SERVICES:
        knobs[row(name, "target_utilisation")] = config.initial_utilisation
    full = torch.ones_like(vms)
    pools = scaling.wanted_pools(
        knobs, loads, first.stored_gib, zeros(len(POOLS)), full, EXACT, params
    )
    measured = zeros(len(MEASURED))
    for name in ("slo_attainment", "latency_share", "disk_speed", "quota"):
        measured[MEASURED.index(name)] = 1.0
    for index, name in enumerate(RESOURCES):
        measured[MEASURED.index(f"utilisation_{name}")] = config.initial_utilisation
        measured[MEASURED.index(f"capacity_{name}")] = wanted[index]
    ages = zeros(AGE_GROUPS, len(KINDS) * zones)
    ages[-1] = 1.0
    committed = zeros(2)
    committed[0] = params.committed_vms
    return CloudState(
        vms=EXACT.share_out(cells * vms, vms),
        ages=ages,
        refused=torch.zeros_like(cells * vms),
        pending_vms=zeros(DELAY_SLOTS, len(cells)),
        pools=pools,
        pending_pools=zeros(DELAY_SLOTS, len(POOLS)),
        committed=committed,
        has_ha=full,
        cdn=zeros(),
        colder=zeros(3),
        hyperdisk_wait=zeros(),
        backlog=torch.zeros_like(first.work),
        served=zeros(2),
        retries=zeros(),
        loads=loads.expand(HISTORY, len(LOADS), batch).clone(),
        stored_gib=first.stored_gib.clone(),
        spent_usd=zeros(),
        elapsed=zeros(),
        measured=measured,
    )


def step(
    state: CloudState,
    knobs: Tensor,
    weather: WeatherStep,
    cloud: Cloud,
    rounding: Rounding = EXACT,
) -> tuple[CloudState, StepOutcome]:
    """Advance all clouds by one step.

    Args:
        state: before the step.
        knobs: (WIDTH, B) physical values, see `actions.knobs`.
        weather: of this step.
        cloud: what stays fixed.
        rounding: `EXACT` evaluates; `rounding.SMOOTH` lets gradients flow to state and knobs.

    Returns:
        The state after the step, and rewards and named quantities of the step.
    """
    params, config = cloud.params, cloud.params.config
    now = scaling.provision(state, knobs, weather, rounding, params)
    carries = scaling.capacity(now, knobs, weather, params)
    cdn = state.cdn + (knobs[_CDN] - state.cdn) * (1.0 / config.cdn_warm_up_steps)
    offered = service.offer(
        state.backlog,
        state.retries,
        cdn,
        now.pools[scaling.REDIS],
        now.fleet.gpu_vms,
        weather,
        params,
    )
    gpu_vcpu = now.fleet.gpu_vms * config.gpu_vcpu
    served = service.serve(offered, state.served, carries, gpu_vcpu, weather, rounding, params)
    crossing = pricing.crossing_share(now, knobs)
    times = latency.latency(offered, served, now, (knobs[_PREMIUM], crossing), weather, params)
    objects = buckets.move(state.colder, knobs, weather.stored_gib, params)
    money = pricing.bill(now, objects, offered, served, knobs, weather, cloud.prices, params)
    objects_gib = weather.stored_gib * config.object_share
    gco2 = carbon.emissions(now, objects_gib, offered, served, cloud.carbon)
    failing = scaling.database_downtime(now, weather, params)
    spent, elapsed = state.spent_usd + money.by_service.sum(0), state.elapsed + 1.0
    rewards = reward(money, gco2, served, times, now, failing, spent, elapsed, cloud.scales, params)
    carried = (served.backlog[:, : len(RESOURCES)] * params.drain).sum(0)
    ml_load = weather.work[2, :1] + served.backlog[2, :1] * params.drain[2]
    load = torch.cat((offered.load + carried, ml_load))
    after = CloudState(
        vms=now.fleet.vms,
        ages=now.fleet.ages,
        refused=now.fleet.refused,
        pending_vms=now.fleet.pending,
        pools=now.pools,
        pending_pools=now.pending_pools,
        committed=now.committed,
        has_ha=now.has_ha,
        cdn=cdn,
        colder=objects.colder,
        hyperdisk_wait=now.hyperdisk_wait,
        backlog=served.backlog,
        served=served.served,
        retries=served.retries,
        loads=torch.cat((load[None], state.loads[:-1])),
        stored_gib=weather.stored_gib,
        spent_usd=spent,
        elapsed=elapsed,
        measured=_measured(now, carries, served, times, money, gco2, failing, weather),
    )
    told = figures(
        now, carries, offered, served, times, objects, money, gco2, rewards, weather, params
    )
    return after, StepOutcome(reward=rewards.agents, figures=told)


def _measured(
    now: scaling.Provisioned,
    carries: Tensor,
    served: service.Served,
    times: latency.Latency,
    money: pricing.Bill,
    gco2: Tensor,
    failing: Tensor,
    weather: WeatherStep,
) -> Tensor:
    """(len(MEASURED), B) what monitoring shows of the step."""
    resolved = (served.web_share + served.lost_share).clamp_min(1e-6)
    due = weather.due_now.clamp_min(1e-6)
    rest = torch.stack(
        (
            times.on_time_share,
            times.within,
            times.p95_s,
            served.lost_share / resolved,
            money.capacity.sum(0),
            gco2,
            now.fleet.lost,
            now.fleet.refusals,
            served.blocked,
            failing,
            weather.disk_speed,
            weather.quota,
            served.gpu_used,
        )
    )
    return torch.cat(
        (
            served.utilisation,
            carries,
            times.sojourn_s,
            served.shortage,
            weather.work[:, 0],
            rest,
            (served.late / due).clamp_max(1.0),
        )
    )
