"""Tests of paired differences, and the correction for asking many questions.

What counts as significant in a comparison is decided in `comparison`.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from marl.evaluate.statistics.intervals import standard_error, varies

_ALL_SIGNS: Final = 13  # pairs up to which ties are answered by trying all signs
_EXACT: Final = 50  # scipy tests samples up to this size one by one, by the exact distribution


def signed_rank_p(difference: NDArray[np.float64]) -> float:
    """Two-sided Wilcoxon signed-rank p-value of paired differences; 1 where none differs.

    Pratt's (1959) treatment of zeros. Up to 13 pairs with ties or zeros all signs are tried, as
    scipy does, a thousand times sooner.
    """
    from scipy.stats import wilcoxon

    if not difference.any():
        return 1.0
    sizes = np.abs(difference)
    is_tied = len(np.unique(sizes)) < len(sizes) or not sizes.all()
    if is_tied and len(difference) <= _ALL_SIGNS:
        return _all_signs_p(difference)
    return float(wilcoxon(difference, zero_method="pratt").pvalue)


def _all_signs_p(difference: NDArray[np.float64]) -> float:
    """The rank sum among those of all 2ⁿ signs, which are equally likely without a difference."""
    from scipy.stats import rankdata

    changed = difference != 0
    ranks = rankdata(np.abs(difference))[changed]
    signs = np.arange(2 ** len(ranks))[:, None] >> np.arange(len(ranks)) & 1
    sums = signs @ ranks  # halves of whole numbers: exact
    seen = ranks[difference[changed] > 0].sum()
    return min(1.0, 2 * min(float(np.mean(sums >= seen)), float(np.mean(sums <= seen))))


def signed_rank_ps(differences: Sequence[NDArray[np.float64]]) -> list[float]:
    """`signed_rank_p` of many samples; those of equal size above 50 at once.

    Args:
        differences: samples (n_i,).
    """
    from scipy.stats import wilcoxon

    found = [1.0] * len(differences)
    by_size: dict[int, list[int]] = {}
    for index, difference in enumerate(differences):
        if len(difference) <= _EXACT:
            found[index] = signed_rank_p(difference)
        elif difference.any():
            by_size.setdefault(len(difference), []).append(index)
    for same in by_size.values():
        rows = np.stack([differences[index] for index in same])
        p_values = wilcoxon(rows, zero_method="pratt", axis=1).pvalue
        for index, p_value in zip(same, p_values, strict=True):
            found[index] = float(p_value)
    return found


def mean_p(difference: NDArray[np.float64]) -> float:
    """Two-sided p-value of "the mean of paired differences is zero", corrected for skewness.

    Student's t of Hall's (1992) monotone transformation of the t statistic, with sample skewness
    γ: g(T) = T + γT²/(3√n) + γ²T³/(27n) + γ/(6√n). The plain t-test calls a policy of equal mean
    better up to twice as often as it says where differences lean to the left. 1 where none differs.
    """
    from scipy.special import stdtr

    if not _is_test(difference):
        return float(not difference.any() or len(difference) < 2)  # all by the same: no chance
    return float(2 * stdtr(len(difference) - 1, -abs(_hall(difference))))


def both_p(difference: NDArray[np.float64], rank_p: float) -> float:
    """p-value of "either the ranks or the mean show nothing, or they differ in sign".

    The larger of the two tests' p-values, 1 where one points up and the other down: an
    intersection-union test (Berger 1982), of the level of each.

    Args:
        difference: (n,) policy minus reference, paired.
        rank_p: its `signed_rank_p`.
    """
    from scipy.stats import rankdata

    ranks = (np.sign(difference) * rankdata(np.abs(difference))).sum()
    middle = _hall(difference) if _is_test(difference) else difference.mean()
    return max(rank_p, mean_p(difference)) if np.sign(ranks) == np.sign(middle) else 1.0


def _is_test(difference: NDArray[np.float64]) -> bool:
    """Whether there is anything to test by: two values that differ."""
    return len(difference) > 1 and varies(difference)


def _hall(difference: NDArray[np.float64]) -> float:
    t = float(difference.mean()) / standard_error(difference)
    return hall_transform(t, skewness_over_root_n(difference))


def skewness_over_root_n(values: NDArray[np.float64]) -> float:
    """The r = γ/√n of `hall_transform`, with sample skewness γ of (n,) values that vary."""
    centred = values - values.mean()
    gamma = (centred**3).mean() / (centred**2).mean() ** 1.5
    return float(gamma / np.sqrt(len(values)))


def hall_transform(t: float, r: float) -> float:
    """g(t) = t + r t²/3 + r² t³/27 + r/6, increasing in t (Hall 1992, equation 4)."""
    return t + r * t**2 / 3 + r**2 * t**3 / 27 + r / 6


def hall_inverse(x: float, r: float) -> float:
    """The t with `hall_transform(t, r)` = x: (3/r) (∛(1 + r (x − r/6)) − 1)."""
    if abs(r) < 1e-6:
        return x - r * x**2 / 3  # the limit; the quotient would lose its digits
    return float(3 / r * (np.cbrt(1 + r * (x - r / 6)) - 1))


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Holm's step-down adjusted p-values (Holm 1979), in the order given.

    p̃_(i) = max_{j ≤ i} min(1, (m − j + 1) p_(j)): reject where p̃ < α, and the chance of any false
    rejection among the m is at most α.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted
