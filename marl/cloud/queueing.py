"""Latency of a web request from the utilisation of the stations it crosses. Free functions.

A station with c servers, utilisation ρ and mean service time s is a G/G/c queue. The mean wait is
Allen–Cunneen's, (ca² + cs²)/2 times that of M/M/c, with Sakasegawa's closed form for the latter
(H. Sakasegawa, "An approximation formula L_q ≈ α·ρ^β/(1−ρ)", Ann. Inst. Stat. Math. 29, 1977):

    W_q = (ca² + cs²)/2 · s · ρ^(√(2(c+1)) − 1) / (c (1 − ρ)).

In M/M/c the wait is zero with probability 1 − P and else exponential with mean h = s/(c(1−ρ)); so
P ≈ ρ^(√(2(c+1)) − 1) and the variance of the wait is P(2 − P)h². Stations in a row are taken as
independent, their means and variances added, and the sum matched by a gamma distribution of the
same two moments, whose quantiles and distribution function come from Wilson and Hilferty's cube
root (PNAS 17, 1931).

What arrives at a station is what the ones before it let through (`variabilities`). Departures
follow W. Whitt, "The queueing network analyzer", Bell Syst. Tech. J. 62, 1983, eq. 39:

    cd² = 1 + (1 − q)(ca² − 1) + q (max(cs², 0.2) − 1)/√c,  q = ρ²,

and a random split over k copies leaves 1 + (c² − 1)/k. With q = ρ² a busy station hears too little
of a bursty source, because it averages over times so long that a less busy one before it has
smoothed nothing (S. Suresh, W. Whitt, "The heavy-traffic bottleneck phenomenon in open queueing
networks", Oper. Res. Letters 9, 1990). Station j therefore smooths, for station i, only
q = ρ_j² / (1 + `LAG` · ((1 − ρ_j)/(1 − ρ_i))²): a queue settles in a time that grows with
1/(1 − ρ)². `LAG` is fitted to the simulation.

Range, held by tests against a discrete-event simulation (`tests/benchmarks/check_queueing.py`):
four stations of 2–16 servers, each ρ ≤ 0.95, equal or not, 1–20 copies, service scv 0.5–2, arrival
scv 1–2: mean, p50 and p95 within 15 %, p99 within 20 %. Use: 0 ≤ ρ ≤ `RHO_MAX`, at least one
server; above it a queue does not settle within a step, and the fluid carry-over of `service` takes
over. Everything is finite there, gradients too. At a fixed variability every wait and every
quantile from the median up rises with every ρ, and the share in time falls (a gamma distribution
that changes shape lets it rise by up to 0.02 below a share of 0.05, by 0.0001 above). With
`variabilities` this can fail a little, as in the world: a station with less load hands bursts on.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

RHO_MAX: Final = 0.98
Z95: Final = 1.6448536
Z99: Final = 2.3263479
LAG: Final = 0.3


def waits(
    rho: Tensor, servers: Tensor, service_s: Tensor, variability: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and variance of the wait at each station.

    Args:
        rho: (B, S) utilisation, 0 to RHO_MAX.
        servers: (B, S) or (S,) servers of one queue, at least 1 (below, the gradient at 0 is not
            finite).
        service_s: (S,) mean service time, s.
        variability: (ca² + cs²)/2, one for all or (B, S) from `variabilities`.

    Returns:
        (B, S) mean in s, (B, S) variance in s².
    """
    delayed = rho ** (torch.sqrt(2.0 * servers + 2.0) - 1.0)
    mean_if_delayed = variability * service_s / (servers * (1.0 - rho))
    mean = delayed * mean_if_delayed
    return mean, mean * (2.0 - delayed) * mean_if_delayed


def variabilities(
    rho: Tensor,
    servers: Tensor,
    copies: Tensor,
    order: Sequence[int],
    arrival_scv: float,
    service_scv: float,
) -> Tensor:
    """(ca² + cs²)/2 of each station, after what the ones before it did to the stream.

    1 everywhere where both scv are 1: the call can then be left out.

    Args:
        rho: (B, S) utilisation, 0 to RHO_MAX.
        servers: (B, S) servers of one copy, at least 1.
        copies: (B, S) equal copies (VMs, proxies) among which requests are split, at least 1.
        order: the S columns in the order a request crosses them.
        arrival_scv: squared coefficient of variation of the time between requests.
        service_scv: of the service time, at every station.

    Returns:
        (B, S).
    """
    if sorted(order) != list(range(rho.shape[1])):
        raise ValueError(f"order {tuple(order)} must name each of {rho.shape[1]} stations once")
    smoothed, slack = rho.square(), (1.0 - rho).square()
    to = 1.0 + (max(service_scv, 0.2) - 1.0) * torch.rsqrt(servers)
    columns = [rho[:, 0]] * len(order)
    for i, here in enumerate(order):
        stream = torch.full_like(rho[:, 0], arrival_scv)
        for before in order[:i]:
            lag = slack[:, here] + LAG * slack[:, before]
            share = smoothed[:, before] * slack[:, here] / lag
            stream = stream + share * (to[:, before] - stream)
        columns[here] = 0.5 * (1.0 + (stream - 1.0) / copies[:, here] + service_scv)
    return torch.stack(columns, 1)


def gamma_spread(mean: Tensor, variance: Tensor) -> Tensor:
    """(B,) Wilson–Hilferty's a = 1/(9k) of the gamma distribution with these two moments."""
    return variance / (9.0 * mean * mean)


def gamma_quantile(mean: Tensor, spread: Tensor, z: float) -> Tensor:
    """(B,) quantile at standard normal score `z`, at least 0 (the median)."""
    return mean * (1.0 - spread + z * torch.sqrt(spread)) ** 3


def gamma_below(limit: float | Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """(B,) probability that the sojourn is at most `limit` (s, above 0)."""
    root = (limit / mean) ** (1.0 / 3.0)
    return torch.special.ndtr((root - 1.0 + spread) * torch.rsqrt(spread))
