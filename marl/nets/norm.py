"""Running statistics that normalise what networks see: observations, and rewards.

The statistics are buffers, so they travel with the policy and with checkpoints. When to update them
belongs to the training loop.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class RunningNorm(nn.Module):
    """Running mean and variance over all rows seen, feature by feature.

    Uses the parallel update of Chan, Golub and LeVeque (1983), in float64, so that it neither
    cancels nor depends on the size of the blocks (up to rounding).

    Args:
        shape: shape of one row, e.g. (agents, features).
        clip: normalised values are limited to ±clip, so that a value never seen in training cannot
            drive a network far outside what it has learned.
        epsilon: added to the variance; also what keeps constant (padded) features at zero.
    """

    count: Tensor
    mean: Tensor
    m2: Tensor

    def __init__(self, shape: Sequence[int], clip: float = 10.0, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.clip = clip
        self.epsilon = epsilon
        self._converted: tuple[object, Tensor, Tensor] | None = None
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(*shape, dtype=torch.float64))
        self.register_buffer("m2", torch.zeros(*shape, dtype=torch.float64))

    @torch.no_grad()
    def update(self, rows: Tensor) -> None:
        """Take in (..., *shape); every leading dimension counts as rows."""
        rows = rows.reshape(-1, *self.mean.shape).to(torch.float64)
        new = len(rows)
        new_mean = rows.mean(0)
        delta = new_mean - self.mean
        total = self.count + new
        self.m2 += ((rows - new_mean) ** 2).sum(0) + delta**2 * (self.count * new / total)
        self.mean += delta * (new / total)
        self.count += new

    @property
    def std(self) -> Tensor:
        """Standard deviation, float64, of `shape`; one where nothing has been seen."""
        if self.count < 2:
            return torch.ones_like(self.mean)
        return (self.m2 / self.count + self.epsilon).sqrt()

    def forward(self, rows: Tensor) -> Tensor:
        """Centre and scale (..., *shape), then clip; float32."""
        mean, std = self._float32()
        scaled = (rows - mean) / std
        return scaled if self.clip == math.inf else scaled.clamp(-self.clip, self.clip)

    def _float32(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, converted once after each change and not for each batch."""
        versions = tuple((id(one), one._version) for one in (self.count, self.mean, self.m2))
        if self._converted is None or self._converted[0] != versions:
            self._converted = (versions, self.mean.to(torch.float32), self.std.to(torch.float32))
        return self._converted[1:]
