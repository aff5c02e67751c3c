"""The report says what the numbers say, in three forms, escaped, offline, the same every time."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from marl.evaluate.report.content import ReportInputs, build_content
from marl.evaluate.report.page import write_report

SERVICES = ("compute", "storage", "network", "database")
COSTS = {"random": 30.0, "static_peak": 20.0, "reactive": 10.0, "maddpg": 9.0}


def _episodes():
    rng = np.random.default_rng(0)
    rows = []
    for scenario in ("replay", "burst"):
        for policy, cost in COSTS.items():
            for episode in range(8):
                noise = float(rng.normal(0, 0.01))
                row = {
                    "policy": policy,
                    "scenario": scenario,
                    "training_seed": 0 if policy == "maddpg" else None,
                    "episode": episode,
                    "reward": -cost / 20 + noise,
                    "cost_usd": cost + noise,
                    "slo_attainment": 0.99,
                    "latency_p95_ms": 100.0,
                    "dropped": 0.0,
                    "waste": 0.3,
                    "carbon_gco2": 50.0,
                    "changes": 4.0,
                }
                rows.append(row | {f"cost_{s}_usd": cost / 4 for s in SERVICES})
    return pl.DataFrame(rows)


def _comparisons(is_significant=True):
    rows = []
    for scenario in ("replay", "burst"):
        for policy in ("random", "static_peak", "maddpg"):
            for metric, reference, difference in (("reward", -0.5, 0.05), ("cost_usd", 10.0, -1.0)):
                row = {"scenario": scenario, "policy": policy, "metric": metric}
                row |= {"mean": reference + difference, "reference_mean": reference}
                row |= {"difference": difference, "lo": difference - 0.01, "hi": difference + 0.01}
                row |= {"p_holm": 0.001, "is_significant": is_significant, "episodes": 8}
                rows.append(row)
    return pl.DataFrame(rows)


def _trajectory(cost):
    steps = 12
    columns = {"step": np.arange(steps), "cost_usd": np.full(steps, cost)}
    columns |= {"latency_p95_ms": np.full(steps, 80.0), "slo_attainment": np.ones(steps)}
    for service in SERVICES:
        columns[f"demand_{service}"] = np.linspace(1, 2, steps)
        columns[f"capacity_{service}"] = np.full(steps, 2.5)
    return pl.DataFrame(columns)


@pytest.fixture
def inputs():
    learning = {"policy": ["maddpg"] * 2, "training_seed": [0, 0], "env_steps": [0, 100]}
    return ReportInputs(
        episodes=_episodes(),
        comparisons=_comparisons(),
        trajectories={"maddpg": _trajectory(0.9), "reactive": _trajectory(1.0)},
        learning=pl.DataFrame(learning | {"reward": [-0.5, -0.45], "is_kept": [False, True]}),
        trace={"source": "embedded", "seed": 0},
        profile={"name": "quick"},
        reference="reactive",
        code_version="0.1.0+abc",
        config_hash="f" * 64,
        is_synthetic=True,
        notes=["<b>one note</b>"],
    )


def test_verdict_states_difference_interval_and_direction(inputs):
    content = build_content(inputs)
    assert content["best_policy"] == "maddpg"
    cost = next(s for s in content["verdict"] if s.startswith("Cost"))
    assert "maddpg 9.00 against reactive 10.00: -1.00 [-1.01, -0.99], -10.0%" in cost
    assert "— better (8 paired held-out episodes)" in cost
    assert content["policies"] == ["maddpg", "reactive", "static_peak", "random"]
    assert content["headline"] == "maddpg is significantly better than the tuned reactive rule."


def test_insignificant_is_said_and_listed(inputs):
    content = build_content(replace(inputs, comparisons=_comparisons(is_significant=False)))
    assert content["headline"] == "maddpg is not shown to be better than the tuned reactive rule."
    assert any("do not replace reactive" in sentence for sentence in content["verdict"])
    assert any("maddpg against reactive, cost" in item for item in content["not_significant"])


def test_a_run_that_learned_nothing_is_named(inputs):
    learning = inputs.learning.with_columns(is_kept=pl.Series([True, False]))
    notes = build_content(replace(inputs, learning=learning))["notes"]
    assert any("the untrained one was kept" in note for note in notes)
    assert not any("untrained" in note for note in build_content(inputs)["notes"])


def test_reference_without_episodes_is_refused(inputs):
    with pytest.raises(ValueError, match="'expert' has no episodes"):
        build_content(replace(inputs, reference="expert"))


def test_page_is_self_contained_escaped_and_marked_synthetic(inputs, tmp_path):
    write_report(
        replace(inputs, trace={"source": "local", "location": "<script>x</script>"}), tmp_path
    )
    page = (tmp_path / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;b&gt;one note&lt;/b&gt;" in page
    assert "Synthetic trace" in page
    fetched = []

    class Links(HTMLParser):
        def handle_starttag(self, tag, attrs):
            for name, value in attrs:
                is_link = name in ("src", "href", "xlink:href") and not value.startswith("#")
                fetched.extend([value] if is_link else [])

    Links().feed(page)
    # A way to another page, taken when a reader clicks on it; nothing is fetched.
    assert fetched == ["../episode_viewer/index.html"]
    assert page.count("<svg") == 6


def test_three_forms_agree_and_repeat_exactly(inputs, tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
        write_report(inputs, folder)
    for name in ("report.html", "report.md", "report.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    content = json.loads((first / "report.json").read_text())
    assert content["schema_version"] == 1
    markdown = (first / "report.md").read_text()
    assert "| Cost, USD per episode | 9.00" in markdown
    assert all(sentence in markdown for sentence in content["verdict"])


def test_baselines_only_is_told_plainly(inputs):
    content = build_content(replace(inputs, learning=inputs.learning.clear()))
    assert content["verdict"] == ["No policy was trained; only the baselines are compared."]


def test_savings_and_gap_are_told_and_refused_extrapolation_is_marked(inputs, tmp_path):
    figures = {"slo": 0.99, "lowest_slo": 0.95, "highest_slo": 0.995, "inside": 1.0}
    saved = {"family": "reactive", "policy": "maddpg", "estimate": 0.061, "lo": 0.04, "hi": 0.08}
    outside = {"family": "reactive", "policy": "random", "estimate": None, "lo": None, "hi": None}
    edge = {"family": "reactive", "policy": "reactive", "estimate": 0.0, "lo": None, "hi": None}
    rows = [saved | figures, outside | figures | {"inside": 0.0}, edge | figures | {"inside": 0.6}]
    points = [
        {
            "scenario": "replay",
            "family": "reactive",
            "factor": f,
            "cost_usd": c,
            "slo_attainment": s,
        }
        for f, c, s in ((0.5, 8.0, 0.95), (1.0, 10.0, 0.99), (2.0, 9.5, 0.985), (4.0, 12.0, 0.98))
    ]
    gap = {"scenario": "replay", "policy": "maddpg", "estimate": 0.31, "lo": 0.28, "hi": 0.34}
    told = replace(
        inputs, savings=pl.DataFrame(rows), frontier=pl.DataFrame(points), gap=pl.DataFrame([gap])
    )
    content = write_report(told, tmp_path)
    (row,) = content["equal_slo"]
    shown = {cell["policy"]: (cell["shown"], cell["interval"]) for cell in row["cells"]}
    assert shown["maddpg"] == ("+6.1%", "[+4.0%, +8.0%]")
    assert shown["random"] == ("not told: 99.00% lies outside", None)
    assert shown["reactive"] == ("+0.0%", "60% of resamples inside: no interval")
    assert any("maddpg saves +6.1% [+4.0%, +8.0%] of cost" in line for line in content["verdict"])
    page, text = (tmp_path / "report.html").read_text(), (tmp_path / "report.md").read_text()
    for form in (page, text):
        assert "+6.1%" in form
        assert "31% [28%, 34%]" in form
    # The fourth point is dearer and worse: not on the line.
    assert "8.00 USD at 95.00%, 9.50 USD at 98.50%, 10.00 USD at 99.00%" in page
    assert "12.00 USD at" not in page
    plain = write_report(inputs, tmp_path)
    assert (plain["equal_slo"], plain["gap"]) == ([], [])
