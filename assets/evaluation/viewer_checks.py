"""Checks of `episode_viewer`: it fetches nothing, it is small, its figures and slider are whole."""

import json
import math
import re
from pathlib import Path
from typing import Any, Final

import polars as pl

from assets.quality.checks import fact_check

MAX_VIEWER_BYTES: Final = 10_000_000
# What makes a browser fetch something; a name space ("http://www.w3.org/...") does not.
_FETCHES: Final = (
    r"<(?:link|iframe|object|embed|base)\b",
    r"\b(?:src|srcset|poster|action)\s*=",
    r"\bhref\s*=\s*(?![\"']?#)",
    r"@import\b",
    r"\burl\s*\(",
    r"\b(?:fetch|import|importScripts|sendBeacon)\s*\(",
    r"\b(?:XMLHttpRequest|WebSocket|EventSource|serviceWorker)\b",
)
_DATA: Final = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)
_SLIDER: Final = re.compile(r'<input id="time"[^>]*\bmin="(\d+)" max="(\d+)"')


def viewer_is_self_contained(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """The page fetches nothing, is under 10 MB and says what it shows."""
    page = _page(folder)
    size = len(page.encode())
    markup = _DATA.sub("", page)  # other people's names in the data are text, not markup
    wrong = [
        f"fetches something: {found.group(0)!r}"
        for pattern in _FETCHES
        for found in re.finditer(pattern, markup, re.IGNORECASE)
    ]
    if size > MAX_VIEWER_BYTES:
        wrong.append(f"{size} bytes, more than {MAX_VIEWER_BYTES}")
    if not re.search(r"<title>[^<]*· (?:synthetic|real trace)</title>", page):
        wrong.append("the title does not say whether the trace is synthetic or real")
    return not wrong, "; ".join(wrong) or "self-contained", {"bytes": size}


def viewer_figures_are_finite(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """Every series of the page and every column behind it has a finite number at every step."""
    data = _data(folder)
    wrong = [
        f"{policy}: {name}"
        for policy, series in zip(data["policies"], data["series"], strict=True)
        for name, values in series.items()
        if len(values) != data["steps"] or not all(_is_number(value) for value in values)
    ]
    steps = pl.read_parquet(folder / "steps.parquet")
    numbers = steps.drop("policy").cast(pl.Float64)
    wrong += [
        f"steps.parquet: {c.name}" for c in numbers if not c.is_finite().fill_null(False).all()
    ]
    told = f"not finite or of another length: {', '.join(wrong)}" if wrong else "all are finite"
    return not wrong, told, {"series": sum(len(series) for series in data["series"])}


def viewer_slider_covers_episode(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """The slider goes over each step of the episode, no further; events lie inside it."""
    data, found = _data(folder), _SLIDER.search(_page(folder))
    rows = pl.read_parquet(folder / "steps.parquet").group_by("policy").len()["len"].to_list()
    wrong = []
    if found is None:
        wrong.append("there is no slider")
    elif (int(found.group(1)), int(found.group(2))) != (0, data["steps"] - 1):
        wrong.append(f"slider from {found.group(1)} to {found.group(2)} for {data['steps']} steps")
    if rows != [data["steps"]] * len(data["policies"]):
        wrong.append(
            f"{rows} rows behind {data['steps']} steps of {len(data['policies'])} policies"
        )
    wrong += [
        f"event {event['text']!r} at steps {event['start']} to {event['end']}"
        for event in data["events"]
        if not 0 <= event["start"] < event["end"] <= data["steps"]
    ]
    return not wrong, "; ".join(wrong) or "slider and steps agree", {"steps": data["steps"]}


def _page(folder: Path) -> str:
    return (folder / "index.html").read_text(encoding="utf-8")


def _data(folder: Path) -> dict[str, Any]:
    found = _DATA.search(_page(folder))
    if found is None:
        raise ValueError(f"{folder / 'index.html'} holds no data block")
    data: dict[str, Any] = json.loads(found.group(1))
    return data


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


VIEWER_CHECKS: Final = [
    fact_check(
        "episode_viewer",
        "viewer_is_self_contained",
        viewer_is_self_contained,
        description="One page without network, under 10 MB, marked synthetic or real.",
    ),
    fact_check(
        "episode_viewer",
        "viewer_figures_are_finite",
        viewer_figures_are_finite,
        description="Every figure of every step is a finite number.",
    ),
    fact_check(
        "episode_viewer",
        "viewer_slider_covers_episode",
        viewer_slider_covers_episode,
        description="The slider's range is the episode's steps; events lie inside.",
    ),
]
