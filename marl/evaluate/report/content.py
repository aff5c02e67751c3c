"""What the report says: numbers and sentences, worked out of the evaluation's frames.

Its result is the JSON file (`schema_version` names its shape, docs/report.md its keys) and all that
the pages show. Its parts are worked out by the modules beside it, drawing belongs to `pictures`,
layout to `page`.
"""

from typing import Any, Final

import numpy as np
import polars as pl

from marl.evaluate.report.certainty import against_strongest, certainty_rows, profile_of
from marl.evaluate.report.groups import LABELS, Cast, cast_of
from marl.evaluate.report.inputs import Numbers, ReportInputs
from marl.evaluate.report.metrics import METRICS
from marl.evaluate.report.money import cost_by_purchase, cost_by_service, trade_offs
from marl.evaluate.report.service import in_service
from marl.evaluate.report.sources import sources
from marl.evaluate.report.tables import (
    equal_slo_rows,
    gap_rows,
    metric_row,
    not_significant,
    scenario_rows,
)
from marl.evaluate.report.validity import notes, threats
from marl.evaluate.report.verdict import at_a_glance, headline, verdict

SCHEMA_VERSION: Final = 2  # 1: policies in one list, no groups, certainty, slices or validity


def best_policy(inputs: ReportInputs) -> str | None:
    """The learned policy with the highest mean objective in the main scenario; None of none."""
    return cast_of(inputs, Numbers(inputs)).best


def build_content(inputs: ReportInputs) -> dict[str, Any]:
    """The report's numbers and sentences as JSON-ready values; keys as docs/report.md says.

    Raises:
        ValueError: there are no episodes of the reference policy.
    """
    numbers = Numbers(inputs)
    cast = cast_of(inputs, numbers)
    main, reference = numbers.main, cast.reference
    shown = [metric for metric in METRICS if metric.column in inputs.episodes.columns]
    counts = _counts(inputs.episodes)
    gap, equal_slo = gap_rows(inputs, main), equal_slo_rows(inputs, cast.policies)
    certainty = certainty_rows(inputs, numbers, cast, gap)
    strongest = against_strongest(inputs, numbers, cast)
    robustness = _robustness(inputs, cast)
    service = in_service(inputs.decision)
    return {
        "schema_version": SCHEMA_VERSION,
        "is_synthetic": inputs.is_synthetic,
        "reference": reference,
        "best_policy": cast.best,
        "best_baseline": cast.best_rule,
        "main_scenario": main,
        "policies": cast.policies,
        "groups": [
            {"name": name, "label": LABELS[name], "policies": names}
            for name, names in cast.groups.items()
            if names
        ],
        "leads": cast.leads,
        "far_off": cast.far_off,
        "scenarios": numbers.scenarios,
        "headline": headline(numbers, cast, strongest),
        "verdict": verdict(numbers, cast, strongest, equal_slo),
        "at_a_glance": at_a_glance(
            inputs, numbers, cast, counts, certainty, strongest, equal_slo, robustness, service
        ),
        "table": [metric_row(one, main, cast.policies, numbers, reference) for one in shown],
        "certainty": certainty,
        "against_strongest": strongest,
        "profile_of_gains": profile_of(inputs, numbers, cast),
        "equal_slo": equal_slo,
        "gap": gap,
        "by_scenario": scenario_rows(numbers, cast),
        "not_significant": not_significant(inputs, main, cast.policies),
        "trade_offs": trade_offs(numbers, cast),
        "cost_by_service": cost_by_service(numbers, cast),
        "cost_by_purchase": cost_by_purchase(numbers, cast),
        "in_service": service,
        "slices": _slices(inputs),
        "robustness": robustness,
        "counts": counts,
        "baselines": dict(inputs.baselines),
        "workload": dict(inputs.workload),
        "trace": dict(inputs.trace),
        "profile": dict(inputs.profile),
        "code_version": inputs.code_version,
        "config_hash": inputs.config_hash,
        "validity": threats(inputs, numbers, cast, counts),
        "notes": notes(inputs),
        "sources": sources(numbers, cast),
        "reproduce": _reproduce(inputs),
    }


def _slices(inputs: ReportInputs) -> list[dict[str, Any]]:
    """What slices show, without their grids: knob, inputs, and how far the knob goes."""
    rows = []
    for one in inputs.slices:
        last = list(one.stages.values())[-1]
        lowest, highest = float(np.min(last)), float(np.max(last))
        rows.append(
            {
                "policy": one.policy,
                "agent": one.agent,
                "knob": one.knob,
                "unit": one.unit,
                "rule": one.rule,
                "lowest": lowest,
                "highest": highest,
                "x_field": one.x_field,
                "y_field": one.y_field,
                "at": list(one.at),
                "stages": list(one.stages),
                "inputs": [{"field": field, "effect": effect} for field, effect in one.inputs],
            }
        )
    return rows


def _robustness(inputs: ReportInputs, cast: Cast) -> list[dict[str, Any]]:
    """Rows of the robustness summary, the best learner's first within a perturbation's severity."""
    if not inputs.robustness.height:
        return []
    order = {name: i for i, name in enumerate(cast.policies)}
    rows = inputs.robustness.to_dicts()
    kinds = list(dict.fromkeys(row["perturbation"] for row in rows))
    last = len(order)

    def place(row: dict[str, Any]) -> tuple[int, float, int]:
        kind = kinds.index(row["perturbation"])
        return (kind, row["severity"], order.get(row["policy"], last))

    return sorted(rows, key=place)


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
