"""What a service level costs: a rule's frontier of cost against SLO, and savings measured on it.

"Cost saved" alone misleads, because the same policy moves along cost against service level. So a
policy is compared with what the rule, tuned at several weights of cost, pays for the *same* service
level on the same episodes. Pure functions of paired episodes; the search is `tuning`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.frozen import Frozen
from marl.train.seeding import derive_seed

LEVEL: Final = 0.95
_RESAMPLES: Final = 2000
_FIGURES: Final = ("estimate", "lo", "hi", "slo", "inside", "lowest_slo", "highest_slo")


@dataclass(frozen=True)
class Costs:
    """Paired episodes of one policy.

    Attributes:
        cost: (n,) USD of each episode.
        slo: (n,) share of work in time in each.
    """

    cost: NDArray[np.float64]
    slo: NDArray[np.float64]


class Saving(Frozen):
    """1 - cost / cost of the frontier at the same service level.

    Attributes:
        estimate: None where the policy's service level lies outside the frontier: extrapolating is
            refused.
        lo, hi: 95 % interval; None as above.
        slo: the policy's service level.
        frontier_slo: lowest and highest of the frontier's.
        inside: share of the resamples whose service level lay on the frontier; the interval is
            theirs, and is not given where fewer than 95 % do.
    """

    estimate: float | None
    lo: float | None
    hi: float | None
    slo: float
    frontier_slo: tuple[float, float]
    inside: float

    @property
    def is_told(self) -> bool:
        """Whether there is a figure with an interval."""
        return self.estimate is not None and self.lo is not None


def efficient(cost: NDArray[np.float64], slo: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of the points that no other one beats in both, by rising service level and cost.

    Args:
        cost: (k,) mean cost of each point.
        slo: (k,) mean service level.
    """
    kept: list[int] = []
    for index in np.lexsort((-slo, cost)):  # the cheapest first
        if not kept or slo[index] > slo[kept[-1]]:
            kept.append(int(index))
    return np.array(kept, dtype=np.int64)


def cost_at(slo: float, cost: NDArray[np.float64], level: NDArray[np.float64]) -> float:
    """Cost of service level `slo` on the frontier of points (cost, level); NaN outside of it.

    Linear between neighbouring efficient points: an operator who runs one setting part of the time
    and the other the rest pays just that.
    """
    points = efficient(cost, level)
    if not level[points[0]] <= slo <= level[points[-1]]:
        return float("nan")
    return float(np.interp(slo, level[points], cost[points]))


def saving_at_equal_slo(
    policy: Costs,
    frontier: Sequence[Costs],
    rng: np.random.Generator,
    *,
    resamples: int = _RESAMPLES,
    level: float = LEVEL,
) -> Saving:
    """What a policy saves against a frontier at its own service level, with a paired bootstrap.

    Episodes are resampled together for the policy and every point of the frontier; each resample
    has its own frontier and its own service level. Percentile interval.

    Args:
        policy: n episodes.
        frontier: the same n episodes under each of the frontier's settings.
        rng: random state.
        resamples: bootstrap resamples.
        level: confidence level.

    Raises:
        ValueError: no frontier, or episodes that do not pair.
    """
    if not frontier:
        raise ValueError("a frontier needs at least one setting")
    lengths = {len(part) for one in (policy, *frontier) for part in (one.cost, one.slo)}
    if len(lengths) != 1:
        raise ValueError(f"episodes do not pair: {sorted(lengths)} of them")
    costs = np.stack([policy.cost, *(one.cost for one in frontier)])  # (1 + k, n)
    levels = np.stack([policy.slo, *(one.slo for one in frontier)])
    picks = rng.integers(0, costs.shape[1], (resamples, costs.shape[1]))
    drawn = np.array([_saving(costs[:, pick].mean(1), levels[:, pick].mean(1)) for pick in picks])
    inside = np.isfinite(drawn)
    estimate = _saving(costs.mean(1), levels.mean(1))
    points = levels[1:].mean(1)[efficient(costs[1:].mean(1), levels[1:].mean(1))]
    is_known = np.isfinite(estimate) and inside.mean() >= level
    tail = 50.0 * (1.0 - level)
    lo, hi = np.percentile(drawn[inside], [tail, 100.0 - tail]) if is_known else (None, None)
    return Saving(
        estimate=float(estimate) if np.isfinite(estimate) else None,
        lo=None if lo is None else float(lo),
        hi=None if hi is None else float(hi),
        slo=float(policy.slo.mean()),
        frontier_slo=(float(points[0]), float(points[-1])),
        inside=float(inside.mean()),
    )


def savings(
    episodes: pl.DataFrame, frontier: pl.DataFrame, scenario: str, *, seed: int = 0
) -> pl.DataFrame:
    """Every policy's saving at equal service level against every baseline's frontier.

    Args:
        episodes: one row per policy, training seed and episode (`rollout`); training seeds of an
            episode are averaged first.
        frontier: the same episodes of the frontiers' points, with `family` and `factor`.
        scenario: the one compared.
        seed: of the bootstrap.

    Returns:
        Sorted by family and policy: `family`, `policy` and the fields of `Saving`.

    Raises:
        ValueError: episodes do not pair.
    """
    figures = pl.col("cost_usd", "slo_attainment").mean()
    ours = episodes.filter(pl.col("scenario") == scenario)
    ours = ours.group_by("policy", "episode").agg(figures).sort("policy", "episode")
    points = frontier.filter(pl.col("scenario") == scenario).sort("family", "factor", "episode")
    rows = []
    for (family,), part in points.group_by("family", maintain_order=True):
        settings = [one for _, one in part.group_by("factor", maintain_order=True)]
        for (policy,), own in ours.group_by("policy", maintain_order=True):
            numbers = {tuple(one["episode"].to_list()) for one in (own, *settings)}
            if len(numbers) != 1:
                raise ValueError(f"{policy} and the frontier of {family}: episodes do not pair")
            rng = np.random.default_rng(derive_seed(seed, "saving", str(family), str(policy)))
            saving = saving_at_equal_slo(_costs(own), [_costs(one) for one in settings], rng)
            low, high = saving.frontier_slo
            told = saving.model_dump(exclude={"frontier_slo"})
            rows.append(
                {"family": family, "policy": policy, **told, "lowest_slo": low, "highest_slo": high}
            )
    text, number = pl.String, pl.Float64
    schema = dict.fromkeys(("family", "policy"), text) | dict.fromkeys(_FIGURES, number)
    return pl.DataFrame(rows, schema=schema, orient="row").sort("family", "policy")


def _costs(rows: pl.DataFrame) -> Costs:
    cost, slo = (
        rows[name].to_numpy().astype(np.float64) for name in ("cost_usd", "slo_attainment")
    )
    return Costs(cost, slo)


def _saving(cost: NDArray[np.float64], level: NDArray[np.float64]) -> float:
    """The first point against the frontier of the others."""
    return 1.0 - float(cost[0]) / cost_at(float(level[0]), cost[1:], level[1:])
