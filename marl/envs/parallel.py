"""The PettingZoo face: four agents act at once on one cloud.

A thin adapter; `SingleCloud` does the work.
"""

from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from marl.envs.single_cloud import Array, SingleCloud, masked


class ProvisioningParallelEnv(ParallelEnv[str, dict[str, Array], Array]):
    """Observations are {"observation", "action_mask"}; actions lie in [-1, 1]."""

    metadata: ClassVar[dict[str, Any]] = {
        "name": "stratoform_provisioning_v0",
        "render_modes": [],
        "is_parallelizable": True,
    }
    render_mode = None

    def __init__(self, **arguments: Any) -> None:
        self._cloud = SingleCloud(**arguments)
        env = self._cloud.env
        self.possible_agents = list(env.agents)
        self.agents: list[str] = []
        self._action_spaces = {agent: self._cloud.action_space(agent) for agent in env.agents}
        self._observation_spaces = {
            agent: masked(env.observation_spec[agent], len(env.action_names[agent]))
            for agent in env.agents
        }
        size = len(env.state_names)
        limit = float(env.observation_spec[env.agents[0]].high[0])
        self.state_space = spaces.Box(-limit, limit, (size,), np.float32)

    def observation_space(self, agent: str) -> spaces.Dict:
        """Of one agent; the same object each time."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Box:
        """Of one agent; the same object each time."""
        return self._action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, dict[str, Array]], dict[str, dict[str, Any]]]:
        """Begin an episode; `options` is taken for the API's sake and has no meaning."""
        obs = self._cloud.reset(seed)
        self.agents = list(self.possible_agents)
        return self._observed(obs), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, Array]
    ) -> tuple[
        dict[str, dict[str, Array]],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Advance one step; every agent's info holds the same named quantities."""
        obs, rewards, is_over, info = self._cloud.step(actions)
        agents = self.possible_agents
        result = (
            self._observed(obs),
            rewards,
            dict.fromkeys(agents, False),
            dict.fromkeys(agents, is_over),
            {agent: dict(info) for agent in agents},
        )
        if is_over:
            self.agents = []
        return result

    def state(self) -> Array:
        """(S,) global state, for centralised critics."""
        return self._cloud.features()

    def render(self) -> None:
        """Nothing to show yet: `render_modes` is empty."""

    def close(self) -> None:
        """Nothing to release."""

    def _observed(self, obs: dict[str, Array]) -> dict[str, dict[str, Array]]:
        masks = self._cloud.masks()
        return {a: {"observation": o, "action_mask": masks[a]} for a, o in obs.items()}


def parallel_env(**arguments: Any) -> ProvisioningParallelEnv:
    """A PettingZoo ParallelEnv of one cloud.

    Args:
        arguments: those of `marl.envs.make` except `num_envs`.
    """
    return ProvisioningParallelEnv(**arguments)
