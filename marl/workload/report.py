"""`workload_report`: a folder with report.md, report.json and pictures, of one fitted workload.

What the figures mean is in `goodness`, how they are drawn in `pictures`.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl

from marl.files import staged, write_json
from marl.workload.classes import explain
from marl.workload.demand import CLASSES
from marl.workload.evidence import gather
from marl.workload.goodness import Comparison, GoodnessReport, Thresholds, goodness
from marl.workload.model import ClassModel, WorkloadModel
from marl.workload.pictures import marks_picture, render, series_picture

_DRAWN = ("collection_arrivals", "compute_vcpu")  # memory is in the tables; its picture adds little


def write_report(
    model: WorkloadModel,
    into: Path,
    classes: pl.DataFrame | None = None,
    thresholds: Thresholds | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> GoodnessReport:
    """Write the report of a fitted workload; all or nothing.

    Args:
        model: the fitted workload.
        into: the folder to write.
        classes: from `classify`, for the table of rules.
        thresholds: what counts as a good fit.
        seed: of the draws compared.
        progress: told in words what is being done.

    Returns:
        The goodness of fit, also in report.json.
    """
    say = progress or (lambda _: None)
    say("workload_report: drawing the held-out stretch from the model")
    evidence = gather(model, seed)
    found = goodness(model, thresholds, evidence)
    by_key = {(one.workload_class, one.quantity): one for one in found.comparisons}
    pictures: dict[str, bytes] = {}
    for series in evidence.series:
        compared = by_key.get((series.workload_class, series.quantity))
        if compared is not None and series.quantity in _DRAWN:
            name = f"{series.workload_class}_{series.quantity}"
            say(f"workload_report: picture {name}")
            pictures[name] = render(series_picture(series, compared, model.is_synthetic))
    for workload_class in CLASSES:
        marks = [
            one
            for one in evidence.marks
            if one.workload_class == workload_class and (workload_class, one.quantity) in by_key
        ]
        if marks:
            compared_marks = [by_key[(workload_class, one.quantity)] for one in marks]
            picture = marks_picture(marks, compared_marks, model.is_synthetic)
            pictures[f"{workload_class}_marks"] = render(picture)
    rules = None if classes is None else explain(classes)
    document = {
        "model": model.model_dump(mode="json"),
        "goodness": found.model_dump(mode="json"),
        "classes": None if rules is None else rules.to_dicts(),
        "pictures": sorted(f"{name}.png" for name in pictures),
    }
    with staged(into) as aside:
        aside.mkdir()
        for name, content in pictures.items():
            (aside / f"{name}.png").write_bytes(content)
        write_json(aside / "report.json", document)
        text = "\n".join(_page(model, found, rules, sorted(pictures)))
        (aside / "report.md").write_text(text + "\n", encoding="utf-8")
    return found


def _page(
    model: WorkloadModel, found: GoodnessReport, rules: pl.DataFrame | None, pictures: list[str]
) -> list[str]:
    hours = [
        (b - a) / 3.6e9
        for a, b in ((model.start_us, model.split_us), (model.split_us, model.end_us))
    ]
    lines = ["# Workload report", ""]
    if model.is_synthetic:
        lines += ["> **Synthetic:** fitted to a generated trace, not to a real one.", ""]
    lines += [
        f"Source: {escape(model.source)}. Fitted to the first {hours[0]:.1f} h; every comparison "
        f"below is with the {hours[1]:.1f} h after them, which the fit has not seen. "
        f"**{found.passed} of {found.total} checks pass.**",
        "",
        f"One unit of the trace's CPU is {model.scale.vcpu_per_ncu:.4g} vCPU here (mean of the "
        f"training part: {model.config.target_vcpu:g} vCPU), one of memory "
        f"{model.scale.gib_per_nmu:.4g} GiB; {model.scale.slice_share:.3%} of the cell's tasks. "
        f"Config {model.config_hash[:12]}, seed {model.config.seed}.",
        "",
    ]
    if model.notes:
        lines += ["## What is missing or imputed", "", *(f"- {escape(n)}" for n in model.notes), ""]
    lines += ["## Goodness of fit", "", *_goodness_table(found.comparisons), ""]
    lines += (
        [f"Not compared: {escape('; '.join(found.not_compared))}.", ""]
        if found.not_compared
        else []
    )
    lines += [
        "KS is the Kolmogorov–Smirnov distance with its critical value on the effective sample "
        "size. A check passes within its threshold, or where the real figure lies within the "
        "central 98 % of the model's own draws.",
        "",
    ]
    failed = [
        [
            one.workload_class,
            one.quantity,
            check.name,
            _number(check.real),
            _number(check.fitted),
            _band(check.low, check.high),
            _number(check.error),
            _number(check.threshold),
        ]
        for one in found.comparisons
        for check in one.checks
        if not check.is_passed
    ]
    if failed:
        head = [
            "class",
            "quantity",
            "check",
            "real",
            "fitted",
            "draws, 1–99 %",
            "error",
            "threshold",
        ]
        lines += ["### Checks that fail", "", *table(head, failed), ""]
    lines += ["## Pictures", ""]
    lines += [line for name in pictures for line in (f"![{name}]({name}.png)", "")]
    lines += ["## What was fitted", ""]
    for name in CLASSES:
        lines += _class_section(name, model.classes[name])
    if rules is not None:
        rows = [
            [
                r["rule"],
                r["workload_class"] or "–",
                f"{r['collections']:,}",
                f"{r['share']:.2%}",
                r["reason"],
            ]
            for r in rules.to_dicts()
        ]
        lines += [
            "## How jobs were classed",
            "",
            *table(["rule", "class", "jobs", "share", "reason"], rows),
            "",
        ]
    assumed = [
        [r["key"], _number(float(r["value"])), r["unit"], r["reason"]]
        for r in model.coefficients.rows()
    ]
    lines += [
        "## Assumptions",
        "",
        "The trace holds no storage, network or database; these figures are "
        "assumptions, each overridable by its key.",
        "",
        *table(["key", "value", "unit", "reason"], assumed),
    ]
    return lines


def _goodness_table(comparisons: tuple[Comparison, ...]) -> list[str]:
    rows = []
    for one in comparisons:
        checks = {check.name: check for check in one.checks}
        cells = [one.workload_class, one.quantity, f"{one.observations:,} ({one.effective:,.0f})"]
        cells.append(f"{one.ks.distance:.3f} ({one.ks.critical:.3f})")
        for name in (
            "mean",
            "p95",
            "index of dispersion",
            "autocorrelation, lag 1",
            "autocorrelation, lag 12",
            "autocorrelation, lag 288",
        ):
            check = checks.get(name)
            cells.append(
                "–" if check is None else f"{_number(check.real)} / {_number(check.fitted)}"
            )
        passed = sum(check.is_passed for check in one.checks)
        rows.append([*cells, f"{passed} of {len(one.checks)}"])
    head = [
        "class",
        "quantity",
        "values (effective)",
        "KS (critical)",
        "mean real / fitted",
        "p95",
        "dispersion",
        "acf 5 min",
        "acf 1 h",
        "acf 1 day",
        "passed",
    ]
    return table(head, rows)


def _class_section(name: str, one: ClassModel) -> list[str]:
    lines = [f"### {name}", ""]
    if one.cpu_ncu.mean == 0:
        return [*lines, "No demand of this class in the training part.", ""]
    a = one.arrivals
    text = f"Arrivals: {a.family}, {a.rate:.3g} per 5 min, index of dispersion {a.dispersion:.3g}"
    text += f", modulation σ {a.sigma:.3g} with memory φ {a.noise.phis[0]:.3g}" if a.sigma else ""
    parts = [text]
    if one.requests is not None:
        parts.append(f"requests: {one.requests.family}, from {one.requests.observations:,} jobs")
    if one.lifetimes is not None:
        values = ", ".join(f"{k} {v:.3g}" for k, v in one.lifetimes.parameters.items())
        parts.append(
            f"lifetimes: {one.lifetimes.family} ({values}), {one.lifetimes.observations:,} jobs, "
            f"{one.lifetimes.censored:,} still running"
        )
    parts.append(
        f"level: {one.cpu_ncu.mean:.3g} NCU and {one.memory_nmu.mean:.3g} NMU on average, "
        f"{one.imputed_share:.0%} of windows imputed; noises of the two correlate by "
        f"{one.correlation:.2f}"
    )
    lines += ["; ".join(parts) + ".", ""]
    scored: list[tuple[str, str, Any]] = [("arrivals", a.family, a.scores)]
    for label, fitted in (("requests", one.requests), ("lifetimes", one.lifetimes)):
        if fitted is not None:
            scored.append((label, fitted.family, fitted.scores))
    rows = [
        [
            what,
            f"**{family}**" if family == chosen else family,
            _score(s.validation),
            _score(s.held_out),
        ]
        for what, chosen, scores in scored
        for family, s in scores.items()
    ]
    head = ["of", "family (chosen bold)", "log-likelihood, validation [nats]", "held out"]
    return [*lines, *table(head, rows), ""] if rows else lines


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a Markdown table; cells are escaped."""
    titles = [escape(cell) for cell in head]
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    return lines + [f"| {' | '.join(escape(cell) for cell in row)} |" for row in rows]


def escape(text: str) -> str:
    """Text safe in a Markdown cell or paragraph: no HTML, no column or line breaks."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(safe.replace("|", "\\|").split())


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _band(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{_number(low)} … {_number(high)}"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
