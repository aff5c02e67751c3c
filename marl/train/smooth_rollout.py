"""The simulated clouds as a world that gradients flow through, for first-order learners.

Steps are `marl.envs.advance` in smooth rounding; the same weather and the same knobs as the
environment's. Which windows are cut and what is learned from them belong to `first_order`.
"""

import copy
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from marl.algos.first_order import DifferentiableRollout
from marl.cloud.dynamics import Cloud
from marl.cloud.figures import figure_names
from marl.cloud.types import SERVICES, CloudState
from marl.cloud.weather import Weather
from marl.envs.advance import Advance, smooth
from marl.train.env import BatchedEnv
from marl.train.hold import reward_terms


class CloudRollout:
    """An episode of B clouds from a state on; see `DifferentiableRollout` for the methods.

    Args:
        cloud: what stays fixed.
        weather: of the episode.
        state: the clouds before step `start`.
        start: first step.
        advance: by a step; smooth for gradients.
    """

    def __init__(
        self,
        cloud: Cloud,
        weather: Weather,
        state: CloudState,
        start: int = 0,
        advance: Advance = smooth,
    ) -> None:
        self._cloud, self._weather, self._advance = cloud, weather, advance
        self._now, self._step = state, start
        self._features = cloud.observe(state, weather.told[start])
        names = figure_names(cloud.params.config.zones)
        self._term_names = reward_terms(names)
        self._term_rows = torch.tensor([names.index(name) for name in self._term_names])
        self._terms = torch.zeros(len(self._term_names))

    @property
    def clouds(self) -> CloudState:
        """The clouds before the next step."""
        return self._now

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
        weather = self._weather
        total = torch.zeros_like(self._now.elapsed)
        told = torch.zeros(len(self._term_rows), device=total.device)
        for _ in range(steps):
            self._now, reward, figures, self._features = self._advance(
                self._now,
                joined,
                weather.packed[self._step],
                weather.told[self._step + 1],
                self._cloud,
            )
            total = total + reward.mean(0)
            told += figures.detach()[self._term_rows].mean(1)
            self._step += 1
        self._terms = told / steps
        return total / steps

    def terms(self) -> dict[str, Tensor]:
        """Means over clouds and steps of the reward's named terms in the last `advance`."""
        return dict(zip(self._term_names, self._terms.unbind(), strict=True))

    def fade(self, share: float, limit: float = math.inf) -> None:
        """Let only `share` of later gradients reach what came before, each at most `limit`."""
        parts = {f.name: getattr(self._now, f.name) for f in dataclasses.fields(self._now)}
        self._now = CloudState(**{name: faded(part, share, limit) for name, part in parts.items()})
        self._features = self._cloud.observe(self._now, self._weather.told[self._step])

    def fork(self) -> "CloudRollout":
        """An independent copy: a step replaces states and never writes into them."""
        return copy.copy(self)


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
    advance = getattr(env, "smooth_advance", smooth)
    return CloudRollout(
        clouds.cloud, clouds.weather, clouds.cloud_state, clouds.step_index, advance
    )


class _Fade(torch.autograd.Function):
    """The same numbers, a share of their gradient, held within limits."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, share: float, limit: float) -> Tensor:
        ctx.share, ctx.limit = share, limit
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None]:
        return (gradients[0] * ctx.share).clamp(-ctx.limit, ctx.limit), None, None


def faded(x: Tensor, share: float, limit: float = math.inf) -> Tensor:
    """`x`, with `share` of its gradient, no component of it beyond ±`limit`; detached at 0.

    Bit for bit the same values. What is not a number stays so and is found out.
    """
    if share == 0:
        return x.detach()
    if not x.requires_grad or (share == 1 and limit == math.inf):
        return x
    return cast(Tensor, _Fade.apply(x, share, limit))
