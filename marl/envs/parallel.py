"""The PettingZoo face: four agents act at once on one cloud.

A thin adapter; `SingleCloud` does the work.
"""

from typing import Any, ClassVar, Final

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from marl.cloud.actions import SIZES
from marl.cloud.observation import LIMIT
from marl.cloud.types import SERVICES
from marl.envs.single_cloud import RENDER_MODES, SIZE_OF, Array, SingleCloud
from marl.envs.spaces import observation_space

Observation = Any  # a dict of arrays; with flat=True an array
_WHO: Final = dict(zip(SERVICES, np.eye(len(SERVICES), dtype=np.float32), strict=True))
_LARGEST: Final = SERVICES[int(np.argmax(SIZES))]


class ProvisioningParallelEnv(ParallelEnv[str, Observation, Any]):
    """Observations are {"observation", "action_mask", "requests", "request_mask"}.

    With `flat=True` they are the plain vector of "observation"; the masks of "moves" are then in
    the infos, those of the other faces only in `action_masks`.

    With `padded=True` all agents have the same spaces, so that libraries can stack them: zeros fill
    the observation, then four numbers say which agent it is; actions beyond an agent's own are
    masked, and taking them has no effect.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "stratoform_provisioning_v0",
        "render_modes": list(RENDER_MODES),
        "render_fps": 12,
        "is_parallelizable": True,
    }

    def __init__(self, flat: bool = False, padded: bool = False, **arguments: Any) -> None:
        self._cloud = SingleCloud(**arguments)
        self._is_flat, self._is_padded = flat, padded
        self.render_mode = self._cloud.render_mode
        self.possible_agents = list(SERVICES)
        self.agents: list[str] = []
        self._action_spaces = {
            agent: self._cloud.action_space(_LARGEST if padded else agent) for agent in SERVICES
        }
        self._observation_width = max(map(self._cloud.observation_size, SERVICES)) + len(SERVICES)
        self._mask_width = self._cloud.mask_size(_LARGEST)
        self._observation_spaces = {agent: self._space(agent) for agent in SERVICES}
        size = self._cloud.observation_size(None)
        self.state_space = spaces.Box(-LIMIT, LIMIT, (size,), np.float32)

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
        if self._is_padded:
            actions = {agent: self._own(agent, action) for agent, action in actions.items()}
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

    def action_masks(self) -> dict[str, Array]:
        """Agent to the int8 mask of its action, as in the observations."""
        return {agent: self._mask(agent) for agent in SERVICES}

    def render(self) -> Array | None:
        """(H, W, 3) uint8 picture of the episode so far; None without a render mode."""
        return None if self.render_mode is None else self._cloud.render()

    def close(self) -> None:
        """Nothing to release."""

    def _space(self, agent: str) -> spaces.Space[Any]:
        cloud = self._cloud
        width, choices = cloud.observation_size(agent), cloud.mask_size(agent)
        if self._is_padded:
            width, choices = self._observation_width, self._mask_width
        whole = observation_space(LIMIT, width, choices, cloud.requests.shape)
        return whole["observation"] if self._is_flat else whole

    def _observed(self) -> dict[str, Observation]:
        shown = self._cloud.shown
        seen = dict(shown.observations)
        if self._is_padded:
            width = self._observation_width
            for agent, one in seen.items():
                gap = np.zeros(width - len(one) - len(SERVICES), np.float32)
                seen[agent] = np.concatenate((one, gap, _WHO[agent]))
        if self._is_flat:
            return seen
        return {
            agent: {
                "observation": one,
                "action_mask": self._mask(agent),
                "requests": shown.requests.copy(),
                "request_mask": shown.request_mask.copy(),
            }
            for agent, one in seen.items()
        }

    def _mask(self, agent: str) -> Array:
        mask = self._cloud.shown.masks[agent]
        if not self._is_padded:
            return mask
        return np.concatenate((mask, np.zeros(self._mask_width - len(mask), np.int8)))

    def _own(self, agent: str, action: Any) -> Any:
        """The part of a padded action that is the agent's; what is beyond has no effect."""
        space = self._action_spaces.get(agent)
        if space is None:
            return action  # an unknown agent, refused by the cloud
        array = np.asarray(action)
        if array.shape != space.shape:
            raise ValueError(f"action of {agent!r} must be {space.shape}; got {array.shape}")
        if array.ndim:
            return array[: SIZE_OF[agent]]
        is_beyond = self._cloud.mask_size(agent) <= array < self._mask_width
        return np.zeros_like(array) if is_beyond else array

    def _infos(self, figures: dict[str, float]) -> dict[str, dict[str, Any]]:
        if not self._is_flat or self._cloud.face != "moves":
            return {agent: figures.copy() for agent in SERVICES}
        return {agent: {**figures, "action_mask": self._mask(agent)} for agent in SERVICES}


def parallel_env(**arguments: Any) -> ProvisioningParallelEnv:
    """A PettingZoo ParallelEnv of one cloud.

    Args:
        arguments: those of `marl.envs.make` except `num_envs`; and `actions` ("continuous", "grid"
            or "moves"), `levels`, `centre` and `render_mode` (see `SingleCloud`), `flat` and
            `padded` (see `ProvisioningParallelEnv`).
    """
    return ProvisioningParallelEnv(**arguments)
