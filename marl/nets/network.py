"""A team's networks of any kind: an encoder, then an MLP, all agents evaluated together.

What the kinds and sizes mean is `marl.nets.config`; what outputs mean belongs to the caller.
"""
# ruff: noqa: N803 - dimension letters as suffixes (x_NBF), legend in marl/algos/base.py

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from marl.nets.attention import FieldAttention
from marl.nets.config import NetConfig
from marl.nets.gru import StackedGRU
from marl.nets.mlp import StackedMLP
from marl.nets.norm import RunningNorm
from marl.nets.sequence import SequenceLayout, SequenceNorm
from marl.nets.transformer import SequenceTransformer


def input_norm(
    config: NetConfig, in_features: Sequence[int], layouts: Sequence[SequenceLayout | None]
) -> RunningNorm:
    """What normalises (..., N, F) observations for a TeamNet of the same arguments."""
    if config.kind == "transformer":
        return SequenceNorm(in_features, layouts)
    return RunningNorm((len(in_features), max(in_features)))


class TeamNet(nn.Module):
    """Networks of N agents from normalised inputs to outputs; of kind "mlp" a StackedMLP alone.

    Args:
        config: kind and sizes.
        in_features: (N,) inputs of each agent.
        out_features: outputs of every agent.
        layouts: (N,) lists within the inputs, for transformers; none if empty.
        generator: source of the initial weights.
        last_scale: see StackedMLP.

    Raises:
        ValueError: a transformer without a list to read.
    """

    def __init__(
        self,
        config: NetConfig,
        in_features: Sequence[int],
        out_features: int,
        *,
        layouts: Sequence[SequenceLayout | None] = (),
        generator: torch.Generator,
        last_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.config = config
        agents = len(in_features)
        self.encoder: FieldAttention | SequenceTransformer | None = None
        self.gru: StackedGRU | None = None
        self.mlp_inputs = tuple(in_features)  # (N,) inputs of the MLP
        if config.kind == "attention":
            self.encoder = FieldAttention(
                in_features,
                token=config.token,
                heads=config.heads,
                generator=generator,
                has_layer_norm=config.has_layer_norm,
            )
            self.mlp_inputs = self.encoder.out_features
        elif config.kind == "transformer":
            self.encoder = SequenceTransformer(
                in_features,
                layouts or (None,) * agents,
                token=config.token,
                heads=config.heads,
                depth=config.depth,
                feed_forward=config.feed_forward,
                generator=generator,
            )
            self.mlp_inputs = self.encoder.out_features
        elif config.kind == "gru":
            self.gru = StackedGRU(in_features, config.memory, generator=generator)
            self.mlp_inputs = (config.memory,) * agents
        self.mlp = StackedMLP(
            self.mlp_inputs,
            config.hidden,
            out_features,
            generator=generator,
            has_layer_norm=config.has_layer_norm,
            last_scale=last_scale,
        )

    def forward(self, x_NBF: Tensor) -> Tensor:
        """Outputs (N, B, A).

        Raises:
            RuntimeError: the networks have a memory: `step` carries it.
        """
        if self.gru is not None:
            raise RuntimeError("a network with a memory is advanced by step(x, memory)")
        out: Tensor = self.mlp(x_NBF if self.encoder is None else self.encoder(x_NBF))
        return out

    def begin(self, rows: int) -> Tensor | None:
        """(N, rows, H) memory where episodes begin; None of networks without one."""
        return None if self.gru is None else self.gru.initial(rows)

    def step(self, x_NBF: Tensor, memory_NBH: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Outputs (N, B, A) and the memory after, None where there is none.

        Raises:
            RuntimeError: networks with a memory were given none (`begin` makes one).
        """
        if self.gru is None:
            return self(x_NBF), None
        if memory_NBH is None:
            raise RuntimeError("a network with a memory needs one: begin(rows) makes it")
        memory: Tensor = self.gru(x_NBF, memory_NBH)
        return self.mlp(memory), memory

    def weights(self, x_NBF: Tensor) -> Tensor:
        """(N, B, heads, F or R) attention weights of fields ("attention") or list slots.

        Raises:
            TypeError: networks of this kind attend to nothing.
        """
        if self.encoder is None:
            raise TypeError(f"networks of kind {self.config.kind!r} have no attention to read out")
        return self.encoder.weights(x_NBF)
