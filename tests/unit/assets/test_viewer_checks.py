"""Each check of the episode viewer is fed bad data and must fail, naming what is wrong."""

import json

import polars as pl
import pytest

from assets.evaluation.viewer_checks import (
    MAX_VIEWER_BYTES,
    viewer_figures_are_finite,
    viewer_is_self_contained,
    viewer_slider_covers_episode,
)
from marl.evaluate.viewer.page import write_page
from tests.unit.marl.evaluate.viewer.episodes import STEPS, pair

CHECKS = (viewer_is_self_contained, viewer_figures_are_finite, viewer_slider_covers_episode)


@pytest.fixture
def folder(tmp_path):
    write_page(pair(), tmp_path)
    return tmp_path


def change(folder, old, new):
    page = folder / "index.html"
    text = page.read_text()
    assert old in text
    page.write_text(text.replace(old, new, 1))


def test_a_good_page_passes_every_check(folder):
    for check in CHECKS:
        passed, said, _ = check(folder)
        assert passed, said


@pytest.mark.parametrize(
    "bad",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="x.css">',
        '<a href="other.html">x</a>',
        "<style>@import 'x.css';</style>",
        "<style>p { background: url(x.png) }</style>",
        "<script>fetch('/x')</script>",
        "<script>new WebSocket('wss://x')</script>",
        '<iframe srcdoc="x"></iframe>',
    ],
)
def test_a_page_that_fetches_is_named(folder, bad):
    change(folder, "</body>", bad + "</body>")
    passed, said, _ = viewer_is_self_contained(folder)
    assert not passed
    assert "fetches something" in said


def test_a_page_too_large_or_unmarked_is_named(folder):
    change(folder, "</body>", "x" * MAX_VIEWER_BYTES + "</body>")
    change(folder, "· synthetic</title>", "</title>")
    passed, said, _ = viewer_is_self_contained(folder)
    assert not passed
    assert f"more than {MAX_VIEWER_BYTES}" in said
    assert "does not say whether the trace is synthetic" in said


def test_a_name_in_the_data_is_no_markup(folder):
    change(folder, '"policies":["reactive"', '"policies":["url(x) fetch(y)"')
    assert viewer_is_self_contained(folder)[0]


@pytest.mark.parametrize("bad", ["NaN", "null", "Infinity"])
def test_a_figure_that_is_no_number_is_named(folder, bad):
    page = (folder / "index.html").read_text()
    at = page.index('"cost_usd":[') + len('"cost_usd":[')
    end = page.index(",", at)
    (folder / "index.html").write_text(page[:at] + bad + page[end:])
    passed, said, _ = viewer_figures_are_finite(folder)
    assert not passed
    assert "reactive: cost_usd" in said


def test_a_broken_column_behind_the_page_is_named(folder):
    steps = pl.read_parquet(folder / "steps.parquet")
    steps.with_columns(backlog=pl.lit(None, pl.Float64)).write_parquet(folder / "steps.parquet")
    passed, said, _ = viewer_figures_are_finite(folder)
    assert not passed
    assert "steps.parquet: backlog" in said


def test_a_slider_of_another_length_is_named(folder):
    change(folder, f'max="{STEPS - 1}"', f'max="{STEPS}"')
    passed, said, _ = viewer_slider_covers_episode(folder)
    assert not passed
    assert f"slider from 0 to {STEPS} for {STEPS} steps" in said


def test_missing_steps_and_events_outside_are_named(folder):
    steps = pl.read_parquet(folder / "steps.parquet")
    steps.filter(pl.col("step") > 0).write_parquet(folder / "steps.parquet")
    event = page_event(folder)
    change(folder, event, event.replace('"end":', '"end":9'))
    passed, said, _ = viewer_slider_covers_episode(folder)
    assert not passed
    assert f"rows behind {STEPS} steps of 2 policies" in said
    assert "at steps" in said


def page_event(folder):
    """The first event, as it stands in the page."""
    page = (folder / "index.html").read_text()
    at = page.index('{"who":0')
    text = page[at : page.index("}", at) + 1]
    json.loads(text)
    return text


def test_a_page_without_data_is_an_error(folder):
    change(folder, 'id="data"', 'id="other"')
    with pytest.raises(ValueError, match="no data block"):
        viewer_figures_are_finite(folder)
