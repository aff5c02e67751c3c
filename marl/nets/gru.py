"""Gated recurrent units of several agents, evaluated together as one stack.

What memories mean, when an episode begins and which heads read the outputs belong to the caller.
Inputs of different widths are padded with zeros to the widest, as in `marl.nets.mlp`.
"""
# ruff: noqa: N803, N806 - dimension letters as suffixes (x_TEBF), legend in marl/algos/base.py

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class StackedGRU(nn.Module):
    """E independent GRU cells of one width (Cho et al. 2014, arXiv:1406.1078).

    In torch.nn.GRU's form, gates in its order:
    r = σ(W_r x + b_r + U_r h + c_r), z = σ(W_z x + b_z + U_z h + c_z),
    n = tanh(W_n x + b_n + r (U_n h + c_n)), h' = (1 − z) n + z h.
    A memory is (E, B, H), zeros where an episode begins, and also the cell's output.

    Args:
        in_features: (E,) number of inputs each member uses; the input is as wide as the largest,
            and the weights of unused (padded, always zero) inputs never receive a gradient.
        hidden: H, width of every member's memory.
        generator: source of the initial weights.
    """

    def __init__(
        self, in_features: Sequence[int], hidden: int, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.members = len(in_features)
        self.hidden = hidden
        bound = hidden**-0.5  # as torch.nn.GRU: U(-1/sqrt(H), 1/sqrt(H)), whatever the input

        def uniform(rows: int) -> nn.Parameter:
            drawn = torch.rand((self.members, rows, 3 * hidden), generator=generator)
            return nn.Parameter((drawn * 2 - 1) * bound)

        self.input_weight = uniform(max(in_features))  # (E, F, 3H)
        self.memory_weight = uniform(hidden)  # (E, H, 3H)
        self.input_bias = uniform(1)
        self.memory_bias = uniform(1)

    def initial(self, batch: int) -> Tensor:
        """(E, B, H) memories at an episode's beginning: zeros."""
        return self.memory_weight.new_zeros((self.members, batch, self.hidden))

    def forward(self, x: Tensor, memory_EBH: Tensor) -> Tensor:
        """Memories (E, B, H) after one step.

        Args:
            x: (E, B, F) one input per member, or (B, F) the same input for all.
            memory_EBH: memories before it.
        """
        return self._step(self._from_input(x), memory_EBH)

    def unroll(
        self, x: Tensor, memory_EBH: Tensor, reset_TB: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Outputs (T, E, B, H) of every step, and the last memory (E, B, H).

        Args:
            x: (T, E, B, F) one input per member, or (T, B, F) the same input for all.
            memory_EBH: memories before the first step.
            reset_TB: (T, B) bool, true where an episode begins: the memory is zero before that
                step, and no gradient flows past it.

        Raises:
            ValueError: `reset_TB` has another shape.
        """
        if x.dim() == 4:  # one product for all steps
            rows_E = x.transpose(0, 1).flatten(1, 2)
            inputs_TEBG = self._from_input(rows_E).unflatten(1, (len(x), -1)).transpose(0, 1)
        else:
            inputs_TEBG = (
                self._from_input(x.flatten(0, 1)).unflatten(1, x.shape[:2]).transpose(0, 1)
            )
        keep_TB1 = None
        if reset_TB is not None:
            if reset_TB.shape != (len(x), memory_EBH.shape[1]):
                raise ValueError(
                    f"reset_TB must be ({len(x)}, {memory_EBH.shape[1]}); got "
                    f"{tuple(reset_TB.shape)}"
                )
            keep_TB1 = (~reset_TB).to(memory_EBH.dtype)[..., None]
        outputs = []
        for t, inputs_EBG in enumerate(inputs_TEBG.unbind(0)):
            if keep_TB1 is not None:
                memory_EBH = memory_EBH * keep_TB1[t]
            memory_EBH = self._step(inputs_EBG, memory_EBH)
            outputs.append(memory_EBH)
        return torch.stack(outputs), memory_EBH

    def _from_input(self, x: Tensor) -> Tensor:
        """(E, B, 3H) what the input adds to the gates, from (E, B, F) or (B, F)."""
        if x.dim() == 3:
            return torch.baddbmm(self.input_bias, x, self.input_weight)
        members, width_in, width_out = self.input_weight.shape
        flat = x @ self.input_weight.permute(1, 0, 2).reshape(width_in, members * width_out)
        return flat.view(len(x), members, width_out).transpose(0, 1) + self.input_bias

    def _step(self, inputs_EBG: Tensor, memory_EBH: Tensor) -> Tensor:
        memories_EBG = torch.baddbmm(self.memory_bias, memory_EBH, self.memory_weight)
        gates = 2 * self.hidden
        reset, update = torch.sigmoid(inputs_EBG[..., :gates] + memories_EBG[..., :gates]).chunk(
            2, -1
        )
        new = torch.tanh(torch.addcmul(inputs_EBG[..., gates:], reset, memories_EBG[..., gates:]))
        return torch.lerp(new, memory_EBH, update)
