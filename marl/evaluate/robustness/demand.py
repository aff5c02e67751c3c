"""Changes to demand: spikes at a fixed time, another level, a shifted day.

Pure functions of a drawn batch: nothing is drawn, so every policy meets the same demand. Random
events belong to `marl.workload.events`; another mix or another workload is drawn anew (`stage`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from marl.workload.demand import CHANNELS, STEP_S, DemandBatch, DemandGenerator

_HOUR_US: Final = 3_600_000_000
# Data on disk does not grow with visitors.
_MULTIPLIED: Final = tuple(i for i, name in enumerate(CHANNELS) if name != "storage_gib")


class DemandChange(Protocol):
    """What is done to a drawn batch."""

    def apply(self, batch: DemandBatch) -> DemandBatch:
        """The changed batch; the given one stays as it is."""
        ...


@dataclass(frozen=True)
class Spike:
    """All classes' demand, times `factor` in steps [`start`, `start` + `steps`); not their data.

    Nobody announced it: what is remembered and scheduled stays.
    """

    factor: float
    start: int
    steps: int

    def apply(self, batch: DemandBatch) -> DemandBatch:
        """See `DemandChange`."""
        values = batch.values.copy()
        values[:, self.start : self.start + self.steps, :, _MULTIPLIED] *= np.float32(self.factor)
        return replace(batch, values=values)


@dataclass(frozen=True)
class Level:
    """Everything, yesterday's and last week's too, times `factor`: the service has grown."""

    factor: float

    def apply(self, batch: DemandBatch) -> DemandBatch:
        """See `DemandChange`."""
        grown = {
            name: None if array is None else array * np.float32(self.factor)
            for name in ("values", "day_ago", "week_ago", "scheduled")
            for array in [getattr(batch, name)]
        }
        return replace(batch, **grown)  # type: ignore[arg-type]


@dataclass(frozen=True)
class ShiftedDay:
    """The same demand `hours` later by the clock: the daily cycle has moved, memory with it."""

    hours: float

    def apply(self, batch: DemandBatch) -> DemandBatch:
        """See `DemandChange`."""
        return replace(batch, start_us=batch.start_us + round(self.hours * _HOUR_US))


class ChangedDemand:
    """A generator's demand with changes; the same random state draws the same demand beneath.

    Args:
        inner: the demand underneath.
        changes: done in order.
    """

    def __init__(self, inner: DemandGenerator, changes: Sequence[DemandChange]) -> None:
        self._inner, self._changes = inner, tuple(changes)
        self.name = "+".join((inner.name, *(type(one).__name__.lower() for one in changes)))

    def sample(self, episodes: int, steps: int, rng: np.random.Generator) -> DemandBatch:
        """Draw `episodes` episodes of `steps` steps; see `DemandGenerator`."""
        batch = self._inner.sample(episodes, steps, rng)
        if batch.step_s != STEP_S:
            raise ValueError(f"changes are made for steps of {STEP_S} s; got {batch.step_s} s")
        for change in self._changes:
            batch = change.apply(batch)
        return batch
