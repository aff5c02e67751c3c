"""How large a paired difference is, free of units: standardised, by ranks, by wins.

Whether it could be chance is `significance`.
"""

import numpy as np
from numpy.typing import NDArray

from marl.evaluate.statistics.intervals import LEVEL, Interval, varies


def cohens_d_z(difference: NDArray[np.float64]) -> float | None:
    """Cohen's d_z: mean of paired differences over their standard deviation.

    Cohen (1988), section 2.3.5; Lakens (2013), equation 6. It is what decides how many paired
    episodes are needed (`power`).

    Returns:
        0 where no episode differs; None where all differ by the same, or there is one episode.
    """
    if not difference.any():
        return 0.0
    if len(difference) < 2 or not varies(difference):
        return None
    return float(difference.mean() / difference.std(ddof=1))


def rank_biserial(difference: NDArray[np.float64]) -> float:
    """Matched-pairs rank-biserial correlation, in [-1, 1]: the effect Wilcoxon's test looks at.

    (W⁺ − W⁻) / (W⁺ + W⁻), the share of favourable less that of unfavourable rank sum over the pairs
    that differ (King and Minium 2003; Kerby 2014, equation for the "simple difference"). 0 where
    none differs.
    """
    from scipy.stats import rankdata

    changed = difference[difference != 0]
    if not len(changed):
        return 0.0
    ranks = rankdata(np.abs(changed))
    return float((np.sign(changed) * ranks).sum() / ranks.sum())


def probability_of_improvement(difference: NDArray[np.float64]) -> float:
    """Share of paired episodes in which the policy is above the reference, ties counted half."""
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def improvement_interval(difference: NDArray[np.float64], level: float = LEVEL) -> Interval:
    """Interval of `probability_of_improvement` by inverting its score test.

    Wilson (1927), for a win that may be half: with a share t of ties the score's variance is
    p (1 − p) − t/4, so the interval holds the p with (p̂ − p)² ≤ z² (p (1 − p) − t/4) / n. Without
    ties it is Wilson's; a policy against itself has [.5, .5]. Unlike a bootstrap's it has width
    where every episode was won.

    Args:
        difference: (n,) policy minus reference, paired.
        level: confidence level.
    """
    from scipy.special import ndtri

    value = probability_of_improvement(difference)
    ties = float((difference == 0).mean())
    k = float(ndtri((1 + level) / 2)) ** 2 / len(difference)
    centre = (value + k / 2) / (1 + k)
    squared = centre**2 - (value**2 + k * ties / 4) / (1 + k)
    half = float(np.sqrt(max(squared, 0.0)))
    # Where every episode was won rounding may leave the end a hair short of the estimate.
    lo, hi = min(max(centre - half, 0.0), value), max(min(centre + half, 1.0), value)
    return Interval(estimate=value, lo=lo, hi=hi)
