"""Several scenarios together: a bootstrap that resamples within each, and keeps what is shared.

Strata are scenarios. Two things are common to them and are drawn once for all: the training seeds
(one trained policy plays every scenario) and the episode numbers (the same number is the same
weather everywhere; in stored episodes differences of two mixes of demand correlate by .4 to .9, so
drawing apart would make intervals too short). rliable draws runs apart, because its runs are.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from marl.evaluate.statistics.intervals import (
    LEVEL,
    RESAMPLES,
    Interval,
    interquartile_mean,
    row_iqms,
)

Strata = Sequence[NDArray[np.float64]]
_AT_ONCE: Final = 2_000_000  # numbers drawn at once: 16 MB


def stratified_bootstrap(
    strata: Strata,
    rng: np.random.Generator,
    *,
    statistic: str = "mean",
    is_shared: bool = True,
    is_over_seeds: bool = True,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> Interval:
    """Percentile interval of a statistic of paired differences in several scenarios.

    Agarwal et al. (2021, arXiv:2108.13264, section 4.1) with pairs in place of runs. With more than
    one training seed those are resampled too, crossed with episodes (Owen 2007, "The pigeonhole
    bootstrap"); with few seeds that covers less than it says, `retraining_interval` does not.

    Args:
        strata: of each scenario (S, E) differences, training seed × episode.
        rng: random state.
        statistic: "mean" of the scenarios' means, "iqm" of all numbers, or "poi" (probability of
            improvement, averaged over scenarios).
        is_shared: episode numbers are drawn once for all scenarios, which then have equally many.
            False: apart, as rliable draws runs.
        is_over_seeds: resample training seeds; False for these policies as they were trained.
        level: confidence level.
        resamples: bootstrap resamples.

    Raises:
        ValueError: no such statistic, no strata, or shapes that cannot be drawn together.
    """
    if statistic not in _STATISTICS:
        raise ValueError(f"statistic must be one of {', '.join(_STATISTICS)}; got {statistic!r}")
    compute = _STATISTICS[statistic]
    drawn = np.concatenate(
        [compute(rows) for rows in draw_strata(strata, rng, resamples, is_shared, is_over_seeds)]
    )
    lo, hi = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    value = compute([stratum.reshape(1, -1) for stratum in strata])[0]
    return Interval(estimate=float(value), lo=float(lo), hi=float(hi))


def draw_strata(
    strata: Strata,
    rng: np.random.Generator,
    resamples: int,
    is_shared: bool = True,
    is_over_seeds: bool = True,
) -> Iterator[list[NDArray[np.float64]]]:
    """Blocks of resamples: of each stratum (r, S·E). Arguments as of `stratified_bootstrap`.

    Raises:
        ValueError: no strata, or shapes that cannot be drawn together.
    """
    if not strata or any(stratum.ndim != 2 or not stratum.size for stratum in strata):
        raise ValueError("strata must be one or more arrays (training seeds, episodes)")
    seeds = {stratum.shape[0] for stratum in strata}
    episodes = {stratum.shape[1] for stratum in strata}
    if len(seeds) > 1 or (is_shared and len(episodes) > 1):
        shapes = [stratum.shape for stratum in strata]
        raise ValueError(
            f"scenarios must have the same training seeds and episodes to be drawn together; "
            f"got (seeds, episodes) {shapes}; is_shared=False draws episodes apart"
        )
    (count,) = seeds
    block = max(1, _AT_ONCE // max(stratum.size for stratum in strata))
    for first in range(0, resamples, block):
        size = min(block, resamples - first)
        rows = np.broadcast_to(np.arange(count), (size, count))
        if is_over_seeds and count > 1:
            rows = rng.integers(0, count, (size, count))
        columns: NDArray[np.int64] | None = None
        drawn = []
        for stratum in strata:
            if columns is None or not is_shared:
                columns = rng.integers(0, stratum.shape[1], (size, stratum.shape[1]))
            drawn.append(stratum[rows[:, :, None], columns[:, None, :]].reshape(size, -1))
        yield drawn


def _mean(drawn: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.asarray(np.mean([rows.mean(1) for rows in drawn], axis=0))


def _iqm(drawn: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    rows = np.concatenate(drawn, axis=1)
    return np.atleast_1d(interquartile_mean(rows[0])) if len(rows) == 1 else row_iqms(rows)


def _improved(drawn: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    wins = [(rows > 0).mean(1) + 0.5 * (rows == 0).mean(1) for rows in drawn]
    return np.asarray(np.mean(wins, axis=0))


_STATISTICS: Final[dict[str, Callable[[Sequence[NDArray[np.float64]]], NDArray[np.float64]]]] = {
    "mean": _mean,
    "iqm": _iqm,
    "poi": _improved,
}
