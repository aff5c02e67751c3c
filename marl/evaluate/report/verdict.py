"""The report's first screen: the headline, the verdict in sentences, the answers at a glance."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from marl.evaluate.report.groups import Cast
from marl.evaluate.report.inputs import Numbers, ReportInputs
from marl.evaluate.report.metrics import METRICS, Metric
from marl.evaluate.report.service import in_service_answer
from marl.evaluate.report.tables import OBJECTIVE, interval, relative

_STEP_H: Final = 1 / 12  # a step is five minutes
_SAID: Final = ("reward", "cost_usd", "slo_attainment")  # metrics of the verdict's sentences


def headline(numbers: Numbers, cast: Cast, strongest: Sequence[Mapping[str, Any]]) -> str:
    """The report in one sentence."""
    row = None if cast.best is None else numbers.row(numbers.main, cast.best, OBJECTIVE.column)
    if row is None:
        return f"No learned policy was compared with {cast.reference}."
    told = f"{cast.best} {_word(row)} than the tuned {cast.reference} rule"
    rival = _rival(numbers, cast, strongest)
    if rival is None or rival["rule"] == cast.reference:
        return f"{told}."
    if _word(rival) == _word(row):
        return f"{told}, and than {rival['rule']}, the strongest tuned baseline."
    return f"{told}; it {_word(rival)} than {rival['rule']}, the strongest tuned baseline."


def _word(row: Mapping[str, Any]) -> str:
    if not row["is_significant"]:
        return "is not shown to be better"
    return f"is significantly {'better' if row['difference'] > 0 else 'worse'}"


def _rival(
    numbers: Numbers, cast: Cast, strongest: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The best learner against the strongest rule of the main scenario."""
    for row in strongest:
        if row["policy"] == cast.best and row["scenario"] == numbers.main:
            return row
    return None


def verdict(
    numbers: Numbers,
    cast: Cast,
    strongest: Sequence[Mapping[str, Any]],
    equal_slo: Sequence[Mapping[str, Any]],
) -> list[str]:
    """The first paragraph: who won, by how much, how sure."""
    if cast.best is None:
        return ["No policy was trained; only the baselines are compared."]
    best, reference = cast.best, cast.reference
    said = [metric for metric in METRICS if metric.column in _SAID]
    rows = [(metric, numbers.row(numbers.main, best, metric.column)) for metric in said]
    sentences = [_sentence(best, reference, metric, row) for metric, row in rows if row is not None]
    rival = _rival(numbers, cast, strongest)
    if rival is not None and rival["rule"] != reference:
        sentences.append(
            f"Against {rival['rule']}, the strongest tuned baseline here: composite objective "
            f"{rival['shown']['difference']} — {_outcome(rival, OBJECTIVE)}."
        )
    sentences += [
        f"At equal service level {best} saves {cell['shown']} {cell['interval']} of cost against "
        f"the tuned {family} rule's own frontier."
        for family, cell in _savings(cast, equal_slo)
    ]
    reward = rows[0][1]
    if reward is not None and not reward["is_significant"]:
        sentences.append(
            f"On the composite objective the data do not show a difference between {best} and "
            f"{reference}: do not replace {reference} on this evidence."
        )
    return sentences


def _sentence(policy: str, reference: str, metric: Metric, row: Mapping[str, Any]) -> str:
    relative = ""
    if metric.column == "cost_usd" and row["reference_mean"]:
        relative = f", {row['difference'] / abs(row['reference_mean']):+.1%}"
    return (
        f"{metric.label}: {policy} {metric.show(row['mean'])} against {reference} "
        f"{metric.show(row['reference_mean'])}: {interval(metric, row)}{relative} — "
        f"{_outcome(row, metric)} ({row['episodes']} paired held-out episodes)."
    )


def _outcome(row: Mapping[str, Any], metric: Metric) -> str:
    if not row["is_significant"]:
        return "not significantly different"
    return "better" if (row["difference"] > 0) == metric.is_higher_better else "worse"


def at_a_glance(
    inputs: ReportInputs,
    numbers: Numbers,
    cast: Cast,
    counts: Mapping[str, int],
    certainty: Sequence[Mapping[str, Any]],
    strongest: Sequence[Mapping[str, Any]],
    equal_slo: Sequence[Mapping[str, Any]],
    robustness: Sequence[Mapping[str, Any]],
    service: dict[str, Any] | None,
) -> list[dict[str, str]]:
    """Question and answer: what was compared, on what, how much better, how sure, where not."""
    told = {
        "What was compared": _compared(cast),
        "On what": _on_what(inputs, numbers, counts),
    }
    if cast.best is not None:
        told |= _how_much(numbers, cast, certainty)
        told |= _at_equal_slo(cast, equal_slo)
        told |= _how_sure(cast, certainty)
        told |= _everywhere(cast, strongest)
        told |= _disturbed(cast, robustness)
    told |= in_service_answer(service)
    return [{"question": question, "answer": answer} for question, answer in told.items()]


