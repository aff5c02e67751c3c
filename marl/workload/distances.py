"""Distances between a real sample and a fitted one: Kolmogorov–Smirnov and quantiles.

With allowance for autocorrelation (effective size) and censoring (Kaplan–Meier). Which figures
pass belongs to `goodness`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from marl.frozen import Frozen
from marl.workload.noise import autocorrelation

Floats = NDArray[np.float64]
_PROBABILITIES: Final = (0.01, 0.02, 0.05, *np.arange(0.1, 0.91, 0.05).round(2), 0.95, 0.98, 0.99)


class KsResult(Frozen):
    """A Kolmogorov–Smirnov test.

    Attributes:
        distance: largest difference of the two distribution functions.
        critical: distance the test rejects above, for the effective size and level.
        p_value: of the asymptotic distribution for the effective size.
    """

    distance: float
    critical: float
    p_value: float


def effective_size(values: Floats) -> float:
    """How many independent values carry as much information on the mean as these.

    n / (1 + 2 Σ ρ_k), the sum cut where consecutive pairs of autocorrelations turn negative (Geyer,
    Statistical Science 7:4, 1992, doi:10.1214/ss/1177011137).
    """
    length = len(values)
    if length < 4 or np.ptp(values) == 0:
        return float(max(length, 1))
    rho = autocorrelation(values, length - 1)
    pairs = rho[1 : length - length % 2 : 2][: (length - 1) // 2] + rho[2::2][: (length - 1) // 2]
    negative = np.flatnonzero(pairs < 0)
    stop = negative[0] if len(negative) else len(pairs)
    return float(np.clip(length / (1 + 2 * pairs[:stop].sum()), 1, length))


def _result(distance: float, size: float, alpha: float) -> KsResult:
    from scipy.stats import kstwobign

    root = np.sqrt(max(size, 1.0))
    return KsResult(
        distance=float(distance),
        critical=float(min(kstwobign.isf(alpha) / root, 1.0)),
        p_value=float(kstwobign.sf(distance * root)),
    )


def ks_two_samples(real: Floats, fitted: Floats, size: float, alpha: float) -> KsResult:
    """Two-sample distance; `size` is the effective size of `real` (the fitted is much larger)."""
    from scipy.stats import ks_2samp

    both = size * len(fitted) / (size + len(fitted))
    return _result(ks_2samp(real, fitted, method="asymp").statistic, both, alpha)


def kaplan_meier(values: Floats, is_censored: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Times of ends, and the survival just after each (Kaplan & Meier, JASA 53:282, 1958)."""
    times, ends = np.unique(values[~is_censored], return_counts=True)
    at_risk = len(values) - np.searchsorted(np.sort(values), times, side="left")
    return times, np.cumprod(1 - ends / at_risk, dtype=np.float64)


def ks_censored(
    real: Floats, is_censored: NDArray[np.bool_], fitted: Floats, alpha: float
) -> KsResult:
    """Largest difference between the Kaplan–Meier curve and the fitted sample's distribution.

    The size is the number of complete values, which makes the test somewhat lenient.
    """
    times, survival = kaplan_meier(real, is_censored)
    ordered = np.sort(fitted)
    upto = 1 - np.searchsorted(ordered, times, side="right") / len(ordered)
    before = 1 - np.searchsorted(ordered, times, side="left") / len(ordered)
    previous = np.concatenate([[1.0], survival[:-1]])
    distance = max(np.abs(survival - upto).max(), np.abs(previous - before).max())
    complete = int((~is_censored).sum())
    return _result(float(distance), complete * len(fitted) / (complete + len(fitted)), alpha)


def quantile_pairs(
    real: Floats, fitted: Floats, is_censored: NDArray[np.bool_] | None = None
) -> tuple[tuple[float, float, float], ...]:
    """(probability, real quantile, fitted quantile); of Kaplan–Meier where values are censored.

    Probabilities that too few or censored values leave unknown are left out.
    """
    probabilities = np.array([p for p in _PROBABILITIES if 1 / len(real) <= p <= 1 - 1 / len(real)])
    if is_censored is None or not is_censored.any():
        known = np.quantile(real, probabilities)
    else:
        times, survival = kaplan_meier(real, is_censored)
        reached = probabilities <= 1 - survival[-1]
        probabilities = probabilities[reached]
        known = times[np.searchsorted(1 - survival, probabilities - 1e-12)]
    drawn = np.quantile(fitted, probabilities)
    return tuple(
        (float(p), float(a), float(b)) for p, a, b in zip(probabilities, known, drawn, strict=True)
    )
