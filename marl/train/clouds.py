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

    Attributes:
        env: where is learned.
        held_in_env: where is judged.
        spec: sizes of the world; its state is `state()`.
        baseline_actions: agent → (B, A_i).
    """

    def __init__(
        self, config: TrainConfig, make_env: MakeEnv, baseline: Mapping[str, Sequence[float]]
    ) -> None:
        self.config, self.make_env = config, make_env
        seed = derive_seed(config.seed, "env")
        self.env = make_env(config.num_envs, seed)
        self.held_in_env = make_env(config.evaluate_envs, HELD_IN_SEED)
        self.env.reset(seed=seed)
        self._shadow = twin(self.env, make_env, seed) if config.is_relative else None
        if config.critic_horizon and not hasattr(self.env, "future"):
            raise ValueError(
                f"critic_horizon is {config.critic_horizon}, but {type(self.env).__name__} has no "
                "future(horizon) to show; set critic_horizon=0"
            )
        self.spec = team_spec(self.env, self.state().shape[1])
        self.device = self.env.state().device
        self.baseline_actions = {
            agent: torch.tensor([list(baseline[agent])], device=self.device).expand(
                config.num_envs, -1
            )
            for agent in self.spec.agents
        }

    def begin(self, epoch: int) -> Mapping[str, Tensor]:
        """Reset all clouds into the epoch's own weather; observations."""
        seed = derive_seed(self.config.seed, "epoch", epoch)
        obs = self.env.reset(seed=seed)
        if self._shadow is not None:
            self._shadow = twin(self.env, self.make_env, seed)
        return obs

    def play(self, actions: Mapping[str, Tensor]) -> Played:
        """Hold a decision in all clouds, the baseline's beside it."""
        hold = self.config.hold_steps
        step = held_step(self.env, actions, hold)
        earned = self._stacked(step)
        if self._shadow is None:
            return Played(step, earned, earned)
        beside = self._stacked(held_step(self._shadow, self.baseline_actions, hold))
        return Played(step, earned, earned - beside)

    def state(self) -> Tensor:
        """(B, S) what critics see: the state, how it differs from the baseline's, the future.

        The weather does not depend on actions, so a critic that sees it keeps the gradient right
        and sheds variance (input-dependent baselines: Mao et al. 2019, arXiv:1807.02264).
        """
        parts = [self.env.state()]
        if self._shadow is not None:
            parts.append(parts[0] - self._shadow.state())
        if self.config.critic_horizon:
            parts.append(self.env.future(self.config.critic_horizon))  # type: ignore[attr-defined]
        return torch.cat(parts, 1)

    def _stacked(self, step: HeldStep) -> Tensor:
        return torch.stack([step.reward[agent] for agent in self.spec.agents], 1)
