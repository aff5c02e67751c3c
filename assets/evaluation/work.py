"""Tuning and evaluation as parts of work that can be done side by side.

A part reads the assets for itself; its random state follows from the seed and its name, never from
what ran before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from assets.clouds import CloudInputs
from assets.resources import Profile
from assets.side_by_side import Say, side_by_side

if TYPE_CHECKING:
    import polars as pl

    from marl.evaluate.baselines import BaselineSet, TunedBaseline, TuningBudget


@dataclass(frozen=True)
class PlayInputs:
    """What is played, besides.

    Attributes:
        clouds: where.
        trained_policies, baseline_policies: materialised assets.
        episodes: for each policy and scenario.
        seed: of their weather.
        clairvoyant_iterations: see Profile.
    """

    clouds: CloudInputs
    trained_policies: Path
    baseline_policies: Path
    episodes: int
    seed: int
    clairvoyant_iterations: int


def tune(clouds: CloudInputs, profile: Profile, say: Say) -> "BaselineSet":
    """Every baseline tuned, rules that continue another's search after it; then the frontiers.

    Parts are scored on the same weather: `scored` is how many training episodes, and their seed.
    """
    from marl.evaluate.baselines import BaselineSet, TuningBudget
    from marl.evaluate.families import frontier_families, provisioning_families

    budget = TuningBudget(
        candidates=profile.tuning_candidates,
        generations=profile.tuning_generations,
        continued=profile.tuning_continued,
    )
    families = provisioning_families()
    scored = (profile.tuning_episodes, profile.seed)
    tuned: dict[str, TunedBaseline] = {}
    # Rules that continue another's search wait for it; within each wave nobody waits.
    for is_later in (False, True):
        wave = [one.name for one in families if bool(one.continues) == is_later]
        work = partial(_tune_part, clouds, budget, scored, tuple(tuned.values()))
        found = side_by_side(work, wave, say, profile.processes)
        tuned |= {one.name: one for part in found for one in part.tuned}
    every = BaselineSet(
        budget=budget, seed=profile.seed, tuned=tuple(tuned[one.name] for one in families)
    )
    names = [one.name for one in frontier_families()]
    generations = profile.frontier_generations
    drawn = partial(_frontier_part, clouds, every, scored, generations)
    frontiers = {
        name: points
        for part in side_by_side(drawn, names, say, profile.processes)
        for name, points in part.frontiers.items()
    }
    return every.model_copy(update={"frontiers": frontiers})


def _tune_part(
    clouds: CloudInputs,
    budget: "TuningBudget",
    scored: tuple[int, int],
    known: "tuple[TunedBaseline, ...]",
    name: str,
    say: Say,
) -> "BaselineSet":
    from marl.evaluate.families import family, provisioning_beginnings
    from marl.evaluate.tuning import tune_baselines

    scores = clouds.world().scorer(*scored).by_kind()
    begin = provisioning_beginnings()
    return tune_baselines([family(name)], scores, budget, scored[1], say, begin, known)


def _frontier_part(
    clouds: CloudInputs,
    found: "BaselineSet",
    scored: tuple[int, int],
    generations: int,
    name: str,
    say: Say,
) -> "BaselineSet":
    from marl.cloud.config import CloudConfig
    from marl.evaluate.families import FRONTIER_FACTORS, family
    from marl.evaluate.tuning import with_frontiers

    world = clouds.world()
    return with_frontiers(
        found,
        [family(name)],
        world.scorer(*scored).by_kind(),
        FRONTIER_FACTORS,
        generations,
        CloudConfig(**world.overrides).weights.performance,
        say,
    )


def play_all(
    inputs: PlayInputs, scenarios: Sequence[str], say: Say, count: int = 0
) -> "tuple[pl.DataFrame, pl.DataFrame]":
    """Episodes of every policy in every scenario, and of the frontiers in the main one.

    Args:
        inputs: what is played.
        scenarios: the main one first.
        say: receives a line now and then.
        count: processes, see `side_by_side`.
    """
    import polars as pl

    parts = [("frontier", scenarios[0]), *(("policies", name) for name in scenarios)]
    if inputs.clairvoyant_iterations:
        parts.insert(0, ("plan", scenarios[0]))
    frames = side_by_side(partial(_play_part, inputs), parts, say, count)
    by_part = dict(zip(parts, frames, strict=True))
    frontier = by_part.pop(("frontier", scenarios[0]))
    planned = by_part.pop(("plan", scenarios[0]), None)
    return pl.concat([*by_part.values(), *([] if planned is None else [planned])]), frontier


def _play_part(inputs: PlayInputs, part: tuple[str, str], say: Say) -> "pl.DataFrame":
    from marl.evaluate.study import load_policies, plan_episodes, play, play_frontiers

    what, scenario = part
    world, seed = inputs.clouds.world(), inputs.seed
    played = (world, scenario, inputs.episodes, seed)
    if what == "plan":
        count = inputs.clairvoyant_iterations
        return plan_episodes(inputs.baseline_policies, *played, count, say)
    if what == "frontier":
        return play_frontiers(inputs.baseline_policies, *played, say)
    policies = load_policies(inputs.trained_policies, inputs.baseline_policies)
    return play(policies, world, [scenario], inputs.episodes, seed, say)
