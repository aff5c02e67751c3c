"""What every trainer does the same way: judge a policy held-in, refuse to go on from nonsense."""

import math
from collections.abc import Mapping
from typing import Final, Protocol

import torch
from torch import Tensor, nn

from marl.algos.base import TeamSpec
from marl.nets.actor import TeamActor, forget
from marl.train.config import TrainConfig
from marl.train.env import BatchedEnv
from marl.train.hold import held_step

# Whatever the seed of the run: the same weather for every run compared.
HELD_IN_SEED: Final = 2_000_003


class DivergenceError(RuntimeError):
    """Training met a number that is not finite; the message names it."""


class Judged(Protocol):
    """What is asked of a learner."""

    @property
    def actor(self) -> nn.Module:
        """Its actors' parameters."""
        ...

    @property
    def updates(self) -> int:
        """Gradient steps so far."""
        ...

    def policy(self) -> TeamActor:
        """The actors that are kept."""
        ...


@torch.no_grad()
def held_in_rewards(
    env: BatchedEnv, spec: TeamSpec, learner: Judged, config: TrainConfig, *, is_baseline: bool
) -> Tensor:
    """(clouds,) mean reward per step of each episode: no noise, always the same weather.

    Args:
        env: environments kept for this alone, in exact rounding.
        spec: sizes of the team.
        learner: whose policy is judged.
        config: episode's length and how long decisions are held.
        is_baseline: play the baseline instead of the learned policy.
    """
    decisions = config.epoch_steps // config.hold_steps
    obs = env.reset(seed=HELD_IN_SEED)
    total = torch.zeros(env.num_envs, device=env.state().device)
    actor = learner.policy()
    memory = actor.begin(env.num_envs)
    for _ in range(decisions):
        residual, memory = actor.step(spec.pack_obs(obs), memory)
        action = actor.action(residual * 0 if is_baseline else residual)
        step = held_step(env, spec.unpack_actions(action), config.hold_steps)
        total += spec.pack_rewards(step.reward).mean(1)
        memory = forget(memory, step.terminated | step.truncated)
        obs = step.obs
    return total / decisions


def refuse_divergence(means: Mapping[str, float], learner: Judged, epoch: int) -> None:
    """Stop where a figure or a weight is not finite.

    Raises:
        DivergenceError: naming them.
    """
    bad = sorted(name for name, value in means.items() if not math.isfinite(value))
    bad += sorted(
        name
        for name, parameter in learner.actor.state_dict().items()
        if not torch.isfinite(parameter).all()
    )
    if bad:
        raise DivergenceError(
            f"not finite in epoch {epoch} after {learner.updates} updates: {', '.join(bad)}; check "
            "the environment's rewards and observations for values that are not finite, or lower "
            "the learning rates (of first-order learners: shorten the window)"
        )
