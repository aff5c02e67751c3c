"""Weather: everything that happens to the clouds whatever the agents do, drawn before the episode.

Demand, prices, outages, stock-outs, delays and failures of whole episodes, so that policies are
compared on the same weather and a central critic may be shown it. What the weather does to the
clouds belongs to `dynamics`; what agents are told of it to `foresight`; random events to `events`.

Episodes are numbered (environment i, episode k) and drawn in blocks of `BLOCK` environments, each
from its own seed: environment i meets the same weather however many run beside it.
"""

import math
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marl.cloud.events import Happenings, chain_count, happenings
from marl.cloud.foresight import foresight
from marl.cloud.params import CloudParams, work_of
from marl.cloud.types import DELAY_SLOTS, KINDS, REQUEST_SLOTS, WORK, WeatherStep
from marl.workload.demand import CHANNELS, CLASSES, KNOWN, DemandBatch, DemandGenerator

# All parts of a mixture of four kinds of demand in six mixes of classes (`varied`), or of fewer.
BLOCK: Final = 24
OUTLOOK: Final = ("load_compute", "load_storage", "load_network", "load_database", "spot_ratio")
# Names as constants: dynamo cannot trace `fields` of a class.
_FIELDS: Final = tuple(field.name for field in fields(WeatherStep))
_NORMALS: Final = 4  # spot price, boot of a VM, database change, Redis
_UNIFORMS: Final = 4  # losses, warm-up of a VM, of a GPU, failover


@dataclass(frozen=True)
class Weather:
    """The weather of one episode of each cloud.

    Attributes:
        packed: (T, rows, B) every field of `WeatherStep`, one after the other.
        zones: Z.
        told: (T + 1, F, B) what everybody may know at the start of step t (`foresight.FORESIGHT`).
        due: (T + longest deadline + 1, 2, B) batch and ML work due by the end of each step, as far
            as it has arrived: row t + k is what a team at step t knows to be due k steps later.
        outlook: (T, 5, B) load of each service over its reference peak, and the spot ratio.
    """

    packed: Tensor
    zones: int
    told: Tensor
    due: Tensor
    outlook: Tensor

    def __len__(self) -> int:
        """T."""
        return len(self.packed)

    def at(self, step: int) -> WeatherStep:
        """The weather of step `step`, 0 .. T - 1."""
        return unpack(self.packed[step], self.zones)

    def future(self, step: int, horizon: int) -> Tensor:
        """(B, horizon, 5) `outlook` of the next steps, for critics; actors must not be shown it.

        Beyond the episode's end the last step is repeated.
        """
        ahead = torch.arange(step, step + horizon, device=self.outlook.device)
        return self.outlook[ahead.clamp_max(len(self.outlook) - 1)].permute(2, 0, 1)

    def first(self, clouds: int) -> "Weather":
        """The weather of the first so many clouds."""
        return Weather(
            packed=self.packed[..., :clouds],
            zones=self.zones,
            told=self.told[..., :clouds],
            due=self.due[..., :clouds],
            outlook=self.outlook[..., :clouds],
        )

    def repeated(self, copies: int) -> "Weather":
        """The same weather for `copies` times as many clouds, copy by copy."""
        return Weather(
            packed=self.packed.repeat(1, 1, copies),
            zones=self.zones,
            told=self.told.repeat(1, 1, copies),
            due=self.due.repeat(1, 1, copies),
            outlook=self.outlook.repeat(1, 1, copies),
        )


def row_shapes(zones: int) -> dict[str, tuple[int, ...]]:
    """Shape without B of each field of `WeatherStep`, in their order; () is a single row."""
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(_FIELDS, ())
    return shapes | {
        "work": (len(CLASSES), len(WORK)),
        "due": (2,),
        "due_now": (2,),
        "spot_ratio": (len(KINDS),),
        "is_shocked": (zones,),
        "is_sold_out": (len(KINDS) * zones,),
        "is_up": (zones,),
        "delay": (4,),
    }


def unpack(rows: Tensor, zones: int) -> WeatherStep:
    """The views of one step's rows (rows, B)."""
    parts: dict[str, Tensor] = {}
    start = 0
    for name, shape in row_shapes(zones).items():
        size = math.prod(shape)
        parts[name] = rows[start : start + size].view(*shape, -1)
        if not shape:
            parts[name] = rows[start]
        start += size
    return WeatherStep(**parts)


@dataclass(frozen=True)
class _Draws:
    """Random numbers of one block; time before clouds is turned round later."""

    demand: DemandBatch
    normal: Tensor  # (BLOCK, T + 1, _NORMALS)
    uniform: Tensor  # (BLOCK, T, chains + _UNIFORMS)
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
    demand = _joined([block.demand for block in blocks], num_envs)
    normal, uniform, start = (
        torch.cat([getattr(block, name) for block in blocks])[:num_envs]
        .moveaxis(0, -1)
        .contiguous()
        for name in ("normal", "uniform", "start")
    )
    return _assemble(demand, normal, uniform, start, params)


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
    width = chain_count(params.config.zones) + _UNIFORMS
    return _Draws(
        demand=demand,
        normal=torch.randn((BLOCK, steps + 1, _NORMALS), generator=torch_rng),
        uniform=torch.rand((BLOCK, steps, width), generator=torch_rng),
        start=torch.rand((BLOCK,), generator=torch_rng),
    )


def _joined(parts: list[DemandBatch], num_envs: int) -> DemandBatch:
    def join(name: str) -> NDArray:
        return np.concatenate([getattr(part, name) for part in parts])[:num_envs]

    known = {name: join(name) for name in KNOWN if getattr(parts[0], name) is not None}
    return DemandBatch(join("values"), join("start_us"), parts[0].step_s, **known)


