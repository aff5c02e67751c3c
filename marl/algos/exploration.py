"""Exploration: noise on residual actions or on weights, with a random state of its own."""
# ruff: noqa: N803 - dimension letters as suffixes, legend in marl/algos/base.py

from collections.abc import Sequence
from typing import Any, Final, Literal

import torch
from torch import Tensor

from marl.nets.actor import TeamActor

NoiseKind = Literal["gaussian", "ou", "parameter"]
_ADAPTION: Final = 1.01  # Plappert et al. 2018, section 3 (they call it α)
_FIRST_SCALE: Final = 0.05


class Noise:
    """Gaussian noise, or Ornstein–Uhlenbeck noise, of stationary standard deviation `sigma`.

    The Ornstein–Uhlenbeck process (Uhlenbeck and Ornstein 1930; used for control by Lillicrap et
    al. 2016) is discretised exactly: x ← (1 − θ) x + σ sqrt(1 − (1 − θ)²) ξ, so that its standard
    deviation is σ from the first step on and its correlation time is about 1/θ steps.

    Args:
        kind: "gaussian" (independent in time) or "ou" (correlated: pushes a knob one way for long
            enough that capacity, which arrives with a delay, can follow).
        shape: (N, B, A).
        theta: share of the process forgotten per step ("ou" only).
        generator: the random state.
    """

    def __init__(
        self,
        kind: Literal["gaussian", "ou"],
        shape: tuple[int, int, int],
        theta: float,
        generator: torch.Generator,
    ) -> None:
        self.keep = 1.0 - theta if kind == "ou" else 0.0
        self.shape = shape
        self.generator = generator
        self.reset()

    def reset(self) -> None:
        """Begin an episode: draw from the stationary distribution."""
        self.value = torch.randn(self.shape, generator=self.generator)

    def sample(
        self, sigma: float, actor: TeamActor | None = None, obs_BNF: Tensor | None = None
    ) -> Tensor:
        """(N, B, A) noise for this step, whatever the actor does; moves the process on."""
        del actor, obs_BNF
        fresh = torch.randn(self.shape, generator=self.generator)
        self.value = self.keep * self.value + (1.0 - self.keep**2) ** 0.5 * fresh
        return self.value * sigma

    def state_dict(self) -> dict[str, Any]:
        """The process and its random state."""
        return {"value": self.value, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.value = state["value"]
        self.generator.set_state(state["generator"])


class ParameterNoise:
    """Adaptive noise on the actors' weights (Plappert et al. 2018, arXiv:1706.01905).

    During an episode a disturbed actor acts: the same state gets the same action, and all knobs
    move in ways that belong together. Weights get Gaussian noise of standard deviation `scale`, and
    `scale` follows the distance of the disturbed actions from the actor's own (their eq. 8),

        σ ← α σ  if d ≤ δ,  σ / α  otherwise,   d = sqrt(mean (π(s) − π̃(s))²)  (their appendix C.2),

    where δ is the deviation that Gaussian noise on actions would have. They adapt α = 1.01 every 50
    steps of one environment; here one step of all clouds is one adaption. So that clouds do not
    all explore alike, they are shared out among several disturbed actors.

    Args:
        actor: whose weights are disturbed; the one given to `sample`, or of the same shapes.
        knobs_N: number of knobs of each agent; padding is no part of the distance.
        clouds: B.
        generator: the random state.
        copies: disturbed actors of each agent, at most one per cloud.
    """

    def __init__(
        self,
        actor: TeamActor,
        knobs_N: Sequence[int],
        clouds: int,
        generator: torch.Generator,
        copies: int = 16,
    ) -> None:
        self.generator = generator
        self.clouds, self.copies = clouds, min(copies, clouds)
        self.scale = _FIRST_SCALE
        self._shapes = {name: tuple(one.shape) for name, one in actor.named_parameters()}
        knob = torch.arange(actor.baseline.shape[1])
        self._is_knob = (knob < torch.tensor(knobs_N)[:, None])[:, None]  # (N, 1, A)
        self.reset()

    def reset(self) -> None:
        """Begin an episode: draw new directions for all weights."""
        self.directions = {
            name: torch.randn((self.copies, *shape), generator=self.generator)
            for name, shape in self._shapes.items()
        }

    @torch.no_grad()
    def sample(self, sigma: float, actor: TeamActor, obs_BNF: Tensor) -> Tensor:
        """(N, B, A) what the disturbed actors' residuals differ by; adapts the scale to `sigma`."""
        disturbed = []
        for copy, rows in enumerate(obs_BNF.tensor_split(self.copies)):
            weights = {
                name: weight + self.directions[name][copy].to(weight) * self.scale
                for name, weight in actor.named_parameters()
            }
            disturbed.append(torch.func.functional_call(actor, weights, (rows,)))
        noise = torch.cat(disturbed, 1) - actor(obs_BNF)
        square = noise.square().masked_select(self._is_knob.to(noise.device)).mean()
        self.scale *= _ADAPTION if float(square) <= sigma**2 else 1.0 / _ADAPTION
        return noise

    def state_dict(self) -> dict[str, Any]:
        """Scale, directions and random state."""
        return {
            "scale": self.scale,
            "directions": self.directions,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.scale = float(state["scale"])
        self.directions = dict(state["directions"])
        self.generator.set_state(state["generator"])


def exploration(
    kind: NoiseKind,
    actor: TeamActor,
    knobs_N: Sequence[int],
    clouds: int,
    theta: float,
    generator: torch.Generator,
) -> Noise | ParameterNoise:
    """The exploration of that name for a team's actors in `clouds` clouds."""
    if kind == "parameter":
        return ParameterNoise(actor, knobs_N, clouds, generator)
    return Noise(kind, (len(knobs_N), clouds, max(knobs_N)), theta, generator)
