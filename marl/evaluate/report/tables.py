"""The report's tables: metrics by policy, objective by scenario, equal service level, gap closed.

Each is a list of rows with a cell a policy, numbers beside the text that shows them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from marl.evaluate.report.groups import Cast
from marl.evaluate.report.inputs import Numbers, ReportInputs
from marl.evaluate.report.metrics import METRICS, Metric

OBJECTIVE: Final = METRICS[0]
# Columns of the first table; all metrics are in the detailed one.
LEADING: Final = ("reward", "cost_usd", "slo_attainment", "latency_p95_ms", "carbon_gco2")


def metric_row(
    metric: Metric, scenario: str, policies: Sequence[str], numbers: Numbers, reference: str
) -> dict[str, Any]:
    """One metric of every policy in a scenario, with its difference to the reference."""
    cells = []
    for policy in policies:
        mean = numbers.mean(scenario, policy, metric.column)
        row = None if policy == reference else numbers.row(scenario, policy, metric.column)
        cells.append({"policy": policy, "mean": mean, **_difference(metric, row, mean)})
    return {
        "metric": metric.column,
        "label": metric.label,
        "unit": metric.unit,
        "is_higher_better": metric.is_higher_better,
        "is_leading": metric.column in LEADING,
        "cells": cells,
    }


def _difference(
    metric: Metric, row: Mapping[str, Any] | None, mean: float | None
) -> dict[str, Any]:
    shown: dict[str, Any] = {"shown": metric.show(mean), "difference": None, "interval": None}
    if row is None:
        return shown | {"is_significant": None, "is_better": None}
    return shown | {
        "difference": row["difference"],
        "lo": row["lo"],
        "hi": row["hi"],
        "p_holm": row["p_holm"],
        "interval": interval(metric, row),
        "is_significant": row["is_significant"],
        "is_better": (row["difference"] > 0) == metric.is_higher_better,
    }


def interval(metric: Metric, row: Mapping[str, Any]) -> str:
    """A difference with its 95 % interval, in the metric's digits."""
    lo, hi = metric.show_difference(row["lo"]), metric.show_difference(row["hi"])
    return f"{metric.show_difference(row['difference'])} [{lo}, {hi}]"


def relative(row: Mapping[str, Any]) -> str:
    """A difference as a share of the reference's mean, with its interval; empty where that is 0."""
    if not row["reference_mean"]:
        return ""
    share, lo, hi = (row[key] / abs(row["reference_mean"]) for key in ("difference", "lo", "hi"))
    return f"{share:+.1%} [{lo:+.1%}, {hi:+.1%}]"


def scenario_rows(numbers: Numbers, cast: Cast) -> list[dict[str, Any]]:
    """The objective of every policy in every scenario."""
    return [
        {"scenario": name, **metric_row(OBJECTIVE, name, cast.policies, numbers, cast.reference)}
        for name in numbers.scenarios
    ]


def equal_slo_rows(inputs: ReportInputs, policies: Sequence[str]) -> list[dict[str, Any]]:
    """What every policy saves against each baseline's frontier at its own service level."""
    rows = []
    for family in inputs.savings["family"].unique().sort() if inputs.savings.height else ():
        part = inputs.savings.filter(pl.col("family") == family)
        cells = [
            {"policy": policy, **row, **_saving_shown(row)}
            for policy in policies
            for row in part.filter(pl.col("policy") == policy).to_dicts()
        ]
        low, high = part["lowest_slo"][0], part["highest_slo"][0]
        rows.append({"family": family, "reaches": f"{low:.2%} to {high:.2%}", "cells": cells})
    return rows


def _saving_shown(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["estimate"] is None:
        return {"shown": f"not told: {row['slo']:.2%} lies outside", "interval": None}
    shown = f"{row['estimate']:+.1%}"
    if row["lo"] is None:
        return {"shown": shown, "interval": f"{row['inside']:.0%} of resamples inside: no interval"}
    return {"shown": shown, "interval": f"[{row['lo']:+.1%}, {row['hi']:+.1%}]"}


def gap_rows(inputs: ReportInputs, scenario: str) -> list[dict[str, Any]]:
    """How far each policy gets from the reference towards the clairvoyant planner."""
    if not inputs.gap.height:
        return []
    rows = inputs.gap.filter(pl.col("scenario") == scenario).sort("estimate", descending=True)
    return [
        row | {"shown": f"{row['estimate']:.0%} [{row['lo']:.0%}, {row['hi']:.0%}]"}
        for row in rows.to_dicts()
    ]


def not_significant(
    inputs: ReportInputs, scenario: str, policies: Sequence[str]
) -> list[dict[str, Any]]:
    """Per policy, the metrics in which no difference to the reference was shown."""
    labels = {metric.column: metric.label.lower() for metric in METRICS}
    rows = inputs.comparisons.filter(
        pl.col("scenario") == scenario,
        ~pl.col("is_significant"),
        pl.col("metric").is_in(list(labels)),
    )
    return [
        {
            "policy": policy,
            "metrics": [
                {"label": labels[row["metric"]], "p_holm": row["p_holm"]}
                for row in part.sort("metric").iter_rows(named=True)
            ],
        }
        for policy in policies
        if policy != inputs.reference
        and (part := rows.filter(pl.col("policy") == policy)).height > 0
    ]
