"""The discrete faces of a batch: the same clouds, actions chosen among levels or moves.

"grid": each knob is set to one of L levels, all at once. "moves": each agent keeps everything or
moves one of its knobs by one level, for learners that value every action (QMIX and its kin).
What levels and moves are belongs to `marl.levels`; the dynamics to `BatchedEnv`.

A masked choice is taken as "keep": a move beyond the end or of a knob that can do nothing now
changes nothing, and a level of such a knob has no effect until the knob is free again.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from marl.cloud.actions import SIZES, WIDTH
from marl.cloud.observation import LIMIT
from marl.cloud.params import Reference
from marl.cloud.requests import Requests
from marl.cloud.types import SERVICES
from marl.cloud.weather import Weather
from marl.envs.batched import BatchedEnv, Step
from marl.envs.levels import build_levels
from marl.envs.spaces import MaskedMultiDiscrete, checked_face
from marl.levels import Levels

_WHOLE: Final = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


class DiscreteEnv:
    """A batch of clouds with discrete actions; attributes and autoreset as in `BatchedEnv`.

    With "moves", observations and state also hold the present settings (the actions in [-1, 1] of
    the knobs' levels), as the same move means something else at another setting. Every episode
    begins with all knobs at the centre.
    """

    def __init__(
        self,
        env: BatchedEnv,
        actions: str = "moves",
        levels: int = 5,
        centre: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        """Wrap `env`, which nobody else must step from then on.

        Args:
            env: the clouds.
            actions: "grid" or "moves".
            levels: L, odd; see `build_levels`.
            centre: agent to (A,), such as a tuned rule's actions; see `build_levels`.

        Raises:
            ValueError: an unknown or continuous face, or what `build_levels` refuses.
        """
        if checked_face(actions) == "continuous":
            raise ValueError("a BatchedEnv is the continuous face; choose grid or moves")
        self.env = env
        self.face = actions
        self.levels: Levels = build_levels(levels, centre).on(env.device)
        self.agents: tuple[str, ...] = env.agents
        self.num_envs, self.episode_steps, self.device = env.num_envs, env.episode_steps, env.device
        self.action_names = env.action_names
        self.request_fields = env.request_fields
        count, extra = self.levels.count, actions == "moves"
        self.action_spec: dict[str, spaces.Space] = {
            agent: spaces.Discrete(1 + 2 * size) if extra else MaskedMultiDiscrete([count] * size)
            for agent, size in zip(SERVICES, SIZES, strict=True)
        }
        settings = {a: tuple(f"set_{name}" for name in env.action_names[a]) for a in env.agents}
        self.observation_names: dict[str, tuple[str, ...]] = {
            a: (*names, *(settings[a] if extra else ()))
            for a, names in env.observation_names.items()
        }
        self.observation_spec: dict[str, spaces.Box] = {
            agent: spaces.Box(-LIMIT, LIMIT, (len(names),), np.float32)
            for agent, names in self.observation_names.items()
        }
        whole = tuple(f"set_{a}_{name}" for a in env.agents for name in env.action_names[a])
        self.state_names: tuple[str, ...] = (*env.state_names, *(whole if extra else ()))
        self.final_obs: dict[str, Tensor] | None = None
        self.final_state: Tensor | None = None
        self.final_requests: Requests | None = None
        self._set = self._centre()

    @property
    def reference(self) -> Reference:
        """As `BatchedEnv.reference`."""
        return self.env.reference

    @property
    def weather(self) -> Weather:
        """As `BatchedEnv.weather`."""
        return self.env.weather

    @property
    def step_index(self) -> int:
        """As `BatchedEnv.step_index`."""
        return self.env.step_index

    @property
    def set_levels(self) -> Tensor:
        """(B, WIDTH) int64 levels that the knobs stand at, all agents' side by side."""
        return self._set

    def twin(self) -> "DiscreteEnv":
        """An independent environment in the same weather, state and levels."""
        other = copy.copy(self)
        other.env = self.env.twin()
        return other

    def reset(self, seed: int | None = None) -> dict[str, Tensor]:
        """Begin a new episode in every environment, as `BatchedEnv.reset`."""
        obs = self.env.reset(seed)
        self.final_obs = self.final_state = self.final_requests = None
        self._set = self._centre()
        return self._with_settings(obs)

    def step(self, actions: Mapping[str, Tensor]) -> Step:
        """Advance one step of 5 minutes.

        Args:
            actions: agent to (B,) moves or (B, A) levels, of a whole-number dtype.

        Raises:
            ValueError: a missing agent, a wrong shape or dtype, a choice that does not exist. The
                clouds are then as they were.
            RuntimeError: `reset` was not called.
        """
        chosen = self._gathered(actions)
        if self.face == "moves":
            chosen = self.levels.moved(self._set, chosen, self._free())
        values = self.levels.actions(chosen)
        step = self.env.step(dict(zip(SERVICES, values.split(SIZES, 1), strict=True)))
        self._set = chosen
        if self.env.step_index == 0:  # the episode ended, the next one has begun
            if self.env.final_obs is None or self.env.final_state is None:
                raise RuntimeError("an episode ended without a final observation")
            self.final_obs = self._with_settings(self.env.final_obs)
            self.final_state = self._state_with_settings(self.env.final_state)
            self.final_requests = self.env.final_requests
            self._set = self._centre()
        return replace(step, obs=self._with_settings(step.obs))

    def state(self) -> Tensor:
        """(B, S) float32 global state, columns `state_names`."""
        return self._state_with_settings(self.env.state())

    def future(self, horizon: int) -> Tensor:
        """As `BatchedEnv.future`."""
        return self.env.future(horizon)

    def requests(self) -> Requests:
        """As `BatchedEnv.requests`."""
        return self.env.requests()

    def action_masks(self) -> dict[str, Tensor]:
        """Agent to int8 masks: (B, 1 + 2 · A) of moves, or (B, A · L) of levels, knob by knob.

        Of a knob that can do nothing in the coming step only the centre is open in the grid.
        """
        free = self._free()
        if self.face == "moves":
            masks, sizes = self.levels.move_masks(self._set, free), [1 + 2 * s for s in SIZES]
        else:
            masks, sizes = self.levels.grid_masks(free), [s * self.levels.count for s in SIZES]
        return dict(zip(SERVICES, masks.to(torch.int8).split(sizes, 1), strict=True))

    def _centre(self) -> Tensor:
        return torch.full((self.num_envs, WIDTH), self.levels.middle, device=self.device)

    def _free(self) -> Tensor:
        masks = self.env.action_masks()
        return torch.cat([masks[agent] for agent in SERVICES], 1)

    def _with_settings(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if self.face != "moves":
            return dict(obs)
        settings = self.levels.actions(self._set).split(SIZES, 1)
        return {a: torch.cat((obs[a], own), 1) for a, own in zip(SERVICES, settings, strict=True)}

    def _state_with_settings(self, state: Tensor) -> Tensor:
        if self.face != "moves":
            return state
        return torch.cat((state, self.levels.actions(self._set)), 1)

    def _gathered(self, actions: Mapping[str, Tensor]) -> Tensor:
        """(B, S) moves or (B, WIDTH) levels as int64, checked."""
        if actions.keys() != set(SERVICES):
            missing = sorted(set(SERVICES) - set(actions))
            unknown = sorted(str(key) for key in set(actions) - set(SERVICES))
            raise ValueError(f"actions are for {SERVICES}; missing {missing}, unknown {unknown}")
        is_grid, parts = self.face == "grid", []
        for agent, size in zip(SERVICES, SIZES, strict=True):
            part = torch.as_tensor(actions[agent], device=self.device)
            shape = (self.num_envs, size) if is_grid else (self.num_envs,)
            if part.dtype not in _WHOLE or part.shape != shape:
                raise ValueError(
                    f"action of {agent!r} must be {shape} of int64; got {tuple(part.shape)} of "
                    f"{part.dtype}"
                )
            parts.append(part.to(torch.int64).reshape(self.num_envs, -1))
        joined = torch.cat(parts, 1)
        most = self._most(joined.device)
        is_bad = (joined < 0) | (joined >= most)
        if bool(is_bad.any()):
            column = int(is_bad.any(0).nonzero()[0])
            width = SIZES if is_grid else (1,) * len(SERVICES)
            agent = SERVICES[int(np.searchsorted(np.cumsum(width), column, side="right"))]
            raise ValueError(
                f"action of {agent!r} must be within 0 .. {int(most[column]) - 1}; got "
                f"{int(joined[is_bad][0])}"
            )
        return joined

    def _most(self, device: torch.device) -> Tensor:
        """How many choices there are in each column of the gathered actions."""
        if self.face == "grid":
            return torch.full((WIDTH,), self.levels.count, device=device)
        return torch.tensor([1 + 2 * size for size in SIZES], device=device)
