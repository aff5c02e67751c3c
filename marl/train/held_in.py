"""What every trainer does the same way: judge a policy held-in, refuse to go on from nonsense."""

import math
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import torch
from torch import Tensor, nn

from marl.algos.base import TeamSpec
from marl.nets.actor import TeamActor
from marl.train.config import TrainConfig
from marl.train.env import BatchedEnv
from marl.train.hold import held_step
from marl.train.players import ActorPlayer

# Whatever the seed of the run: the same weather for every run compared.
HELD_IN_SEED: Final = 2_000_003


class DivergenceError(RuntimeError):
    """Training met a number that is not finite; the message names it."""


class Guarded(Protocol):
    """What is asked of a learner that must not diverge."""

    @property
    def updates(self) -> int:
        """Gradient steps so far."""
        ...

    def policy(self) -> nn.Module:
        """The networks that are kept."""
        ...


class Judged(Guarded, Protocol):
    """What is asked of a learner of residual actors."""

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
    player = ActorPlayer(spec, learner.policy(), is_baseline=is_baseline)
    player.begin(env.num_envs)
    mask = spec.action_mask()
    return play_held_in(env, config, lambda obs: player.decide(obs, mask), player.restart)


@torch.no_grad()
def play_held_in(
    env: BatchedEnv,
    config: TrainConfig,
    decide: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]],
    restart: Callable[[Tensor], None],
) -> Tensor:
    """`held_in_rewards` of whatever decides: observations → actions, agent → tensor.

    `restart` is told after each decision in which clouds, (B,) bool, the episode is over.
    """
    decisions = config.epoch_steps // config.hold_steps
    obs = env.reset(seed=HELD_IN_SEED)
    total = torch.zeros(env.num_envs, device=env.state().device)
    for _ in range(decisions):
        step = held_step(env, decide(obs), config.hold_steps)
        total += torch.stack([step.reward[agent] for agent in env.agents]).mean(0)
        restart(step.terminated | step.truncated)
        obs = step.obs
    return total / decisions


def refuse_divergence(means: Mapping[str, float], learner: Guarded, epoch: int) -> None:
    """Stop where a figure or a weight is not finite.

    Raises:
        DivergenceError: naming them.
    """
    bad = sorted(name for name, value in means.items() if not math.isfinite(value))
    bad += sorted(
        name
        for name, parameter in learner.policy().state_dict().items()
        if not torch.isfinite(parameter).all()
    )
    if bad:
        raise DivergenceError(
            f"not finite in epoch {epoch} after {learner.updates} updates: {', '.join(bad)}; check "
            "the environment's rewards and observations for values that are not finite, or lower "
            "the learning rates (of first-order learners: shorten the window)"
        )
