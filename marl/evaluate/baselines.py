"""Baselines: families of rules, the budget of their search, and what was found.

A baseline is a constant joint action, or a rule (`marl.evaluate.rules`) with one, found within
bounds that say what kind of operator it stands for. The search is `tuning`, playing candidates
`scorers`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from marl.frozen import Frozen

JointAction = dict[str, tuple[float, ...]]  # agent → one number in [-1, 1] per knob
Kind = str  # "constant", a key of `marl.evaluate.rules.RULES`, or "mpc"


class Parameter(Frozen):
    """A parameter of a rule beside the knobs: its name, its range, and where search begins."""

    name: str
    low: float
    high: float
    start: float

    @model_validator(mode="after")
    def _is_ordered(self) -> "Parameter":
        if not self.low <= self.start <= self.high:
            raise ValueError(f"{self.name}: low <= start <= high does not hold")
        return self


class BaselineFamily(Frozen):
    """The settings one kind of operator might choose.

    Attributes:
        name: of the baseline.
        kind: of its rule: knobs alone ("constant"), or one of `marl.evaluate.rules`.
        low: smallest value of each knob.
        high: largest value; where equal to `low` the knob is not searched.
        start: a careful engineer's setting, the first candidate.
        parameters: of the rule, beside the knobs.
        continues: family whose search this one takes up, with its own parameters beside.
    """

    name: str
    kind: Kind = "constant"
    low: JointAction
    high: JointAction
    start: JointAction
    parameters: tuple[Parameter, ...] = ()
    continues: str | None = None

    @model_validator(mode="after")
    def _is_ordered(self) -> "BaselineFamily":
        low, start, high = (self.flat(part) for part in (self.low, self.start, self.high))
        if not low.shape == start.shape == high.shape:
            raise ValueError(f"{self.name}: low, start and high name different knobs")
        if ((low < -1) | (start < low) | (high < start) | (high > 1)).any():
            raise ValueError(f"{self.name}: -1 <= low <= start <= high <= 1 does not hold")
        return self

    def flat(self, action: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
        """(A,) all knobs of all agents, in the order of `low`."""
        return np.array([value for agent in self.low for value in action[agent]])

    def joint(self, flat: NDArray[np.float64]) -> JointAction:
        """The joint action whose `flat` this is."""
        parts: JointAction = {}
        first = 0
        for agent, values in self.low.items():
            parts[agent] = tuple(float(value) for value in flat[first : first + len(values)])
            first += len(values)
        return parts

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Lowest, highest and first values (A + K,): all knobs, then the rule's parameters."""
        beside = np.array([(p.low, p.high, p.start) for p in self.parameters]).reshape(-1, 3).T
        knobs = (self.flat(part) for part in (self.low, self.high, self.start))
        low, high, start = (np.append(*pair) for pair in zip(knobs, beside, strict=True))
        return low, high, start

    def at_start(self, known: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """(P, A + K) of knobs (P, A): every other rule at its start, the rest anywhere."""
        low, high, start = (part[known.shape[1] :] for part in self.bounds())
        beside = rng.uniform(low, high, (len(known), len(low)))
        beside[::2] = start
        return np.hstack([known, beside])

    def rule(self, row: Sequence[float]) -> dict[str, float]:
        """The rule's parameters at the end of a row of `bounds`' order."""
        values = list(row)[len(row) - len(self.parameters) :]
        return {p.name: float(value) for p, value in zip(self.parameters, values, strict=True)}


class TuningBudget(Frozen):
    """How much search each family gets.

    Attributes:
        candidates: settings tried per generation.
        generations: generations, the first included.
        continued: generations of its own that a family which continues another's search gets; the
            rest of its budget is the other's first generations, so that both had as many trials.
    """

    candidates: int = Field(default=64, ge=5)
    generations: int = Field(default=30, ge=1)
    continued: int = Field(default=10, ge=1)

    @model_validator(mode="after")
    def _is_possible(self) -> "TuningBudget":
        if self.continued >= self.generations:
            raise ValueError(
                f"continued ({self.continued}) is part of generations ({self.generations})"
            )
        return self


class Trial(Frozen):
    """One setting tried: a row of the family's `bounds`, and what it earned on training episodes.

    Attributes:
        knobs: all knobs of all agents in order, then the rule's parameters.
        reward: mean per step.
        performance: mean of the performance objective per step, unweighted.
    """

    knobs: tuple[float, ...]
    reward: float
    performance: float


class TunedBaseline(Frozen):
    """The best of a family, and everything that was tried to find it, in order.

    Attributes:
        name: of the family.
        kind: of its rule.
        action: knobs.
        parameters: of the rule, by name; empty for a constant action.
        reward: mean per step of the training episodes.
        inherited: trials of the family that this one continues, which count as its own.
        trials: its own, in order.
    """

    name: str
    kind: Kind = "constant"
    action: JointAction
    parameters: dict[str, float] = Field(default_factory=dict)
    reward: float
    inherited: int = 0
    trials: tuple[Trial, ...]

    @property
    def trial_count(self) -> int:
        """Settings that were tried for it, inherited ones included."""
        return self.inherited + len(self.trials)


class FrontierPoint(Frozen):
    """A family's best setting where performance weighs otherwise.

    Attributes:
        factor: on the weight of performance; 1 is the tuned baseline itself. As weights sum to 1,
            the weight of cost falls as this rises.
        action, parameters: as of `TunedBaseline`.
        trials: how many settings this point was searched among, beside the family's own.
    """

    factor: float = Field(gt=0)
    action: JointAction
    parameters: dict[str, float] = Field(default_factory=dict)
    trials: int


class BaselineSet(Frozen):
    """Tuned baselines with how they were tuned.

    Attributes:
        budget: of each search.
        seed: of the searches.
        tuned: the baselines.
        planners: baselines that plan with the simulator (`marl.evaluate.mpc`); one trial of theirs
            costs as much as hundreds of a rule's, so that they have had fewer.
        frontiers: name of a baseline → its cost-SLO frontier (`marl.evaluate.frontier`), by
            rising factor.
    """

    budget: TuningBudget
    seed: int
    tuned: tuple[TunedBaseline, ...]
    planners: tuple[TunedBaseline, ...] = ()
    frontiers: dict[str, tuple[FrontierPoint, ...]] = Field(default_factory=dict)

    def actions(self) -> dict[str, JointAction]:
        """Name → constant joint action (of a rule: its constant part)."""
        return {baseline.name: baseline.action for baseline in self.tuned}
