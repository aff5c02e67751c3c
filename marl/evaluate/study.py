"""A whole evaluation: every policy in every scenario, paired, and one episode told step by step.

Playing is `rollout`'s, comparing `statistics`', laying out `report`'s.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from marl.evaluate.clairvoyant import ClairvoyantPolicy, stages
from marl.evaluate.plan_search import ClimbConfig
from marl.evaluate.policies import (
    REFERENCE,
    LearnedPolicy,
    Policy,
    RandomPolicy,
    baseline_policies,
    frontier_policies,
)
from marl.evaluate.rollout import BLOCK, rollout, rollout_together, trajectory
from marl.train.policy_file import load_policy_file

if TYPE_CHECKING:
    from marl.evaluate.world import World


def load_policies(trained: Path, baselines: Path) -> list[Policy]:
    """Every policy there is: random, the tuned baselines, each training run of each learner.

    Args:
        trained: folder of policy files, one per learner and training seed.
        baselines: folder of the tuned baselines.
    """
    return [
        RandomPolicy(),
        *baseline_policies(baselines),
        *(LearnedPolicy(load_policy_file(path)) for path in sorted(trained.glob("*.safetensors"))),
    ]


def play(
    policies: Sequence[Policy],
    world: "World",
    scenarios: Sequence[str],
    episodes: int,
    seed: int,
    progress: Callable[[str], None] | None = None,
) -> pl.DataFrame:
    """Held-out episodes of every policy in every scenario.

    Returns:
        The rows of `rollout`, scenarios in the order given, policies within them.
    """
    return pl.concat(
        rollout_together(
            policies, scenario, "held_out", episodes, seed, world=world, progress=progress
        )
        for scenario in scenarios
    )


def play_frontiers(
    baselines: Path,
    world: "World",
    scenario: str,
    episodes: int,
    seed: int,
    progress: Callable[[str], None] | None = None,
) -> pl.DataFrame:
    """Held-out episodes of every point of the baselines' cost-SLO frontiers.

    Returns:
        The rows of `rollout`, with `family`, the baseline, and `factor`, the point's on the weight
        of performance.
    """
    points = frontier_policies(baselines)
    played = rollout_together(
        [policy for _, _, policy in points],
        scenario,
        "held_out",
        episodes,
        seed,
        world=world,
        progress=progress,
    )
    return pl.concat(  # rows come policy by policy
        played.slice(at * episodes, episodes).with_columns(
            family=pl.lit(family), factor=pl.lit(factor)
        )
        for at, (family, factor, _) in enumerate(points)
    )


def plan_episodes(
    baselines: Path,
    world: "World",
    scenario: str,
    episodes: int,
    seed: int,
    rounds: int,
    progress: Callable[[str], None] | None = None,
) -> pl.DataFrame:
    """Held-out episodes of the clairvoyant planner, which starts from the tuned reactive rule.

    It tries changes by chance for so many rounds, after a tenth as many steps up slopes.
    """
    (start,) = [one for one in baseline_policies(baselines) if one.name == REFERENCE]
    planned = min(episodes, BLOCK)
    slopes, climb = stages(rounds // 10), ClimbConfig(generations=rounds)
    policy = ClairvoyantPolicy(start.action, slopes, planned, progress, climb)
    return rollout(policy, scenario, "held_out", episodes, seed, world=world, progress=progress)


def tell_episode(
    policies: Sequence[Policy], world: "World", scenario: str, seed: int, episode: int = 0
) -> pl.DataFrame:
    """One held-out episode step by step, for the first training run of each policy but random."""
    first: dict[str, Policy] = {}
    for policy in policies:
        first.setdefault(policy.name, policy)
    return pl.concat(
        trajectory(policy, scenario, "held_out", episode, seed, world=world)
        for policy in first.values()
        if policy.name != RandomPolicy.name
    )


def busiest_episode(policy: Policy, world: "World", scenario: str, episodes: int, seed: int) -> int:
    """Number of the held-out episode with the most CPU demand, among the first `episodes`."""
    rows = rollout(policy, scenario, "held_out", episodes, seed, world=world)
    return int(rows.sort("demand_compute", "episode", descending=[True, False])["episode"][0])
