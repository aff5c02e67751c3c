"""Exploration noise added to residual actions, with a random state of its own."""

from typing import Any, Literal

import torch
from torch import Tensor

NoiseKind = Literal["gaussian", "ou"]


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
        self, kind: NoiseKind, shape: tuple[int, int, int], theta: float, generator: torch.Generator
    ) -> None:
        self.keep = 1.0 - theta if kind == "ou" else 0.0
        self.shape = shape
        self.generator = generator
        self.reset()

    def reset(self) -> None:
        """Begin an episode: draw from the stationary distribution."""
        self.value = torch.randn(self.shape, generator=self.generator)

    def sample(self, sigma: float) -> Tensor:
        """(N, B, A) noise for this step; moves the process on."""
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
