"""Tuning of the baselines on the training split: the same for every family, with one budget.

All candidates of a generation are played at once, in copies of the same weather (`scorers`); how
they are found is `search`.
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
    TunedBaseline,
    TuningBudget,
)
from marl.evaluate.search import Say, Score, Search, best_settings, repeated
from marl.train.seeding import derive_seed

# (P, A) good settings of the family that is continued → (P, A + K) first candidates.
Begin = Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]


def tune_baselines(
    families: Sequence[BaselineFamily],
    scores: Mapping[Kind, Score],
    budget: TuningBudget,
    seed: int,
    progress: Say | None = None,
    begin: Mapping[Kind, Begin] = MappingProxyType({}),
    known: Sequence[TunedBaseline] = (),
) -> BaselineSet:
    """Search each family on the training split.

    Differential evolution, then a sweep over each knob, then `budget.continued` generations of
    evolution from the best settings known by then. A family that continues another has only the
    last of these, from the best that the other knew when it came to it: both have had the same
    number of trials in the end.

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
    size, own = budget.candidates, budget.generations - budget.continued
    told = budget.generations if before is None else budget.continued
    search = Search(family.name, (low, high), score, size, told, say)
    if before is None:
        # Half of the first generation lies near the careful engineer's setting, half anywhere.
        first = rng.uniform(low, high, (size, len(low)))
        first[: size // 2] = np.clip(start + 0.25 * (first[: size // 2] - start), low, high)
        first[0] = start
        swept = search.sweep_length(own)
        search.evolve(first, own - swept, rng)
        search.sweep(swept)
        inherited, begun = 0, repeated(best_settings(search.trials, size), size)
    else:
        inherited = own * size
        begun = begin(repeated(best_settings(before.trials[:inherited], size), size), rng)
    search.evolve(np.clip(begun, low, high), budget.continued, rng)
    trials = search.trials
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
        name = f"{family.name}, performance x {factor:g}"
        rng = np.random.default_rng(derive_seed(seed, "frontier", name))
        search = Search(name, (low, high), score, count, generations, progress, more)
        first = repeated(best_settings(tuned.trials, count, more), count)
        search.evolve(first, generations, rng)
        (best,) = best_settings(search.trials, 1, more)
        points.append(
            FrontierPoint(
                factor=factor,
                action=family.joint(np.array(best)),
                parameters=family.rule(best),
                trials=len(search.trials),
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
