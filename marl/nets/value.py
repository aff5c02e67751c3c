"""State-value critics that learn returns in units of their running deviation (PopArt)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from marl.nets.config import NetConfig
from marl.nets.mlp import StackedMLP
from marl.nets.norm import RunningNorm
from marl.nets.orthogonal import orthogonal_


class ValueCritics(nn.Module):
    """J critics, each with statistics of its own returns.

    When the statistics move, the last layer is rescaled so that every prediction in units of
    reward stays what it was (van Hasselt et al. 2016, arXiv:1602.07714, eq. 9).

    Args:
        in_features: (J,) inputs of each critic.
        net: sizes of the hidden layers; critics are MLPs whatever its kind.
        generator: source of the orthogonal initial weights.
        last_gain: gain of the last layer; small, because a critic that has learned nothing should
            say the mean: guesses of unit size bury what a knob did.
    """

    def __init__(
        self,
        in_features: Sequence[int],
        net: NetConfig,
        *,
        generator: torch.Generator,
        last_gain: float = 0.01,
    ) -> None:
        super().__init__()
        self.mlp = StackedMLP(
            in_features, net.hidden, 1, generator=generator, has_layer_norm=net.has_layer_norm
        )
        orthogonal_(self.mlp, in_features, last_gain=last_gain, generator=generator)
        self.norm = RunningNorm((len(in_features),), clip=math.inf)

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalised values (B, J) from (J, B, F), or from (B, F) shown to all."""
        value: Tensor = self.mlp(inputs)
        return value.squeeze(-1).transpose(0, 1)

    def raw(self, value: Tensor) -> Tensor:
        """Normalised values (..., J) in units of reward."""
        return value * self.norm.std.to(value.dtype) + self.norm.mean.to(value.dtype)

    @torch.no_grad()
    def observe(self, returns: Tensor) -> None:
        """Take returns (..., J) into the statistics; predictions in units of reward stay."""
        mean, std = self.norm.mean.clone(), self.norm.std.clone()
        self.norm.update(returns)
        weight, bias = self.mlp.weights[-1], self.mlp.biases[-1]
        ratio = (std / self.norm.std).to(weight.dtype).view(-1, 1, 1)
        shift = ((mean - self.norm.mean) / self.norm.std).to(weight.dtype).view(-1, 1, 1)
        weight.mul_(ratio)
        bias.mul_(ratio).add_(shift)
