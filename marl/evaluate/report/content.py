"""What the report says: numbers and sentences, worked out of the evaluation's frames.

Its result is the JSON file (`schema_version` names its shape) and all that the pages show.
Drawing belongs to `figures`, layout to `page` and `markdown`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from marl.evaluate.report.metrics import METRICS, SERVICES, Metric

SCHEMA_VERSION: Final = 1
MAIN_SCENARIO: Final = "replay"  # the trace itself: what every headline is about


@dataclass(frozen=True)
class ReportInputs:
    """Everything a report is made from.

    Attributes:
        episodes: one row per policy × scenario × training seed × episode (DESIGN §6).
        comparisons: one row per scenario × policy × metric, paired against `reference`: `mean`,
            `reference_mean`, `difference`, `lo`, `hi` (95 %), `p_holm`, `is_significant` and
            `episodes`.
        trajectories: policy → one held-out episode step by step, all in the same weather.
        learning: `policy`, `training_seed`, `env_steps`, `reward` of the held-in evaluations, and
            `is_kept` for the one whose policy was kept.
        trace: the slice of the trace, as in provenance.
        profile: the run profile's knobs.
        reference: the policy compared against.
        frontier: episodes of the points of the baselines' cost-SLO frontiers, with `family`.
        savings: what each policy saves at equal service level (`marl.evaluate.frontier.savings`).
        gap: each policy's share of the gap to the clairvoyant planner (`statistics.gap_closed`).
        baselines: how each tuned baseline was tuned, for people.
        workload: goodness-of-fit summary; empty where there is none.
        notes: what is missing or limited, one sentence each.
        code_version, config_hash: of the run.
        is_synthetic: the trace is the embedded, synthetic one.
    """

    episodes: pl.DataFrame
    comparisons: pl.DataFrame
    trajectories: Mapping[str, pl.DataFrame]
    learning: pl.DataFrame
    trace: Mapping[str, Any]
    profile: Mapping[str, Any]
    reference: str
    code_version: str
    config_hash: str
    is_synthetic: bool
    frontier: pl.DataFrame = field(default_factory=pl.DataFrame)
    savings: pl.DataFrame = field(default_factory=pl.DataFrame)
    gap: pl.DataFrame = field(default_factory=pl.DataFrame)
    baselines: Mapping[str, str] = field(default_factory=dict)
    workload: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


def build_content(inputs: ReportInputs) -> dict[str, Any]:
    """The report's numbers and sentences as JSON-ready values.

    Raises:
        ValueError: there are no episodes, or none of the reference policy.
    """
    policies = _policies(inputs)
    scenarios = _scenarios(inputs.episodes)
    main = MAIN_SCENARIO if MAIN_SCENARIO in scenarios else scenarios[0]
    best = _best_learned(inputs, main)
    return {
        "schema_version": SCHEMA_VERSION,
        "is_synthetic": inputs.is_synthetic,
        "reference": inputs.reference,
        "best_policy": best,
        "main_scenario": main,
        "policies": policies,
        "scenarios": scenarios,
        "headline": _headline(inputs, best, main),
        "verdict": _verdict(inputs, best, main),
        "table": [_metric_row(inputs, metric, main, policies) for metric in METRICS],
        "equal_slo": _equal_slo(inputs, policies),
        "gap": _gap(inputs, main),
        "by_scenario": [_scenario_row(inputs, name, policies) for name in scenarios],
        "not_significant": _not_significant(inputs, main),
        "cost_by_service": _cost_by_service(inputs.episodes, main, policies),
        "counts": _counts(inputs.episodes),
        "baselines": dict(inputs.baselines),
        "workload": dict(inputs.workload),
        "trace": dict(inputs.trace),
        "profile": dict(inputs.profile),
        "code_version": inputs.code_version,
        "config_hash": inputs.config_hash,
        "notes": [*_untrained(inputs), *_limits(inputs), *inputs.notes],
        "reproduce": _reproduce(inputs),
    }


def _policies(inputs: ReportInputs) -> list[str]:
    names = inputs.episodes["policy"].unique().sort().to_list()
    if inputs.reference not in names:
        raise ValueError(
            f"the reference policy {inputs.reference!r} has no episodes; there are: {names}"
        )
    last = [inputs.reference, "predictive", "static_peak", "random", "clairvoyant"]
    # Learned policies first: on a narrow screen they and the reference are what shows.
    return [n for n in names if n not in last] + [n for n in last if n in names]


def _scenarios(episodes: pl.DataFrame) -> list[str]:
    names = episodes["scenario"].unique().sort().to_list()
    return sorted(names, key=lambda name: (name != MAIN_SCENARIO, name))


def _best_learned(inputs: ReportInputs, scenario: str) -> str | None:
    """The learned policy with the highest mean objective; None when none was trained."""
    learned = set(inputs.learning["policy"].unique()) if inputs.learning.height else set()
    rows = (
        inputs.episodes.filter(pl.col("scenario") == scenario, pl.col("policy").is_in(learned))
        .group_by("policy")
        .agg(pl.col("reward").mean())
        .sort("reward", "policy", descending=[True, False])
    )
    return rows["policy"][0] if rows.height else None


def _row(inputs: ReportInputs, scenario: str, policy: str, metric: str) -> dict[str, Any] | None:
    rows = inputs.comparisons.filter(
        pl.col("scenario") == scenario, pl.col("policy") == policy, pl.col("metric") == metric
    )
    return rows.row(0, named=True) if rows.height else None


def _headline(inputs: ReportInputs, best: str | None, scenario: str) -> str:
    """The report in one sentence."""
    reward = None if best is None else _row(inputs, scenario, best, "reward")
    if reward is None:
        return f"No learned policy was compared with {inputs.reference}."
    if not reward["is_significant"]:
        return f"{best} is not shown to be better than the tuned {inputs.reference} rule."
    word = "better" if reward["difference"] > 0 else "worse"
    return f"{best} is significantly {word} than the tuned {inputs.reference} rule."


def _untrained(inputs: ReportInputs) -> list[str]:
    """Runs whose best policy on held-in episodes was the one they began with: the rule itself."""
    rows = inputs.learning.filter(pl.col("is_kept"), pl.col("env_steps") == 0)
    return [
        f"{policy}, training seed {seed}: no later policy did better on held-in episodes, so the "
        f"untrained one was kept, which acts as the tuned {inputs.reference} rule."
        for policy, seed in rows.select("policy", "training_seed").sort(pl.all()).iter_rows()
    ]


def _limits(inputs: ReportInputs) -> list[str]:
    """What every report of this kind cannot show."""
    seeds = _counts(inputs.episodes)["training_seeds"]
    told = [
        "The cloud is simulated: list prices with their dates, delays and pre-emption after "
        "published measurements, demand for storage, network and database by stated assumptions.",
        f"{seeds} training seed(s): how much training varies from seed to seed is "
        + ("not known from this run." if seeds < 2 else "in the thin learning curves."),
    ]
    if inputs.is_synthetic:
        told.append("The trace is synthetic: calibrated to published figures, not measured.")
    return told


def _verdict(inputs: ReportInputs, best: str | None, scenario: str) -> list[str]:
    """The first paragraph: who won, by how much, how sure."""
    if best is None:
        return ["No policy was trained; only the baselines are compared."]
    sentences = []
    reward = _row(inputs, scenario, best, "reward")
    for metric in METRICS[:3]:
        row = _row(inputs, scenario, best, metric.column)
        if row is not None:
            sentences.append(_sentence(best, inputs.reference, metric, row))
    sentences += [
        f"At equal service level {best} saves {cell['shown']} {cell['interval']} of cost against "
        f"the tuned {row['family']} rule's own frontier."
        for row in _equal_slo(inputs, [best])
        for cell in row["cells"]
        if cell["lo"] is not None
    ]
    if reward is not None and not reward["is_significant"]:
        sentences.append(
            f"On the composite objective the data do not show a difference between {best} and "
            f"{inputs.reference}: do not replace {inputs.reference} on this evidence."
        )
    return sentences


def _sentence(policy: str, reference: str, metric: Metric, row: Mapping[str, Any]) -> str:
    interval = (
        f"{metric.show_difference(row['difference'])} "
        f"[{metric.show_difference(row['lo'])}, {metric.show_difference(row['hi'])}]"
    )
    relative = ""
    if metric.column == "cost_usd" and row["reference_mean"]:
        relative = f", {row['difference'] / abs(row['reference_mean']):+.1%}"
    if not row["is_significant"]:
        word = "not significantly different"
    else:
        is_better = (row["difference"] > 0) == metric.is_higher_better
        word = "better" if is_better else "worse"
    return (
        f"{metric.label}: {policy} {metric.show(row['mean'])} against {reference} "
        f"{metric.show(row['reference_mean'])}: {interval}{relative} — {word} "
        f"({row['episodes']} paired held-out episodes)."
    )


def _equal_slo(inputs: ReportInputs, policies: Sequence[str]) -> list[dict[str, Any]]:
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


def _gap(inputs: ReportInputs, scenario: str) -> list[dict[str, Any]]:
    """How far each policy gets from the reference towards the clairvoyant planner."""
    if not inputs.gap.height:
        return []
    rows = inputs.gap.filter(pl.col("scenario") == scenario).sort("estimate", descending=True)
    return [
        row | {"shown": f"{row['estimate']:.0%} [{row['lo']:.0%}, {row['hi']:.0%}]"}
        for row in rows.to_dicts()
    ]


def _metric_row(
    inputs: ReportInputs, metric: Metric, scenario: str, policies: Sequence[str]
) -> dict[str, Any]:
    cells = []
    for policy in policies:
        mean = _mean(inputs.episodes, scenario, policy, metric.column)
        row = None if policy == inputs.reference else _row(inputs, scenario, policy, metric.column)
        cells.append({"policy": policy, "mean": mean, **_difference(metric, row, mean)})
    return {
        "metric": metric.column,
        "label": metric.label,
        "unit": metric.unit,
        "is_higher_better": metric.is_higher_better,
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
        "interval": f"{metric.show_difference(row['difference'])} "
        f"[{metric.show_difference(row['lo'])}, {metric.show_difference(row['hi'])}]",
        "is_significant": row["is_significant"],
        "is_better": (row["difference"] > 0) == metric.is_higher_better,
    }


def _scenario_row(inputs: ReportInputs, scenario: str, policies: Sequence[str]) -> dict[str, Any]:
    return {"scenario": scenario, **_metric_row(inputs, METRICS[0], scenario, policies)}


def _mean(episodes: pl.DataFrame, scenario: str, policy: str, column: str) -> float | None:
    if column not in episodes.columns:
        return None
    value = episodes.filter(pl.col("scenario") == scenario, pl.col("policy") == policy)[column]
    return None if value.is_empty() else float(value.mean())  # type: ignore[arg-type]


def _not_significant(inputs: ReportInputs, scenario: str) -> list[str]:
    labels = {metric.column: metric.label for metric in METRICS}
    rows = inputs.comparisons.filter(
        pl.col("scenario") == scenario,
        ~pl.col("is_significant"),
        pl.col("metric").is_in(list(labels)),
        pl.col("policy") != inputs.reference,
    ).sort("policy", "metric")
    return [
        f"{row['policy']} against {inputs.reference}, {labels[row['metric']].lower()}"
        f" (p = {row['p_holm']:.3f} after Holm's correction)"
        for row in rows.iter_rows(named=True)
    ]


def _cost_by_service(
    episodes: pl.DataFrame, scenario: str, policies: Sequence[str]
) -> list[dict[str, Any]]:
    return [
        {
            "policy": policy,
            **{s: _mean(episodes, scenario, policy, f"cost_{s}_usd") for s in SERVICES},
        }
        for policy in policies
    ]


def _counts(episodes: pl.DataFrame) -> dict[str, int]:
    return {
        "rows": episodes.height,
        "episodes": episodes["episode"].n_unique(),
        "training_seeds": episodes["training_seed"].drop_nulls().n_unique(),
    }


def _reproduce(inputs: ReportInputs) -> list[str]:
    source = str(inputs.trace.get("source", "embedded"))
    switches = [f"PROFILE={inputs.profile.get('name', 'quick')}"]
    if source != "embedded":
        switches.append(f"TRACE_SOURCE={source}")
        switches.append("TRACE_PATH=<where the trace lies>")
    return [
        " ".join([*switches, "make report"]),
        "dagster asset materialize --select eval_report   # the page alone, from stored episodes",
        'python -m marl.features.ask --sql "select policy, scenario, avg(reward) from '
        'evaluation_episodes group by all order by all"',
    ]
