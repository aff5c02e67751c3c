"""Bursts on top of a fitted class: flash crowds of visitors, and big submissions of tasks.

When they come, how large they are and how they fade. The process underneath belongs to
`generators`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from marl.frozen import Frozen
from marl.workload.demand import STEP_S
from marl.workload.model import ClassModel

_DAY_S: Final = 86_400.0


class BurstConfig(Frozen):
    """How often bursts come, and how hard.

    Attributes:
        crowds_per_day: flash crowds a day (Poisson), multiplying the class's demand.
        crowd_least: extra demand of the smallest, as a share of the present demand.
        crowd_tail: Pareto index of the size above that.
        crowd_most: largest extra share; sizes beyond are cut to it.
        crowd_rise_s: time to the peak (linear).
        crowd_half_life_s: time in which what is left halves after the peak.
        gangs_per_day: big submissions a day (Poisson), adding tasks for their lifetime.
        gang_least_quantile: gangs have at least this quantile of tasks per collection.
        gang_most: cut of one gang's CPU, as a multiple of the class's mean CPU.
    """

    crowds_per_day: float = Field(default=2.0, ge=0)
    crowd_least: float = Field(default=0.5, gt=0)
    crowd_tail: float = Field(default=2.0, gt=0)
    crowd_most: float = Field(default=5.0, gt=0)
    crowd_rise_s: float = Field(default=600.0, gt=0)
    crowd_half_life_s: float = Field(default=1800.0, gt=0)
    gangs_per_day: float = Field(default=4.0, ge=0)
    gang_least_quantile: float = Field(default=0.9, ge=0, lt=1)
    gang_most: float = Field(default=3.0, gt=0)


def crowd_profile(config: BurstConfig, steps: int) -> NDArray[np.float32]:
    """(steps,) course of a flash crowd of size 1: linear rise to 1, then exponential decay."""
    seconds = (np.arange(steps) + 1) * STEP_S
    rising = seconds / config.crowd_rise_s
    falling = 0.5 ** ((seconds - config.crowd_rise_s) / config.crowd_half_life_s)
    return np.minimum(rising, np.where(seconds < config.crowd_rise_s, 1.0, falling)).astype(
        np.float32
    )


def crowds(
    config: BurstConfig, episodes: int, steps: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(B, T) factors >= 1 by which flash crowds multiply demand; overlapping ones add."""
    from marl.workload.levels import follow

    counts = rng.poisson(config.crowds_per_day * STEP_S / _DAY_S, (episodes, 2 * steps - 1))
    total = int(counts.sum())
    sizes = config.crowd_least * (1 - rng.random(total)) ** (-1 / config.crowd_tail)
    impulses = np.zeros(counts.size, np.float32)
    where = np.repeat(np.arange(counts.size), counts.ravel())
    np.add.at(impulses, where, np.minimum(sizes, config.crowd_most).astype(np.float32))
    return 1 + follow(impulses.reshape(counts.shape), crowd_profile(config, steps)).astype(
        np.float32
    )


def can_gang(model: ClassModel) -> bool:
    """Whether the class's fit knows enough of its tasks to draw a big submission."""
    return bool(model.requests and model.lifetimes and model.tasks_per_collection)


def gangs(
    config: BurstConfig, model: ClassModel, episodes: int, steps: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(B, T, 3) tasks arriving, CPU (NCU) and memory (NMU) that big submissions add.

    Size from the upper quantiles of tasks per collection, request and lifetime from their fitted
    distributions; a submission larger than `gang_most` × the class's mean CPU is cut to that.
    """
    out = np.zeros((episodes, steps + 1, 3))
    if model.requests is None or model.lifetimes is None or not model.tasks_per_collection:
        return out[:, :-1].astype(np.float32)
    counts = rng.poisson(config.gangs_per_day * STEP_S / _DAY_S, (episodes, steps))
    episode, start = np.nonzero(counts)
    repeat = counts[episode, start]
    episode, start = np.repeat(episode, repeat), np.repeat(start, repeat)
    total = len(episode)
    ranks = config.gang_least_quantile + (1 - config.gang_least_quantile) * rng.random(total)
    grid = np.linspace(0, 1, len(model.tasks_per_collection))
    tasks = np.maximum(np.interp(ranks, grid, model.tasks_per_collection), 1.0)
    pairs = model.requests.sample(total, rng)
    used = pairs * [model.cpu_per_request, model.memory_per_request] * tasks[:, None]
    most = config.gang_most * np.array([model.cpu_ncu.mean, model.memory_nmu.mean])
    cut = np.minimum(1.0, (most / np.maximum(used, 1e-300)).min(axis=1))
    seconds = model.lifetimes.sample(total, rng)
    stop = start + np.clip(np.ceil(seconds / STEP_S), 1, steps).astype(int)
    np.add.at(out[..., 0], (episode, start), tasks * cut)
    for channel in (0, 1):
        amount = used[:, channel] * cut
        np.add.at(out[..., channel + 1], (episode, start), amount)
        np.add.at(out[..., channel + 1], (episode, np.minimum(stop, steps)), -amount)
    out[..., 1:] = np.maximum(np.cumsum(out[..., 1:], axis=1), 0)
    return out[:, :-1].astype(np.float32)
