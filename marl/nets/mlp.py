"""Multi-layer perceptrons of several agents, evaluated together as one stack.

Agents' inputs of different widths are padded with zeros to the widest (`marl.algos.base.TeamSpec`
packs them), so one product per layer serves all agents. How a product and its gradients are
computed is in `marl.nets.layers`. What the networks mean (actor, critic) and how inputs are
normalised belong to their own modules.
"""
# ruff: noqa: N803 - dimension letters as suffixes, legend in marl/algos/base.py

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from marl.nets.layers import linear, norm_relu, pays_to_centre


class StackedMLP(nn.Module):
    """E independent MLPs of the same depth and width; ReLU, optionally layer norm before it.

    Layer norm (Ba et al. 2016, arXiv:1607.06450) is used without gain and bias.

    Args:
        in_features: (E,) number of inputs each member uses; the input is as wide as the largest,
            and the weights of unused (padded, always zero) inputs never receive a gradient.
        hidden: widths of the hidden layers, the same for every member.
        out_features: number of outputs of every member.
        generator: source of the initial weights.
        has_layer_norm: normalise each hidden layer before its ReLU.
        last_scale: factor on the initial last layer; near zero makes the first output near zero.
    """

    def __init__(
        self,
        in_features: Sequence[int],
        hidden: Sequence[int],
        out_features: int,
        *,
        generator: torch.Generator,
        has_layer_norm: bool = True,
        last_scale: float = 1.0,
    ) -> None:
        super().__init__()
        members = len(in_features)
        widths = [max(in_features), *hidden, out_features]
        self.has_layer_norm = has_layer_norm
        self.members = members
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for layer, (width_in, width_out) in enumerate(pairwise(widths)):
            fans = torch.tensor(in_features if layer == 0 else [width_in] * members)
            # PyTorch's own nn.Linear initialisation, U(-1/sqrt(fan_in), 1/sqrt(fan_in)).
            bound = fans.clamp(min=1).to(torch.float32).rsqrt().reshape(members, 1, 1)
            if layer == len(hidden):
                bound = bound * last_scale
            weight = torch.rand((members, width_in, width_out), generator=generator) * 2 - 1
            bias = torch.rand((members, 1, width_out), generator=generator) * 2 - 1
            self.weights.append(nn.Parameter(weight * bound))
            self.biases.append(nn.Parameter(bias * bound))

    def forward(self, x: Tensor, first: int | Tensor | None = None) -> Tensor:
        """Outputs of every member.

        Args:
            x: (E, B, F) one input per member, or (B, F) the same input for all.
            first: use only this many members, from the start of the stack, or only these, (M,)
                int64; all if None.

        Returns:
            (E, B, out_features), E being the members used.
        """
        return self._run(x, *self._members(first))

    def beside(self, fixed_BF: Tensor, moving_EBF: Tensor, first: int | None = None) -> Tensor:
        """`forward` of inputs in two parts, for gradients by the second part alone.

        What belongs to the first part is computed once for all members and never differentiated:
        half of the first layer's work where the first part is wide.

        Args:
            fixed_BF: (B, F1) the first inputs, the same for every member.
            moving_EBF: (E, B, F2) the others.
            first: see `forward`.
        """
        weights, biases = self._members(first)
        width = fixed_BF.shape[1]
        is_normed = self.has_layer_norm and len(weights) > 1
        is_centred = is_normed and pays_to_centre(len(fixed_BF), weights[0])
        begun = linear(fixed_BF.detach(), weights[0][:, :width], biases[0], is_centred=is_centred)
        return self._run(moving_EBF, [weights[0][:, width:], *weights[1:]], [begun, *biases[1:]])

    def _members(self, first: int | Tensor | None) -> tuple[list[Tensor], list[Tensor]]:
        # Small networks are called so often that ParameterList's own iterator would be felt.
        weights: list[Tensor] = list(self.weights.parameters(recurse=False))
        biases: list[Tensor] = list(self.biases.parameters(recurse=False))
        if isinstance(first, Tensor):
            weights = [one.index_select(0, first) for one in weights]
            return weights, [one.index_select(0, first) for one in biases]
        if first is None or first == self.members:
            return weights, biases
        return [one[:first] for one in weights], [one[:first] for one in biases]

    def _run(self, x: Tensor, weights: list[Tensor], biases: list[Tensor]) -> Tensor:
        """Outputs from inputs, (E, B, F) or (B, F)."""
        last = len(weights) - 1
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            if layer == last or not self.has_layer_norm:
                x = linear(x, weight, bias, has_relu=layer < last)
            else:
                is_centred = pays_to_centre(x.shape[-2], weight)
                x = norm_relu(linear(x, weight, bias, is_centred=is_centred), is_centred=is_centred)
        return x


def uniform(shape: Sequence[int], bound: float, generator: torch.Generator) -> nn.Parameter:
    """Weights drawn from U(-bound, bound)."""
    return nn.Parameter((torch.rand(tuple(shape), generator=generator) * 2 - 1) * bound)


def count_parameters(module: nn.Module) -> int:
    """Number of trainable scalars."""
    return sum(math.prod(parameter.shape) for parameter in module.parameters())
