"""The batched face: B clouds advance together, tensors in, tensors out.

Bookkeeping of episodes, seeds and specs only; the dynamics are `marl.cloud`'s.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from marl.cloud.actions import gather, knobs
from marl.cloud.compiled import in_standard_layout
from marl.cloud.dynamics import Cloud, initial_state
from marl.cloud.features import state_names
from marl.cloud.figures import figure_names
from marl.cloud.observation import LIMIT, action_masks
from marl.cloud.params import Reference
from marl.cloud.requests import REQUEST_FIELDS, Requests, queued_requests
from marl.cloud.types import SERVICES, CloudState
from marl.cloud.weather import Weather, draw_weather
from marl.envs.advance import Advance, exact, smooth
from marl.envs.rewards import TERMS, RewardOptions, RewardState, apply, begin, restored
from marl.workload.demand import DemandGenerator


class Figures(Mapping[str, Tensor]):
    """Named (B,) rows of a matrix; a row is looked up when somebody asks for it."""

    def __init__(self, names: Mapping[str, int], matrix: Tensor) -> None:
        self._names, self.matrix = names, matrix

    def __getitem__(self, name: str) -> Tensor:
        """(B,) figure called `name`."""
        return self.matrix[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        """Names, in the order of the rows."""
        return iter(self._names)

    def __len__(self) -> int:
        """How many."""
        return len(self._names)


@dataclass(frozen=True)
class Step:
    """What `BatchedEnv.step` returns.

    Attributes:
        obs: agent to (B, F) float32; where an episode ended, of the next episode's start.
        reward: agent to (B,).
        terminated: (B,) bool, always false: provisioning has no end of its own.
        truncated: (B,) bool, true at the episode's last step.
        info: named quantities of the step, each (B,), see docs/simulator.md.
    """

    obs: dict[str, Tensor]
    reward: dict[str, Tensor]
    terminated: Tensor
    truncated: Tensor
    info: Figures


class BatchedEnv:
    """Batch of clouds with four agents each.

    All episodes last `episode_steps` and end together. Autoreset happens in the same step: when
    `truncated` is true the returned observation is the next episode's first one, and `final_obs`,
    `final_state` and `final_requests` hold the true last ones (for bootstrapping).

    Environment i meets the same sequence of episodes for the same seed, whatever `num_envs` is.
    """

    def __init__(
        self,
        cloud: Cloud,
        generator: DemandGenerator,
        num_envs: int,
        episode_steps: int,
        seed: int,
        advance: Advance = exact,
        rewards: RewardOptions | None = None,
        smooth_advance: Advance = smooth,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1; got {num_envs}")
        zones = cloud.params.config.zones
        if rewards is not None:
            rewards.check(zones)
        self.agents: tuple[str, ...] = SERVICES
        self.num_envs = num_envs
        self.episode_steps = episode_steps
        self.cloud = cloud
        self.generator = generator
        self.device = cloud.params.device
        self.observation_names: dict[str, tuple[str, ...]] = {
            agent: cloud.shown_names(agent) for agent in self.agents
        }
        self.action_names: dict[str, tuple[str, ...]] = {
            agent: tuple(knob.name for knob in knobs(agent)) for agent in self.agents
        }
        self.observation_spec: dict[str, spaces.Box] = {
            agent: spaces.Box(-LIMIT, LIMIT, (len(names),), np.float32)
            for agent, names in self.observation_names.items()
        }
        self.action_spec: dict[str, spaces.Box] = {
            agent: spaces.Box(-1.0, 1.0, (len(names),), np.float32)
            for agent, names in self.action_names.items()
        }
        self.state_names: tuple[str, ...] = state_names(zones)
        self.request_fields: tuple[str, ...] = REQUEST_FIELDS
        self.final_obs: dict[str, Tensor] | None = None
        self.final_state: Tensor | None = None
        self.final_requests: Requests | None = None
        terms = TERMS if rewards is not None else ()
        self._figure_rows = {name: i for i, name in enumerate((*figure_names(zones), *terms))}
        self.exact_advance = advance  # how the clouds are moved on, for who plays copies of them
        self.smooth_advance = smooth_advance  # of the same clouds, for who wants gradients
        self._reward_options = rewards
        self._reward_state: RewardState | None = None
        self._seed = _checked_seed(seed)
        self._episode = -1
        self._step = 0
        self._weather: Weather | None = None
        self._is_again = False  # every episode has the weather of the one before
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

    def twin(self) -> "BatchedEnv":
        """An independent environment in the same weather and the same state.

        A shallow copy is enough: a step replaces states and never writes into them.
        """
        return copy.copy(self)

    def copies(self, count: int) -> "BatchedEnv":
        """`count` times as many clouds, copy by copy, each B of them in this episode's weather.

        All its episodes are this one from its start, so that candidates can be compared.
        """
        other = self.twin()
        other._weather, other._is_again = self.weather.repeated(count), True
        other.num_envs = count * self.num_envs
        other._never, other._always = self._never.repeat(count), self._always.repeat(count)
        other._reward_state = None
        other._begin()
        return other

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
        self.final_obs = self.final_state = self.final_requests = None
        self._begin()
        return self._observed()

    def step(self, actions: Mapping[str, Tensor]) -> Step:
        """Advance one step of 5 minutes.

        Args:
            actions: agent to (B, A) in [-1, 1]; what lies outside is clipped.

        Raises:
            ValueError: a missing agent, a wrong shape, not-a-number.
            RuntimeError: `reset` was not called.
        """
        reward, figures, is_last = self.advance(gather(actions, self.num_envs, self.device))
        return Step(
            obs=self._observed(),
            reward=dict(zip(self.agents, reward.unbind(0), strict=True)),
            terminated=self._never,
            truncated=self._always if is_last else self._never,
            info=Figures(self._figure_rows, figures),
        )

    def advance(self, joined: Tensor) -> tuple[Tensor, Tensor, bool]:
        """One step with all knobs in one matrix: for faces that check and show things themselves.

        Args:
            joined: (WIDTH, B) float32 in [-1, 1], not checked.

        Returns:
            (S, B) rewards, (figures, B) named quantities, and whether the episode ended; then
            `final_obs` and the like are set and the next episode has begun.

        Raises:
            RuntimeError: `reset` was not called.
        """
        if self._state is None or self._weather is None:
            raise RuntimeError("call reset() before step()")
        weather = self._weather
        with torch.no_grad():
            self._state, reward, figures, self._features = self.exact_advance(
                self._state,
                joined,
                weather.packed[self._step],
                weather.told[self._step + 1],
                self.cloud,
            )
            self._step += 1
            is_last = self._step == self.episode_steps
            if self._reward_options is not None and self._reward_state is not None:
                reward, terms, self._reward_state = apply(
                    self._reward_options,
                    self._reward_state,
                    reward,
                    Figures(self._figure_rows, figures),
                    self._state,
                    weather.told[self._step],
                    is_last,
                    self.cloud,
                )
                figures = torch.cat((figures, terms))
            if is_last:
                self.final_obs, self.final_state = self._observed(), self.state()
                self.final_requests = self.requests()
                self._begin()
        return reward, figures, is_last

    def state(self) -> Tensor:
        """(B, S) float32 global state, columns `state_names`."""
        if self._features is None:
            raise RuntimeError("call reset() first")
        return self._features.t()

    def future(self, horizon: int) -> Tensor:
        """(B, horizon · 5) normalised load and spot price of the next steps, the coming one first.

        What no agent can know: for central critics only (`Weather.future`).
        """
        return self.weather.future(self._step, horizon).flatten(1)

    @property
    def figure_names(self) -> tuple[str, ...]:
        """Names of the rows of a step's figures."""
        return tuple(self._figure_rows)

    @property
    def reward_state(self) -> RewardState | None:
        """What the reward's options remember (`RewardState.saved` for a checkpoint), if any."""
        return self._reward_state

    def restore_rewards(self, saved: Mapping[str, Any]) -> None:
        """Go on with what `reward_state.saved()` gave."""
        if self._reward_options is None or self._reward_state is None:
            raise RuntimeError("this environment has no reward options, or reset() was not called")
        self._reward_state = restored(saved, self._reward_options, self._reward_state)

    def requests(self) -> Requests:
        """Queued and scheduled batch and ML work by deadline: a padded list and its mask."""
        return queued_requests(self.cloud_state, self.weather, self._step, self.cloud.params)

    def action_masks(self) -> dict[str, Tensor]:
        """Agent to (B, A) int8: 0 where a knob can do nothing in the coming step."""
        return action_masks(self.cloud_state, self.weather.at(self._step).is_review)

    def _begin(self) -> None:
        self._episode += 1
        self._step = 0
        if self._weather is None or not self._is_again:
            self._weather = draw_weather(
                self.generator,
                self.num_envs,
                self.episode_steps,
                self._seed,
                self._episode,
                self.cloud.params,
            )
        self._state = in_standard_layout(initial_state(self._weather.at(0), self.cloud))
        self._features = self.cloud.observe(self._state, self._weather.told[0])
        if self._reward_options is not None:
            self._reward_state = begin(
                self._reward_options,
                self._reward_state,
                self._state,
                self._weather.told[0],
                self.cloud,
            )

    def _observed(self) -> dict[str, Tensor]:
        features = self.state().t()
        return self.cloud.show(features, self.cloud_state, self.weather, self._step)


def _checked_seed(seed: int) -> int:
    if int(seed) != seed or seed < 0:
        raise ValueError(f"seed must be a whole number >= 0; got {seed}")
    return int(seed)
