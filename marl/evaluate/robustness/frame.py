"""What the cells say: degradation, worst case and recovery, each against the best baseline.

The best baseline is the rule with the highest unperturbed reward, chosen before anything is
perturbed. How statistics are made is `marl.evaluate.statistics`'.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.evaluate.clairvoyant import ClairvoyantPolicy
from marl.evaluate.policies import RandomPolicy
from marl.evaluate.robustness.perturbations import UNPERTURBED, Perturbation
from marl.evaluate.statistics import both_p, holm, paired_bootstrap, signed_rank_p
from marl.train.seeding import derive_seed

SCHEMA: Final = {
    "perturbation": pl.String,
    "unit": pl.String,
    "severity": pl.Float64,
    "policy": pl.String,
    "reward": pl.Float64,
    "reward_lo": pl.Float64,
    "reward_hi": pl.Float64,
    "worst": pl.Float64,
    "difference": pl.Float64,
    "difference_lo": pl.Float64,
    "difference_hi": pl.Float64,
    "p_holm": pl.Float64,
    "is_significant": pl.Boolean,
    "slo_attainment": pl.Float64,
    "cost_usd": pl.Float64,
    "recovery_steps": pl.Float64,
    "episodes": pl.Int64,
}
WORST_SHARE: Final = 0.05
ALPHA: Final = 0.05
_NOT_RULES: Final = (RandomPolicy.name, ClairvoyantPolicy.name)
Key = tuple[str, float]


def best_baseline(episodes: pl.DataFrame) -> str:
    """The rule with the highest mean reward in unperturbed episodes.

    Raises:
        ValueError: no rule among them.
    """
    rules = episodes.filter(
        pl.col("training_seed").is_null(),
        ~pl.col("policy").is_in(_NOT_RULES),
        pl.col("perturbation") == UNPERTURBED,
    )
    if not rules.height:
        raise ValueError("no rule was played unperturbed: name a baseline among the policies")
    means = rules.group_by("policy").agg(pl.col("reward").mean())
    return str(means.sort("reward", "policy", descending=[True, False])["policy"][0])


def worst_mean(values: NDArray[np.float64], share: float = WORST_SHARE) -> float:
    """Mean of the lowest `share` of the values, at least one of them (empirical CVaR)."""
    return float(np.sort(values)[: max(1, math.ceil(share * len(values)))].mean())


def robustness_frame(
    episodes: pl.DataFrame, rows: Sequence[Perturbation], *, seed: int = 0
) -> pl.DataFrame:
    """One row per perturbation × severity × policy, severity 0 for each perturbation too.

    A difference is significant where ranks and mean both show it (`statistics.both_p`). Holm's
    correction covers the whole table; the unperturbed world is asked about once.

    Args:
        episodes: of all cells, one training run a learner (`cells.with_recovery`).
        rows: the perturbations, in the order of the table.
        seed: of the bootstrap.

    Returns:
        `perturbation`, `unit`, `severity` (0: unperturbed), `policy`; `reward` and its 95 %
        interval `reward_lo`, `reward_hi` (of the mean over episodes); `worst`, mean of the worst
        5 % of episodes; `difference` to the best baseline at the same severity, paired by
        episode, its interval `difference_lo`, `difference_hi`, `p_holm`, `is_significant` (nulls
        and false for the best baseline itself); `slo_attainment`, `cost_usd`, `recovery_steps`
        (mean; episodes that end before they recover count to their end; null where nothing
        passes), `episodes`.

    Raises:
        ValueError: no rule, several training runs of one name, or episodes that do not pair.
    """
    runs = episodes.select("policy", "training_seed").unique()
    if runs.height > runs["policy"].n_unique():
        raise ValueError("several training runs of one policy: name one of each")
    best = best_baseline(episodes)
    cells: dict[Key, list[dict[str, Any]]] = {}
    keys = ["perturbation", "severity"]
    for (name, severity), part in episodes.group_by(keys, maintain_order=True):
        cells[str(name), float(severity)] = _cell(part, best, seed)
    asked = [row for part in cells.values() for row in part if row["policy"] != best]
    adjusted = holm([row["p_holm"] for row in asked]).tolist() if asked else []
    for row, p in zip(asked, adjusted, strict=True):
        row["p_holm"] = p
        row["is_significant"] = bool(p < ALPHA)
    told = []
    for one in rows:
        label = {"perturbation": one.name, "unit": one.unit}
        for severity in one.severities:
            key = (UNPERTURBED, 0.0) if severity == 0 else (one.name, severity)
            told += [label | {"severity": severity} | row for row in cells.get(key, [])]
    return pl.DataFrame(told, schema=SCHEMA, orient="row")


def _cell(part: pl.DataFrame, best: str, seed: int) -> list[dict[str, Any]]:
    """A row for each policy of one cell; p-values not corrected yet."""
    where = f"{part['perturbation'][0]} {part['severity'][0]:g}"
    theirs = part.filter(pl.col("policy") == best).sort("episode")
    made = []
    for (policy,), ours in part.group_by("policy", maintain_order=True):
        ours = ours.sort("episode")
        if ours["episode"].to_list() != theirs["episode"].to_list():
            raise ValueError(f"{policy} and {best} have different episodes under {where}")
        reward = ours["reward"].to_numpy().astype(np.float64)
        own = paired_bootstrap(reward, _rng(seed, where, str(policy), "reward"))
        row: dict[str, Any] = {
            "policy": policy,
            "reward": own.estimate,
            "reward_lo": own.lo,
            "reward_hi": own.hi,
            "worst": worst_mean(reward),
            "is_significant": False,
            "slo_attainment": ours["slo_attainment"].mean(),
            "cost_usd": ours["cost_usd"].mean(),
            "recovery_steps": ours["recovery_steps"].mean(),
            "episodes": ours.height,
        }
        if policy != best:
            paired = reward - theirs["reward"].to_numpy().astype(np.float64)
            interval = paired_bootstrap(paired, _rng(seed, where, str(policy), "difference"))
            row |= {
                "difference": interval.estimate,
                "difference_lo": interval.lo,
                "difference_hi": interval.hi,
                "p_holm": both_p(paired, signed_rank_p(paired)),
            }
        made.append(row)
    return made


def _rng(seed: int, *path: str) -> np.random.Generator:
    return np.random.default_rng(derive_seed(seed, "robustness", *path))
