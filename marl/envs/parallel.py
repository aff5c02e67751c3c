"""The PettingZoo face: four agents act at once on one cloud.

A thin adapter; `SingleCloud` does the work.
"""

from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from marl.cloud.types import SERVICES
from marl.envs.single_cloud import RENDER_MODES, Array, SingleCloud
from marl.envs.spaces import observation_space

Observation = Any  # a dict of arrays; with flat=True an array


class ProvisioningParallelEnv(ParallelEnv[str, Observation, Any]):
    """Observations are {"observation", "action_mask", "requests", "request_mask"}.

    With `flat=True` they are the plain vector of "observation", and the mask is in the infos.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "stratoform_provisioning_v0",
        "render_modes": list(RENDER_MODES),
        "render_fps": 12,
        "is_parallelizable": True,
    }

    def __init__(self, flat: bool = False, **arguments: Any) -> None:
        self._cloud = SingleCloud(**arguments)
        self._is_flat = flat
        self.render_mode = self._cloud.render_mode
        self.possible_agents = list(SERVICES)
        self.agents: list[str] = []
        self._action_spaces = {agent: self._cloud.action_space(agent) for agent in SERVICES}
        self._observation_spaces = {agent: self._space(agent) for agent in SERVICES}
        limit, size = self._cloud.limit, self._cloud.observation_size(None)
        self.state_space = spaces.Box(-limit, limit, (size,), np.float32)

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """Of one agent; the same object each time."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """Of one agent; the same object each time."""
        return self._action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Begin an episode; `options` is taken for the API's sake and has no meaning."""
        self._cloud.reset(seed)
        self.agents = list(SERVICES)
        return self._observed(), self._infos({})

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[
        dict[str, Observation],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Advance one step; every agent's info holds the same named quantities.

        Raises:
            RuntimeError: the episode is over or has not begun.
            ValueError: see `SingleCloud.step`.
        """
        rewards, is_over, figures = self._cloud.step(actions)
        if is_over:
            self.agents = []
        return (
            self._observed(),
            dict(zip(SERVICES, rewards, strict=True)),
            dict.fromkeys(SERVICES, False),
            dict.fromkeys(SERVICES, is_over),
            self._infos(figures),
        )

    def state(self) -> Array:
        """(S,) global state, for centralised critics."""
        return self._cloud.shown.state.copy()

    def render(self) -> Array | None:
        """(H, W, 3) uint8 picture of the episode so far; None without a render mode."""
        return None if self.render_mode is None else self._cloud.render()

    def close(self) -> None:
        """Nothing to release."""

    def _space(self, agent: str) -> spaces.Space[Any]:
        cloud = self._cloud
        whole = observation_space(
            cloud.limit,
            cloud.observation_size(agent),
            cloud.mask_size(agent),
            cloud.requests.shape,
        )
        return whole["observation"] if self._is_flat else whole

    def _observed(self) -> dict[str, Observation]:
        shown = self._cloud.shown
        if self._is_flat:
            return dict(shown.observations)
        return {
            agent: {
                "observation": one,
                "action_mask": shown.masks[agent],
                "requests": shown.requests.copy(),
                "request_mask": shown.request_mask.copy(),
            }
            for agent, one in shown.observations.items()
        }

    def _infos(self, figures: dict[str, float]) -> dict[str, dict[str, Any]]:
        if not self._is_flat:
            return {agent: figures.copy() for agent in SERVICES}
        masks = self._cloud.shown.masks
        return {agent: {**figures, "action_mask": masks[agent]} for agent in SERVICES}


def parallel_env(**arguments: Any) -> ProvisioningParallelEnv:
    """A PettingZoo ParallelEnv of one cloud.

    Args:
        arguments: those of `marl.envs.make` except `num_envs`; and `actions` ("continuous", "grid"
            or "moves"), `levels`, `centre` and `render_mode` (see `SingleCloud`), `flat` (see
            `ProvisioningParallelEnv`).
    """
    return ProvisioningParallelEnv(**arguments)
