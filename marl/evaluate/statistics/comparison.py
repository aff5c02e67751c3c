"""Every policy against one of them, scenario by scenario: the table that reports are made of.

The mathematics is in the modules beside; all scenarios at once is `pooled`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.evaluate.statistics.effects import (
    cohens_d_z,
    improvement_interval,
    rank_biserial,
)
from marl.evaluate.statistics.intervals import (
    paired_bootstrap,
    retraining_interval,
)
from marl.evaluate.statistics.pairing import Episodes, require_reference
from marl.evaluate.statistics.power import ALPHA, minimum_detectable_effect
from marl.evaluate.statistics.significance import both_p, holm, mean_p, signed_rank_ps
from marl.train.seeding import derive_seed

KEYS: Final = ("scenario", "policy", "metric")
FIGURES: Final = (
    "mean",
    "reference_mean",
    "difference",
    "lo",
    "hi",
    "iqm_difference",
    "iqm_lo",
    "iqm_hi",
    "probability_of_improvement",
    "poi_lo",
    "poi_hi",
    "effect_size",
    "rank_biserial",
    "mde",
    "seed_lo",
    "seed_hi",
    "p_value",
    "p_mean",
)
SCHEMA: Final[dict[str, Any]] = {
    **dict.fromkeys(KEYS, pl.String),
    **dict.fromkeys(FIGURES, pl.Float64),
    "episodes": pl.Int64,
    "training_seeds": pl.Int64,
}


@dataclass(frozen=True)
class Pair:
    """One question: a policy and the reference in the same episodes.

    Attributes:
        scenario, policy, metric: what is asked.
        ours: (E,) the policy's figures, averaged over training seeds.
        theirs: (E,) the reference's.
        by_seed: (S, E) differences of each training seed; (1, E) where there is one.
    """

    scenario: str
    policy: str
    metric: str
    ours: NDArray[np.float64]
    theirs: NDArray[np.float64]
    by_seed: NDArray[np.float64]

    @property
    def difference(self) -> NDArray[np.float64]:
        """(E,) policy minus reference."""
        return self.ours - self.theirs


def compare(
    frame: pl.DataFrame,
    reference: str = "reactive",
    metrics: Sequence[str] | None = None,
    *,
    seed: int = 0,
    alpha: float = ALPHA,
    intervals: bool = True,
) -> pl.DataFrame:
    """Every policy against the reference, any of them, per scenario and metric.

    Episodes of several training seeds are averaged first (an episode is one draw of weather), so
    training seeds do not multiply the sample. Holm's correction covers all policies and metrics of
    a scenario; where the metrics are the report's, the objective is a family of its own and all
    others another, so that forty columns of detail do not blunt the main question.

    A difference is significant if the signed-rank test *and* a test of the mean find it, on the
    same side: Holm's correction is of the larger of their p-values. The signed-rank test alone asks
    about the middle of the differences: with skewed ones it calls a policy of equal mean better in
    a tenth to a quarter of evaluations (docs/statistics.md).

    Args:
        frame: one row per policy × scenario × training seed × episode (`rollout`).
        reference: the policy compared against.
        metrics: columns to compare, one family of questions (the more, the stricter); those the
            report shows if None.
        seed: of the bootstrap.
        alpha: level of `is_significant`.
        intervals: False leaves out what no decision needs (for simulations): interval columns are
            null, the others and every decision are the same.

    Returns:
        Sorted by scenario, policy and metric: `mean`, `reference_mean`, `difference`, its 95 %
        interval `lo` and `hi`, `iqm_difference`, `iqm_lo`, `iqm_hi`, `probability_of_improvement`
        (of being above), its interval `poi_lo` and `poi_hi`, `effect_size` (d_z; null where every
        episode differs by the same), `rank_biserial`, `mde` (the smallest difference that so many
        episodes find with power .8 in one test at .05), `seed_lo` and `seed_hi` (interval of the
        difference for policies trained anew; null with one training seed), `p_value` (signed rank),
        `p_mean` (`significance.mean_p`), `p_holm`, `is_significant`, `episodes`, `training_seeds`.

    Raises:
        ValueError: the reference is missing, or episodes of a policy and the reference do not pair.
    """
    families = [metrics] if metrics is not None else metric_families(frame)
    metrics = [metric for family in families for metric in family]
    require_reference(frame, reference)
    episodes = Episodes(frame, metrics)
    pairs = []
    for scenario, policy in episodes.played:
        ours, theirs = episodes.pair(policy, reference, scenario)
        for metric in metrics:
            (by_seed,) = episodes.differences(policy, reference, metric, [scenario])
            mine, other = ours.values[metric].mean(0), theirs.values[metric].mean(0)
            pairs.append(Pair(scenario, policy, metric, mine, other, by_seed))
    return decided(pairs, reference, families, seed=seed, alpha=alpha, intervals=intervals)


def decided(
    pairs: Sequence[Pair],
    reference: str,
    families: Sequence[Sequence[str]],
    *,
    seed: int,
    alpha: float,
    intervals: bool = True,
) -> pl.DataFrame:
    """The table of `compare` from the questions.

    Args:
        pairs: the questions.
        reference: whose own rows are no question.
        families: metrics that Holm's correction takes together, within each scenario.
        seed: of the bootstrap.
        alpha: as of `compare`.
        intervals: as of `compare`.
    """
    family_of = {metric: index for index, family in enumerate(families) for metric in family}
    differences = [pair.difference for pair in pairs]
    rank_ps = signed_rank_ps(differences)
    p_values = [both_p(d, rank_p) for d, rank_p in zip(differences, rank_ps, strict=True)]
    adjusted = np.ones(len(pairs))
    asked_together: dict[tuple[str, int], list[int]] = {}
    for index, pair in enumerate(pairs):
        # The reference against itself is no question, so it takes no part in the correction.
        if pair.policy != reference:
            family = (pair.scenario, family_of[pair.metric])
            asked_together.setdefault(family, []).append(index)
    for asked in asked_together.values():
        adjusted[asked] = holm([p_values[index] for index in asked])
    rows = [_figures(pair, p, seed, intervals) for pair, p in zip(pairs, rank_ps, strict=True)]
    return (
        pl.DataFrame(rows, schema=SCHEMA)
        .with_columns(p_holm=pl.Series(adjusted, dtype=pl.Float64))
        .with_columns(is_significant=pl.col("p_holm") < alpha)
        .sort(KEYS)
    )


def metric_families(frame: pl.DataFrame) -> list[list[str]]:
    """The report's metrics that the table holds: what is asked first, and the rest."""
    from marl.evaluate.report.metrics import PRIMARY, SECONDARY

    held = [
        [column for column in family if column in frame.columns] for family in (PRIMARY, SECONDARY)
    ]
    return [family for family in held if family]


