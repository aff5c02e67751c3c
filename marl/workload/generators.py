"""Demand drawn from a fitted workload: steady, burst and cyclical; and mixtures of generators.

All answer `DemandGenerator`. What they draw from belongs to `model`; what they remember to
`memory`; replay of the trace itself to `replay`; a demand that needs no model to `toy`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from marl.traces.schema import WINDOW_US
from marl.workload.bursts import BurstConfig, can_gang, crowds, gangs
from marl.workload.coefficients import services_demand
from marl.workload.config import Split
from marl.workload.demand import CLASSES, HORIZON, KNOWN, DemandBatch, DemandGenerator, check_size
from marl.workload.levels import KERNEL_WINDOWS, follow, survival_kernel
from marl.workload.memory import Bank, scheduled_vcpu
from marl.workload.mix import mix_weights
from marl.workload.model import ClassModel, WorkloadModel
from marl.workload.replay import ReplayGenerator, split_windows

Kind = Literal["steady", "burst", "cyclical", "replay"]
KINDS: Final[tuple[Kind, ...]] = ("steady", "burst", "cyclical", "replay")
_BANK_SEEDS: Final[dict[Split, int]] = {"train": 0, "held_out": 1}


class FittedGenerator:
    """The fitted process: steady (mean rate all day), cyclical (daily cycle), burst (both, bursts).

    Per class: arrivals of a day before the episode and through it, their echo in what runs, levels
    with noise, then the services by coefficients. Episodes begin at windows drawn evenly from the
    split's stretch, which sets the time of day. Classes are independent of each other. Yesterday
    and last week are draws of the same process (`memory.Bank`).
    """

    def __init__(
        self,
        model: WorkloadModel,
        kind: Literal["steady", "burst", "cyclical"],
        split: Split,
        weights: NDArray[np.float32],
        bursts: BurstConfig,
    ) -> None:
        self.name: str = kind
        self._model, self._weights, self._bursts = model, weights, bursts
        self._windows = split_windows(model, split)
        self._classes = [model.classes.get(name, ClassModel()) for name in CLASSES]
        self._kernels = [survival_kernel(one.lifetimes) for one in self._classes]
        self._mean_gib = np.array([one.memory_nmu.mean for one in self._classes], np.float32)
        self._mean_gib *= np.float32(model.scale.gib_per_nmu)
        self._bank = Bank(self._draw_values, seed=_BANK_SEEDS[split])

    def sample(self, episodes: int, steps: int, rng: np.random.Generator) -> DemandBatch:
        """Draw `episodes` independent episodes of `steps` steps; see `DemandGenerator`."""
        check_size(episodes, steps)
        start_us = rng.choice(self._windows, episodes)
        length = steps + HORIZON
        values = self._draw_values(start_us, length, rng)
        day_ago, week_ago = self._bank.recall(start_us, length, rng)
        return DemandBatch(
            values=values[:, :steps],
            start_us=start_us,
            day_ago=day_ago,
            week_ago=week_ago,
            announced=np.ones((episodes, length), np.float32),
            scheduled=scheduled_vcpu(values, day_ago, rng),
        )

    def paths(
        self, start_us: NDArray[np.int64], steps: int, rng: np.random.Generator
    ) -> DemandBatch:
        """Draw one episode of `steps` steps from each of the trace times `start_us` (B,).

        Without memory: that is `sample`'s.
        """
        return DemandBatch(values=self._draw_values(start_us, steps, rng), start_us=start_us)

    def _draw_values(
        self, start_us: NDArray[np.int64], steps: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """(B, T, C, R) demand of independent paths."""
        episodes = len(start_us)
        offsets = np.arange(1 - KERNEL_WINDOWS, steps, dtype=np.int64) * WINDOW_US
        time_us = start_us[:, None] + offsets
        drivers = np.zeros((episodes, steps, len(CLASSES), 3), np.float32)
        for index, one in enumerate(self._classes):
            if one.cpu_ncu.mean > 0 and self._weights[index] > 0:
                drivers[:, :, index] = self._draw(index, one, time_us, steps, rng)
        scale = self._model.scale
        drivers *= np.array([1, scale.vcpu_per_ncu, scale.gib_per_nmu], np.float32)
        values = services_demand(
            drivers, self._mean_gib, scale.slice_share, self._model.coefficients
        )
        return np.asarray(values * self._weights[:, None])

    def _draw(
        self,
        index: int,
        one: ClassModel,
        time_us: NDArray[np.int64],
        steps: int,
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """(B, T, 3) tasks arriving, NCU, NMU of one class."""
        is_cyclical = self.name != "steady"
        episodes, now = len(time_us), time_us[:, KERNEL_WINDOWS - 1 :]
        counts = one.arrivals.sample(time_us, rng, is_cyclical)
        echo = follow(counts, self._kernels[index])
        cpu_z = one.cpu_ncu.noise.sample(episodes, steps, rng)
        rest = one.memory_nmu.noise.sample(episodes, steps, rng)
        memory_z = one.correlation * cpu_z + np.sqrt(1 - one.correlation**2) * rest
        task_z = one.tasks.noise.sample(episodes, steps, rng)
        out = np.stack(
            [
                one.tasks.apply(counts[:, KERNEL_WINDOWS - 1 :], task_z, now, is_cyclical),
                one.cpu_ncu.apply(echo, cpu_z, now, is_cyclical),
                one.memory_nmu.apply(echo, memory_z, now, is_cyclical),
            ],
            axis=-1,
        ).astype(np.float32)
        if self.name == "burst":
            if CLASSES[index] != "web" and can_gang(one):
                out += gangs(self._bursts, one, episodes, steps, rng)
            else:
                out *= crowds(self._bursts, episodes, steps, rng)[..., None]
        return out


class MixedGenerator:
    """Several kinds of demand in turn, from a kind on that each draw chooses by chance.

    So a draw of as many episodes as there are kinds has one of each, and a row of small draws has
    all of them in the end. What is known ahead is kept where every kind knows it.
    """

    name = "mixed"

    def __init__(self, parts: Sequence[DemandGenerator]) -> None:
        if not parts:
            raise ValueError("a mixture needs at least one generator")
        self._parts = tuple(parts)

    def sample(self, episodes: int, steps: int, rng: np.random.Generator) -> DemandBatch:
        """Draw `episodes` episodes of `steps` steps; see `DemandGenerator`."""
        check_size(episodes, steps)
        count = len(self._parts)
        first = int(rng.integers(count))
        parts = (self._parts[first:] + self._parts[:first])[:episodes]
        drawn = [
            part.sample(len(range(place, episodes, count)), steps, rng)
            for place, part in enumerate(parts)
        ]
        values = _in_turn([part.values for part in drawn])
        start_us = _in_turn([part.start_us for part in drawn])
        return DemandBatch(
            values=values,
            start_us=start_us,
            step_s=drawn[0].step_s,
            **{name: _known_in_turn([getattr(part, name) for part in drawn]) for name in KNOWN},
        )


def _in_turn(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Row i from part i modulo their number."""
    out = np.empty((sum(len(one) for one in parts), *parts[0].shape[1:]), parts[0].dtype)
    for first, one in enumerate(parts):
        out[first :: len(parts)] = one
    return out


