"""The clouds of a run: the stored world's, changed in what agents see or are paid for.

What may be changed is `grid.WorldChange`. In training a change of the reward applies to what is
learned from; episodes are judged by the full objective.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, cast

from marl.cloud.shaping import ShapingConfig
from marl.envs.batched import BatchedEnv
from marl.envs.rewards import RewardOptions
from marl.evaluate.ablation.bases import HOLD
from marl.evaluate.ablation.grid import WorldChange
from marl.evaluate.world import ProvisioningWorld
from marl.train.config import TrainConfig
from marl.train.env import MakeEnv
from marl.train.held_in import HELD_IN_SEED
from marl.train.service_goals import GoalProvisioning, ServiceGoals
from marl.train.stage_env import Stages

GOALS: Mapping[str, ServiceGoals] = {
    "easy": ServiceGoals(nines=(1.5, 2.5), cost=(1.0, 1.2)),
    "hard": ServiceGoals(nines=(2.5, 3.5), cost=(0.8, 0.95)),
}
Rule = Mapping[str, Sequence[float]]  # agent → constant action


def training_env(
    world: ProvisioningWorld, change: WorldChange, config: TrainConfig, rule: Rule, scenario: str
) -> MakeEnv:
    """Environments on the training split.

    A weight of 0 holds for held-in evaluation too: nobody who leaves a term out picks the best
    policy by it. Shaping does not: it is an aid to learning, not a goal.
    """
    make_env = _world(world, change, change.rewarded).make_env(scenario, "train")
    return _wrapped(make_env, change, rule, shaping_of(change, config))


def training_stages(
    world: ProvisioningWorld, change: WorldChange, config: TrainConfig, rule: Rule
) -> Stages:
    """What a curriculum climbs, with the same changes."""
    shaping = shaping_of(change, config)
    stages = _world(world, change, change.rewarded).stages("train")
    return {name: _wrapped(one, change, rule, shaping) for name, one in stages.items()}


def held_out_env(
    world: ProvisioningWorld, change: WorldChange, rule: Rule, scenario: str
) -> MakeEnv:
    """Environments on the held-out split, rewarded by the full objective."""
    make_env = _world(world, change, {}).make_env(scenario, "held_out")
    return _wrapped(make_env, change, rule, None)


def shaping_of(change: WorldChange, config: TrainConfig) -> ShapingConfig | None:
    """The shaping of a run, on the clock of its steps.

    Per step the potential is discounted by the h-th root of the discount of a decision that is
    held for h steps. Within a decision nothing is discounted, so a held decision's shaping is
    γΦ' − Φ up to (1 − γ^(1/h)) of the potentials passed on the way.
    """
    if not change.shaping:
        return None
    is_constant = change.shaping == "constant"
    return ShapingConfig(
        gamma=config.gamma ** (1.0 / config.hold_steps),
        final=1.0 if is_constant else 0.0,
        end=max(1, config.epochs * config.epoch_steps // 2),
    )


def _world(
    world: ProvisioningWorld, change: WorldChange, rewarded: Mapping[str, Any]
) -> ProvisioningWorld:
    overrides = {**world.overrides, **change.shown, **rewarded}
    return dataclasses.replace(world, overrides=overrides)


def _wrapped(
    make_env: MakeEnv, change: WorldChange, rule: Rule, shaping: ShapingConfig | None
) -> MakeEnv:
    """The same environments, blind, shaped, with goals, as the change says."""

    def make_one(num_envs: int, seed: int) -> Any:
        env = make_env(num_envs, seed)
        if change.hidden or shaping is not None:
            is_judged = seed == HELD_IN_SEED
            env = _rebuilt(cast(BatchedEnv, env), change, None if is_judged else shaping, seed)
        return env

    if not change.goals:
        return make_one
    goals = GOALS[change.goals]
    return lambda num_envs, seed: GoalProvisioning(make_one, num_envs, seed, rule, HOLD, goals)


def _rebuilt(
    env: BatchedEnv, change: WorldChange, shaping: ShapingConfig | None, seed: int
) -> BatchedEnv:
    cloud = env.cloud
    if change.hidden:
        names = env.state_names
        if absent := [h for h in change.hidden if not any(n.startswith(h) for n in names)]:
            raise ValueError(f"no feature begins with {', '.join(absent)}: nothing to hide")
        scale = cloud.feature_scale.clone()
        scale[[i for i, name in enumerate(names) if name.startswith(change.hidden)]] = 0.0
        cloud = dataclasses.replace(cloud, feature_scale=scale)
    rewards = None if shaping is None else RewardOptions(shaping=shaping)
    steps = env.episode_steps
    return BatchedEnv(cloud, env.generator, env.num_envs, steps, seed, rewards=rewards)
