"""Mixers: the team's value as a function of its agents' utilities.

Both satisfy ∂Q_tot/∂Q_i ≥ 0, so that the agents' separate best choices are the team's joint best
(individual-global-max). The additive one is VDN's (Sunehag et al. 2017, arXiv:1706.05296, eq. 1),
the monotonic one QMIX's (Rashid et al. 2018, arXiv:1803.11485, section 4.1).
"""
# ruff: noqa: N803 - dimension letters as suffixes, legend in marl/algos/base.py

import torch
from torch import Tensor, nn

from marl.nets.mlp import StackedMLP


class AdditiveMixer(nn.Module):
    """Q_tot = Σ_i Q_i; the state plays no part."""

    def forward(self, value_BN: Tensor, state_BS: Tensor) -> Tensor:
        """(B,) from the chosen utilities (B, N) and the state (B, S)."""
        return value_BN.sum(1)


class MonotonicMixer(nn.Module):
    """Q_tot = |w2(s)| · ELU(|W1(s)| Q + b1(s)) + b2(s).

    The weights come from hypernetworks of the global state and are made non-negative by their
    absolute value; the biases are free, b2 from a network with a hidden layer.

    Args:
        agents: N.
        state_size: S.
        embed: width of the mixing layer (paper: 32).
        hyper_hidden: width of a hidden layer in the hypernetworks of the weights, 0 for none (the
            paper's; its successors' code uses 64). b2's hidden layer is `embed` wide.
        generator: source of the initial weights.
    """

    def __init__(
        self,
        agents: int,
        state_size: int,
        *,
        embed: int = 32,
        hyper_hidden: int = 64,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.agents, self.embed = agents, embed
        hidden = (hyper_hidden,) if hyper_hidden else ()

        def hyper(widths: tuple[int, ...], outputs: int) -> StackedMLP:
            return StackedMLP(
                [state_size], widths, outputs, generator=generator, has_layer_norm=False
            )

        self.first_weight = hyper(hidden, agents * embed)
        self.first_bias = hyper((), embed)
        self.second_weight = hyper(hidden, embed)
        self.second_bias = hyper((embed,), 1)

    def forward(self, value_BN: Tensor, state_BS: Tensor) -> Tensor:
        """(B,) from the chosen utilities (B, N) and the state (B, S)."""
        if value_BN.shape != (len(state_BS), self.agents):
            raise ValueError(
                f"utilities must be ({len(state_BS)}, {self.agents}); got {tuple(value_BN.shape)}"
            )
        weight = self.first_weight(state_BS)[0].abs().unflatten(1, (self.agents, self.embed))
        # A sum over a few agents: faster than as many small matrix products as there are rows.
        mixed = (value_BN[..., None] * weight).sum(1) + self.first_bias(state_BS)[0]
        hidden = nn.functional.elu(mixed)
        second = self.second_weight(state_BS)[0].abs()
        return (hidden * second).sum(1) + self.second_bias(state_BS)[0, :, 0]
