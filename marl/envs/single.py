"""The Gymnasium face: one controller over all four services.

It sees the global state and sets every knob; its reward is the team's. A thin adapter.
"""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from marl.cloud.actions import SIZES, WIDTH
from marl.cloud.observation import LIMIT
from marl.cloud.types import SERVICES
from marl.envs.single_cloud import RENDER_MODES, Array, SingleCloud, space_of
from marl.envs.spaces import observation_space


class ProvisioningEnv(gymnasium.Env[dict[str, Array], Array]):
    """Observation {"observation", "action_mask", "requests", "request_mask"}, of all services.

    The action is the agents' actions side by side, in the order of `agents`: (29,) in [-1, 1], 29
    levels, or four moves.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": list(RENDER_MODES),
        "render_fps": 12,
    }

    def __init__(self, **arguments: Any) -> None:
        self._cloud = SingleCloud(**arguments)
        cloud = self._cloud
        self.render_mode = cloud.render_mode
        self.agents = SERVICES
        self._is_moves = cloud.face == "moves"
        self._ends = np.cumsum((1,) * len(SERVICES) if self._is_moves else SIZES)[:-1]
        choices = [cloud.mask_size(agent) for agent in SERVICES]
        # Gymnasium types the spaces by single values, not by the arrays and dicts they sample.
        self.action_space = (
            spaces.MultiDiscrete(choices)
            if self._is_moves
            else space_of(cloud.face, WIDTH, cloud.levels.count)
        )
        self.observation_space = observation_space(  # type: ignore[assignment]
            LIMIT, cloud.observation_size(None), sum(choices), cloud.requests.shape
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Begin an episode; `options` is taken for the API's sake and has no meaning."""
        super().reset(seed=seed)
        self._cloud.reset(seed)
        return self._observed(), {}

    def step(self, action: Array) -> tuple[dict[str, Array], float, bool, bool, dict[str, Any]]:
        """Advance one step.

        Raises:
            RuntimeError: the episode is over or has not begun.
            ValueError: a wrong shape or type, out of range (discrete), or not-a-number.
        """
        action = np.asarray(action)
        if action.shape != self.action_space.shape:
            raise ValueError(f"action must be {self.action_space.shape}; got {action.shape}")
        parts = [one[0] for one in np.split(action, self._ends)] if self._is_moves else None
        by_agent = dict(zip(SERVICES, parts or np.split(action, self._ends), strict=True))
        _, is_over, figures = self._cloud.step(by_agent)
        return self._observed(), figures["reward_team"], False, is_over, figures

    def render(self) -> Any:
        """(H, W, 3) uint8 picture of the episode so far; None without a render mode."""
        return None if self.render_mode is None else self._cloud.render()

    def _observed(self) -> dict[str, Array]:
        shown = self._cloud.shown
        return {
            "observation": shown.state.copy(),
            "action_mask": np.concatenate([shown.masks[agent] for agent in SERVICES]),
            "requests": shown.requests,
            "request_mask": shown.request_mask,
        }
