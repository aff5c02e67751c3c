"""An encoder of observations that hold a list of variable length: a transformer without positions.

Entries are a set: their order means nothing, their fields say what they are. Where the list stands
within an observation is told by `marl.nets.sequence`.
"""
# ruff: noqa: N803 - dimension letters as suffixes (x_NBF), legend in marl/algos/base.py

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from marl.nets.attention import attend
from marl.nets.mlp import StackedMLP, uniform
from marl.nets.sequence import SequenceLayout


class Block(nn.Module):
    """M stacked blocks: queries attend over tokens, then a feed-forward layer; both residual.

    h = x + Attention(norm x, norm y), then h + FF(norm h): the pre-norm order (Xiong et al. 2020,
    arXiv:2002.04745, figure 1b), with layer norms without gain and bias.

    Args:
        members: M.
        token: D, width of a token.
        heads: of attention; must divide D.
        wide: hidden width of the feed-forward layer.
        generator: source of the initial weights.
    """

    def __init__(
        self, members: int, token: int, heads: int, wide: int, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.heads = heads
        inputs = [token] * members
        self.query = StackedMLP(inputs, (), token, generator=generator)
        self.key_value = StackedMLP(inputs, (), 2 * token, generator=generator)
        self.out = StackedMLP(inputs, (), token, generator=generator)
        self.feed_forward = StackedMLP(
            inputs, (wide,), token, generator=generator, has_layer_norm=False
        )

    def forward(self, x: Tensor, y: Tensor, is_open: Tensor) -> tuple[Tensor, Tensor]:
        """(M, B, L, D) from queries (M, B, L, D) over tokens y (M, B, R, D) that are open.

        Args:
            x: what asks.
            y: what is asked.
            is_open: (M, B, R) bool.

        Returns:
            What x has become, and the weights (M, B, heads, L, R).
        """
        key, value = _each(self.key_value, _norm(y)).chunk(2, -1)
        query = _each(self.query, _norm(x))
        pooled, weights = attend(query, key, value, is_open[:, :, None], self.heads)
        x = x + _each(self.out, pooled)
        return x + _each(self.feed_forward, _norm(x)), weights


class SequenceTransformer(nn.Module):
    """Encoders of N agents: their list pooled by a transformer, beside their other fields.

    Blocks of self-attention over the open slots, then one in which a learned seed pools them (Set
    Transformer: Lee et al. 2019, arXiv:1810.00825, eq. 8 and 11). Closed slots are never seen,
    whatever stands in them. Agents without a list get zeros for the pooled part.

    Args:
        in_features: (N,) observation width of each agent.
        layouts: (N,) where each agent's list stands; None for agents without one.
        token: D, width of a token and of what is pooled.
        heads: of attention; must divide D.
        depth: blocks, the pooling one included.
        feed_forward: hidden width of feed-forward layers over D.
        generator: source of the initial weights.

    Raises:
        ValueError: no agent has a list, or lists differ.
    """

    members: Tensor
    columns: Tensor
    is_open: Tensor
    rest: Tensor
    is_rest: Tensor

    def __init__(
        self,
        in_features: Sequence[int],
        layouts: Sequence[SequenceLayout | None],
        *,
        token: int,
        heads: int,
        depth: int,
        feed_forward: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        lists = [layout for layout in layouts if layout is not None]
        if not lists:
            raise ValueError(
                "a transformer reads a list of observation fields (`request0_work` … "
                "`request0_is_open`, see marl.nets.sequence), and no agent observes one: make the "
                "environment with it (request_agents), or take another net.kind"
            )
        if len({(layout.fields, len(layout.columns)) for layout in lists}) > 1:
            raise ValueError("lists of a team must have the same fields and slots")
        slots, fields = len(lists[0].columns), len(lists[0].fields)
        self.token = token
        self.embed = StackedMLP([fields] * len(lists), (), token, generator=generator)
        self.seed = uniform((len(lists), 1, token), token**-0.5, generator)
        self.blocks = nn.ModuleList(
            Block(len(lists), token, heads, feed_forward * token, generator=generator)
            for _ in range(depth)
        )
        rests = [
            layout.rest(width) if layout else tuple(range(width))
            for width, layout in zip(in_features, layouts, strict=True)
        ]
        self.out_features = tuple(token + len(rest) for rest in rests)
        widest = max(map(len, rests))
        padded = [list(rest) + [0] * (widest - len(rest)) for rest in rests]
        is_rest = torch.arange(widest) < torch.tensor([len(rest) for rest in rests])[:, None]
        for name, value in (
            ("members", torch.tensor([i for i, layout in enumerate(layouts) if layout])),
            ("columns", torch.tensor([x.columns for x in lists]).view(-1, 1, slots * fields)),
            ("is_open", torch.tensor([x.is_open for x in lists])[:, None]),
            ("rest", torch.tensor(padded, dtype=torch.int64)[:, None]),
            ("is_rest", is_rest[:, None]),
        ):
            self.register_buffer(name, value, persistent=False)

    def forward(self, x_NBF: Tensor) -> Tensor:
        """(N, B, D + widest rest): the pooled list, then the other fields."""
        pooled, _ = self.pool(x_NBF)
        rows = x_NBF.shape[1]
        whole = x_NBF.new_zeros((len(x_NBF), rows, self.token))
        whole = whole.index_copy(0, self.members, pooled)
        rest = x_NBF.gather(2, self.rest.expand(-1, rows, -1)) * self.is_rest
        return torch.cat((whole, rest), 2)

    def weights(self, x_NBF: Tensor) -> Tensor:
        """(N, B, heads, R) weights of the slots in the pooling block; 0 where there is no list."""
        _, weights = self.pool(x_NBF)
        whole = x_NBF.new_zeros((len(x_NBF), *weights.shape[1:3], weights.shape[-1]))
        return whole.index_copy(0, self.members, weights[..., 0, :])

    def pool(self, x_NBF: Tensor) -> tuple[Tensor, Tensor]:
        """(M, B, D) pooled lists of the M agents that have one, and weights (M, B, heads, 1, R)."""
        rows = x_NBF.shape[1]
        mine = x_NBF.index_select(0, self.members)
        is_open = mine.gather(2, self.is_open.expand(-1, rows, -1)) > 0.5
        entries = mine.gather(2, self.columns.expand(-1, rows, -1))
        tokens = _each(self.embed, entries.unflatten(2, (is_open.shape[2], -1)))
        for block in self.blocks[:-1]:
            tokens, _ = block(tokens, tokens, is_open)
        seed = self.seed[:, :, None].expand(-1, rows, -1, -1)
        pooled, weights = self.blocks[-1](seed, tokens, is_open)
        return _norm(pooled[:, :, 0]), weights


def _each(layer: StackedMLP, x: Tensor) -> Tensor:
    """A stack's outputs for every token of (M, B, R, ·)."""
    out: Tensor = layer(x.flatten(1, 2))
    return out.unflatten(1, x.shape[1:3])


def _norm(x: Tensor) -> Tensor:
    return nn.functional.layer_norm(x, x.shape[-1:])
