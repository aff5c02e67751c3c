"""The decentralised actors of a team: observation → bounded residual → action.

An actor never sees more than its own observation. It emits a residual in [-1, 1] per knob, and the
residual moves the knob within ±`bound` around a given baseline action (the tuned rule), never
outside [-1, 1]. With the last layer near zero the first policy is the baseline itself
(residual policy learning: Silver et al. 2018, arXiv:1812.06298).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from marl.nets.mlp import StackedMLP
from marl.nets.norm import RunningNorm


class TeamActor(nn.Module):
    """Actors of N agents, stacked; inputs and outputs are padded to the widest agent.

    Args:
        obs_sizes: (N,) observation width of each agent.
        baseline: (N, A) baseline action of each agent, in [-1, 1], padded with zeros.
        bound: how far, in action units, a residual may move a knob; 2 reaches the whole range.
        hidden: widths of the hidden layers.
        generator: source of the initial weights.
        has_layer_norm: see StackedMLP.
        last_scale: see StackedMLP.
    """

    baseline: Tensor
    down: Tensor
    up: Tensor

    def __init__(
        self,
        obs_sizes: Sequence[int],
        baseline: Tensor,
        *,
        bound: float,
        hidden: Sequence[int],
        generator: torch.Generator,
        has_layer_norm: bool = True,
        last_scale: float = 0.001,
    ) -> None:
        super().__init__()
        if (baseline.abs() > 1).any() or not torch.isfinite(baseline).all():
            raise ValueError(f"the baseline action must lie in [-1, 1]; got {baseline.tolist()}")
        baseline = baseline.to(torch.float32)
        self.norm = RunningNorm((len(obs_sizes), max(obs_sizes)))
        self.mlp = StackedMLP(
            obs_sizes,
            hidden,
            baseline.shape[1],
            generator=generator,
            has_layer_norm=has_layer_norm,
            last_scale=last_scale,
        )
        self.register_buffer("baseline", baseline)
        # Distances to the ends differ where the baseline is nearer to a limit than `bound`: each
        # side is scaled to its own, so zero stays the baseline and no residual is wasted.
        self.register_buffer("down", baseline - (baseline - bound).clamp(min=-1.0))
        self.register_buffer("up", (baseline + bound).clamp(max=1.0) - baseline)

    def forward(self, obs_BNF: Tensor) -> Tensor:  # noqa: N803 - dimension letters, see base.py
        """Residuals (N, B, A) in [-1, 1] from packed observations (B, N, F)."""
        return torch.tanh(self.mlp(self.norm(obs_BNF).transpose(0, 1)))

    def action(self, residual_NBA: Tensor) -> Tensor:  # noqa: N803
        """Actions (B, N, A) in [-1, 1] from residuals (N, B, A)."""
        residual = residual_NBA.transpose(0, 1)
        return self.baseline + residual.clamp(min=0) * self.up + residual.clamp(max=0) * self.down