def _compared(cast: Cast) -> str:
    words = {
        "learners": "learned policies",
        "rules": "rules and planners",
        "bounds": "bounds",
    }
    groups = [f"{len(names)} {words[group]}" for group, names in cast.groups.items() if names]
    if len(cast.groups["bounds"]) == 1:
        groups[-1] = "1 bound"
    best = "" if cast.best is None else f" Best learner: {cast.best}."
    return f"{', '.join(groups)}. Strongest baseline: {cast.best_rule}.{best}"


def _on_what(inputs: ReportInputs, numbers: Numbers, counts: Mapping[str, int]) -> str:
    kind = "synthetic" if inputs.is_synthetic else "real"
    hours = ""
    if "steps" in inputs.episodes.columns:
        hours = f" of {float(inputs.episodes['steps'].mean() or 0) * _STEP_H:.0f} h"  # type: ignore[arg-type]
    return (
        f"The held-out part of a {kind} trace ({inputs.trace.get('source', 'embedded')}): "
        f"{len(numbers.scenarios)} scenarios, {counts['episodes']} episodes{hours} in each, the "
        f"same weather for every policy; {counts['training_seeds']} training seed(s). Headline: "
        f"{numbers.main}."
    )


def _how_much(
    numbers: Numbers, cast: Cast, certainty: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    parts = []
    for metric in METRICS:
        row = numbers.row(numbers.main, cast.best or "", metric.column)
        if metric.column not in _SAID or row is None:
            continue
        mark = "" if row["is_significant"] else " (not significant)"
        if metric.column == "cost_usd" and row["reference_mean"]:
            parts.append(f"cost {relative(row)}{mark}")
        else:
            parts.append(f"{metric.label.lower()} {interval(metric, row)}{mark}")
    parts += [
        f"over all scenarios alike, objective {row['pooled']['shown']['difference']}"
        for row in certainty
        if row["policy"] == cast.best and row["pooled"] is not None
    ]
    return {f"How much better than {cast.reference}": "; ".join(parts) + "."}


def _at_equal_slo(cast: Cast, equal_slo: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    parts = [
        f"{cell['shown']} {cell['interval']} against {family}"
        for family, cell in _savings(cast, equal_slo)
    ]
    return {"Cost saved at equal service level": "; ".join(parts) + "."} if parts else {}


def _savings(
    cast: Cast, equal_slo: Sequence[Mapping[str, Any]]
) -> list[tuple[str, Mapping[str, Any]]]:
    """The best learner's, against the reference and the strongest rule that has a frontier."""
    by_family = {
        row["family"]: cell
        for row in equal_slo
        for cell in row["cells"]
        if cell["policy"] == cast.best and cell["lo"] is not None
    }
    strongest = [name for name in cast.groups["rules"] if name in by_family]
    return [
        (name, by_family[name])
        for name in dict.fromkeys([cast.reference, *strongest[:1]])
        if name in by_family
    ]


def _how_sure(cast: Cast, certainty: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    for row in certainty:
        if row["policy"] != cast.best:
            continue
        shown = row["shown"]
        parts = [
            f"p {shown['p_holm']} after Holm's correction",
            f"better in {shown['improvement']} of paired episodes",
        ]
        if shown["effect_size"] != "–":
            parts.append(f"effect size {shown['effect_size']}")
        if shown["mde"] != "–":
            parts.append(f"a difference below {shown['mde']} would likely have been missed")
        if shown["gap"]:
            parts.append(f"it closes {shown['gap']} of the gap to perfect foresight")
        return {"How sure": "; ".join(parts) + "."}
    return {}


def _everywhere(cast: Cast, strongest: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    rows = [row for row in strongest if row["policy"] == cast.best]
    if not rows:
        return {}
    better = [row for row in rows if row["is_significant"] and row["is_better"]]
    worse = [row["scenario"] for row in rows if row["is_significant"] and not row["is_better"]]
    unsure = [row["scenario"] for row in rows if not row["is_significant"]]
    told = f"Better in {len(better)} of {len(rows)} scenarios"
    told += f"; worse in {', '.join(worse)}" if worse else "; worse in none"
    told += f"; not shown either way in {', '.join(unsure)}" if unsure else ""
    return {"Against the strongest tuned baseline of each scenario": f"{told}."}


def _disturbed(cast: Cast, robustness: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    rows = [row for row in robustness if row["policy"] == cast.best and row["severity"] > 0]
    rows = [row for row in rows if row["difference"] is not None]
    if not rows:
        return {}
    better = [row for row in rows if row["is_significant"] and row["difference"] > 0]
    worse = [row for row in rows if row["is_significant"] and row["difference"] < 0]
    kinds = dict.fromkeys(row["perturbation"].replace("_", " ") for row in worse)
    told = f"Better than the best rule at {len(better)} of {len(rows)} severities of perturbations"
    told += f"; worse at {len(worse)} ({', '.join(kinds)})" if worse else "; worse at none"
    return {"When the world is disturbed": f"{told}."}
