"""Demand events: flash crowds, launches, spikes and what sets off retry storms, over any generator.

When events come, how large they are, what a calendar says of them beforehand, and what they do to
demand. Bursts that belong to the fitted process itself are `bursts`; the retries that turn a spike
into a storm are the simulated cloud's (`retry_share`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from marl.frozen import Frozen
from marl.workload.demand import CHANNELS, CLASSES, HORIZON, STEP_S, DemandBatch, DemandGenerator

Floats = NDArray[np.float32]
_DAY_S: Final = 86_400.0
_FADED_HALF_LIVES: Final = 5.0  # after which 3 % of an event's extra demand is left
# Data on disk does not grow with visitors.
_MULTIPLIED: Final = tuple(i for i, name in enumerate(CHANNELS) if name != "storage_gib")


class EventConfig(Frozen):
    """One kind of event: demand of some classes rises, stays and fades.

    Spikes of real services differ in steepness, height and length (Bodík et al., SoCC 2010, doi:
    10.1145/1807128.1807166, who describe them by ramp, plateau and decay as here); every figure
    here and in the presets is assumed.

    Attributes:
        name: of the kind.
        per_day: events a day (Poisson).
        least, most: factor on demand at the top; drawn evenly on the logarithm.
        ramp_s: time to the top (linear).
        plateau_s: time at the top.
        half_life_s: time in which the extra demand halves after it.
        classes: whose demand rises.
        is_announced: whether a calendar names the event and the factor expected. Web only.
        noise_sigma: standard deviation of the log of real over announced extra demand; its mean
            is 1.
        called_off_share: of announced events that do not take place; the calendar keeps them.
    """

    name: str
    per_day: float = Field(ge=0)
    least: float = Field(ge=1)
    most: float = Field(ge=1)
    ramp_s: float = Field(gt=0)
    plateau_s: float = Field(default=0.0, ge=0)
    half_life_s: float = Field(gt=0)
    classes: tuple[str, ...] = ("web",)
    is_announced: bool = False
    noise_sigma: float = Field(default=0.0, ge=0)
    called_off_share: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.most < self.least:
            raise ValueError(f"{self.name}: most {self.most} is below least {self.least}")
        if not self.classes or set(self.classes) - set(CLASSES):
            raise ValueError(
                f"{self.name}: classes must be some of {', '.join(CLASSES)}; got {self.classes}"
            )
        if self.is_announced and self.classes != ("web",):
            raise ValueError(f"{self.name}: a calendar names web demand only; got {self.classes}")
        if not self.is_announced and (self.noise_sigma > 0 or self.called_off_share > 0):
            raise ValueError(f"{self.name}: noise and calling off belong to announced events")
        return self


FLASH_CROWD: Final = EventConfig(
    name="flash_crowd", per_day=3.0, least=3.0, most=10.0, ramp_s=600.0, half_life_s=1200.0
)
LAUNCH_DAY: Final = EventConfig(
    name="launch_day",
    per_day=3.0,
    least=1.5,
    most=4.0,
    ramp_s=900.0,
    plateau_s=7200.0,
    half_life_s=5400.0,
    is_announced=True,
    noise_sigma=0.3,
    called_off_share=0.1,
)
RETRY_TRIGGER: Final = EventConfig(
    name="retry_trigger", per_day=6.0, least=1.5, most=2.5, ramp_s=300.0, half_life_s=300.0
)
DEMAND_SPIKE: Final = EventConfig(
    name="demand_spike",
    per_day=3.0,
    least=1.5,
    most=3.0,
    ramp_s=300.0,
    plateau_s=3600.0,
    half_life_s=600.0,
    classes=CLASSES,
)


@dataclass(frozen=True)
class Events:
    """Events of one kind in a batch of episodes, one entry each.

    Attributes:
        episode: (N,) int64, row of the batch.
        start: (N,) int64, step in which the ramp begins; below 0 for one already under way.
        believed: (N,) float32, factor at the top that was expected.
        real: (N,) float32, factor at the top that comes; 1 where called off.
    """

    episode: NDArray[np.int64]
    start: NDArray[np.int64]
    believed: Floats
    real: Floats


def profile(config: EventConfig, steps: int) -> Floats:
    """(steps,) share of the top reached: linear rise, plateau, exponential decay."""
    seconds = (np.arange(steps) + 1) * STEP_S
    over = np.maximum(seconds - config.ramp_s - config.plateau_s, 0.0)
    return np.minimum(seconds / config.ramp_s, 0.5 ** (over / config.half_life_s)).astype(
        np.float32
    )


def span(config: EventConfig) -> int:
    """Steps until an event has faded; its demand beyond is dropped."""
    seconds = config.ramp_s + config.plateau_s + _FADED_HALF_LIVES * config.half_life_s
    return int(np.ceil(seconds / STEP_S))


def draw_events(
    config: EventConfig, episodes: int, length: int, rng: np.random.Generator
) -> Events:
    """Events that touch steps 0 … `length` − 1 of each episode, some begun before it."""
    first = 1 - span(config)
    counts = rng.poisson(config.per_day * STEP_S / _DAY_S, (episodes, length - first))
    episode, column = np.nonzero(counts)
    repeat = counts[episode, column]
    episode, start = np.repeat(episode, repeat), np.repeat(column, repeat) + first
    low, high = np.log(config.least), np.log(config.most)
    believed = np.exp(low + (high - low) * rng.random(len(episode)))
    noise = config.noise_sigma * rng.standard_normal(len(episode)) - config.noise_sigma**2 / 2
    takes_place = rng.random(len(episode)) >= config.called_off_share
    real = 1 + (believed - 1) * np.exp(noise) * takes_place
    return Events(episode, start, believed.astype(np.float32), real.astype(np.float32))


def factors(
    config: EventConfig, events: Events, tops: Floats, episodes: int, length: int
) -> Floats:
    """(B, L) factor >= 1 by which events multiply demand; overlapping ones add their extra.

    Args:
        config: their kind.
        events: when they come.
        tops: (N,) factor at the top, `events.believed` or `events.real`.
        episodes: B.
        length: L.
    """
    course = profile(config, span(config))
    steps = events.start[:, None] + np.arange(len(course))
    inside = (steps >= 0) & (steps < length)
    rows = np.broadcast_to(events.episode[:, None], steps.shape)[inside]
    extra = np.zeros((episodes, length), np.float32)
    np.add.at(extra, (rows, steps[inside]), ((tops - 1)[:, None] * course)[inside])
    return 1 + extra


def apply(batch: DemandBatch, config: EventConfig, events: Events) -> DemandBatch:
    """A batch with events in it, the calendar's belief where they are announced.

    What is remembered stays as it is: events are rare, and yesterday had none.
    """
    episodes, steps = batch.values.shape[:2]
    real = factors(config, events, events.real, episodes, steps)
    values = batch.values.copy()
    for name in config.classes:
        for channel in _MULTIPLIED:
            values[:, :, CLASSES.index(name), channel] *= real
    announced = batch.announced
    if config.is_announced:
        believed = factors(config, events, events.believed, episodes, steps + HORIZON)
        announced = believed if announced is None else announced * believed
    return replace(batch, values=values, announced=announced)


class EventGenerator:
    """A generator's demand with events on top.

    Args:
        inner: the demand underneath; it is drawn first, so that the same random state gives the
            same demand with and without events.
        configs: kinds of events, drawn independently of each other.
    """

    def __init__(self, inner: DemandGenerator, configs: Sequence[EventConfig]) -> None:
        self._inner, self._configs = inner, tuple(configs)
        self.name = "+".join((inner.name, *(config.name for config in self._configs)))

    def sample(self, episodes: int, steps: int, rng: np.random.Generator) -> DemandBatch:
        """Draw `episodes` episodes of `steps` steps; see `DemandGenerator`."""
        batch = self._inner.sample(episodes, steps, rng)
        if batch.step_s != STEP_S:
            raise ValueError(f"events are made for steps of {STEP_S} s; got {batch.step_s} s")
        for config in self._configs:
            events = draw_events(config, episodes, steps + HORIZON, rng)
            batch = apply(batch, config, events)
        return batch