def _known_in_turn(parts: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    known = [part for part in parts if part is not None]
    return _in_turn(known) if len(known) == len(parts) else None


def make_generator(
    model: WorkloadModel,
    kind: Kind,
    split: Split = "train",
    mix: Mapping[str, float] | None = None,
    *,
    bursts: BurstConfig | None = None,
    replay_noise: float = 0.0,
    is_wrapped: bool = False,
) -> DemandGenerator:
    """A generator of demand from a fitted workload.

    Args:
        model: the fitted workload.
        kind: `steady`, `burst`, `cyclical` or `replay`.
        split: part of the trace that replay takes its windows and the others their times from.
            The fit itself has seen the training part alone, whatever the split.
        mix: factor by class on its demand; classes left out have none. None is 1 for all.
        bursts: rates and sizes of bursts, for `burst`.
        replay_noise: standard deviation of the log of multiplicative noise, for `replay`.
        is_wrapped: whether replay may continue at the beginning of its part.

    Raises:
        ValueError: unknown kind, split or class; a negative factor; a part without windows.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of demand {kind!r}; known: {', '.join(KINDS)}")
    if split not in ("train", "held_out"):
        raise ValueError(f"unknown split {split!r}; known: train, held_out")
    weights = mix_weights(mix)
    if kind == "replay":
        return ReplayGenerator(model, split, weights, replay_noise, is_wrapped)
    return FittedGenerator(model, kind, split, weights, bursts or BurstConfig())
