"""One family's search: differential evolution, and a sweep over each knob for itself.

Evolution (Storn and Price 1997) moves by differences between candidates. Once all of them have the
same number of replicas it finds no other number, however much better that were; the sweep tries one
(coordinate search: Kolda, Lewis and Torczon, "Optimization by direct search", SIAM Review 2003).
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from marl.evaluate.baselines import Trial

# (P, A + K) settings, all agents' knobs in a row and then the rule's parameters → (P, 2) mean
# reward and mean performance objective per step of each, all in the same training episodes.
Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]
Say = Callable[[str], None]

LEVELS: Final = 4  # that a sweep tries of each knob: as many as there are numbers of read replicas
_LONGEST_SWEEP: Final = 1 / 3  # of the generations that evolution would have had


class Search:
    """Plays candidates and keeps every trial, in order, in `trials`.

    Args:
        name: told in lines and errors.
        bounds: lowest and highest value (D,) of each column; equal where it is not searched.
        score: plays candidates.
        size: candidates (P) of a generation.
        generations: in all, for what progress is told of.
        progress: receives a line per generation.
        more: weight of performance beyond what the reward gives it: what is climbed is reward +
            `more` · performance.
    """

    def __init__(
        self,
        name: str,
        bounds: tuple[NDArray[np.float64], NDArray[np.float64]],
        score: Score,
        size: int,
        generations: int,
        progress: Say | None = None,
        more: float = 0.0,
    ) -> None:
        self.name, self.score, self.size, self.generations = name, score, size, generations
        self.low, self.high = bounds
        self.is_free = self.high > self.low
        self.say = progress or (lambda _: None)
        self.more = more
        self.trials: list[Trial] = []

    def play(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """(P,) what is climbed, for one generation (P, D).

        Raises:
            FloatingPointError: a score is not finite.
        """
        scored = self.score(rows)
        if not np.isfinite(scored).all():
            bad = rows[~np.isfinite(scored).all(1)][0].tolist()
            raise FloatingPointError(f"{self.name}: no finite reward with the knobs {bad}")
        self.trials.extend(
            Trial(knobs=tuple(row), reward=reward, performance=performance)
            for row, (reward, performance) in zip(rows.tolist(), scored.tolist(), strict=True)
        )
        best = max(trial.reward + self.more * trial.performance for trial in self.trials)
        generation = len(self.trials) // self.size
        self.say(f"{self.name}: generation {generation} of {self.generations}, best {best:+.4f}")
        return np.asarray(scored @ np.array([1.0, self.more]))

    def evolve(
        self, first: NDArray[np.float64], generations: int, rng: np.random.Generator
    ) -> None:
        """Differential evolution from the generation `first` (P, D) on, which is counted too."""
        from scipy.optimize import differential_evolution

        is_free = self.is_free

        def lose(free: NDArray[np.float64]) -> NDArray[np.float64]:
            """Minus what is climbed, for each column of (free columns, candidates)."""
            rows = np.tile(first[0], (free.shape[1], 1))
            rows[:, is_free] = free.T
            return -self.play(rows)

        if not is_free.any():
            lose(np.empty((0, self.size)))
            return
        differential_evolution(
            lose,
            list(zip(self.low[is_free], self.high[is_free], strict=True)),
            init=first[:, is_free],
            maxiter=generations - 1,
            mutation=(0.4, 0.9),
            recombination=0.8,
            atol=-1.0,  # never stop early: every family gets its whole budget
            polish=False,
            updating="deferred",
            vectorized=True,
            rng=rng,
        )

    def sweep_length(self, generations: int) -> int:
        """Generations a whole sweep takes, at most a third of `generations`."""
        wanted = math.ceil(LEVELS * int(self.is_free.sum()) / self.size)
        return min(wanted, int(generations * _LONGEST_SWEEP))

    def sweep(self, generations: int) -> None:
        """Every level of one knob after the other, all else as in the best settings known."""
        if generations == 0:
            return
        known = np.array(best_settings(self.trials, self.size, self.more))
        rows = one_at_a_time(known, (self.low, self.high), generations * self.size)
        for generation in np.split(rows, generations):
            self.play(generation)


def one_at_a_time(
    known: NDArray[np.float64],
    bounds: tuple[NDArray[np.float64], NDArray[np.float64]],
    count: int,
) -> NDArray[np.float64]:
    """(count, D) settings that differ from a known one in one column.

    Args:
        known: (K, D) settings, the best first; the next one's turn comes when all levels of all
            columns of the one before have been taken, and the first one's again after the last.
        bounds: lowest and highest value (D,); columns in which they are equal stay.
        count: rows wanted.
    """
    low, high = bounds
    free = np.flatnonzero(high > low)
    turn, place = np.divmod(np.arange(count), LEVELS * len(free))
    column, level = free[place // LEVELS], place % LEVELS / (LEVELS - 1)
    rows = known[turn % len(known)].copy()
    rows[np.arange(count), column] = low[column] + level * (high - low)[column]
    return rows


def best_settings(
    trials: Sequence[Trial], count: int, more: float = 0.0
) -> list[tuple[float, ...]]:
    """The `count` best different settings tried, the best first; fewer where fewer were tried.

    Args:
        trials: those tried.
        count: how many are wanted.
        more: weight of performance beyond what the reward gives it.
    """
    ranked = sorted(trials, key=lambda trial: -(trial.reward + more * trial.performance))
    return list(dict.fromkeys(trial.knobs for trial in ranked))[:count]


def repeated(known: Sequence[tuple[float, ...]], count: int) -> NDArray[np.float64]:
    """(count, D) known settings in turn, from the first again where there are fewer."""
    return np.array([known[place % len(known)] for place in range(count)])
