"""The decentralised actors of a team: observation → bounded residual → action.

An actor never sees more than its own observation. It emits a residual in [-1, 1] per knob, and the
residual moves the knob within ±`bound` around a given baseline action (the tuned rule), never
outside [-1, 1]. With the last layer near zero the first policy is the baseline itself
(residual policy learning: Silver et al. 2018, arXiv:1812.06298). What it has learned can be
calibrated afterwards, knob by knob: how far residuals reach, and a constant beside them
(`marl.train.calibration`).
"""
# ruff: noqa: N803 - dimension letters as suffixes (obs_BNF), legend in marl/algos/base.py

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from marl.nets.config import NetConfig
from marl.nets.network import TeamNet, input_norm
from marl.nets.sequence import SequenceLayout


class TeamActor(nn.Module):
    """Actors of N agents, stacked; inputs and outputs are padded to the widest agent.

    Args:
        obs_sizes: (N,) observation width of each agent.
        baseline: (N, A) baseline action of each agent, in [-1, 1], padded with zeros.
        bound: how far, in action units, a residual may move a knob; 2 reaches the whole range.
        net: kind and sizes of the networks.
        generator: source of the initial weights.
        layouts: (N,) lists within the observations, for transformers; none if empty.
        last_scale: see StackedMLP.

    Attributes:
        gain: (N, A) factor on what residuals move, 1 until it is calibrated.
        shift: (N, A) added to every action, in action units, 0 until it is calibrated.
    """

    baseline: Tensor
    down: Tensor
    up: Tensor
    gain: Tensor
    shift: Tensor

    def __init__(
        self,
        obs_sizes: Sequence[int],
        baseline: Tensor,
        *,
        bound: float,
        net: NetConfig,
        generator: torch.Generator,
        layouts: Sequence[SequenceLayout | None] = (),
        last_scale: float = 0.001,
    ) -> None:
        super().__init__()
        if (baseline.abs() > 1).any() or not torch.isfinite(baseline).all():
            raise ValueError(f"the baseline action must lie in [-1, 1]; got {baseline.tolist()}")
        baseline = baseline.to(torch.float32)
        self.net = TeamNet(
            net,
            obs_sizes,
            baseline.shape[1],
            layouts=layouts,
            generator=generator,
            last_scale=last_scale,
        )
        self.norm = input_norm(net, obs_sizes, layouts)
        self.register_buffer("baseline", baseline)
        # Distances to the ends differ where the baseline is nearer to a limit than `bound`: each
        # side is scaled to its own, so zero stays the baseline and no residual is wasted.
        self.register_buffer("down", baseline - (baseline - bound).clamp(min=-1.0))
        self.register_buffer("up", (baseline + bound).clamp(max=1.0) - baseline)
        self.register_buffer("gain", torch.ones_like(baseline))
        self.register_buffer("shift", torch.zeros_like(baseline))

    def forward(self, obs_BNF: Tensor) -> Tensor:
        """Residuals (N, B, A) in [-1, 1] from packed observations (B, N, F), without memory."""
        return torch.tanh(self.net(self.norm(obs_BNF).transpose(0, 1)))

    def begin(self, rows: int) -> Tensor | None:
        """(N, rows, H) memory where episodes begin; None of actors without one."""
        return self.net.begin(rows)

    def logits(self, obs_BNF: Tensor, memory_NBH: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Outputs (N, B, A) before squashing, and the memory after; actors of every kind."""
        return self.net.step(self.norm(obs_BNF).transpose(0, 1), memory_NBH)

    def step(self, obs_BNF: Tensor, memory_NBH: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Residuals (N, B, A) in [-1, 1], and the memory after; actors of every kind."""
        logits, memory = self.logits(obs_BNF, memory_NBH)
        return torch.tanh(logits), memory

    def action(self, residual_NBA: Tensor) -> Tensor:
        """Actions (B, N, A) in [-1, 1] from residuals (N, B, A)."""
        return self.calibrated(residual_NBA, self.gain, self.shift)

    def calibrated(self, residual_NBA: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
        """What `action` would give with another `gain` and `shift`, (N, A) or (B, N, A) each."""
        residual = residual_NBA.transpose(0, 1)
        moved = residual.clamp(min=0) * self.up + residual.clamp(max=0) * self.down
        return (self.baseline + shift + gain * moved).clamp(-1.0, 1.0)

    @torch.no_grad()
    def attention(self, obs_BNF: Tensor) -> Tensor:
        """(N, B, F or R) weights of observation fields, or of list slots, mean over heads.

        What an agent decides by: weights sum to one over an agent's fields (over the open slots of
        its list, where it has one). Names are the policy's (`StoredPolicy.attention`).

        Raises:
            TypeError: the networks have no attention.
        """
        return self.net.weights(self.norm(obs_BNF).transpose(0, 1)).mean(2)


def forget(memory_NBH: Tensor | None, is_end_B: Tensor) -> Tensor | None:
    """The memory with zeros in rows whose episode has ended."""
    return None if memory_NBH is None else memory_NBH * (~is_end_B)[:, None]
