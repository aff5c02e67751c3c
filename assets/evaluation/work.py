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
from marl.side_by_side import Say, processes, side_by_side

if TYPE_CHECKING:
    import polars as pl

    from marl.evaluate.baselines import BaselineSet, Trial, TunedBaseline, TuningBudget


@dataclass(frozen=True)
class PlayInputs:
    """What is played, besides.

    Attributes:
        clouds: where.
        trained_policies, baseline_policies: materialised assets.
        episodes: for each policy and scenario.
        seed: of their weather.
        clairvoyant_rounds, mpc_iterations: see Profile.
    """

    clouds: CloudInputs
    trained_policies: Path
    baseline_policies: Path
    episodes: int
    seed: int
    clairvoyant_rounds: int
    mpc_iterations: int


def tune(clouds: CloudInputs, profile: Profile, say: Say) -> "BaselineSet":
    """Every baseline tuned, rules that continue another's search after it; then the frontiers.

    Parts are scored on the same weather: `scored` is how many training episodes, and their seed.
    """
    from marl.evaluate.baselines import BaselineSet, TuningBudget
    from marl.evaluate.families import frontier_families, provisioning_families
    from marl.evaluate.mpc import MARGINS, tuned_planner
    from marl.evaluate.policies import REFERENCE

    budget = TuningBudget(
        candidates=profile.tuning_candidates,
        generations=profile.tuning_generations,
        continued=profile.tuning_continued,
    )
    families = provisioning_families()
    scored = (profile.tuning_episodes, profile.seed)
    tuned: dict[str, TunedBaseline] = {}
    # Rules that continue another's search wait for it: it begins first, and beside it only what
    # finds a free core. Within a wave nobody waits.
    awaited = {one.continues for one in families}
    free = sorted(
        (one.name for one in families if not one.continues), key=lambda n: n not in awaited
    )
    first = free[: max(len(awaited - {None}), profile.processes or processes(len(free)))]
    for wave in (first, [one.name for one in families if one.name not in first]):
        work = partial(_tune_part, clouds, budget, scored, tuple(tuned.values()))
        found = side_by_side(work, wave, say, profile.processes)
        tuned |= {one.name: one for part in found for one in part.tuned}
    every = BaselineSet(
        budget=budget, seed=profile.seed, tuned=tuple(tuned[one.name] for one in families)
    )
    planners: tuple[TunedBaseline, ...] = ()
    if profile.mpc_iterations:
        tried = partial(_margin_part, clouds, every, scored, profile.mpc_iterations)
        trials = side_by_side(tried, MARGINS, say, profile.processes)
        planners = (tuned_planner(every.actions()[REFERENCE], trials),)
    names = [one.name for one in frontier_families()]
    generations = profile.frontier_generations
    drawn = partial(_frontier_part, clouds, every, scored, generations)
    frontiers = {
        name: points
        for part in side_by_side(drawn, names, say, profile.processes)
        for name, points in part.frontiers.items()
    }
    return every.model_copy(update={"frontiers": frontiers, "planners": planners})


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


def _margin_part(
    clouds: CloudInputs,
    found: "BaselineSet",
    scored: tuple[int, int],
    iterations: int,
    margin: float,
    say: Say,
) -> "Trial":
    from marl.evaluate.baselines import Trial
    from marl.evaluate.mpc import MpcPolicy, planner
    from marl.evaluate.policies import REFERENCE
    from marl.evaluate.rollout import rollout
    from marl.evaluate.world import TRAINING

    policy = MpcPolicy(found.actions()[REFERENCE], margin, planner(iterations))
    episodes, seed = scored
    played = rollout(policy, TRAINING, "train", episodes, seed, world=clouds.world(), progress=say)
    reward, performance = (
        float(played[name].to_numpy().mean()) for name in ("reward", "reward_performance")
    )
    return Trial(knobs=(margin,), reward=reward, performance=performance)


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
    if inputs.mpc_iterations:
        parts.insert(0, ("mpc", scenarios[0]))
    if inputs.clairvoyant_rounds:
        parts.insert(0, ("plan", scenarios[0]))
    frames = side_by_side(partial(_play_part, inputs), parts, say, count)
    by_part = dict(zip(parts, frames, strict=True))
    frontier = by_part.pop(("frontier", scenarios[0]))
    # Those that are always played first: a table does not depend on what else there is.
    in_order = sorted(by_part, key=lambda part: part[0] != "policies")
    return pl.concat([by_part[part] for part in in_order]), frontier


def _play_part(inputs: PlayInputs, part: tuple[str, str], say: Say) -> "pl.DataFrame":
    import polars as pl

    from marl.evaluate.mpc import planner
    from marl.evaluate.policies import planner_policies
    from marl.evaluate.study import load_policies, plan_episodes, play, play_frontiers
    from marl.evaluate.world import ORACLE

    what, scenario = part
    world, seed = inputs.clouds.world(), inputs.seed
    played = (world, scenario, inputs.episodes, seed)
    if what == "plan":
        rounds = inputs.clairvoyant_rounds
        return plan_episodes(inputs.baseline_policies, *played, rounds, say)
    if what == "frontier":
        return play_frontiers(inputs.baseline_policies, *played, say)
    if what == "mpc":
        planners = planner_policies(inputs.baseline_policies, planner(inputs.mpc_iterations))
        return play(planners, world, [scenario], inputs.episodes, seed, say)
    policies = load_policies(inputs.trained_policies, inputs.baseline_policies)
    # Oracles see a world of their own, in the same weather.
    oracles = [one for one in policies if one.name.endswith(ORACLE)]
    others = [one for one in policies if one not in oracles]
    frames = [play(others, world, [scenario], inputs.episodes, seed, say)]
    if oracles:
        seen = world.seen_by(oracles[0].name)
        frames.append(play(oracles, seen, [scenario], inputs.episodes, seed, say))
    return pl.concat(frames)
