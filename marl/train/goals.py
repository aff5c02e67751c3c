"""Goal-conditioned environments, by structure, and where a goal stands in what learners see.

The part of an environment that hindsight needs (`marl.replay.hindsight`). Goals of provisioning
are the environment's own business.
"""
# ruff: noqa: N803 - dimension letters as suffixes, legend in marl/algos/base.py; G: goal features

from typing import Protocol, cast, runtime_checkable

from torch import Tensor

from marl.algos.base import TeamSpec
from marl.train.env import BatchedEnv


@runtime_checkable
class GoalEnv(Protocol):
    """What an environment with goals has beside `BatchedEnv`.

    Every agent's observation and the state end with the goal, and its reward, which all agents
    share, is `goal_reward(achieved, goal)`.
    """

    @property
    def goal_size(self) -> int:
        """G."""
        ...

    def achieved(self) -> Tensor:
        """(B, G) what the last step led to, even where the episode ended with it."""
        ...

    def goal_reward(self, achieved: Tensor, goal: Tensor) -> Tensor:
        """(...,) rewards of (..., G) achievements and goals; pure."""
        ...


class Goals:
    """Reads and replaces goals in packed observations and critics' states.

    Args:
        env: with goals.
        spec: sizes of its observations.
        env_state: width of `env.state()`, the first part of what critics see.
    """

    def __init__(self, env: GoalEnv, spec: TeamSpec, env_state: int) -> None:
        self.size = env.goal_size
        self.reward = env.goal_reward
        self.achieved = env.achieved
        self._ends = spec.obs_sizes
        self._state_end = env_state

    def of_states(self, state_BS: Tensor) -> Tensor:
        """(B, G) the goals in critics' states."""
        return state_BS[:, self._state_end - self.size : self._state_end]

    def in_states(self, state_BS: Tensor, goal_BG: Tensor) -> Tensor:
        """Critics' states with other goals, as a copy."""
        state = state_BS.clone()
        state[:, self._state_end - self.size : self._state_end] = goal_BG
        return state

    def in_observations(self, obs_BNF: Tensor, goal_BG: Tensor) -> Tensor:
        """Packed observations with other goals, as a copy."""
        obs = obs_BNF.clone()
        for agent, end in enumerate(self._ends):
            obs[:, agent, end - self.size : end] = goal_BG
        return obs


def goals_of(env: BatchedEnv, spec: TeamSpec) -> Goals:
    """The goals of an environment that has them.

    Raises:
        ValueError: it has none.
    """
    if not isinstance(env, GoalEnv):
        raise ValueError(
            f"hindsight needs goals, but {type(env).__name__} has no goal_size, achieved() and "
            "goal_reward(); set hindsight=None"
        )
    return Goals(cast(GoalEnv, env), spec, env.state().shape[1])
