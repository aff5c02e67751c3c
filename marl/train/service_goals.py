"""Service-level targets as goals: each episode asks for a service level at a cost.

A wrapper that makes of any provisioning environment one with goals (`marl.train.goals`). A step of
it is one held decision. The reward is sparse: 0 where the decision's requests met the service
level asked for at no more than the cost allowed, else -1. What the environment's own reward says
is left aside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from marl.train.env import BatchedEnv, MakeEnv, twin
from marl.train.hold import HeldStep, held_step
from marl.train.seeding import derive_seed

_MOST_NINES: Final = 5.0  # more cannot be told from none failed


@dataclass(frozen=True)
class ServiceGoals:
    """What is asked for; goals are drawn uniformly from these ranges, an episode and cloud each.

    Attributes:
        nines: service level, -log10 of the share of requests that miss their objective (3: .999).
        cost: largest cost allowed, as a share of what the baseline spends in the same weather.
    """

    nines: tuple[float, float] = (2.0, 3.5)
    cost: tuple[float, float] = (0.8, 1.05)


class GoalProvisioning:
    """`make_env`'s environment with goals; see the module docstring.

    Args:
        make_env: environments whose steps tell `slo_attainment`, `requests` and `cost_usd`.
        num_envs: B.
        seed: of the first weather and of the goals.
        baseline: agent → constant action that costs are compared with.
        hold: steps of each decision.
        goals: what is asked for.
    """

    goal_size = 2

    def __init__(
        self,
        make_env: MakeEnv,
        num_envs: int,
        seed: int,
        baseline: Mapping[str, Sequence[float]],
        hold: int,
        goals: ServiceGoals,
    ) -> None:
        self.make_env, self.hold, self.goals = make_env, hold, goals
        self.env: Any = make_env(num_envs, seed)
        self.agents, self.num_envs = tuple(self.env.agents), num_envs
        self.action_spec = self.env.action_spec
        self.observation_spec = {
            agent: spaces.Box(-np.inf, np.inf, (space.shape[0] + self.goal_size,))
            for agent, space in self.env.observation_spec.items()
        }
        self.reset(seed)
        self._still = {
            agent: torch.tensor([list(baseline[agent])], device=self.goal.device).expand(
                num_envs, -1
            )
            for agent in self.agents
        }

    def reset(self, seed: int | None = None) -> Mapping[str, Tensor]:
        """Begin new episodes with new goals; a seed is needed, for the baseline's cloud beside."""
        if seed is None:
            raise ValueError("an environment with goals is reset with a seed")
        obs = self.env.reset(seed=seed)
        self.beside: BatchedEnv = twin(self.env, self.make_env, seed)
        drawn = torch.rand(
            (self.num_envs, 2), generator=torch.Generator().manual_seed(derive_seed(seed, "goals"))
        )
        low, high = torch.tensor([self.goals.nines, self.goals.cost]).T
        self.goal = (low + (high - low) * drawn).to(self.env.state().device)
        self._achieved = torch.zeros_like(self.goal)
        return self._with_goal(obs)

    def step(self, actions: Mapping[str, Tensor]) -> HeldStep:
        """One held decision."""
        step, missed, cost = self._held(self.env, actions)
        _, _, usual = self._held(self.beside, self._still)
        nines = -missed.clamp(min=10**-_MOST_NINES).log10()
        self._achieved = torch.stack([nines, cost / usual.clamp(min=1e-9)], 1)
        reward = self.goal_reward(self._achieved, self.goal)
        return HeldStep(
            self._with_goal(step.obs),
            {agent: reward for agent in self.agents},
            step.terminated,
            step.truncated,
            step.info,
        )

    def state(self) -> Tensor:
        """(B, S) global state, the goal last."""
        return torch.cat([self.env.state(), self.goal], 1)

    def achieved(self) -> Tensor:
        """(B, 2) nines of the last decision, and its cost as a share of the baseline's."""
        return self._achieved

    def goal_reward(self, achieved: Tensor, goal: Tensor) -> Tensor:
        """0 where the service level is met at no more than the cost allowed, else -1."""
        is_met = (achieved[..., 0] >= goal[..., 0]) & (achieved[..., 1] <= goal[..., 1])
        return is_met.to(torch.float32) - 1.0

    def _held(
        self, env: BatchedEnv, actions: Mapping[str, Tensor]
    ) -> tuple[HeldStep, Tensor, Tensor]:
        """The last of `hold` steps, the share of requests that missed, and the cost of all."""
        missed = requests = cost = torch.zeros(self.num_envs, device=self.env.state().device)
        for _ in range(self.hold):
            step = held_step(env, actions, 1)
            missed = missed + (1.0 - step.info["slo_attainment"]) * step.info["requests"]
            requests = requests + step.info["requests"]
            cost = cost + step.info["cost_usd"]
        return step, missed / requests.clamp(min=1e-9), cost

    def _with_goal(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {agent: torch.cat([obs[agent], self.goal], 1) for agent in self.agents}
