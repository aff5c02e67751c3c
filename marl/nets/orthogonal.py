"""Orthogonal initial weights for stacked networks, as on-policy learners want them."""

from collections.abc import Sequence

import torch

from marl.nets.mlp import StackedMLP


@torch.no_grad()
def orthogonal_(
    mlp: StackedMLP,
    in_features: Sequence[int],
    *,
    last_gain: float,
    generator: torch.Generator,
) -> StackedMLP:
    """Make every member's weight matrices orthogonal and its biases zero, in place.

    Hidden layers have gain √2 (ReLU), the last one `last_gain` (Saxe et al. 2014, arXiv:1312.6120;
    Andrychowicz et al. 2021, arXiv:2006.05990, on why the policy's last layer should be small).
    Rows of padded inputs, which are always zero, are left as they are.

    Args:
        mlp: the stack.
        in_features: inputs that each member uses.
        last_gain: gain of the last layer.
        generator: source of the weights.
    """
    last = len(mlp.weights) - 1
    for layer, (weights, biases) in enumerate(zip(mlp.weights, mlp.biases, strict=True)):
        gain = last_gain if layer == last else 2**0.5
        for member, used in enumerate(in_features):
            rows = used if layer == 0 else weights.shape[1]
            torch.nn.init.orthogonal_(weights[member, :rows], gain, generator=generator)
        biases.zero_()
    return mlp
