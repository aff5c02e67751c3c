"""One step of the clouds: a pure function of state, knobs, weather and what stays fixed.

The order within a step: earlier orders arrive; the autoscalers act on what was measured before;
spot VMs are preempted; demand is served; the bill, the grams and the rewards are reckoned. Each of
these is a module of its own; here they are only joined.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from marl.cloud import carbon, pricing, scaling, service
from marl.cloud.actions import HIGH, LOW
from marl.cloud.observation import MEASURED, feature_scale
from marl.cloud.params import TIER_STEP_VCPU, CloudParams
from marl.cloud.reward import Rewards, RewardScales, reward
from marl.cloud.types import (
    AGE_GROUPS,
    DELAY_SLOTS,
    HISTORY,
    OBJECTIVES,
    POOLS,
    SERVICES,
    CloudState,
    StepOutcome,
    WeatherStep,
)


@dataclass(frozen=True)
class Cloud:
    """All that stays fixed over an episode: parameters and what follows from them."""

    params: CloudParams
    prices: pricing.StepPrices
    carbon: carbon.StepCarbon
    scales: RewardScales
    feature_scale: Tensor  # (features,) see `observation.STATE_NAMES`
    knob_low: Tensor  # (14,)
    knob_half_range: Tensor  # (14,)


def build_cloud(params: CloudParams) -> Cloud:
    """Derive unit prices, unit emissions and the reward's references."""
    usd = pricing.reference_capacity_usd(params)
    gco2 = carbon.reference_gco2(params)
    return Cloud(
        params=params,
        prices=pricing.step_prices(params),
        carbon=carbon.step_carbon(params),
        scales=RewardScales(
            capacity_usd=torch.tensor(usd, dtype=torch.float32, device=params.device),
            total_usd=sum(usd),
            gco2=gco2,
        ),
        feature_scale=feature_scale(params, gco2),
        knob_low=LOW.to(params.device),
        knob_half_range=((HIGH - LOW) * 0.5).to(params.device),
    )


def knobs_from_actions(actions: Tensor, cloud: Cloud) -> Tensor:
    """(B, 14) physical values of actions in [-1, 1]."""
    return cloud.knob_low + (actions + 1.0) * cloud.knob_half_range


def initial_state(first: WeatherStep, cloud: Cloud) -> CloudState:
    """Clouds as a running system would be found: sized for the first load, nothing pending.

    Every service runs at `initial_utilisation`, all VMs on demand, no replica, disks a fifth
    larger than their data. The autoscalers' history holds the first load.
    """
    params = cloud.params
    batch, device = len(first.load), params.device
    knobs = knobs_from_actions(torch.full((batch, len(LOW)), -1.0, device=device), cloud)
    knobs[:, scaling.FREE_SPACE] = 0.2
    wanted = torch.minimum(first.load / params.config.initial_utilisation, params.quota)
    pools = scaling.desired_units(
        wanted, knobs, first.stored_gib, torch.zeros(batch, device=device), params
    )

    def zeros(*shape: int) -> Tensor:
        return torch.zeros((batch, *shape), device=device)

    measured = zeros(len(MEASURED))
    measured[:, [MEASURED.index("slo_attainment"), MEASURED.index("latency_share")]] = 1.0
    for index, name in enumerate(SERVICES):
        measured[:, MEASURED.index(f"utilisation_{name}")] = params.config.initial_utilisation
        measured[:, MEASURED.index(f"capacity_{name}")] = wanted[:, index]
    return CloudState(
        pools=pools,
        pending=zeros(len(POOLS), DELAY_SLOTS),
        spot=zeros(params.config.zones * AGE_GROUPS),
        backlog=torch.zeros_like(first.work),
        served=zeros(2),
        loads=first.load[:, :, None].expand(-1, -1, HISTORY).contiguous(),
        stored_gib=first.stored_gib,
        measured=measured,
    )