def _figures(pair: Pair, rank_p: float, seed: int, intervals: bool) -> dict[str, Any]:
    difference = pair.difference
    row: dict[str, Any] = {
        "scenario": pair.scenario,
        "policy": pair.policy,
        "metric": pair.metric,
        "mean": float(pair.ours.mean()),
        "reference_mean": float(pair.theirs.mean()),
        "difference": float(difference.mean()),
        "effect_size": cohens_d_z(difference),
        "rank_biserial": rank_biserial(difference),
        "mde": _mde(difference),
        "p_value": rank_p,
        "p_mean": mean_p(difference),
        "episodes": len(difference),
        "training_seeds": len(pair.by_seed),
    }
    wins = improvement_interval(difference)
    row["probability_of_improvement"] = wins.estimate
    if intervals:
        mean = paired_bootstrap(difference, _rng(pair, seed))
        iqm = paired_bootstrap(difference, _rng(pair, seed, "iqm"), statistic="iqm")
        row |= {"lo": mean.lo, "hi": mean.hi, "poi_lo": wins.lo, "poi_hi": wins.hi}
        row |= {"iqm_difference": iqm.estimate, "iqm_lo": iqm.lo, "iqm_hi": iqm.hi}
        if anew := retraining_interval(pair.by_seed):
            row |= {"seed_lo": anew.lo, "seed_hi": anew.hi}
    return dict.fromkeys(SCHEMA) | row


def _rng(pair: Pair, seed: int, *purpose: str) -> np.random.Generator:
    path = (pair.scenario, pair.policy, pair.metric, *purpose)
    return np.random.default_rng(derive_seed(seed, *path))


def _mde(difference: NDArray[np.float64]) -> float | None:
    if len(difference) < 2:
        return None
    return minimum_detectable_effect(float(difference.std(ddof=1)), len(difference))
