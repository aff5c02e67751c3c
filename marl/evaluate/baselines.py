"""Baselines tuned on the training split: each family by the same search, with the same budget.

A baseline here is a constant joint action, found within bounds that say what kind of operator it
stands for. All candidates of a generation are played at once, in copies of the same weather.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from marl.frozen import Frozen
from marl.train.seeding import derive_seed

JointAction = dict[str, tuple[float, ...]]  # agent → one number in [-1, 1] per knob

# (P, A) constant joint actions, all agents' knobs in a row → (P,) mean reward per step of each, all
# in the same training episodes.
Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class BaselineFamily(Frozen):
    """The constant actions one kind of operator might choose.

    Attributes:
        name: of the baseline.
        low: smallest value of each knob.
        high: largest value; where equal to `low` the knob is not searched.
        start: a careful engineer's setting, the first candidate.
    """

    name: str
    low: JointAction
    high: JointAction
    start: JointAction

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


class TuningBudget(Frozen):
    """How much search each family gets.

    Attributes:
        candidates: settings tried per generation.
        generations: generations, the first included.
    """

    candidates: int = Field(default=64, ge=5)
    generations: int = Field(default=30, ge=1)


class Trial(Frozen):
    """One setting tried: all knobs of all agents in order, and its mean reward per step."""

    knobs: tuple[float, ...]
    reward: float


class TunedBaseline(Frozen):
    """The best of a family, and everything that was tried to find it, in order."""

    name: str
    action: JointAction
    reward: float
    trials: tuple[Trial, ...]


class BaselineSet(Frozen):
    """Tuned baselines with how they were tuned."""

    budget: TuningBudget
    seed: int
    tuned: tuple[TunedBaseline, ...]

    def actions(self) -> dict[str, JointAction]:
        """Name → constant joint action."""
        return {baseline.name: baseline.action for baseline in self.tuned}


def tune_baselines(
    families: Sequence[BaselineFamily],
    score: Score,
    budget: TuningBudget,
    seed: int,
    progress: Callable[[str], None] | None = None,
) -> BaselineSet:
    """Search each family by differential evolution (Storn and Price 1997) on the training split.

    Args:
        families: what to tune.
        score: plays candidates, e.g. `ProvisioningWorld.scorer`.
        budget: the same for every family.
        seed: of the search.
        progress: receives a line per family and generation.

    Returns:
        The best setting of each family and all trials. Same arguments, same result.

    Raises:
        FloatingPointError: a score is not finite.
    """
    say = progress or (lambda _: None)
    tuned = [_tune(family, score, budget, seed, say) for family in families]
    return BaselineSet(budget=budget, seed=seed, tuned=tuple(tuned))


def _tune(
    family: BaselineFamily,
    score: Score,
    budget: TuningBudget,
    seed: int,
    say: Callable[[str], None],
) -> TunedBaseline:
    from scipy.optimize import differential_evolution

    low, high, start = (family.flat(part) for part in (family.low, family.high, family.start))
    is_free = high > low
    rng = np.random.default_rng(derive_seed(seed, "search", family.name))
    trials: list[Trial] = []

    def lose(free: NDArray[np.float64]) -> NDArray[np.float64]:
        """Minus the reward of each column of (free knobs, candidates)."""
        knobs = np.tile(start, (free.shape[1], 1))
        knobs[:, is_free] = free.T
        rewards = score(knobs)
        if not np.isfinite(rewards).all():
            bad = knobs[~np.isfinite(rewards)][0].tolist()
            raise FloatingPointError(f"{family.name}: no finite reward with the knobs {bad}")
        trials.extend(
            Trial(knobs=tuple(row), reward=float(reward))
            for row, reward in zip(knobs.tolist(), rewards, strict=True)
        )
        best = max(trial.reward for trial in trials)
        generation = len(trials) // budget.candidates
        say(f"{family.name}: generation {generation} of {budget.generations}, best {best:+.4f}")
        return -rewards

    # Half of the first generation lies near the careful engineer's setting, half anywhere.
    spread = rng.uniform(low, high, (budget.candidates, len(low)))
    near = budget.candidates // 2
    spread[:near] = np.clip(start + 0.25 * (spread[:near] - start), low, high)
    spread[0] = start
    if is_free.any():
        differential_evolution(
            lose,
            list(zip(low[is_free], high[is_free], strict=True)),
            init=spread[:, is_free],
            maxiter=budget.generations - 1,
            mutation=(0.4, 0.9),
            recombination=0.8,
            atol=-1.0,  # never stop early: every family gets its whole budget
            polish=False,
            updating="deferred",
            vectorized=True,
            rng=rng,
        )
    else:
        lose(np.empty((0, budget.candidates)))
    best = max(trials, key=lambda trial: trial.reward)
    action = family.joint(np.array(best.knobs))
    return TunedBaseline(name=family.name, action=action, reward=best.reward, trials=tuple(trials))
