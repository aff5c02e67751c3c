"""Writes the page: one HTML file, its data, style and script inside, nothing fetched.

What it shows is `charts`'; how the browser draws it is in `templates`. Names in it may be other
people's text: the template escapes them, and the data block cannot end its script element.
"""

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from marl.evaluate.viewer.charts import as_json, charts, knob_table, series_of
from marl.evaluate.viewer.events import LANES
from marl.evaluate.viewer.record import Record

PAGE: Final = "index.html"
_TEMPLATES: Final = Path(__file__).parent / "templates"
_DIGITS: Final = 5  # significant digits kept: more than a screen shows


def write_page(records: Sequence[Record], into: Path) -> Path:
    """Write `index.html` of an episode, the records as parquet beside it.

    Args:
        records: one, or two of the same episode: the second is the one compared against.
        into: an existing folder.

    Returns:
        Where the page lies.

    Raises:
        ValueError: not one or two records, records of different episodes, or figures that are not
            finite.
    """
    (into / PAGE).write_text(render_page(records), encoding="utf-8")
    marked = [(r, pl.lit(r.policy).alias("policy")) for r in records]
    for name in ("steps", "events"):
        table = pl.concat([getattr(one, name).select(policy, pl.all()) for one, policy in marked])
        table.write_parquet(into / f"{name}.parquet", compression="zstd")
    return into / PAGE


def render_page(records: Sequence[Record]) -> str:
    """The page's text; see `write_page`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
    from markupsafe import Markup

    _check(records)
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = environment.get_template("viewer.js.j2").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    first = records[0]
    return environment.get_template("page.html.j2").render(
        title=page_title(records),
        labels=first.labels,
        policies=[one.policy for one in records],
        hours=f"{first.steps.height * first.step_s / 3600:g}",
        steps=first.steps.height,
        is_same=len(records) == 2 and records[0].steps.equals(records[1].steps),
        summary=summary(records),
        happened=_happened(records),
        style=Markup(environment.get_template("viewer.css.j2").render()),  # noqa: S704
        script=Markup(script),  # noqa: S704
        script_hash=digest,
        data=Markup(embedded(page_data(records))),  # noqa: S704
    )


def page_title(records: Sequence[Record]) -> str:
    """Policy, scenario, synthetic or real."""
    labels = records[0].labels
    names = " against ".join(one.policy for one in records)
    kind = "synthetic" if labels.is_synthetic else "real trace"
    return f"{names} · {labels.scenario} · {kind}"


def page_data(records: Sequence[Record]) -> dict[str, Any]:
    """What the script reads: series, charts, knobs, events."""
    first = records[0]
    zones = sum(name.startswith("vms_zone") for name in first.steps.columns)
    events = [
        {"who": who, **event}
        for who, one in enumerate(records)
        for event in one.events.iter_rows(named=True)
        if who == 0 or event["origin"] != "weather"  # the weather is the same for both
    ]
    return {
        "policies": [one.policy for one in records],
        "steps": first.steps.height,
        "step_s": first.step_s,
        "charts": [as_json(chart) for chart in charts(zones)],
        "knobs": knob_table(),
        "lanes": [
            {"kind": kind, "origin": origin, "label": label}
            for kind, (origin, label) in LANES.items()
            if any(event["kind"] == kind for event in events)
        ],
        "events": events,
        "figures": [name for name in first.steps.columns if name != "step"],
        "series": [
            {name: [_rounded(v) for v in values] for name, values in series_of(one).items()}
            for one in records
        ],
    }


def embedded(data: Any) -> str:
    """JSON that may stand inside a script element, whatever the strings in it are."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def summary(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The episode's key figures, a cell per policy: readable where no script runs."""

    def weighted(steps: pl.DataFrame, name: str) -> float:
        values, weight = steps[name].to_numpy(), steps["requests"].to_numpy()
        return float(values @ weight / weight.sum()) if weight.sum() > 0 else 0.0

    rows: list[tuple[str, Any]] = [
        ("Cost, USD", lambda s, r: f"{s['cost_usd'].sum():,.2f}"),
        ("Budget, USD", lambda s, r: f"{r.budget_usd * s.height:,.2f}"),
        ("Work done in time (mean of steps)", lambda s, r: f"{s['slo_attainment'].mean():.2%}"),
        ("Latency p95, ms (by requests)", lambda s, r: f"{weighted(s, 'latency_p95_ms'):,.0f}"),
        ("Latency p99, ms (by requests)", lambda s, r: f"{weighted(s, 'latency_p99_ms'):,.0f}"),
        ("Latency objective, ms", lambda s, r: f"{r.slo_ms:g}"),
        ("Requests lost", lambda s, r: f"{s['dropped'].sum():,.0f}"),
        ("Carbon, kg CO2e", lambda s, r: f"{s['carbon_gco2'].sum() / 1000:,.2f}"),
        ("Spot VMs preempted", lambda s, r: f"{s['preemptions'].sum():,.0f}"),
        ("VMs refused (over attempts)", lambda s, r: f"{s['refusals'].sum():,.0f}"),
        ("Operations begun", lambda s, r: f"{s['changes'].sum():,.0f}"),
        ("Reward per step", lambda s, r: f"{s['reward'].mean():+.4f}"),
    ]
    return [{"label": name, "cells": [show(r.steps, r) for r in records]} for name, show in rows]


def _happened(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The events in words, for the table."""
    return [
        {
            "from": _clock(event["start"], one.step_s),
            "to": _clock(event["end"], one.step_s),
            "who": "both" if event["origin"] == "weather" else one.policy,
            "what": LANES[event["kind"]][1],
            "text": event["text"],
        }
        for who, one in enumerate(records)
        for event in one.events.iter_rows(named=True)
        if who == 0 or event["origin"] != "weather"
    ]


def _clock(step: int, step_s: float) -> str:
    minutes = round(step * step_s / 60)
    return f"{minutes // 60}:{minutes % 60:02d}"


def _rounded(value: float) -> float | int:
    """Five significant digits; whole numbers without a point, to save bytes."""
    if value == 0:
        return 0
    short = round(value, _DIGITS - 1 - math.floor(math.log10(abs(value))))
    return int(short) if short == int(short) else short


def _check(records: Sequence[Record]) -> None:
    if len(records) not in (1, 2):
        raise ValueError(f"a page shows one or two records; got {len(records)}")
    for one in records:
        if one.labels != records[0].labels or one.steps.height != records[0].steps.height:
            raise ValueError(f"records of different episodes: {one.labels}, {records[0].labels}")
        broken = [
            name
            for name, values in series_of(one).items()
            if not all(math.isfinite(value) for value in values)
        ]
        if broken:
            raise ValueError(f"{one.policy}: not finite: {', '.join(broken)}")