def step(
    state: CloudState, knobs: Tensor, weather: WeatherStep, cloud: Cloud
) -> tuple[CloudState, StepOutcome]:
    """Advance all clouds by one step.

    Args:
        state: before the step.
        knobs: (B, 14) physical values, see `actions.knobs`.
        weather: of this step.
        cloud: what stays fixed.

    Returns:
        The state after the step, and rewards and named quantities of the step.
    """
    params = cloud.params
    now = scaling.provision(state, knobs, weather, params)
    capacity = scaling.capacity(now, weather, weather.stored_gib, params)
    tier_vcpu = now.pools[:, 4] * TIER_STEP_VCPU
    served = service.serve(state.backlog, state.served, capacity, tier_vcpu, weather, params)
    money = pricing.bill(
        now.pools, weather.spot_ratio, weather.stored_gib, served.gbps, cloud.prices, params
    )
    gco2 = carbon.emissions(now.pools, served.utilisation, served.gbps, cloud.carbon)
    rewards = reward(money, gco2, served, now, weather.failover, cloud.scales, params)
    load = weather.load + (served.backlog[..., :4] * params.drain).sum(1)
    measured = torch.cat(
        (
            served.utilisation,
            capacity,
            served.sojourn_s,
            served.shortage,
            weather.work[:, :, 0],
            torch.stack(
                (
                    served.on_time_share,
                    served.latency_share,
                    served.latency_p95_s,
                    served.dropped_share,
                    money.capacity.sum(1),
                    gco2,
                    now.preempted,
                    served.blocked,
                    weather.failover,
                ),
                1,
            ),
        ),
        1,
    )
    after = CloudState(
        pools=now.pools,
        pending=now.pending,
        spot=now.spot,
        backlog=served.backlog,
        served=served.served,
        loads=torch.cat((load[:, :, None], state.loads[:, :, :-1]), 2),
        stored_gib=weather.stored_gib,
        measured=measured,
    )
    info = _info(now, capacity, served, money, gco2, rewards, weather, params)
    return after, StepOutcome(reward=rewards.agents, info=info)


def _info(
    now: scaling.Provisioned,
    capacity: Tensor,
    served: service.Served,
    money: pricing.Bill,
    gco2: Tensor,
    rewards: Rewards,
    weather: WeatherStep,
    params: CloudParams,
) -> dict[str, Tensor]:
    """Named quantities of the step, each (B,); docs/simulator.md says what each means."""
    info = {
        "cost_usd": money.by_service.sum(1),
        "cost_capacity_usd": money.capacity.sum(1),
        "cost_traffic_usd": money.traffic,
        "cost_spot_usd": money.spot,
        "cost_committed_usd": money.committed,
        "slo_attainment": served.on_time_share,
        "requests": weather.work[:, 0, 4] * params.step_s,
        "dropped": served.dropped,
        "latency_p50_ms": served.latency_p50_s * 1e3,
        "latency_p95_ms": served.latency_p95_s * 1e3,
        "waste": rewards.waste,
        "carbon_gco2": gco2,
        "backlog": served.backlog[:, :, 0].sum(1),
        "preemptions": now.preempted,
        "changes": now.changes,
    }
    columns = (
        ("cost", "_usd", money.by_service),
        ("utilisation", "", served.utilisation),
        ("capacity", "", capacity),
        ("demand", "", weather.load),
    )
    for prefix, suffix, values in columns:
        for service_name, column in zip(SERVICES, values.unbind(1), strict=True):
            info[f"{prefix}_{service_name}{suffix}"] = column
    for objective, column in zip(OBJECTIVES, rewards.objectives.unbind(1), strict=True):
        info[f"reward_{objective}"] = column
    for service_name, column in zip(SERVICES, rewards.local.unbind(1), strict=True):
        info[f"reward_local_{service_name}"] = column
    info["reward_team"] = rewards.team
    return info
