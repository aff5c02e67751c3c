"""Is one policy better than another? Paired, seeded, corrected for asking often.

Every function takes episodes paired by number (the same weather for both policies). Which metrics
exist and which direction is good belong to the report.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.frozen import Frozen
from marl.train.seeding import derive_seed

KEYS: Final = ("scenario", "policy", "metric")
_LEVEL: Final = 0.95
_RESAMPLES: Final = 2000


class Interval(Frozen):
    """An estimate with its confidence interval."""

    estimate: float
    lo: float
    hi: float


def paired_bootstrap(
    difference: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    statistic: str = "mean",
    level: float = _LEVEL,
    resamples: int = _RESAMPLES,
) -> Interval:
    """Bootstrap interval of the mean or interquartile mean of paired differences.

    Resamples pairs, keeps each pair together; bias-corrected and accelerated (Efron 1987) for the
    mean, percentile for the interquartile mean (Agarwal et al. 2021, arXiv:2108.13264).

    Args:
        difference: (n,) policy minus reference, paired.
        rng: random state.
        statistic: "mean" or "iqm".
        level: confidence level.
        resamples: bootstrap resamples.
    """
    from scipy.stats import bootstrap

    value = float(interquartile_mean(difference) if statistic == "iqm" else difference.mean())
    if len(difference) < 2 or np.ptp(difference) == 0.0:
        return Interval(estimate=value, lo=value, hi=value)  # nothing varies: nothing to resample
    result = bootstrap(
        (difference,),
        interquartile_mean if statistic == "iqm" else np.mean,
        n_resamples=resamples,
        batch=max(1, 2_000_000 // len(difference)),
        vectorized=True,
        axis=-1,
        confidence_level=level,
        method="percentile" if statistic == "iqm" else "BCa",
        rng=rng,
    )
    interval = result.confidence_interval
    return Interval(estimate=value, lo=float(interval.low), hi=float(interval.high))


def interquartile_mean(values: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    """Mean of the middle half along `axis`: robust as the median, tighter."""
    from scipy.stats import trim_mean

    return np.asarray(trim_mean(values, 0.25, axis=axis))


def signed_rank_p(difference: NDArray[np.float64]) -> float:
    """Two-sided Wilcoxon signed-rank p-value of paired differences; 1 where none differs."""
    from scipy.stats import wilcoxon

    if not difference.any():
        return 1.0
    return float(wilcoxon(difference, zero_method="pratt").pvalue)


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


def probability_of_improvement(difference: NDArray[np.float64]) -> float:
    """Share of paired episodes in which the policy is above the reference, ties counted half."""
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def share_of_gap(
    policy: NDArray[np.float64],
    reference: NDArray[np.float64],
    ceiling: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    level: float = _LEVEL,
    resamples: int = _RESAMPLES,
) -> Interval:
    """(policy - reference) / (ceiling - reference), of means: how far towards the best known.

    Percentile bootstrap interval; each resample draws episodes for all three together.

    Args:
        policy: (n,) rewards of episodes.
        reference: the same episodes' of the tuned rule: share 0.
        ceiling: the same episodes' of the clairvoyant planner: share 1.
        rng: random state.
        level: confidence level.
        resamples: bootstrap resamples.

    Raises:
        ValueError: the ceiling is not above the reference.
    """
    if not ceiling.mean() > reference.mean():
        raise ValueError(
            f"no gap to close: the ceiling's mean {ceiling.mean():.4f} is not above the "
            f"reference's {reference.mean():.4f}"
        )
    picks = rng.integers(0, len(policy), (resamples, len(policy)))
    gained, gap = policy - reference, ceiling - reference
    drawn = gained[picks].mean(1) / gap[picks].mean(1)
    lo, hi = np.percentile(drawn, [50 * (1 - level), 50 * (1 + level)])
    return Interval(estimate=float(gained.mean() / gap.mean()), lo=float(lo), hi=float(hi))


def gap_closed(frame: pl.DataFrame, reference: str, ceiling: str, *, seed: int = 0) -> pl.DataFrame:
    """`share_of_gap` of every other policy in every scenario that the ceiling was played in.

    Returns:
        Sorted by scenario and policy: `scenario`, `policy`, `estimate`, `lo`, `hi`.
    """
    means = frame.group_by("scenario", "policy", "episode").agg(pl.col("reward").mean())
    rows = []
    for (scenario,), part in means.sort("scenario").group_by("scenario", maintain_order=True):
        names = part["policy"].unique().sort().to_list()
        if ceiling not in names:
            continue
        wide = part.pivot(on="policy", index="episode", values="reward").sort("episode")
        if wide.null_count().sum_horizontal().item():
            raise ValueError(f"policies have different episodes in {scenario}")
        low, high = wide[reference].to_numpy(), wide[ceiling].to_numpy()
        for name in names:
            if name not in (reference, ceiling):
                rng = np.random.default_rng(derive_seed(seed, "gap", str(scenario), name))
                share = share_of_gap(wide[name].to_numpy(), low, high, rng)
                rows.append({"scenario": scenario, "policy": name, **share.model_dump()})
    schema = {"scenario": pl.String, "policy": pl.String}
    return pl.DataFrame(
        rows, schema=schema | dict.fromkeys(("estimate", "lo", "hi"), pl.Float64), orient="row"
    )


def compare(
    frame: pl.DataFrame,
    reference: str = "reactive",
    metrics: Sequence[str] | None = None,
    *,
    seed: int = 0,
    alpha: float = 0.05,
) -> pl.DataFrame:
    """Every policy against the reference, per scenario and metric.

    Episodes of several training seeds are averaged first (an episode is one draw of weather), so
    training seeds do not multiply the sample. Holm's correction covers all policies and metrics of
    a scenario.

    Args:
        frame: one row per policy × scenario × training seed × episode (`rollout`).
        reference: the policy compared against.
        metrics: columns to compare; those the report shows if None (the more questions, the
            stricter the correction).
        seed: of the bootstrap.
        alpha: level of `is_significant`.

    Returns:
        Sorted by scenario, policy and metric: `mean`, `reference_mean`, `difference`, its 95 %
        interval `lo` and `hi`, `iqm_difference`, `iqm_lo`, `iqm_hi`, `probability_of_improvement`
        (of being above), `p_value`, `p_holm`, `is_significant`, `episodes`.

    Raises:
        ValueError: the reference is missing, or episodes of a policy and the reference do not pair.
    """
    metrics = list(metrics) if metrics is not None else _metric_columns(frame)
    if reference not in frame["policy"].unique():
        known = frame["policy"].unique().sort().to_list()
        raise ValueError(f"no episodes of the reference {reference!r}; there are: {known}")
    per_episode = (
        frame.group_by("scenario", "policy", "episode")
        .agg(pl.col(metric).mean() for metric in metrics)
        .sort("scenario", "policy", "episode")
    )
    rows = []
    for (scenario, policy), ours in per_episode.group_by("scenario", "policy", maintain_order=True):
        theirs = per_episode.filter(pl.col("scenario") == scenario, pl.col("policy") == reference)
        if ours["episode"].to_list() != theirs["episode"].to_list():
            raise ValueError(
                f"{policy} and {reference} have different episodes in {scenario}: "
                f"{ours.height} and {theirs.height}; compare the same episodes only"
            )
        rows += [
            _compare_metric(str(scenario), str(policy), metric, ours, theirs, seed)
            for metric in metrics
        ]
    table = pl.DataFrame(rows)
    adjusted = []
    for _, part in table.group_by("scenario", maintain_order=True):
        # The reference against itself is no question, so it takes no part in the correction.
        asked = part.filter(pl.col("policy") != reference)
        itself = part.filter(pl.col("policy") == reference)
        adjusted += [
            asked.with_columns(p_holm=pl.Series(holm(asked["p_value"].to_list()))),
            itself.with_columns(p_holm=pl.lit(1.0)),
        ]
    return (
        pl.concat(adjusted)
        .with_columns(is_significant=pl.col("p_holm") < alpha)
        .sort("scenario", "policy", "metric")
    )


def _compare_metric(
    scenario: str, policy: str, metric: str, ours: pl.DataFrame, theirs: pl.DataFrame, seed: int
) -> dict[str, str | float | int]:
    a, b = ours[metric].to_numpy().astype(np.float64), theirs[metric].to_numpy().astype(np.float64)
    difference = a - b
    if not np.isfinite(difference).all():
        raise ValueError(f"{metric} of {policy} in {scenario} holds values that are not finite")
    rng = np.random.default_rng(derive_seed(seed, scenario, policy, metric))
    mean = paired_bootstrap(difference, rng)
    iqm = paired_bootstrap(difference, rng, statistic="iqm")
    return {
        "scenario": scenario,
        "policy": policy,
        "metric": metric,
        "mean": float(a.mean()),
        "reference_mean": float(b.mean()),
        "difference": mean.estimate,
        "lo": mean.lo,
        "hi": mean.hi,
        "iqm_difference": iqm.estimate,
        "iqm_lo": iqm.lo,
        "iqm_hi": iqm.hi,
        "probability_of_improvement": probability_of_improvement(difference),
        "p_value": signed_rank_p(difference),
        "episodes": len(difference),
    }


def _metric_columns(frame: pl.DataFrame) -> list[str]:
    from marl.evaluate.report.metrics import METRICS

    return [metric.column for metric in METRICS if metric.column in frame.columns]
