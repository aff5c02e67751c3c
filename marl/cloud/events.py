"""Random happenings of an episode: stock-outs, outages, quota cuts, slow disks, spot prices.

Two-state Markov chains from their mean length and how often they occur, and the spot price's walk.
Only draws; what they do to the clouds belongs to `dynamics`.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marl.cloud.config import CloudConfig
from marl.cloud.params import CloudParams
from marl.cloud.types import KINDS

_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Happenings:
    """What happens in each of T steps; see `WeatherStep`."""

    is_shocked: Tensor  # (T, Z, B) float32, 0 or 1
    is_sold_out: Tensor  # (T, M·Z, B)
    is_up: Tensor  # (T, Z, B)
    quota: Tensor  # (T, B)
    disk_speed: Tensor  # (T, B)
    spot_ratio: Tensor  # (T + 1, M, B)


def chain_count(zones: int) -> int:
    """Markov chains of a cloud: spot shocks, zone outages, stock-outs, quota, price, disks."""
    return 2 * zones + len(KINDS) * zones + 3


def happenings(
    uniform: Tensor, normal: Tensor, start: Tensor, clock_us: NDArray, params: CloudParams
) -> Happenings:
    """Happenings from random numbers.

    Args:
        uniform: (T, chains, B) in [0, 1).
        normal: (T + 1, B) of the spot price.
        start: (B,) uniform: where in its range the spot price begins.
        clock_us: (B, T + 1) trace time.
        params: of the cloud.
    """
    config, zones = params.config, params.config.zones
    states = chains(uniform, *_rates(config, params.step_s))
    shocked, down, sold_out, rest = states.split([zones, zones, len(KINDS) * zones, 3], 1)
    cut, dear, slow = rest.unbind(1)
    dear = torch.cat((dear, dear[-1:]))
    return Happenings(
        is_shocked=shocked,
        is_sold_out=sold_out,
        is_up=1.0 - down,
        quota=1.0 - cut * (1.0 - config.quota_cut_share),
        disk_speed=1.0 / (1.0 + slow * (config.disk_slow_factor - 1.0)),
        spot_ratio=_spot_ratio(normal, start, dear, clock_us, params),
    )


def chains(uniform: Tensor, enter: Tensor, leave: Tensor) -> Tensor:
    """(T, chains, B) 0 or 1: Markov chains that begin in their stationary state.

    Args:
        uniform: (T, chains, B) in [0, 1).
        enter: (chains,) chance a step that it begins.
        leave: (chains,) chance a step that it ends.
    """
    out = torch.empty_like(uniform)
    on, off = enter[:, None], leave[:, None]
    now = (uniform[0] < on / (on + off).clamp_min(1e-12)).to(uniform.dtype)
    for t, draw in enumerate(uniform):
        if t > 0:
            now = torch.where(now > 0, draw >= off, draw < on).to(uniform.dtype)
        out[t] = now
    return out


def _rates(config: CloudConfig, step_s: float) -> tuple[Tensor, Tensor]:
    """(chains,) chances to begin and to end, in the order of `chain_count`."""
    hour, day = step_s / 3600.0, step_s / 86_400.0

    def by_share(share: float, hours: float) -> tuple[float, float]:
        leave = min(1.0, hour / hours)
        return min(1.0, leave * share / (1.0 - share)), leave

    def by_day(per_day: float, hours: float) -> tuple[float, float]:
        return min(1.0, per_day * day), min(1.0, hour / hours)

    zones = config.zones
    pairs = (
        [by_share(config.spot_shock_time_share, config.spot_shock_hours)] * zones
        + [by_day(config.zone_outage_per_day, config.zone_outage_hours)] * zones
        + [by_share(config.stock_out_time_share, config.stock_out_hours)] * (len(KINDS) * zones)
        + [by_day(config.quota_cut_per_day, config.quota_cut_hours)]
        + [by_day(config.price_shock_per_day, config.price_shock_hours)]
        + [by_day(config.disk_slow_per_day, config.disk_slow_hours)]
    )
    enter, leave = torch.tensor(pairs, dtype=torch.float32).unbind(1)
    return enter, leave


def _spot_ratio(
    normal: Tensor, start: Tensor, dear: Tensor, clock_us: NDArray, params: CloudParams
) -> Tensor:
    """(T + 1, M, B) spot over on-demand price: log-normal steps at midnight, held in its range.

    Google changes spot prices at most once a day; the range is that of 39 monthly price lists. All
    kinds stand at the same place of their own range. A shock raises all, at most to on-demand.
    """
    ranges = [
        (math.log(machine.spot_ratio_low), math.log(machine.spot_ratio_high))
        for machine in params.machines
    ]
    days = np.diff(clock_us // _DAY_US, axis=1, prepend=clock_us[:, :1] // _DAY_US)
    span = max(high - low for low, high in ranges)
    sigma = params.config.spot_price_sigma_per_day / span if span > 0 else 0.0
    place = start + (normal * sigma * torch.from_numpy(days.T > 0)).cumsum(0)
    # Reflected at the ends, so that the price stays in its range without sticking.
    place = 1.0 - (place % 2.0 - 1.0).abs()
    raised = 1.0 + dear * (params.config.price_shock_factor - 1.0)
    ratios = [torch.exp(low + (high - low) * place) * raised for low, high in ranges]
    return torch.stack(ratios, 1).clamp_max(1.0)
