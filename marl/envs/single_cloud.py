"""What the PettingZoo and Gymnasium faces share: one cloud, numpy in and out.

Tensors of a batch of one become arrays and floats. The faces add their API's shape.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from marl.envs.batched import BatchedEnv
from marl.envs.registry import make
from marl.envs.spaces import MaskedBox

Array = NDArray[Any]


class SingleCloud:
    """One cloud of a batch of one, with Gymnasium's idea of an episode: no autoreset.

    The batched environment begins the next episode by itself; what it shows then is kept for the
    next `reset`, so that a sequence of episodes is the same on every face.
    """

    def __init__(self, **arguments: Any) -> None:
        """Take the arguments of `marl.envs.make`, except `num_envs`.

        Raises:
            ValueError: `num_envs` other than 1, or what `make` refuses.
        """
        if arguments.pop("num_envs", 1) != 1:
            raise ValueError("this face holds one cloud; use marl.envs.make for a batch")
        self.env: BatchedEnv = make(num_envs=1, **arguments)
        self.is_running = False
        self._next: dict[str, Tensor] | None = None
        self._features: Tensor | None = None

    def reset(self, seed: int | None) -> dict[str, Array]:
        """Agent to (F,) first observation of the next episode, or of the seed's first."""
        obs = self._next if seed is None and self._next is not None else self.env.reset(seed)
        self._next = None
        self.is_running = True
        self._features = self.env.state()
        return _arrays(obs)

    def step(
        self, actions: Mapping[str, Array]
    ) -> tuple[dict[str, Array], dict[str, float], bool, dict[str, float]]:
        """Observations, rewards, whether the episode's time is up, and named quantities.

        Raises:
            RuntimeError: the episode is over or has not begun.
            ValueError: actions missing, of a wrong shape, or not numbers.
        """
        if not self.is_running:
            raise RuntimeError("the episode is over or has not begun: call reset()")
        batch = {agent: np.asarray(a, np.float32)[None] for agent, a in actions.items()}
        result = self.env.step({agent: torch.from_numpy(a) for agent, a in batch.items()})
        obs = result.obs
        is_over = bool(result.truncated)
        self._features = self.env.state()
        if is_over:
            self._next = obs
            self.is_running = False
            if self.env.final_obs is None or self.env.final_state is None:
                raise RuntimeError("an episode ended without a final observation")
            obs, self._features = self.env.final_obs, self.env.final_state
        values = torch.cat((*result.reward.values(), *result.info.values())).tolist()
        names = (*result.reward, *result.info)
        numbers = dict(zip(names, values, strict=True))
        rewards = {agent: numbers.pop(agent) for agent in result.reward}
        return _arrays(obs), rewards, is_over, numbers

    def masks(self) -> dict[str, Array]:
        """Agent to (A,) int8; all ones once the episode is over."""
        masks = _arrays(self.env.action_masks())
        return masks if self.is_running else {a: np.ones_like(m) for a, m in masks.items()}

    def features(self) -> Array:
        """(S,) global state; raises RuntimeError before the first reset."""
        if self._features is None:
            raise RuntimeError("call reset() first")
        return self._features[0].cpu().numpy()

    def action_space(self, agent: str) -> MaskedBox:
        """A fresh space of one agent's action."""
        return MaskedBox(-1.0, 1.0, self.env.action_spec[agent].shape, np.float32)


def masked(observation: spaces.Box, size: int) -> spaces.Dict:
    """The space of {observation, action_mask}."""
    mask = spaces.Box(0, 1, (size,), np.int8)
    return spaces.Dict({"observation": observation, "action_mask": mask})


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, Array]:
    return {name: tensor[0].cpu().numpy() for name, tensor in tensors.items()}
