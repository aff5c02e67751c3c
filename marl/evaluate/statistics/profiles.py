"""Performance profiles: in which share of episodes a policy scores above τ, for every τ.

A mean hides a tail; a profile shows all of it, and one curve above another everywhere is better by
any measure (Agarwal et al. 2021, arXiv:2108.13264, section 4.2). Drawing belongs to the report.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.evaluate.statistics.intervals import LEVEL, RESAMPLES
from marl.evaluate.statistics.pairing import Episodes, policies_in_every_scenario
from marl.evaluate.statistics.stratified import Strata, draw_strata
from marl.train.seeding import derive_seed

_POINTS: Final = 101


def performance_profile(
    strata: Strata,
    thresholds: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    is_shared: bool = True,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> pl.DataFrame:
    """Share of scores above each threshold, with pointwise bootstrap bands.

    Args:
        strata: of each scenario (S, E) scores, training seed × episode; scenarios count equally.
        thresholds: (T,) values τ.
        rng: random state.
        is_shared: see `stratified_bootstrap`.
        level: pointwise confidence level.
        resamples: bootstrap resamples.

    Returns:
        One row per threshold: `threshold`, `share`, `lo`, `hi`.
    """
    share = np.mean([_above(s.reshape(1, -1), thresholds)[0] for s in strata], axis=0)
    drawn = np.concatenate(
        [
            np.mean([_above(rows, thresholds) for rows in block], axis=0)
            for block in draw_strata(strata, rng, resamples, is_shared)
        ]
    )
    lo, hi = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return pl.DataFrame({"threshold": thresholds, "share": share, "lo": lo, "hi": hi})


def performance_profiles(
    frame: pl.DataFrame,
    metric: str = "reward",
    reference: str | None = None,
    *,
    scenarios: Sequence[str] | None = None,
    thresholds: NDArray[np.float64] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pl.DataFrame:
    """`performance_profile` of every policy that played all scenarios.

    Args:
        frame: one row per policy × scenario × training seed × episode (`rollout`).
        metric: the score.
        reference: if given, the score is the paired difference to this policy.
        scenarios: those to take in; all if None.
        thresholds: values τ; 101 between the lowest and the highest score if None.
        seed: of the bootstrap.
        resamples: bootstrap resamples.

    Returns:
        Sorted by policy and threshold: `policy`, `threshold`, `share`, `lo`, `hi`.

    Raises:
        ValueError: no episodes of a scenario or of the reference, or they do not pair.
    """
    names = (
        list(scenarios) if scenarios is not None else frame["scenario"].unique().sort().to_list()
    )
    episodes = Episodes(frame.filter(pl.col("scenario").is_in(names)), [metric])
    strata = {
        policy: episodes.values(policy, metric, names)
        if reference is None
        else episodes.differences(policy, reference, metric, names)
        for policy in policies_in_every_scenario(frame, names)
    }
    if thresholds is None:
        scores = np.concatenate([part.ravel() for parts in strata.values() for part in parts])
        thresholds = np.linspace(scores.min(), scores.max(), _POINTS)
    tables = []
    for policy, parts in strata.items():
        rng = np.random.default_rng(derive_seed(seed, "profile", policy, metric))
        table = performance_profile(parts, thresholds, rng, resamples=resamples)
        tables.append(table.select(pl.lit(policy).alias("policy"), pl.all()))
    return pl.concat(tables).sort("policy", "threshold", maintain_order=True)


def _above(rows: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """(r, T) share of each row's scores (r, n) above each threshold."""
    ordered = np.sort(rows, axis=1)
    above = [rows.shape[1] - np.searchsorted(row, thresholds, side="right") for row in ordered]
    return np.asarray(above) / rows.shape[1]
