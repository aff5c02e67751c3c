"""Checks of `robustness_episodes`: the same trouble for everybody, a true zero, finite figures."""

from pathlib import Path
from typing import Any, Final

import polars as pl

from assets.evaluation.robustness import SUMMARY
from assets.quality.checks import fact_check

# What no policy decides: it must not differ between policies in the same episode.
_EXOGENOUS: Final = (
    "requests", "demand_compute", "demand_database", "zones_down", "quota", "spot_ratio",
    "disk_speed",
)  # fmt: skip
_CELL: Final = ("perturbation", "severity")
_SAME: Final = 1e-6  # relative; sums of the same float32 numbers
_NULLABLE: Final = {"difference", "difference_lo", "difference_hi", "p_holm", "recovery_steps"}
_NONE: Final = "left out by the profile"


def perturbed_episodes_pair(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """In every cell every policy has the same episodes and met the same demand and trouble."""
    frame = pl.read_parquet(folder / "rows" / "*.parquet")
    if not frame.height:
        return True, _NONE, {}
    wrong = []
    policies = frame["policy"].n_unique()
    if policies < 2:
        wrong.append(f"only {policies} policy was played")
    played = frame.group_by(*_CELL, "policy").agg(pl.col("episode").sort())
    by_cell = played.group_by(_CELL).agg(pl.col("episode").n_unique(), pl.len())
    for name, severity, kinds, count in by_cell.sort(_CELL).iter_rows():
        if kinds > 1 or count < policies:
            wrong.append(f"{name} {severity:g}: policies have different episodes")
    spread = frame.group_by(*_CELL, "episode").agg(
        (pl.col(name).max() - pl.col(name).min()) / pl.col(name).abs().max().clip(lower_bound=1e-9)
        for name in _EXOGENOUS
    )
    for name in _EXOGENOUS:
        cells = spread.filter(pl.col(name) > _SAME).select(_CELL).unique().sort(_CELL)
        wrong += [f"{cell} {s:g}: {name} differs between policies" for cell, s in cells.iter_rows()]
    return not wrong, "; ".join(wrong) or "all episodes pair", {"cells": by_cell.height}


def zero_is_unperturbed(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """Every perturbation's curve begins at the unperturbed episodes' own means."""
    frame, summary = (
        pl.read_parquet(folder / "rows" / "*.parquet"),
        pl.read_parquet(folder / SUMMARY),
    )
    if not frame.height and not summary.height:
        return True, _NONE, {}
    columns = ("reward", "slo_attainment", "cost_usd")
    plain = frame.filter(perturbation="none").group_by("policy").agg(pl.col(columns).mean())
    zero = summary.filter(pl.col("severity") == 0)
    wrong = []
    names = set(summary["perturbation"]) | set(frame["perturbation"]) - {"none"}
    for name in sorted(names):
        own = zero.filter(perturbation=name).sort("policy")
        if own["policy"].to_list() != plain.sort("policy")["policy"].to_list():
            wrong.append(f"{name}: not every policy has a row of severity 0")
            continue
        wrong += [
            f"{name}: {column} at severity 0 is not the unperturbed one"
            for column in columns
            if (own[column] - plain.sort("policy")[column]).abs().max() > 1e-9  # type: ignore[operator]
        ]
    return not wrong, "; ".join(wrong) or "curves begin unperturbed", {"perturbations": len(names)}


def robustness_is_finite(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """The summary's figures are finite, intervals in order, the worst not above the mean."""
    from marl.evaluate.robustness.frame import SCHEMA

    summary = pl.read_parquet(folder / SUMMARY)
    if dict(summary.schema) != SCHEMA:
        return False, f"columns {dict(summary.schema)}, not {SCHEMA}", {}
    wrong = []
    for name, kind in SCHEMA.items():
        column = summary[name]
        if name not in _NULLABLE and column.null_count():
            wrong.append(f"{name} holds nulls")
        if kind == pl.Float64 and not column.drop_nulls().is_finite().all():
            wrong.append(f"{name} holds values that are not finite")
    rules = {
        "an interval upside down": (pl.col("reward_lo") > pl.col("reward_hi"))
        | (pl.col("difference_lo") > pl.col("difference_hi")),
        "worst above the mean": pl.col("worst") > pl.col("reward") + 1e-12,
        "a negative recovery": pl.col("recovery_steps") < 0,
        "a service level outside [0, 1]": ~pl.col("slo_attainment").is_between(0, 1),
        "a p-value outside [0, 1]": ~pl.col("p_holm").is_between(0, 1),
    }
    wrong += [f"{told} in {n} rows" for told, bad in rules.items() if (n := _count(summary, bad))]
    return not wrong, "; ".join(wrong) or "all are finite", {"rows": summary.height}


def _count(frame: pl.DataFrame, bad: pl.Expr) -> int:
    return frame.filter(bad.fill_null(value=False)).height


ROBUSTNESS_CHECKS: Final = [
    fact_check(
        "robustness_episodes",
        "perturbed_episodes_pair",
        perturbed_episodes_pair,
        description="Every policy met the same perturbations and demand in the same episodes.",
    ),
    fact_check(
        "robustness_episodes",
        "zero_is_unperturbed",
        zero_is_unperturbed,
        description="Severity 0 of every perturbation is the unperturbed world.",
    ),
    fact_check(
        "robustness_episodes",
        "robustness_is_finite",
        robustness_is_finite,
        description="Figures are finite, intervals in order, columns as published.",
    ),
]
