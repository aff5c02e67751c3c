"""Every policy against one of them, over all scenarios at once.

One answer per metric where `comparison` gives one per scenario. Scenarios count equally.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from marl.evaluate.statistics.comparison import Pair, decided, metric_families
from marl.evaluate.statistics.effects import improvement_interval
from marl.evaluate.statistics.pairing import (
    Episodes,
    policies_in_every_scenario,
    require_reference,
)
from marl.evaluate.statistics.stratified import Strata, stratified_bootstrap
from marl.train.seeding import derive_seed

ALL_SCENARIOS: Final = "all scenarios"


def compare_pooled(
    frame: pl.DataFrame,
    reference: str = "reactive",
    metrics: Sequence[str] | None = None,
    *,
    scenarios: Sequence[str] | None = None,
    seed: int = 0,
    alpha: float = 0.05,
) -> pl.DataFrame:
    """Every policy that played all scenarios against the reference, over all of them.

    The same episode number is the same weather in every scenario, so its differences there are not
    independent: they are averaged to one number per episode, from which come test, mean, effect
    sizes and their intervals as in `compare`. Interquartile mean and probability of improvement are
    of all scenarios' single differences, with stratified bootstrap intervals that draw an episode
    number in all scenarios together. Holm's correction is as in
    `compare`.

    Args:
        frame: one row per policy × scenario × training seed × episode (`rollout`).
        reference: the policy compared against.
        metrics: columns to compare; those the report shows if None.
        scenarios: those to pool; all the reference played if None.
        seed: of the bootstrap.
        alpha: level of `is_significant`.

    Returns:
        The columns of `compare`, `scenario` being "all scenarios"; policies that lack a scenario
        are not in it.

    Raises:
        ValueError: the reference lacks a scenario, or episodes are not the same in all of them.
    """
    require_reference(frame, reference)
    if scenarios is None:
        played = frame.filter(pl.col("policy") == reference)
        scenarios = played["scenario"].unique().sort().to_list()
    families = [metrics] if metrics is not None else metric_families(frame)
    metrics = [metric for family in families for metric in family]
    episodes = Episodes(frame.filter(pl.col("scenario").is_in(list(scenarios))), metrics)
    pairs: list[Pair] = []
    shown: list[dict[str, Any]] = []
    for policy in policies_in_every_scenario(frame, scenarios):
        for metric in metrics:
            ours = episodes.values(policy, metric, scenarios)
            theirs = episodes.values(reference, metric, scenarios)
            strata = episodes.differences(policy, reference, metric, scenarios)
            if len({part.shape for part in strata}) > 1:
                raise ValueError(
                    f"{policy} has not the same training seeds and episodes in every scenario: "
                    f"{dict(zip(scenarios, [part.shape for part in strata], strict=True))}"
                )
            pairs.append(
                Pair(
                    ALL_SCENARIOS,
                    policy,
                    metric,
                    np.mean([part.mean(0) for part in ours], axis=0),
                    np.mean([part.mean(0) for part in theirs], axis=0),
                    np.mean(strata, axis=0),
                )
            )
            shown.append(_over_all(policy, metric, strata, seed))
    table = decided(pairs, reference, families, seed=seed, alpha=alpha)
    columns = table.columns
    return table.update(pl.DataFrame(shown), on=["policy", "metric"]).select(columns)


def _over_all(policy: str, metric: str, strata: Strata, seed: int) -> dict[str, Any]:
    """Figures that are of single differences, not of their averages over scenarios."""
    averaged = [part.mean(0, keepdims=True) for part in strata]
    rng = np.random.default_rng(derive_seed(seed, ALL_SCENARIOS, policy, metric))
    iqm = stratified_bootstrap(averaged, rng, statistic="iqm")
    wins = stratified_bootstrap(averaged, rng, statistic="poi")
    if wins.estimate in (0.0, 1.0):
        # All won or all lost: every resample is the same. As if an episode had been played once.
        wins = improvement_interval(averaged[0][0])
    return {
        "policy": policy,
        "metric": metric,
        "iqm_difference": iqm.estimate,
        "iqm_lo": iqm.lo,
        "iqm_hi": iqm.hi,
        "probability_of_improvement": wins.estimate,
        "poi_lo": wins.lo,
        "poi_hi": wins.hi,
    }
