"""Weather: everything that happens to the clouds whatever the agents do, drawn before the episode.

Demand, spot prices, preemption, delays and failovers of whole episodes, so that policies are
compared on the same weather and a central critic may be shown what is to come. What the weather
does to the clouds belongs to `dynamics`.

Episodes are numbered (environment i, episode k) and drawn in blocks of `BLOCK` environments, each
from its own seed: environment i meets the same weather however many run beside it.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marl.cloud.params import CloudParams, service_work
from marl.cloud.types import DELAY_SLOTS, WeatherStep
from marl.workload.demand import CHANNELS, DemandBatch, DemandGenerator

BLOCK: Final = 16
CALENDAR: Final = ("day_sin", "day_cos", "week_sin", "week_cos", "spot_ratio")
_DAY_US: Final = 86_400_000_000
_WEEK_US: Final = 7 * _DAY_US


@dataclass(frozen=True)
class Weather:
    """The weather of one episode of each cloud.

    Attributes:
        steps: one `WeatherStep` for each of the T steps.
        calendar: (T + 1, B, 5) what everybody may know at the start of step t (`CALENDAR`).
        outlook: (T, B, 5) load of each service over its reference peak, and the spot ratio.
    """

    steps: tuple[WeatherStep, ...]
    calendar: Tensor
    outlook: Tensor

    def future(self, step: int, horizon: int) -> Tensor:
        """(B, horizon, 5) `outlook` of the next steps, for critics; actors must not be shown it.

        Beyond the episode's end the last step is repeated.
        """
        ahead = torch.arange(step, step + horizon, device=self.outlook.device)
        return self.outlook[ahead.clamp_max(len(self.outlook) - 1)].transpose(0, 1)


@dataclass(frozen=True)
class _Draws:
    """Random numbers of one block; time before clouds is turned round later."""

    demand: DemandBatch
    normal: Tensor  # (BLOCK, T + 1, 3) spot price, VM boot, database change
    uniform: Tensor  # (BLOCK, T, Z + 3) zone shocks, preemption, warm-up, failover
    start: Tensor  # (BLOCK,) uniform: where in its range the spot price begins


def draw_weather(
    generator: DemandGenerator,
    num_envs: int,
    steps: int,
    seed: int,
    episode: int,
    params: CloudParams,
) -> Weather:
    """Draw episode number `episode` of environments 0 .. num_envs - 1.

    Args:
        generator: source of demand; asked for `BLOCK` episodes at a time.
        num_envs: B.
        steps: T.
        seed: of the environment.
        episode: 0, 1, 2 ... since the seed was set.
        params: of the cloud; the tensors are made on its device.

    Raises:
        ValueError: the generator gave another number of steps or another step length than asked.
    """
    blocks = [
        _draw_block(generator, steps, np.random.SeedSequence(seed, spawn_key=(episode, b)), params)
        for b in range(math.ceil(num_envs / BLOCK))
    ]
    rows = slice(0, num_envs)
    work = np.concatenate(
        [service_work(block.demand, params.machine, params.config.qps_per_vcpu) for block in blocks]
    )[rows]
    stored_channel = CHANNELS.index("storage_gib")
    stored = np.concatenate([b.demand.values[..., stored_channel].sum(-1) for b in blocks])[rows]
    start_us = np.concatenate([block.demand.start_us for block in blocks])[rows]
    normal = torch.cat([block.normal for block in blocks])[rows].transpose(0, 1)
    uniform = torch.cat([block.uniform for block in blocks])[rows].transpose(0, 1)
    start = torch.cat([block.start for block in blocks])[rows]
    clock_us = start_us[:, None] + np.arange(steps + 1) * round(params.step_s * 1e6)
    ratio = _spot_ratio(normal[..., 0], start, clock_us, params)
    return _assemble(work, stored, clock_us, ratio, normal, uniform, params)


def _draw_block(
    generator: DemandGenerator, steps: int, seed: np.random.SeedSequence, params: CloudParams
) -> _Draws:
    for_demand, for_rest = seed.spawn(2)
    demand = generator.sample(BLOCK, steps, np.random.default_rng(for_demand))
    if demand.values.shape[:2] != (BLOCK, steps) or demand.step_s != params.step_s:
        raise ValueError(
            f"generator {generator.name!r} was asked for {BLOCK} episodes of {steps} steps of "
            f"{params.step_s} s; it gave {demand.values.shape[:2]} of {demand.step_s} s"
        )
    torch_rng = torch.Generator().manual_seed(int(for_rest.generate_state(1, np.uint64)[0] >> 1))
    return _Draws(
        demand=demand,
        normal=torch.randn((BLOCK, steps + 1, 3), generator=torch_rng),
        uniform=torch.rand((BLOCK, steps, params.config.zones + 3), generator=torch_rng),
        start=torch.rand((BLOCK,), generator=torch_rng),
    )


def _spot_ratio(normal: Tensor, start: Tensor, clock_us: NDArray, params: CloudParams) -> Tensor:
    """(T + 1, B) spot over on-demand price: log-normal steps at midnight, held in its range.

    Google changes spot prices at most once a day; the range is that of 39 monthly price lists.
    """
    machine = params.machine
    low, high = math.log(machine.spot_ratio_low), math.log(machine.spot_ratio_high)
    days = torch.from_numpy(
        np.diff(clock_us // _DAY_US, axis=1, prepend=clock_us[:, :1] // _DAY_US)
    )
    moves = normal * params.config.spot_price_sigma_per_day * (days.T > 0)
    path = low + (high - low) * start + moves.cumsum(0)
    if high > low:  # reflected at the ends, so that the price stays in its range without sticking
        span = high - low
        path = low + span - ((path - low) % (2 * span) - span).abs()
    return torch.exp(path)


def _assemble(
    work_np: NDArray,
    stored_np: NDArray,
    clock_us: NDArray,
    ratio: Tensor,
    normal: Tensor,
    uniform: Tensor,
    params: CloudParams,
) -> Weather:
    """Turn the draws into per-step tensors, everything that can be computed ahead computed."""
    config, device = params.config, params.device
    steps = work_np.shape[1]
    work = torch.from_numpy(np.ascontiguousarray(work_np.swapaxes(0, 1))).to(device)
    stored = torch.from_numpy(np.ascontiguousarray(stored_np.T)).to(device)
    zones = config.zones
    # torch.cumsum in float64: sums over an episode keep their last digits.
    due = torch.stack(
        [
            _due(work[:, :, 1 + i, 0], lag)
            for i, lag in enumerate((config.batch_deadline_steps, config.ml_deadline_steps))
        ],
        2,
    )
    due_now = torch.diff(due, dim=0, prepend=torch.zeros_like(due[:1]))
    load = work[..., :4].sum(2)
    ratio_on = ratio.to(device)
    shocked = _shocks(uniform[..., :zones], params)
    draw = uniform[..., zones].contiguous().to(device)
    delay = _delays(normal[:steps], uniform[..., zones + 1], params).to(device)
    is_failing = uniform[..., zones + 2] < config.failover_per_step
    failover = (is_failing * min(1.0, config.failover_s / params.step_s)).to(device)
    steps_per_hour = max(1, round(3600.0 / params.step_s))
    calendar = torch.cat((_clock_features(clock_us).to(device), ratio_on[..., None]), 2)
    columns = (
        work,
        load,
        stored,
        due,
        due_now,
        ratio_on[:-1],
        _preemption(shocked, params).to(device),
        (~shocked).to(torch.float32).to(device),
        draw,
        delay,
        failover,
    )
    rows = zip(*(column.unbind(0) for column in columns), strict=True)
    return Weather(
        steps=tuple(
            WeatherStep(*row, is_new_hour=t % steps_per_hour == 0 and t > 0)  # type: ignore[misc]
            for t, row in enumerate(rows)
        ),
        calendar=calendar,
        outlook=torch.cat((load / params.peak, ratio_on[:-1, :, None]), 2),
    )


def _due(arrivals: Tensor, lag: int) -> Tensor:
    """(T, B) work due by the end of each step: what had arrived `lag` steps before."""
    total = arrivals.to(torch.float64).cumsum(0).to(torch.float32)
    due = torch.zeros_like(total)
    if lag < len(total):
        due[lag:] = total[:-lag]
    return due


def _shocks(uniform: Tensor, params: CloudParams) -> Tensor:
    """(T, B, Z) bool: the zone is out of spot capacity. A two-state Markov chain from its mean."""
    config = params.config
    leave = min(1.0, params.step_s / 3600.0 / config.spot_shock_hours)
    share = config.spot_shock_time_share
    enter = min(1.0, leave * share / (1.0 - share))
    shocked = torch.empty_like(uniform, dtype=torch.bool)
    now = uniform[0] < share
    for t, draw in enumerate(uniform):
        if t > 0:
            now = torch.where(now, draw >= leave, draw < enter)
        shocked[t] = now
    return shocked


def _preemption(shocked: Tensor, params: CloudParams) -> Tensor:
    """(T, B, Z * A) probability by zone and age: 1 - exp(-hazard · step · multiplier).

    The multiplier is shared by a zone and has mean 1: `1 - shock_share` in quiet times, far more in
    a shock. Preemptions of a zone are so correlated (SkyServe, EuroSys 2025).
    """
    config = params.config
    quiet = 1.0 - config.spot_shock_share
    stormy = quiet + config.spot_shock_share / config.spot_shock_time_share
    multiplier = torch.where(shocked, stormy, quiet)
    hazard = torch.tensor(config.spot_hazard_per_h) * (params.step_s / 3600.0)
    return -torch.expm1(-multiplier[..., None] * hazard).flatten(2).contiguous()


def _delays(normal: Tensor, warm_up: Tensor, params: CloudParams) -> Tensor:
    """(T, B, K) whole steps until an order is in service, at most DELAY_SLOTS."""
    config = params.config
    low, high = config.vm_warm_up_s
    boot = config.vm_boot_median_s * torch.exp(config.vm_boot_sigma * normal[..., 1])
    vm_s = boot + low + (high - low) * warm_up
    database_s = config.database_median_s * torch.exp(config.database_sigma * normal[..., 2])
    vm, database = (
        torch.ceil(seconds / params.step_s).clamp(1.0, float(DELAY_SLOTS))
        for seconds in (vm_s, database_s)
    )
    one = torch.ones_like(vm)
    return torch.stack((vm, vm, one, one, database, database), 2)


def _clock_features(clock_us: NDArray) -> Tensor:
    """(T + 1, B, 4) sine and cosine of the time of day and of the week."""
    day = 2 * np.pi * ((clock_us % _DAY_US) / _DAY_US).T
    week = 2 * np.pi * ((clock_us % _WEEK_US) / _WEEK_US).T
    features = np.stack([np.sin(day), np.cos(day), np.sin(week), np.cos(week)], axis=-1)
    return torch.from_numpy(features.astype(np.float32))
