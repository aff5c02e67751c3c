"""The batched face: B clouds advance together, tensors in, tensors out.

Bookkeeping of episodes, seeds and specs only; the dynamics are `marl.cloud`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from marl.cloud.actions import gather, knobs
from marl.cloud.dynamics import Cloud, initial_state, knobs_from_actions, step
from marl.cloud.observation import (
    LIMIT,
    STATE_NAMES,
    action_masks,
    global_state,
    observation_names,
    observations,
)
from marl.cloud.params import Reference
from marl.cloud.types import SERVICES, CloudState
from marl.cloud.weather import Weather, draw_weather
from marl.workload.demand import DemandGenerator


@dataclass(frozen=True)
class Step:
    """What `BatchedEnv.step` returns.

    Attributes:
        obs: agent to (B, F) float32; where an episode ended, of the next episode's start.
        reward: agent to (B,).
        terminated: (B,) bool, always false: provisioning has no end of its own.
        truncated: (B,) bool, true at the episode's last step.
        info: named quantities of the step, each (B,).
    """

    obs: dict[str, Tensor]
    reward: dict[str, Tensor]
    terminated: Tensor
    truncated: Tensor
    info: dict[str, Tensor]


class BatchedEnv:
    """Batch of clouds with four agents each.

    All episodes last `episode_steps` and end together. Autoreset happens in the same step: when
    `truncated` is true the returned observation is the next episode's first one, and `final_obs`
    and `final_state` hold the true last ones (for bootstrapping).

    Environment i meets the same sequence of episodes for the same seed, whatever `num_envs` is.
    """

    def __init__(
        self,
        cloud: Cloud,
        generator: DemandGenerator,
        num_envs: int,
        episode_steps: int,
        seed: int,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1; got {num_envs}")
        self.agents: tuple[str, ...] = SERVICES
        self.num_envs = num_envs
        self.episode_steps = episode_steps
        self.cloud = cloud
        self.generator = generator
        self.device = cloud.params.device
        self.observation_spec: dict[str, spaces.Box] = {
            agent: spaces.Box(-LIMIT, LIMIT, (len(observation_names(agent)),), np.float32)
            for agent in self.agents
        }
        self.action_spec: dict[str, spaces.Box] = {
            agent: spaces.Box(-1.0, 1.0, (len(knobs(agent)),), np.float32) for agent in self.agents
        }
        self.observation_names: dict[str, tuple[str, ...]] = {
            agent: observation_names(agent) for agent in self.agents
        }
        self.action_names: dict[str, tuple[str, ...]] = {
            agent: tuple(knob.name for knob in knobs(agent)) for agent in self.agents
        }
        self.state_names: tuple[str, ...] = STATE_NAMES
        self.final_obs: dict[str, Tensor] | None = None
        self.final_state: Tensor | None = None
        self._seed = _checked_seed(seed)
        self._episode = -1
        self._step = 0
        self._weather: Weather | None = None
        self._state: CloudState | None = None
        self._features: Tensor | None = None
        self._never = torch.zeros(num_envs, dtype=torch.bool, device=self.device)
        self._always = torch.ones(num_envs, dtype=torch.bool, device=self.device)

    @property
    def reference(self) -> Reference:
        """The demand's scale: pass it to an environment that must mean the same by its numbers."""
        return self.cloud.params.reference

    @property
    def weather(self) -> Weather:
        """The current episode's weather, future included: for critics and planners, not actors."""
        if self._weather is None:
            raise RuntimeError("call reset() first")
        return self._weather

    @property
    def step_index(self) -> int:
        """Steps taken in the current episode, 0 .. episode_steps - 1."""
        return self._step

    @property
    def cloud_state(self) -> CloudState:
        """The clouds themselves, in physical units."""
        if self._state is None:
            raise RuntimeError("call reset() first")
        return self._state

    def reset(self, seed: int | None = None) -> dict[str, Tensor]:
        """Begin a new episode in every environment.

        Args:
            seed: starts the sequence of episodes of this seed from its first; None goes on to the
                next episode of the present sequence.

        Returns:
            Agent to (B, F) float32.
        """
        if seed is not None:
            self._seed = _checked_seed(seed)
            self._episode = -1
        self.final_obs = self.final_state = None
        return self._begin()

    def step(self, actions: Mapping[str, Tensor]) -> Step:
        """Advance one step of 5 minutes.

        Args:
            actions: agent to (B, A) in [-1, 1]; what lies outside is clipped.

        Raises:
            ValueError: a missing agent, a wrong shape, not-a-number.
            RuntimeError: `reset` was not called.
        """
        if self._state is None or self._weather is None:
            raise RuntimeError("call reset() before step()")
        with torch.no_grad():
            joined = gather(actions, self.num_envs, self.device)
            knob_values = knobs_from_actions(joined, self.cloud)
            self._state, outcome = step(
                self._state, knob_values, self._weather.steps[self._step], self.cloud
            )
            self._step += 1
            obs = self._observe()
            is_last = self._step == self.episode_steps
            if is_last:
                self.final_obs, self.final_state = obs, self._features
                obs = self._begin()
        reward = dict(zip(self.agents, outcome.reward.unbind(1), strict=True))
        truncated = self._always if is_last else self._never
        return Step(obs, reward, self._never, truncated, outcome.info)

    def state(self) -> Tensor:
        """(B, S) float32 global state, columns `state_names`."""
        if self._features is None:
            raise RuntimeError("call reset() first")
        return self._features

    def future(self, horizon: int) -> Tensor:
        """(B, horizon · 5) normalised load and spot price of the next steps, the coming one first.

        What no agent can know: for central critics only (`Weather.future`).
        """
        return self.weather.future(self._step, horizon).flatten(1)

    def action_masks(self) -> dict[str, Tensor]:
        """Agent to (B, A) int8: 0 where a knob can do nothing in the coming step."""
        return action_masks(self.cloud_state)

    def _begin(self) -> dict[str, Tensor]:
        self._episode += 1
        self._step = 0
        self._weather = draw_weather(
            self.generator,
            self.num_envs,
            self.episode_steps,
            self._seed,
            self._episode,
            self.cloud.params,
        )
        self._state = initial_state(self._weather.steps[0], self.cloud)
        return self._observe()

    def _observe(self) -> dict[str, Tensor]:
        calendar = self.weather.calendar[self._step]
        self._features = global_state(self.cloud_state, calendar, self.cloud.feature_scale)
        return observations(self._features)


def _checked_seed(seed: int) -> int:
    if int(seed) != seed or seed < 0:
        raise ValueError(f"seed must be a whole number >= 0; got {seed}")
    return int(seed)