def _assemble(
    demand: DemandBatch, normal: Tensor, uniform: Tensor, start: Tensor, params: CloudParams
) -> Weather:
    """Turn the draws into per-step tensors, everything that can be computed ahead computed."""
    config, device = params.config, params.device
    steps = demand.values.shape[1]
    work = work_of(demand.values, config.qps_per_vcpu)
    stored = torch.from_numpy(demand.values[..., CHANNELS.index("storage_gib")])
    stored = stored.permute(2, 1, 0).sum(0)
    clock_us = demand.start_us[:, None] + np.arange(steps + 1) * round(params.step_s * 1e6)
    events = happenings(uniform[:, :-_UNIFORMS], normal[:, 0], start, clock_us, params)
    deadlines = (config.batch_deadline_steps, config.ml_deadline_steps)
    due = torch.stack(
        [_due(work[:, 1 + i, 0], lag, max(deadlines)) for i, lag in enumerate(deadlines)], 1
    )
    due_now = torch.diff(due[:steps], dim=0, prepend=torch.zeros_like(due[:1]))
    draw, vm_warm_up, gpu_warm_up, failing = uniform[:, -_UNIFORMS:].unbind(1)
    hours = torch.arange(steps) % max(1, round(params.steps_per_hour)) == 0
    hours[0] = False
    every = max(1, round(config.commitment_review_h * params.steps_per_hour))
    review = torch.arange(steps) % every == 0
    load = work[:, :, :4].sum(1)
    parts = {
        "work": work.flatten(1, 2),
        "stored_gib": stored[:, None],
        "due": due[:steps],
        "due_now": due_now,
        "spot_ratio": events.spot_ratio[:steps],
        "is_shocked": events.is_shocked,
        "is_sold_out": events.is_sold_out,
        "is_up": events.is_up,
        "quota": events.quota[:, None],
        "delay": _delays(normal[:steps], vm_warm_up, gpu_warm_up, params),
        "failover": _failovers(failing, events, config.failover_per_step)[:, None],
        "disk_speed": events.disk_speed[:, None],
        "loss_draw": draw[:, None],
        "is_new_hour": hours[:, None, None].expand_as(draw[:, None]),
        "is_review": review[:, None, None].expand_as(draw[:, None]),
    }
    packed = torch.cat([parts[name].to(torch.float32) for name in row_shapes(config.zones)], 1)
    outlook = torch.cat(
        (load.to(device) / params.peak, events.spot_ratio[:steps, :1].to(device)), 1
    )
    return Weather(
        packed=packed.to(device),
        zones=config.zones,
        told=foresight(demand, load, clock_us, events.spot_ratio, params).to(device),
        due=due.to(device),
        outlook=outlook,
    )


def _due(arrivals: Tensor, lag: int, longest: int) -> Tensor:
    """(T + longest + 1, B) work due by the end of each step: what arrived `lag` steps before."""
    # In float64: sums over an episode keep their last digits.
    total = arrivals.to(torch.float64).cumsum(0).to(torch.float32)
    due = torch.zeros((len(total) + longest + 1, total.shape[1]))
    due[lag : lag + len(total)] = total
    due[lag + len(total) :] = total[-1]
    return due


def known_due(due: Tensor, step: int, deadlines: tuple[int, int]) -> Tensor:
    """(2, REQUEST_SLOTS + 1, B) work due by now and by later dates, as known before step `step`.

    Dates are spread evenly over each class's deadline. Work that has yet to arrive is not in it.
    """
    rows = []
    for i, deadline in enumerate(deadlines):
        dates = [
            step - 1 + math.ceil(k * deadline / REQUEST_SLOTS) for k in range(REQUEST_SLOTS + 1)
        ]
        if step == 0:
            rows.append(torch.zeros_like(due[: REQUEST_SLOTS + 1, i]))
        else:
            rows.append(torch.stack([due[max(date, 0), i] for date in dates]))
    return torch.stack(rows)


def _failovers(uniform: Tensor, events: Happenings, chance: float) -> Tensor:
    """(T, B) 1 where the primary fails: by itself, or because its zone goes down."""
    home = events.is_up[:, 0]
    before = torch.cat((torch.ones_like(home[:1]), home[:-1]))
    return torch.maximum((uniform < chance).to(torch.float32), (before - home).clamp_min(0.0))


def _delays(normal: Tensor, vm_warm_up: Tensor, gpu_warm_up: Tensor, params: CloudParams) -> Tensor:
    """(T, 4, B) whole steps until an order is in service, at most DELAY_SLOTS."""
    config = params.config

    def lognormal(median: float, sigma: float, column: int) -> Tensor:
        return median * torch.exp(sigma * normal[:, column])

    def between(bounds: tuple[float, float], uniform: Tensor) -> Tensor:
        return bounds[0] + (bounds[1] - bounds[0]) * uniform

    boot = lognormal(config.vm_boot_median_s, config.vm_boot_sigma, 1)
    seconds = torch.stack(
        (
            boot + between(config.vm_warm_up_s, vm_warm_up),
            boot + between(config.gpu_warm_up_s, gpu_warm_up),
            lognormal(config.database_median_s, config.database_sigma, 2),
            lognormal(config.redis_median_s, config.redis_sigma, 3),
        ),
        1,
    )
    return torch.ceil(seconds / params.step_s).clamp(1.0, float(DELAY_SLOTS))
