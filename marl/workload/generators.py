"""Demand drawn from a fitted workload: steady, burst, cyclical, and replay of the trace itself.

All four answer `DemandGenerator`. What they draw from belongs to `model`; a demand that needs no
model to `toy`.
"""

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.traces.schema import WINDOW_US
from marl.workload.bursts import BurstConfig, can_gang, crowds, gangs
from marl.workload.coefficients import services_demand
from marl.workload.config import Split
from marl.workload.demand import CHANNELS, CLASSES, DemandBatch, DemandGenerator
from marl.workload.levels import KERNEL_WINDOWS, follow, survival_kernel
from marl.workload.model import ClassModel, WorkloadModel

Kind = Literal["steady", "burst", "cyclical", "replay"]
KINDS: Final[tuple[Kind, ...]] = ("steady", "burst", "cyclical", "replay")


class FittedGenerator:
    """The fitted process: steady (mean rate all day), cyclical (daily cycle), burst (both, bursts).

    Per class: arrivals of a day before the episode and through it, their echo in what runs, levels
    with noise, then the services by coefficients. Episodes begin at windows drawn evenly from the
    split's stretch, which sets the time of day. Classes are independent of each other.
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
        self._windows = _windows(model, split)
        self._classes = [model.classes.get(name, ClassModel()) for name in CLASSES]
        self._kernels = [survival_kernel(one.lifetimes) for one in self._classes]
        self._mean_gib = np.array([one.memory_nmu.mean for one in self._classes], np.float32)
        self._mean_gib *= np.float32(model.scale.gib_per_nmu)

    def sample(self, episodes: int, steps: int, rng: np.random.Generator) -> DemandBatch:
        """Draw `episodes` independent episodes of `steps` steps; see `DemandGenerator`."""
        _check_size(episodes, steps)
        return self.paths(rng.choice(self._windows, episodes), steps, rng)

    def paths(
        self, start_us: NDArray[np.int64], steps: int, rng: np.random.Generator
    ) -> DemandBatch:
        """Draw one episode of `steps` steps from each of the trace times `start_us` (B,)."""
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
        return DemandBatch(values=values * self._weights[:, None], start_us=start_us)

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


class ReplayGenerator:
    """Stretches of the real history, at offsets drawn evenly from the split.

    An episode longer than the split is refused, or, where `is_wrapped`, continues at the split's
    beginning. `noise` multiplies each class and step by an independent lognormal of mean 1.
    """

    name = "replay"

    def __init__(
        self,
        model: WorkloadModel,
        split: Split,
        weights: NDArray[np.float32],
        noise: float,
        is_wrapped: bool,
    ) -> None:
        if not (np.isfinite(noise) and noise >= 0):
            raise ValueError(f"replay noise must be finite and >= 0; got {noise}")
        self._windows = _windows(model, split)
        self._split, self._noise, self._is_wrapped = split, noise, is_wrapped
        table = np.zeros((len(self._windows), len(CLASSES), len(CHANNELS)), np.float32)
        for index, name in enumerate(CLASSES):
            rows = model.history.filter(
                pl.col("workload_class") == name,
                pl.col("is_held_out") == (split == "held_out"),
            ).sort("window_us")
            table[:, index] = rows.select(CHANNELS).to_numpy()
        self._table = table * weights[:, None]

    def sample(self, episodes: int, steps: int, rng: np.random.Generator) -> DemandBatch:
        """Draw `episodes` stretches of `steps` windows; see `DemandGenerator`.

        Raises:
            ValueError: the split is shorter than an episode and replay is not wrapped.
        """
        _check_size(episodes, steps)
        length = len(self._table)
        if steps > length and not self._is_wrapped:
            raise ValueError(
                f"replay of {steps} steps ({steps / 12:.1f} h) needs as many windows; the "
                f"{self._split} part of the trace has {length} ({length / 12:.1f} h). Use shorter "
                "episodes, a longer trace, or is_wrapped=True"
            )
        choices = length if self._is_wrapped else length - steps + 1
        offset = rng.integers(0, choices, episodes)
        values = self._table[(offset[:, None] + np.arange(steps)) % length]
        if self._noise > 0:
            draw = rng.standard_normal(values.shape[:3], dtype=np.float32)
            factor = np.exp(np.float32(self._noise) * draw - np.float32(self._noise**2 / 2))
            values = values * factor[..., None]
        return DemandBatch(values=values, start_us=self._windows[offset])


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


def mix_weights(mix: Mapping[str, float] | None) -> NDArray[np.float32]:
    """(C,) factors of a mix.

    Raises:
        ValueError: an unknown class, or a factor that is negative or not finite.
    """
    chosen = dict.fromkeys(CLASSES, 1.0) if mix is None else dict(mix)
    if unknown := sorted(set(chosen) - set(CLASSES)):
        raise ValueError(f"unknown classes in the mix: {unknown}; known: {', '.join(CLASSES)}")
    weights = np.array([chosen.get(name, 0.0) for name in CLASSES], np.float32)
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(f"factors of the mix must be finite and >= 0; got {chosen}")
    return weights


def _windows(model: WorkloadModel, split: Split) -> NDArray[np.int64]:
    rows = model.history.filter(pl.col("is_held_out") == (split == "held_out"))
    windows = rows["window_us"].unique().sort().to_numpy()
    if len(windows) == 0:
        raise ValueError(f"the workload's history has no window in its {split} part")
    return windows


def _check_size(episodes: int, steps: int) -> None:
    if episodes < 1 or steps < 1:
        raise ValueError(f"episodes and steps must be at least 1; got {episodes} and {steps}")
