"""A run's clouds: where it learns, the baseline beside it in the same weather, where it is judged.

What a decision earns and what central critics see is decided here; what is done with it belongs to
the trainers.
"""
# ruff: noqa: N815 - dimension letters as suffixes, legend in marl/algos/base.py

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from marl.train.config import TrainConfig
from marl.train.env import MakeEnv, team_spec, twin
from marl.train.held_in import HELD_IN_SEED
from marl.train.hold import HeldStep, held_step
from marl.train.seeding import derive_seed


@dataclass(frozen=True)
class Played:
    """One decision's outcome.

    Attributes:
        step: what the environment said.
        earned_BN: what agents earned.
        reward_BN: the same, minus what the baseline earned beside them where rewards are relative.
    """

    step: HeldStep
    earned_BN: Tensor
    reward_BN: Tensor


class Clouds:
    """Environments of one run.

    Args:
        config: the run's settings.
        make_env: makes environments on the training split.
        baseline: agent → constant action (the tuned rule) that is played beside.
        is_joint: one controller acts for all agents (`marl.algos.joint`).

    Attributes:
        env: where is learned.
        held_in_env: where is judged.
        shadow: plays the baseline in the same weather, cloud by cloud; None where rewards are not
            relative to it.
        spec: sizes of the world; its state is `state()`.
        baseline_actions: agent → (B, A_i).
    """

    def __init__(
        self,
        config: TrainConfig,
        make_env: MakeEnv,
        baseline: Mapping[str, Sequence[float]],
        *,
        is_joint: bool = False,
    ) -> None:
        self.config, self.make_env = config, make_env
        seed = derive_seed(config.seed, "env")
        self.env = make_env(config.num_envs, seed)
        self.held_in_env = make_env(config.evaluate_envs, HELD_IN_SEED)
        self.env.reset(seed=seed)
        self.shadow = twin(self.env, make_env, seed) if config.is_relative else None
        if config.critic_horizon and not hasattr(self.env, "future"):
            raise ValueError(
                f"critic_horizon is {config.critic_horizon}, but {type(self.env).__name__} has no "
                "future(horizon) to show; set critic_horizon=0"
            )
        self.spec = team_spec(self.env, self.state().shape[1], is_joint=is_joint)
        self.device = self.env.state().device
        self.baseline_actions = {
            agent: torch.tensor([list(baseline[agent])], device=self.device).expand(
                config.num_envs, -1
            )
            for agent in self.env.agents
        }

    def begin(self, epoch: int) -> Mapping[str, Tensor]:
        """Reset all clouds into the epoch's own weather; observations."""
        seed = derive_seed(self.config.seed, "epoch", epoch)
        obs = self.env.reset(seed=seed)
        if self.shadow is not None:
            self.shadow = twin(self.env, self.make_env, seed)
        return obs

    def play(self, actions: Mapping[str, Tensor]) -> Played:
        """Hold a decision in all clouds, the baseline's beside it."""
        hold = self.config.hold_steps
        step = held_step(self.env, actions, hold, has_terms=True)
        earned = self.spec.pack_rewards(step.reward)
        if self.shadow is None:
            return Played(step, earned, earned)
        beside = held_step(self.shadow, self.baseline_actions, hold).reward
        return Played(step, earned, earned - self.spec.pack_rewards(beside))

    def state(self) -> Tensor:
        """(B, S) what critics see before the next decision, see `seen_by_critics`."""
        horizon = self.config.critic_horizon
        return seen_by_critics(
            self.env.state(),
            None if self.shadow is None else self.shadow.state(),
            self.env.future(horizon) if horizon else None,  # type: ignore[attr-defined]
        )


def seen_by_critics(state: Tensor, shadow: Tensor | None, future: Tensor | None) -> Tensor:
    """(B, S) the state, how it differs from the baseline's, the exogenous future.

    The weather does not depend on actions, so a critic that sees it keeps the gradient right
    and sheds variance (input-dependent baselines: Mao et al. 2019, arXiv:1807.02264).
    """
    parts = [state]
    if shadow is not None:
        parts.append(state - shadow)
    if future is not None:
        parts.append(future)
    return torch.cat(parts, 1)
