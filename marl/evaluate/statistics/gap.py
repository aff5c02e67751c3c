"""How far a policy comes on the way from the tuned rule to the clairvoyant planner.

Playing the planner is `marl.evaluate.clairvoyant`'s.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.evaluate.statistics.intervals import LEVEL, RESAMPLES, Interval
from marl.train.seeding import derive_seed


def share_of_gap(
    policy: NDArray[np.float64],
    reference: NDArray[np.float64],
    ceiling: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> Interval:
    """(policy - reference) / (ceiling - reference), of means: how far towards the best known.

    Percentile bootstrap interval; each resample draws episodes for all three together. One in which
    the ceiling is not above the reference, as a handful of episodes may give, has no share.

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
    way = gap[picks].mean(1)
    drawn = gained[picks].mean(1)[way > 0] / way[way > 0]
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
