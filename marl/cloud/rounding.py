"""The few operations in which the exact clouds and the smooth ones differ.

The exact clouds evaluate: whole machines, sampled losses, hard minima. The smooth ones let
gradients of a return flow to every action: staircases with rounded edges, expected losses, soft
minima. Everything else in a step is one code for both. After Suh et al., "Do differentiable
simulators give better policy gradients?" (ICML 2022) and Che, Dong and Namkoong, "Differentiable
discrete event simulation for queueing network control" (2024), adapted to provisioning.
"""

import math
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor

_TOLERANCE: Final = 1e-4  # 50.00001 machines are 50 machines, whatever the rounding of float32
_HALF_UP: Final = 0.5 + _TOLERANCE
_EPS: Final = 1e-6


class Rounding(Protocol):
    """What a step asks of its arithmetic. Every argument and result is (..., B) unless stated."""

    def up(self, units: Tensor) -> Tensor:
        """Whole units that hold `units`."""
        ...

    def nearest(self, units: Tensor) -> Tensor:
        """The nearest whole number of units."""
        ...

    def whole_part(self, units: Tensor) -> Tensor:
        """Units rounded down."""
        ...

    def share_out(self, parts: Tensor, total: Tensor) -> Tensor:
        """(N, B) whole numbers in proportion to `parts` (N, B), `total` (B,) in all."""
        ...

    def lose(self, counts: Tensor, chance: Tensor, draw: Tensor) -> Tensor:
        """(N, B) lost of `counts` (N, B), each with `chance` (N, B); `draw` (B,) in [0, 1)."""
        ...

    def is_within(self, lag: Tensor, window: Tensor) -> Tensor:
        """Weight 0 .. 1 of a measurement `lag` steps old in a window of `window` steps."""
        ...

    def is_on(self, switch: Tensor) -> Tensor:
        """1 where a switch in [0, 1] stands above a half."""
        ...

    def is_any(self, units: Tensor) -> Tensor:
        """1 where an operation on so many units bars the next one."""
        ...

    def least(self, ratios: Tensor) -> Tensor:
        """(B,) the largest share at most 1 that `ratios` (N, B) of capacity to load allow."""
        ...


def _running_sum(parts: Tensor) -> Tensor:
    """`parts.cumsum(0)`, row by row: unlike cumsum this fuses when compiled."""
    rows = [parts[0]]
    for part in parts[1:].unbind(0):
        rows.append(rows[-1] + part)
    return torch.stack(rows)


@dataclass(frozen=True)
class Exact:
    """Whole machines and sampled losses: what evaluates."""

    def up(self, units: Tensor) -> Tensor:
        """Round up, forgiving what float32 adds."""
        return torch.ceil(units - _TOLERANCE)

    def nearest(self, units: Tensor) -> Tensor:
        """Round half up."""
        return torch.floor(units + _HALF_UP)

    def whole_part(self, units: Tensor) -> Tensor:
        """Round down, forgiving what float32 takes away."""
        return torch.floor(units + _TOLERANCE)

    def share_out(self, parts: Tensor, total: Tensor) -> Tensor:
        """Differences of the rounded running sum: each part is rounded up or down, none twice."""
        running = _running_sum(parts)
        edges = torch.floor(running * (total / running[-1].clamp_min(_EPS)) + _HALF_UP)
        return torch.cat((edges[:1], edges[1:] - edges[:-1]))

    def lose(self, counts: Tensor, chance: Tensor, draw: Tensor) -> Tensor:
        """Systematic sampling: the mean is exactly counts · chance."""
        edges = torch.floor(_running_sum(counts * chance) + draw)
        return torch.minimum(torch.cat((edges[:1], edges[1:] - edges[:-1])), counts)

    def is_within(self, lag: Tensor, window: Tensor) -> Tensor:
        """1 where the measurement is younger than the window."""
        return (lag < window).to(window.dtype)

    def is_on(self, switch: Tensor) -> Tensor:
        """1 above a half."""
        return (switch > 0.5).to(switch.dtype)

    def is_any(self, units: Tensor) -> Tensor:
        """1 from one unit on."""
        return units.clamp_max(1.0)

    def least(self, ratios: Tensor) -> Tensor:
        """The minimum, at most 1."""
        return ratios.amin(0).clamp_max(1.0)


@dataclass(frozen=True)
class Smooth:
    """Differentiable everywhere but at clamps: what first-order learners and planners use.

    Attributes:
        edges: how often the staircase x - sin(2πx)/2π is applied to itself; 0 is a straight line,
            3 keeps within 3 % of a whole number over four fifths of each step.
        sharpness: of switches and windows, per unit.
        norm: of the soft minimum (Σ x^-p)^(-1/p). What it takes below the minimum waits minutes,
            where the SLO is a fraction of a second: at a load of 1 it is 0.6 %, at 0.95 nothing.
        onset: how fast the first unit comes, per unit.
    """

    edges: int = 2
    sharpness: float = 16.0
    norm: float = 120.0
    onset: float = 8.0

    def up(self, units: Tensor) -> Tensor:
        """The staircase half a step to the left, which begins at 0: nothing asked, nothing bought.

        Without the second factor 0 units would become half a unit: a GPU, a cache nobody wants.
        """
        return self.nearest(units + 0.5) * -torch.expm1(units.clamp_min(0.0) * -self.onset)

    def nearest(self, units: Tensor) -> Tensor:
        """A staircase with rounded edges; its slope is nowhere negative."""
        for _ in range(self.edges):
            units = units - torch.sin(2 * math.pi * units) / (2 * math.pi)
        return units

    def whole_part(self, units: Tensor) -> Tensor:
        """Units as they are."""
        return units

    def share_out(self, parts: Tensor, total: Tensor) -> Tensor:
        """Exact proportions."""
        return parts * (total / parts.sum(0).clamp_min(_EPS))

    def lose(self, counts: Tensor, chance: Tensor, draw: Tensor) -> Tensor:
        """The expected loss."""
        return counts * chance.clamp_max(1.0) + 0.0 * draw

    def is_within(self, lag: Tensor, window: Tensor) -> Tensor:
        """A logistic edge; the newest measurement always counts."""
        return torch.where(lag < 0.5, 1.0, torch.sigmoid(self.sharpness * (window - lag)))

    def is_on(self, switch: Tensor) -> Tensor:
        """A logistic switch."""
        return torch.sigmoid(self.sharpness * (switch - 0.5))

    def is_any(self, units: Tensor) -> Tensor:
        """A hard step at half a unit, without a slope.

        A sloped one would let a change of some hundredths of a unit shift when hours later the next
        one may begin: gradients then grow by orders of magnitude from change to change.
        """
        return (units.detach() > 0.5).to(units.dtype)

    def least(self, ratios: Tensor) -> Tensor:
        """(1 + Σ x^-p)^(-1/p): below the minimum by at most (N + 1)^(1/p)."""
        inverse = ratios.clamp_min(_EPS).log() * -self.norm
        return torch.exp(
            torch.logsumexp(torch.cat((torch.zeros_like(inverse[:1]), inverse)), 0) / -self.norm
        )


EXACT: Final = Exact()
SMOOTH: Final = Smooth()
