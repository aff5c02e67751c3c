"""The search for baselines on the training split: the same for every family, with one budget.

All candidates of a generation are played at once, in copies of the same weather (`scorers`).
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from marl.evaluate.baselines import (
    BaselineFamily,
    BaselineSet,
    FrontierPoint,
    Kind,
    Trial,
    TunedBaseline,
    TuningBudget,
)
from marl.train.seeding import derive_seed

# (P, A + K) settings, all agents' knobs in a row and then the rule's parameters → (P, 2) mean
# reward and mean performance objective per step of each, all in the same training episodes.
Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]
# (P, A) good settings of the family that is continued → (P, A + K) first candidates.
Begin = Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]
Say = Callable[[str], None]


def tune_baselines(
    families: Sequence[BaselineFamily],
    scores: Mapping[Kind, Score],
    budget: TuningBudget,
    seed: int,
    progress: Say | None = None,
    begin: Mapping[Kind, Begin] = MappingProxyType({}),
    known: Sequence[TunedBaseline] = (),
) -> BaselineSet:
    """Search each family by differential evolution (Storn and Price 1997) on the training split.

    A family that continues another begins with the best settings which that one had tried when
    `budget.continued` generations were left: both have had the same number of trials in the end.

    Args:
        families: what to tune; one that continues another comes after it.
        scores: for each kind of rule what plays candidates, e.g. `ProvisioningWorld.scorers`.
        budget: the same for every family.
        seed: of the search.
        progress: receives a line per family and generation.
        begin: for kinds of rule that continue a search what makes first candidates of good
            settings; the rule at its start otherwise.
        known: baselines tuned before with the same budget, which families may continue.

    Returns:
        The best setting of each family and all trials. Same arguments, same result.

    Raises:
        FloatingPointError: a score is not finite.
        ValueError: a family continues one that was not tuned before it.
    """
    say = progress or (lambda _: None)
    tuned: dict[str, TunedBaseline] = {}
    before = {one.name: one for one in known}
    for family in families:
        if family.continues is not None and family.continues not in before:
            raise ValueError(f"{family.name} continues {family.continues!r}, not tuned before it")
        continued = before[family.continues] if family.continues else None
        score, first = scores[family.kind], begin.get(family.kind, family.at_start)
        tuned[family.name] = _tune(family, continued, score, first, budget, seed, say)
        before[family.name] = tuned[family.name]
    return BaselineSet(budget=budget, seed=seed, tuned=tuple(tuned.values()))


def _tune(
    family: BaselineFamily,
    before: TunedBaseline | None,
    score: Score,
    begin: Begin,
    budget: TuningBudget,
    seed: int,
    say: Say,
) -> TunedBaseline:
    low, high, start = family.bounds()
    rng = np.random.default_rng(derive_seed(seed, "search", family.name))
    if before is None:
        # Half of the first generation lies near the careful engineer's setting, half anywhere.
        generations, inherited, half = budget.generations, 0, budget.candidates // 2
        first = rng.uniform(low, high, (budget.candidates, len(low)))
        first[:half] = np.clip(start + 0.25 * (first[:half] - start), low, high)
        first[0] = start
    else:
        generations = budget.continued
        inherited = (budget.generations - generations) * budget.candidates
        known = best_settings(before.trials[:inherited], budget.candidates)
        rows = np.array([known[place % len(known)] for place in range(budget.candidates)])
        first = np.clip(begin(rows, rng), low, high)
    trials = search(family.name, (low, high), first, generations, score, rng, say)
    best = max(trials, key=lambda trial: trial.reward)
    return TunedBaseline(
        name=family.name,
        kind=family.kind,
        action=family.joint(np.array(best.knobs)),
        parameters=family.rule(best.knobs),
        reward=best.reward,
        inherited=inherited,
        trials=tuple(trials),
    )


def tune_frontier(
    family: BaselineFamily,
    tuned: TunedBaseline,
    score: Score,
    factors: Sequence[float],
    budget: tuple[int, int],
    weight: float,
    seed: int,
    progress: Say | None = None,
) -> tuple[FrontierPoint, ...]:
    """The family's best settings at several weights of performance, and so of cost.

    Cheaper than as many searches: each continues from the settings that its baseline's own search
    tried, ranked anew at the point's weights.

    Args:
        family: of the rule.
        tuned: what its search found and tried.
        score: plays candidates, the same as for `tuned`.
        factors: on the weight of performance; 1, the baseline itself, is added.
        budget: candidates of a generation, and generations, of each point's search.
        weight: of performance in the reward.
        seed: of the searches.
        progress: receives a line per generation.

    Returns:
        By rising factor.
    """
    low, high, _ = family.bounds()
    points = [FrontierPoint(factor=1.0, action=tuned.action, parameters=tuned.parameters, trials=0)]
    count, generations = budget
    for factor in factors:
        more = (factor - 1.0) * weight
        known = best_settings(tuned.trials, count, more)
        first = np.array([known[place % len(known)] for place in range(count)])
        name = f"{family.name}, performance x {factor:g}"
        rng = np.random.default_rng(derive_seed(seed, "frontier", name))
        trials = search(name, (low, high), first, generations, score, rng, progress, more)
        (best,) = best_settings(trials, 1, more)
        points.append(
            FrontierPoint(
                factor=factor,
                action=family.joint(np.array(best)),
                parameters=family.rule(best),
                trials=len(trials),
            )
        )
    return tuple(sorted(points, key=lambda point: point.factor))


def with_frontiers(
    found: BaselineSet,
    families: Sequence[BaselineFamily],
    scores: Mapping[Kind, Score],
    factors: Sequence[float],
    generations: int,
    weight: float,
    progress: Say | None = None,
) -> BaselineSet:
    """The same baselines, with the frontier of each of `families` (see `tune_frontier`)."""
    tuned = {one.name: one for one in found.tuned}
    budget = (found.budget.candidates, generations)
    frontiers = {
        one.name: tune_frontier(
            one, tuned[one.name], scores[one.kind], factors, budget, weight, found.seed, progress
        )
        for one in families
    }
    return found.model_copy(update={"frontiers": frontiers})


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


def search(
    name: str,
    bounds: tuple[NDArray[np.float64], NDArray[np.float64]],
    first: NDArray[np.float64],
    generations: int,
    score: Score,
    rng: np.random.Generator,
    progress: Say | None = None,
    more: float = 0.0,
) -> list[Trial]:
    """Differential evolution from the generation `first` on; every trial, in order.

    Args:
        name: told in lines and errors.
        bounds: lowest and highest value (D,) of each column; equal where it is not searched.
        first: (P, D) settings of the first generation.
        generations: the first included.
        score: plays candidates.
        rng: random state of the search.
        progress: receives a line per generation.
        more: weight of performance beyond what the reward gives it: what is climbed is reward +
            `more` · performance.

    Raises:
        FloatingPointError: a score is not finite.
    """
    from scipy.optimize import differential_evolution

    say = progress or (lambda _: None)
    low, high = bounds
    is_free = high > low
    candidates = len(first)
    trials: list[Trial] = []

    def lose(free: NDArray[np.float64]) -> NDArray[np.float64]:
        """Minus what is climbed, for each column of (free columns, candidates)."""
        rows = np.tile(first[0], (free.shape[1], 1))
        rows[:, is_free] = free.T
        scored = score(rows)
        if not np.isfinite(scored).all():
            bad = rows[~np.isfinite(scored).all(1)][0].tolist()
            raise FloatingPointError(f"{name}: no finite reward with the knobs {bad}")
        trials.extend(
            Trial(knobs=tuple(row), reward=reward, performance=performance)
            for row, (reward, performance) in zip(rows.tolist(), scored.tolist(), strict=True)
        )
        best = max(trial.reward + more * trial.performance for trial in trials)
        generation = len(trials) // candidates
        say(f"{name}: generation {generation} of {generations}, best {best:+.4f}")
        return np.asarray(-(scored @ np.array([1.0, more])))

    if is_free.any():
        differential_evolution(
            lose,
            list(zip(low[is_free], high[is_free], strict=True)),
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
    else:
        lose(np.empty((0, candidates)))
    return trials
