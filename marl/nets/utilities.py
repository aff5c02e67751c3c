"""Utility networks of a team with discrete choices: observation → a value for every choice.

Decentralised: an agent's values depend on its own observation only. How they are mixed into a
team's value belongs to `marl.nets.mixers`, how they are learned to `marl.algos.qmix`.
"""
# ruff: noqa: N803 - dimension letters as suffixes (obs_BNF), legend in marl/algos/base.py

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from marl.nets.config import NetConfig
from marl.nets.network import TeamNet, input_norm
from marl.nets.sequence import SequenceLayout


class TeamUtility(nn.Module):
    """Utilities of N agents, stacked; observations and choices are padded to the widest agent.

    Args:
        obs_sizes: (N,) observation width of each agent.
        choices: (N,) number of choices of each agent.
        net: kind and sizes of the networks, of a kind without memory.
        generator: source of the initial weights.
        layouts: (N,) lists within the observations, for transformers; none if empty.
        last_scale: see StackedMLP.
        first_bonus: added to the initial value of choice 0, so that with a small `last_scale` an
            untrained team takes it everywhere. On the `moves` face it means "keep everything",
            and the knobs begin at the tuned rule.
        first_margin: how much more than choice 0 another must be worth to be taken, always; no part
            of the values that are learned. Where most choices hardly matter, the largest of many
            uncertain values is an error more often than a find.
    """

    exists: Tensor
    first_margin: Tensor

    def __init__(
        self,
        obs_sizes: Sequence[int],
        choices: Sequence[int],
        *,
        net: NetConfig,
        generator: torch.Generator,
        layouts: Sequence[SequenceLayout | None] = (),
        last_scale: float = 0.01,
        first_bonus: float = 0.1,
        first_margin: float = 0.0,
    ) -> None:
        super().__init__()
        if len(obs_sizes) != len(choices) or min(choices) < 1:
            raise ValueError(f"choices {tuple(choices)} of agents that see {tuple(obs_sizes)}")
        net.refuse_memory("a team of utilities", "it is asked about single decisions")
        self.norm = input_norm(net, obs_sizes, layouts)
        self.net = TeamNet(
            net,
            obs_sizes,
            max(choices),
            layouts=layouts,
            generator=generator,
            last_scale=last_scale,
        )
        self.net.mlp.biases[-1].data[:, :, 0] += first_bonus
        exists = torch.arange(max(choices)) < torch.tensor(tuple(choices))[:, None]
        # (N, A); follows from the sizes, so no file may say otherwise.
        self.register_buffer("exists", exists, persistent=False)
        margin = torch.zeros(max(choices))
        margin[0] = first_margin
        self.register_buffer("first_margin", margin)  # (A,)

    def forward(self, obs_BNF: Tensor) -> Tensor:
        """Values (B, N, A) from packed observations (B, N, F); padded choices have some, too."""
        return self.net(self.norm(obs_BNF).transpose(0, 1)).transpose(0, 1)

    def open_choices(self, mask_BNA: Tensor) -> Tensor:
        """(B, N, A) bool: choices that are open by the mask and exist.

        Raises:
            ValueError: an agent has no choice left, or the mask has another shape.
        """
        if mask_BNA.shape[1:] != self.exists.shape:
            raise ValueError(
                f"mask must be (B, {self.exists.shape[0]}, {self.exists.shape[1]}); got "
                f"{tuple(mask_BNA.shape)}"
            )
        is_open = (mask_BNA > 0) & self.exists
        if not bool(is_open.any(-1).all()):
            row, agent = (~is_open.any(-1)).nonzero()[0].tolist()
            raise ValueError(f"agent {agent} of row {row} has no open choice")
        return is_open

    @torch.no_grad()
    def choose(self, obs_BNF: Tensor, mask_BNA: Tensor) -> Tensor:
        """(B, N) int64: each agent's best open choice, by its own observation alone."""
        return self.best(self(obs_BNF), self.open_choices(mask_BNA))

    def best(self, value_BNA: Tensor, is_open_BNA: Tensor) -> Tensor:
        """(B, N) int64: the choices to take by these values, choice 0 in favour by the margin."""
        return best_choice(value_BNA + self.first_margin, is_open_BNA)


def best_choice(value_BNA: Tensor, is_open_BNA: Tensor) -> Tensor:
    """(B, N) int64: the open choice of the highest value; the first of them where they tie."""
    return value_BNA.masked_fill(~is_open_BNA, -torch.inf).argmax(-1)
