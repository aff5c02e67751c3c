"""Distributions through published quantiles: pure functions of normal scores and probabilities.

`Quantiles` joins published points, `TaskCounts` is a truncated Pareto law, `HeavyTail` the law of a
job's total consumption with its Pareto tail. Who draws from them is `population`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]

_GRID: Final = 4_000  # points of the tail integrals; more changes the fourth digit


@dataclass(frozen=True)
class Quantiles:
    """A positive law through published quantiles: log-linear in the normal score.

    Between two points that is a piece of a lognormal law; outside, the last piece goes on.

    Attributes:
        points: (probability, value), ascending.
        most: largest value; draws beyond are set to it.
    """

    points: tuple[tuple[float, float], ...]
    most: float = np.inf

    def at(self, score: Array) -> Array:
        """Values at normal scores, shape as `score`."""
        known = ndtri(np.array([probability for probability, _ in self.points]))
        logs = np.log(np.array([value for _, value in self.points]))
        slopes = np.diff(logs) / np.diff(known)
        piece = np.clip(np.searchsorted(known, score) - 1, 0, len(slopes) - 1)
        return np.minimum(np.exp(logs[piece] + slopes[piece] * (score - known[piece])), self.most)


@dataclass(frozen=True)
class TaskCounts:
    """Tasks per job: one with probability `one_share`, else a Pareto law cut at `most`.

    The index is the one that meets the published 99th percentile.
    """

    one_share: float
    p99: float
    most: float

    def index(self) -> float:
        """Solve P(N > p99) = 1 % for the Pareto index, by bisection."""
        wanted = 0.01 / (1.0 - self.one_share)
        low, high = 0.05, 3.0
        for _ in range(60):
            middle = (low + high) / 2
            end = self.most**-middle
            share = (self.p99**-middle - end) / (2.0**-middle - end)
            low, high = (middle, high) if share > wanted else (low, middle)
        return (low + high) / 2

    def at(self, score: Array) -> Array:
        """Whole numbers of tasks at normal scores."""
        index = self.index()
        tail = np.minimum(ndtr(-score) / (1.0 - self.one_share), 1.0)
        end = self.most**-index
        several = np.floor((end + tail * (2.0**-index - end)) ** (-1.0 / index))
        return np.where(score < ndtri(self.one_share), 1.0, several)


@dataclass(frozen=True)
class HeavyTail:
    """A job's total consumption: published median, p99, p99.9, and a Pareto tail beyond.

    Attributes:
        median, p99, p999: published quantiles, in resource-hours.
        index: Pareto index of the tail beyond p99.9.
        most: the law is conditioned on staying below this.
    """

    median: float
    p99: float
    p999: float
    index: float
    most: float

    def tail(self, survival: Array) -> Array:
        """Values with P(X > value) = survival, for survival of at most 1 %."""
        beyond = self._survival_at_most()
        share = beyond + survival * (1.0 - beyond)
        middle_slope = np.log(self.p999 / self.p99) / np.log(10.0)
        middle = self.p99 * (0.01 / share) ** middle_slope
        far = self.p999 * (0.001 / share) ** (1.0 / self.index)
        return np.where(share > 0.001, middle, far)

    def tail_mean(self) -> float:
        """Contribution of the largest 1 % of jobs to the mean, by the trapezoid rule."""
        survival = np.geomspace(1e-12, 0.01, _GRID)
        return float(np.trapezoid(self.tail(survival), survival))

    def tail_square(self) -> float:
        """Contribution of the largest 1 % of jobs to the mean square."""
        survival = np.geomspace(1e-12, 0.01, _GRID)
        return float(np.trapezoid(self.tail(survival) ** 2, survival))

    def _survival_at_most(self) -> float:
        if self.most >= self.p999:
            return float(0.001 * (self.most / self.p999) ** -self.index)
        middle_slope = np.log(self.p999 / self.p99) / np.log(10.0)
        return float(0.01 * (self.most / self.p99) ** (-1.0 / middle_slope))


@dataclass(frozen=True)
class RankMap:
    """Carries a variable with the right order but a wrong law onto a `HeavyTail`.

    Below the 99th percentile the logarithm is bent in two straight pieces (median to median, p99 to
    p99), above it ranks are matched, so that the tail is exactly the law's.

    Attributes:
        law: the target.
        reference: a large ascending sample of the variable's logarithm.
    """

    law: HeavyTail
    reference: Array

    def __call__(self, logs: Array) -> Array:
        """Values of the target law, same order as `logs`."""
        count = len(self.reference)
        median, p99 = self.reference[count // 2], self.reference[int(0.99 * count)]
        slope = np.log(self.law.tail(np.array([0.01]))[0] / self.law.median) / (p99 - median)
        below = np.log(self.law.median) + np.where(
            logs < median, logs - median, (logs - median) * slope
        )
        return np.where(logs > p99, self.law.tail(self.survival(logs)), np.exp(below))

    def survival(self, logs: Array) -> Array:
        """P(variable > value), from the reference; beyond its end the last slope goes on."""
        count = len(self.reference)
        top = self.reference[int(0.99 * count) :]
        share = np.log((len(top) - np.arange(len(top)) - 0.5) / count)
        rate = (share[-1] - share[-200]) / (top[-1] - top[-200])
        inner = np.interp(logs, top, share)
        outer = share[-1] + rate * (logs - top[-1])
        return np.exp(np.minimum(np.where(logs > top[-1], outer, inner), np.log(0.01)))
