"""Two policies on the same episodes: metric by metric, the difference and its interval.

A scope is a scenario, or `POOLED`: an episode number's mean over the scenarios, because the same
number shares its random draws in all of them, so that they are no independent samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.evaluate.promotion.record import POOLED, Difference
from marl.evaluate.statistics import (
    Interval,
    paired_bootstrap,
    probability_of_improvement,
    signed_rank_p,
)
from marl.train.seeding import derive_seed

_WEATHER = "requests"  # that came: the same for every policy in the same episode
_TOLERANCE = 1e-6  # relative, of sums in single precision


@dataclass(frozen=True)
class Played:
    """The episodes of one policy.

    Attributes:
        name: of the policy.
        rows: scenario → one row an episode, by rising number.
    """

    name: str
    rows: dict[str, pl.DataFrame]

    @classmethod
    def of(
        cls,
        frame: pl.DataFrame,
        scenarios: Sequence[str],
        policy: str,
        training_seed: int | None = None,
    ) -> "Played":
        """One policy's rows of an episodes table.

        Raises:
            ValueError: no held-out rows of it in one of the scenarios.
        """
        mine = frame.filter(
            pl.col("policy") == policy,
            pl.col("training_seed").eq_missing(pl.lit(training_seed)),
            pl.col("is_held_out"),
        )
        rows = {name: mine.filter(pl.col("scenario") == name).sort("episode") for name in scenarios}
        if empty := [name for name, part in rows.items() if part.is_empty()]:
            seed = "" if training_seed is None else f" (seed {training_seed})"
            raise ValueError(
                f"no held-out episodes of {policy}{seed} in {', '.join(empty)}: materialise "
                "evaluation_episodes again"
            )
        return cls(policy, rows)

    def values(self, metric: str, scope: str) -> NDArray[np.float64]:
        """(n,) the metric in each episode of a scope.

        Raises:
            ValueError: no such column, or a value that is not finite.
        """
        if scope == POOLED:
            return np.mean([self.values(metric, name) for name in self.rows], 0)
        part = self.rows[scope]
        if metric not in part.columns:
            raise ValueError(
                f"episodes of {self.name} have no column {metric!r}: materialise "
                "evaluation_episodes again, or leave its guard out"
            )
        values = part[metric].cast(pl.Float64).to_numpy()
        if not np.isfinite(values).all():
            raise ValueError(f"{metric} of {self.name} in {scope} holds values that are not finite")
        return values


@dataclass(frozen=True)
class Pair:
    """A policy and the one it is held against, on the same episodes.

    Attributes:
        one, other: episodes of both.
        seed: of the bootstrap.
        level: of intervals.
    """

    one: Played
    other: Played
    seed: int
    level: float
    _found: dict[tuple[str, str], Difference] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Refuse episodes that do not pair: other numbers, or other weather in them."""
        numbers = {tuple(part["episode"]) for at in (self.one, self.other) for part in _parts(at)}
        if len(numbers) > 1:
            raise ValueError(
                f"{self.one.name} and {self.other.name} have different episodes in some scenario: "
                f"{sorted(len(part) for part in numbers)}; compare the same ones only"
            )
        for scenario, ours in self.one.rows.items():
            theirs = self.other.rows[scenario]
            if _WEATHER not in ours.columns or _WEATHER not in theirs.columns:
                continue
            a, b = ours[_WEATHER].to_numpy(), theirs[_WEATHER].to_numpy()
            if not np.allclose(a, b, rtol=_TOLERANCE, atol=0.0):
                raise ValueError(
                    f"{self.one.name} and {self.other.name} met different demand in the same "
                    f"episodes of {scenario}: the episodes were not played in the same world"
                )

    @property
    def episodes(self) -> int:
        """How many pairs a scenario has."""
        return next(iter(self.one.rows.values())).height

    def difference(self, metric: str, scope: str) -> Difference:
        """The metric of the one minus the other's; asked again, the same."""
        if (metric, scope) in self._found:
            return self._found[metric, scope]
        a, b = self.one.values(metric, scope), self.other.values(metric, scope)
        found = self.interval(a - b, metric, scope)
        told = self._found[metric, scope] = Difference(
            metric=metric,
            scope=scope,
            against=self.other.name,
            mean=float(a.mean()),
            other_mean=float(b.mean()),
            difference=found.estimate,
            lo=found.lo,
            hi=found.hi,
            p_value=signed_rank_p(a - b),
            probability_above=probability_of_improvement(a - b),
            episodes=len(a),
        )
        return told

    def interval(self, paired: NDArray[np.float64], *what: str) -> Interval:
        """Bootstrap interval of the mean of (n,) paired numbers; `what` names its random draws."""
        rng = np.random.default_rng(
            derive_seed(self.seed, "promotion", *what, self.one.name, self.other.name)
        )
        return paired_bootstrap(paired, rng, level=self.level)


def _parts(played: Played) -> list[pl.DataFrame]:
    return list(played.rows.values())
