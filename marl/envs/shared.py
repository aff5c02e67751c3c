"""Several policies in one batch: copies of the same clouds, and the share that one policy sees.

A step of a few hundred clouds costs hardly more than one of a few dozen, and weather drawn once
serves everybody. Who plays, and what becomes of the figures, is `marl.evaluate.rollout`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final, NoReturn, cast

import torch
from torch import Tensor

from marl.cloud.compiled import in_standard_layout
from marl.cloud.requests import Requests, queued_requests
from marl.cloud.types import CloudState
from marl.envs.batched import BatchedEnv, Step

_STATE: Final = tuple(field.name for field in fields(CloudState))


class SharedClouds(BatchedEnv):
    """Each of an environment's clouds `copies` times, copy by copy, for the rest of its episode.

    Nothing is drawn: weather and state are those of the environment as it is now, which itself
    stays as it is. There is no next episode: after the last step `step` refuses.

    Args:
        env: environments that have been reset.
        copies: of all its clouds.

    Raises:
        ValueError: no copy, or rewards with options, which remember what copies would mix.
        RuntimeError: `env` was not reset.
    """

    def __init__(self, env: BatchedEnv, copies: int) -> None:
        if copies < 1:
            raise ValueError(f"copies must be at least 1; got {copies}")
        if env.reward_state is not None:
            raise ValueError("rewards with options cannot be shared: play one policy at a time")
        vars(self).update(vars(env))  # all that stays fixed is the same
        self.num_envs = copies * env.num_envs
        self._copies, self._weather = copies, env.weather.repeated(copies)
        state = env.cloud_state
        repeated = {name: _repeated(getattr(state, name), copies) for name in _STATE}
        self._state = in_standard_layout(CloudState(**repeated))
        self._features = _repeated(env.state().t(), copies)
        self._never = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self._always = torch.ones_like(self._never)
        self._masks: dict[str, Tensor] | None = None
        self.shares: Sequence[CloudShare] = tuple(
            CloudShare(self, env, slice(copy * env.num_envs, (copy + 1) * env.num_envs))
            for copy in range(copies)
        )

    def observed(self) -> dict[str, Tensor]:
        """Agent to (copies · B, F) observation before the coming step."""
        return self._observed()

    def reset(self, seed: int | None = None) -> NoReturn:
        """Refused: reset the environment that was copied, and copy it again."""
        raise RuntimeError("shared clouds play one episode: copy an environment that was reset")

    def twin(self) -> NoReturn:
        """Refused: copy the environment again."""
        raise RuntimeError("shared clouds have no twin: copy the environment again")

    def step(self, actions: Mapping[str, Tensor]) -> Step:
        """Advance all copies by one step; see `BatchedEnv.step`.

        Raises:
            RuntimeError: the episode is over.
        """
        if self._step == self.episode_steps:
            raise RuntimeError("the episode is over: copy an environment that was reset")
        self._masks = None
        return super().step(actions)

    def action_masks(self) -> dict[str, Tensor]:
        """As `BatchedEnv.action_masks`, worked out once a step however many shares ask."""
        if self._masks is None:
            self._masks = super().action_masks()
        return self._masks

    def _begin(self) -> None:
        """No next episode is drawn."""


class CloudShare(BatchedEnv):
    """One copy of the clouds of `SharedClouds`: a policy sees it as an environment of its own.

    It is for looking only; the clouds are advanced together.
    """

    def __init__(self, whole: SharedClouds, original: BatchedEnv, part: slice) -> None:
        vars(self).update(vars(original))  # its weather among them: copies have the same
        self._whole, self._part = whole, part

    @property
    def step_index(self) -> int:
        """Steps taken in the episode."""
        return self._whole.step_index

    @property
    def cloud_state(self) -> CloudState:
        """The clouds of this share, in physical units."""
        state = self._whole.cloud_state
        return CloudState(**{name: getattr(state, name)[..., self._part] for name in _STATE})

    def state(self) -> Tensor:
        """(B, S) global state."""
        return self._whole.state()[self._part]

    def future(self, horizon: int) -> Tensor:
        """See `BatchedEnv.future`."""
        return self.weather.future(self.step_index, horizon).flatten(1)

    def requests(self) -> Requests:
        """See `BatchedEnv.requests`."""
        params = self.cloud.params
        return queued_requests(self.cloud_state, self.weather, self.step_index, params)

    def action_masks(self) -> dict[str, Tensor]:
        """See `BatchedEnv.action_masks`."""
        return {agent: mask[self._part] for agent, mask in self._whole.action_masks().items()}

    def reset(self, seed: int | None = None) -> NoReturn:
        """Refused: a share is for looking."""
        self._refuse()

    def step(self, actions: Mapping[str, Tensor]) -> NoReturn:
        """Refused: a share is for looking."""
        self._refuse()

    def advance(self, joined: Tensor) -> NoReturn:
        """Refused: a share is for looking."""
        self._refuse()

    def twin(self) -> NoReturn:
        """Refused: a share is for looking."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise RuntimeError("a share of clouds is for looking: advance the shared clouds together")


def share(env: BatchedEnv, copies: int) -> SharedClouds:
    """The environment's clouds `copies` times: by itself where it knows how (`env.shared`)."""
    if hasattr(env, "shared"):
        return cast(SharedClouds, env.shared(copies))
    return SharedClouds(env, copies)


def _repeated(rows: Any, copies: int) -> Tensor:
    """(..., copies · B) of (..., B), copy by copy."""
    tensor: Tensor = rows
    return tensor.repeat(*[1] * (tensor.dim() - 1), copies)
