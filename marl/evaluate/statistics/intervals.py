"""Confidence intervals of paired differences: of these policies, and of policies trained anew.

One sample of episodes at a time; several scenarios together are `stratified`.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from marl.frozen import Frozen

LEVEL: Final = 0.95
RESAMPLES: Final = 2000
_AT_ONCE: Final = 2_000_000  # numbers drawn at once: 16 MB
_FEWEST: Final = 8  # below it a bootstrap has too few distinct resamples
_DEGENERATE: Final = 0.01  # share of resamples without spread from which t has no distribution


class Interval(Frozen):
    """An estimate with its confidence interval."""

    estimate: float
    lo: float
    hi: float


def varies(difference: NDArray[np.float64]) -> bool:
    """Whether there is more in the values than the rounding of one and the same number."""
    return bool(np.ptp(difference) > 1e-12 * np.abs(difference).max(initial=0.0))


def paired_bootstrap(
    difference: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    statistic: str = "mean",
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> Interval:
    """Bootstrap interval of the mean or interquartile mean of paired differences.

    Resamples pairs and keeps each pair together. The mean's is studentised (bootstrap-t: Efron
    1982, ch. 10; second-order correct in both tails, Hall 1988): on skewed differences of 64
    episodes, as costs and latencies have them, BCa and percentile intervals cover less than they
    say. The interquartile mean's is the percentile interval (Agarwal et al. 2021,
    arXiv:2108.13264).

    Two cases have another interval of the mean. Below 8 episodes: Student's t. Where more than one
    resample in a hundred does not vary (hardly any episode differs), a resample's t has no
    distribution: percentile.

    Args:
        difference: (n,) policy minus reference, paired.
        rng: random state.
        statistic: "mean" or "iqm".
        level: confidence level.
        resamples: bootstrap resamples.

    Raises:
        ValueError: another statistic.
    """
    if statistic not in ("mean", "iqm"):
        raise ValueError(f'statistic must be "mean" or "iqm"; got {statistic!r}')
    is_mean = statistic == "mean"
    value = float(difference.mean() if is_mean else interquartile_mean(difference))
    if len(difference) < 2 or not varies(difference):
        return Interval(estimate=value, lo=value, hi=value)  # nothing varies: nothing to resample
    if is_mean and len(difference) < _FEWEST:
        half = _student(len(difference) - 1, level) * standard_error(difference)
        return Interval(estimate=value, lo=value - half, hi=value + half)
    tails = [(1 - level) / 2, (1 + level) / 2]
    if not is_mean:
        lo, hi = np.quantile(resampled_iqms(difference, rng, resamples), tails)
    else:
        means, errors = _resampled_means(difference, rng, resamples)
        is_spread = errors > 1e-7 * errors.max()  # the rest is rounding of squares
        if np.mean(~is_spread) > _DEGENERATE:
            lo, hi = np.quantile(means, tails)
        else:
            t = (means[is_spread] - value) / errors[is_spread]
            hi, lo = value - np.quantile(t, tails) * standard_error(difference)
    return Interval(estimate=value, lo=float(lo), hi=float(hi))


def retraining_interval(difference: NDArray[np.float64], level: float = LEVEL) -> Interval | None:
    """Interval of the mean for a policy trained anew: training seeds vary as well as episodes.

    Seeds and episodes are crossed random effects: with mean squares A of seeds (S), B of episodes
    (E) and R of what is left, the variance of the mean is (A + B − R) / (S E) (Searle, Casella and
    McCulloch 1992, chapter 4). Student's quantile is the mean of those for S − 1 and E − 1 degrees
    of freedom, weighted by A and B − R (Cochran and Cox 1957, section 4.14: never too short in
    practice; Satterthwaite's degrees of freedom covered 92 to 93 % with three seeds). A bootstrap
    over three to five seeds covers far less than it says, because it has (S−1)/S of their variance
    and no allowance for having guessed it.

    Args:
        difference: (S, E) policy of each training seed minus reference, paired by episode.
        level: confidence level.

    Returns:
        None with one seed or one episode: what another would do is not known.
    """
    seeds, episodes = difference.shape
    if seeds < 2 or episodes < 2:
        return None
    mean = float(difference.mean())
    rows, columns = difference.mean(1), difference.mean(0)
    of_seeds = episodes * rows.var(ddof=1)
    of_episodes = seeds * columns.var(ddof=1)
    rest_df = (seeds - 1) * (episodes - 1)
    rest = ((difference - rows[:, None] - columns + mean) ** 2).sum() / rest_df
    # The estimate may fall below what either effect alone shows; its floor is the larger of them.
    total = max(of_seeds + of_episodes - rest, of_seeds, of_episodes)
    if total <= 0.0:
        return Interval(estimate=mean, lo=mean, hi=mean)
    share = of_seeds / total
    t = share * _student(seeds - 1, level) + (1 - share) * _student(episodes - 1, level)
    half = t * np.sqrt(total / difference.size)
    return Interval(estimate=mean, lo=float(mean - half), hi=float(mean + half))


def interquartile_mean(
    values: NDArray[np.float64], axis: int | None = -1
) -> NDArray[np.float64] | np.float64:
    """Mean of the middle half along `axis` (of all if None): robust as the median, tighter."""
    from scipy.stats import trim_mean

    return np.asarray(trim_mean(values, 0.25, axis=axis))


def row_iqms(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """`interquartile_mean` of every row (R, n), sorting no more than is needed."""
    n = rows.shape[1]
    low, high = int(0.25 * n), n - int(0.25 * n)
    return np.asarray(np.partition(rows, (low, high - 1), axis=1)[:, low:high].mean(1))


def resampled_iqms(
    values: NDArray[np.float64], rng: np.random.Generator, resamples: int
) -> NDArray[np.float64]:
    """(resamples,) interquartile means of resamples with replacement.

    With values in order, the running count says which of a resample's draws fall into its middle
    half: nothing is gathered and nothing sorted.
    """
    n = len(values)
    ordered = np.sort(values)
    low, high = int(0.25 * n), n - int(0.25 * n)
    found = []
    for counts in _counts(n, rng, resamples):
        kept = np.diff(np.clip(np.cumsum(counts, axis=1), low, high), axis=1, prepend=low)
        found.append(kept @ ordered / (high - low))
    return np.concatenate(found)


def standard_error(values: NDArray[np.float64]) -> float:
    """Of the mean of (n,) values."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _resampled_means(
    values: NDArray[np.float64], rng: np.random.Generator, resamples: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means of resamples with replacement, and their standard errors.

    By how often each value is drawn: two matrix products in place of gathering every resample.
    """
    n = len(values)
    centre = values.mean()
    powers = np.stack([values - centre, (values - centre) ** 2], axis=1)
    means, errors = [], []
    for counts in _counts(n, rng, resamples):
        first, second = (counts @ powers / n).T
        means.append(centre + first)
        errors.append(np.sqrt(np.maximum(second - first**2, 0.0) / (n - 1)))
    return np.concatenate(means), np.concatenate(errors)


def _counts(n: int, rng: np.random.Generator, resamples: int) -> Iterator[NDArray[np.float64]]:
    """Blocks (r, n): how often each of n values is drawn by each of r resamples."""
    block = max(1, _AT_ONCE // n)
    for first in range(0, resamples, block):
        picks = rng.integers(0, n, (min(block, resamples - first), n))
        cells = picks + n * np.arange(len(picks))[:, None]
        counts = np.bincount(cells.ravel(), minlength=cells.size)
        yield counts.reshape(-1, n).astype(np.float64)


def _student(degrees: float, level: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + level) / 2))
