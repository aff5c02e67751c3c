"""Latency of a web request from the utilisation of the stations it crosses. Free functions.

A station with c servers, utilisation ρ and mean service time s is a G/G/c queue. The mean wait is
Allen–Cunneen's, (ca² + cs²)/2 times that of M/M/c, with Sakasegawa's closed form for the latter
(H. Sakasegawa, "An approximation formula L_q ≈ α·ρ^β/(1−ρ)", Ann. Inst. Stat. Math. 29, 1977):

    W_q = (ca² + cs²)/2 · s · ρ^(√(2(c+1)) − 1) / (c (1 − ρ)).

In M/M/c the wait is zero with probability 1 − P and else exponential with mean h = s/(c(1−ρ)); so
P ≈ ρ^(√(2(c+1)) − 1) and the variance of the wait is P(2 − P)h². Stations in a row are taken as
independent, their means and variances added, and the sum matched by a gamma distribution of the
same two moments, whose quantiles and distribution function come from Wilson and Hilferty's cube
root (PNAS 17, 1931). Range of use: 0 ≤ ρ ≤ `RHO_MAX`; above it a queue does not settle within a
step, and the fluid carry-over of `service` takes over.
"""

from typing import Final

import torch
from torch import Tensor

RHO_MAX: Final = 0.98
Z95: Final = 1.6448536


def waits(
    rho: Tensor, servers: Tensor, service_s: Tensor, variability: float
) -> tuple[Tensor, Tensor]:
    """Mean and variance of the wait at each station.

    Args:
        rho: (B, S) utilisation, at most RHO_MAX.
        servers: (B, S) or (S,) servers of one queue.
        service_s: (S,) mean service time, s.
        variability: (ca² + cs²)/2.

    Returns:
        (B, S) mean in s, (B, S) variance in s².
    """
    delayed = rho ** (torch.sqrt(2.0 * servers + 2.0) - 1.0)
    mean_if_delayed = variability * service_s / (servers * (1.0 - rho))
    mean = delayed * mean_if_delayed
    return mean, mean * (2.0 - delayed) * mean_if_delayed


def gamma_spread(mean: Tensor, variance: Tensor) -> Tensor:
    """(B,) Wilson–Hilferty's a = 1/(9k) of the gamma distribution with these two moments."""
    return variance / (9.0 * mean * mean)


def gamma_quantile(mean: Tensor, spread: Tensor, z: float) -> Tensor:
    """(B,) quantile at standard normal score `z`."""
    return mean * (1.0 - spread + z * torch.sqrt(spread)) ** 3


def gamma_below(limit: float, mean: Tensor, spread: Tensor) -> Tensor:
    """(B,) probability that the sojourn is at most `limit` (s, above 0)."""
    root = (limit / mean) ** (1.0 / 3.0)
    return torch.special.ndtr((root - 1.0 + spread) * torch.rsqrt(spread))
