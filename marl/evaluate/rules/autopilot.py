"""Autopilot's moving-window recommender: a percentile of the load's decaying histogram.

Rzadca et al., "Autopilot: workload autoscaling at Google", EuroSys 2020, §3.2.1: usage goes into a
histogram whose old samples halve in weight every half-life, each sample weighted by the load itself
(the load-adjusted percentile, equation 3), and the recommendation is a percentile of it times a
safety margin. Batch tolerates a low percentile, serving asks for a high one; here one is tuned.
"""

from typing import Final

import torch
from torch import Tensor

from marl.cloud.types import SERVICES
from marl.evaluate.baselines import Parameter
from marl.evaluate.rules.rule import MARGINS, Memory, Rule, Sight, own_load, with_floors

BUCKETS: Final = 40  # of the histogram
WIDTH_SHARE: Final = 0.04  # of the reference peak, each; the last one takes what lies above


class Autopilot(Rule):
    """Margin times the load-adjusted percentile of the decaying histogram of loads."""

    kind = "autopilot"
    parameters = (
        *MARGINS,
        # Steps in which a sample's weight halves, as a power of two: a quarter of an hour to two
        # days (the paper: 12 h for CPU).
        Parameter(name="half_life_log2", low=1.6, high=9.2, start=6.0),
        Parameter(name="percentile", low=0.5, high=1.0, start=0.95),
    )

    def act(self, now: Sight) -> tuple[Tensor, Memory]:
        """Floors raised; a histogram (BUCKETS, B) for each service is remembered."""
        keep = 0.5 ** (2.0 ** -torch.as_tensor(now.values["half_life_log2"]))
        shares, remembered = {}, {}
        for service in SERVICES:
            load = now.fields[service](f"{own_load(service)}_lag0")
            before = None if now.memory is None else now.memory[service]
            remembered[service] = with_sample(before, load, keep)
            recommended = percentile(remembered[service], now.values["percentile"])
            shares[service] = now.values[f"margin_{service}"] * recommended
        return with_floors(now.actions, shares), remembered


def with_sample(histogram: Tensor | None, load: Tensor, keep: Tensor) -> Tensor:
    """(BUCKETS, B) histogram after one more sample, weighted by the load (equation 3).

    Args:
        histogram: of the steps before; None for the first.
        load: (B,) in shares of the reference peak.
        keep: () or (B,) weight that old samples keep.
    """
    bucket = (load / WIDTH_SHARE).long().clamp(0, BUCKETS - 1)[None]
    # A service without any load keeps a little weight, so that there is always a percentile.
    weight = load.clamp_min(1e-3)[None]
    old = (
        torch.zeros((BUCKETS, *load.shape), device=load.device) if histogram is None else histogram
    )
    return (old * keep).scatter_add(0, bucket, weight)


def percentile(histogram: Tensor, share: Tensor | float) -> Tensor:
    """(B,) upper edge of the first bucket at which at least `share` of the weight lies below.

    Args:
        histogram: (BUCKETS, B) weights.
        share: in (0, 1], of the whole weight; () or (B,).
    """
    below = histogram.cumsum(0)
    # A rounding error must not push the 100th percentile beyond the last filled bucket.
    reached = below >= below[-1] * (torch.as_tensor(share) - 1e-6)
    return (reached.to(torch.uint8).argmax(0) + 1) * WIDTH_SHARE
