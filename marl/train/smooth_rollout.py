"""The simulated clouds as a world that gradients flow through, for first-order learners.

Steps are `marl.cloud.dynamics` in smooth rounding; the same weather and the same knobs as the
environment's. Which windows are cut and what is learned from them belong to `first_order`.
"""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from marl.algos.first_order import DifferentiableRollout
from marl.cloud.dynamics import Cloud, knobs_from_actions, step
from marl.cloud.rounding import SMOOTH, Rounding
from marl.cloud.types import SERVICES, CloudState
from marl.cloud.weather import Weather
from marl.train.env import BatchedEnv


class CloudRollout:
    """An episode of B clouds from a state on; see `DifferentiableRollout` for the methods.

    Args:
        cloud: what stays fixed.
        weather: of the episode.
        state: the clouds before step `start`.
        start: first step.
        rounding: smooth for gradients.
    """

    def __init__(
        self,
        cloud: Cloud,
        weather: Weather,
        state: CloudState,
        start: int = 0,
        rounding: Rounding = SMOOTH,
    ) -> None:
        self._cloud, self._weather, self._rounding = cloud, weather, rounding
        self._now, self._step = state, start
        self._features = cloud.observe(state, weather.told[start])

    def obs(self) -> dict[str, Tensor]:
        """Agent → (B, F_i), as `BatchedEnv` shows it."""
        return self._cloud.show(self._features, self._now, self._weather, self._step)

    def state(self) -> Tensor:
        """(B, S) as `BatchedEnv.state` shows it."""
        return self._features.t()

    def future(self, horizon: int) -> Tensor:
        """(B, 5 · horizon) as `BatchedEnv.future` shows it."""
        if not horizon:
            return self._features.new_zeros((self._features.shape[1], 0))
        return self._weather.future(self._step, horizon).flatten(1)

    def advance(self, actions: Mapping[str, Tensor], steps: int) -> Tensor:
        """Hold actions in [-1, 1] for `steps` steps; (B,) mean team reward per step.

        Raises:
            ValueError: the episode is shorter.
        """
        if self._step + steps > len(self._weather):
            raise ValueError(
                f"steps {self._step} .. {self._step + steps - 1} are not within the episode's "
                f"{len(self._weather)}"
            )
        joined = torch.cat([actions[agent].t() for agent in SERVICES]).clamp(-1.0, 1.0)
        knobs = knobs_from_actions(joined, self._cloud)
        total = torch.zeros_like(self._now.elapsed)
        for _ in range(steps):
            weather = self._weather.at(self._step)
            self._now, outcome = step(self._now, knobs, weather, self._cloud, self._rounding)
            total = total + outcome.reward.mean(0)
            self._step += 1
        self._look()
        return total / steps

    def fade(self, share: float) -> None:
        """Let only `share` of later gradients reach what came before; 0 cuts them off."""
        parts = {f.name: getattr(self._now, f.name) for f in dataclasses.fields(self._now)}
        self._now = CloudState(**{name: faded(part, share) for name, part in parts.items()})
        self._look()

    def fork(self) -> "CloudRollout":
        """An independent copy: a step replaces states and never writes into them."""
        return copy.copy(self)

    def _look(self) -> None:
        self._features = self._cloud.observe(self._now, self._weather.told[self._step])


def rollout_of(env: BatchedEnv) -> DifferentiableRollout:
    """A differentiable episode in the weather and from the state of `env`.

    Environments that are differentiable themselves say so by a method `differentiable()`; for the
    simulated cloud it is made here.

    Raises:
        TypeError: the environment is neither.
        ValueError: its rewards have options that the smooth clouds know nothing of.
    """
    if hasattr(env, "differentiable"):
        return cast(DifferentiableRollout, env.differentiable())
    if not all(hasattr(env, name) for name in ("cloud", "weather", "cloud_state", "step_index")):
        raise TypeError(
            f"first-order learners need gradients through the environment: {type(env).__name__} "
            "neither has differentiable() nor is it a simulated cloud"
        )
    clouds = cast(Any, env)
    if getattr(clouds, "reward_state", None) is not None:
        raise ValueError(
            "reward options (shaping, normalisation, multipliers) have no smooth counterpart; "
            "make the environment without them for first-order learners"
        )
    return CloudRollout(clouds.cloud, clouds.weather, clouds.cloud_state, clouds.step_index)


class _Fade(torch.autograd.Function):
    """The same numbers, a share of their gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, share: float) -> Tensor:
        ctx.share = share
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return gradients[0] * ctx.share, None


def faded(x: Tensor, share: float) -> Tensor:
    """`x`, with `share` of its gradient; detached at 0. Bit for bit the same values."""
    if share == 0:
        return x.detach()
    if share == 1 or not x.requires_grad:
        return x
    return cast(Tensor, _Fade.apply(x, share))
