"""Decisions that last: an environment seen at every `hold`-th step, actions held in between.

An engineer re-tunes an autoscaler every hour, not every five minutes; the autoscaler itself goes on
reacting at every step. For learning this means fewer decisions, each with an effect that can be
seen, and no churn from knobs that tremble.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from marl.train.env import BatchedEnv


@dataclass(frozen=True)
class HeldStep:
    """Outcome of one decision.

    Attributes:
        obs: observations at the next decision.
        reward: agent → (B,) mean reward per step while the decision was held.
        terminated: (B,) the episode ended for good within it.
        truncated: (B,) it ended otherwise within it.
        info: figures of the last step.
        terms: the reward's named terms (`reward_*` of the steps' info), each a mean over clouds and
            steps; empty unless asked for.
    """

    obs: Mapping[str, Tensor]
    reward: Mapping[str, Tensor]
    terminated: Tensor
    truncated: Tensor
    info: Mapping[str, Tensor]
    terms: Mapping[str, Tensor] = field(default_factory=dict)


def held_step(
    env: BatchedEnv, actions: Mapping[str, Tensor], hold: int, *, has_terms: bool = False
) -> HeldStep:
    """Take `hold` steps with the same actions.

    Rewards after a cloud's episode has ended within the hold belong to another episode and are left
    out of its mean.

    Args:
        env: which.
        actions: agent → (B, A_i).
        hold: how many steps.
        has_terms: whether the means of the reward's terms are wanted.
    """
    is_running = torch.ones(env.num_envs, dtype=torch.bool, device=env.state().device)
    terminated, truncated = torch.zeros_like(is_running), torch.zeros_like(is_running)
    totals = {agent: torch.zeros(env.num_envs, device=is_running.device) for agent in env.agents}
    steps = torch.zeros(env.num_envs, device=is_running.device)
    told: list[Tensor] = []
    names: list[str] = []
    for _ in range(hold):
        step = env.step(actions)
        steps += is_running
        if has_terms:
            names = reward_terms(step.info)
            told += [torch.stack([step.info[name] for name in names]).mean(1)] if names else []
        for agent in env.agents:
            totals[agent] += torch.where(is_running, step.reward[agent], 0.0)
        terminated |= step.terminated & is_running
        truncated |= step.truncated & is_running
        is_running &= ~(step.terminated | step.truncated)
    reward = {agent: total / steps for agent, total in totals.items()}
    means = torch.stack(told).mean(0).unbind() if told else ()
    terms = dict(zip(names, means, strict=True))
    return HeldStep(step.obs, reward, terminated, truncated, step.info, terms)


def reward_terms(names: Iterable[str]) -> list[str]:
    """Those of a step's figures that the reward is made of."""
    return [name for name in names if name.startswith("reward_")]
