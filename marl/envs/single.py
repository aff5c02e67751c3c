"""The Gymnasium face: one controller over all four services.

It sees the global state and sets every knob; its reward is the team's. A thin adapter.
"""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from marl.envs.single_cloud import Array, SingleCloud, masked
from marl.envs.spaces import MaskedBox


class ProvisioningEnv(gymnasium.Env[dict[str, Array], Array]):
    """Observation {"observation": (S,), "action_mask": (14,)}; action (14,) in [-1, 1].

    The action is the agents' actions side by side, in the order of `agents`.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # type: ignore[misc]

    def __init__(self, **arguments: Any) -> None:
        arguments.pop("render_mode", None)  # gymnasium.make passes it; there is none
        self._cloud = SingleCloud(**arguments)
        env = self._cloud.env
        self.agents = env.agents
        self._sizes = [len(env.action_names[agent]) for agent in env.agents]
        width = sum(self._sizes)
        limit = float(env.observation_spec[env.agents[0]].high[0])
        self.action_space = MaskedBox(-1.0, 1.0, (width,), np.float32)
        # Gymnasium types a Dict space by its values, not by the dict it samples.
        self.observation_space = masked(  # type: ignore[assignment]
            spaces.Box(-limit, limit, (len(env.state_names),), np.float32), width
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
            ValueError: a wrong shape, or not-a-number.
        """
        action = np.asarray(action, np.float32)
        if action.shape != self.action_space.shape:
            raise ValueError(f"action must be {self.action_space.shape}; got {action.shape}")
        parts = np.split(action, np.cumsum(self._sizes)[:-1])
        _, _, is_over, info = self._cloud.step(dict(zip(self.agents, parts, strict=True)))
        return self._observed(), info["reward_team"], False, is_over, info

    def _observed(self) -> dict[str, Array]:
        masks = self._cloud.masks()
        return {
            "observation": self._cloud.features(),
            "action_mask": np.concatenate([masks[agent] for agent in self.agents]),
        }
