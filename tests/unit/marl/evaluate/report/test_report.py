"""The report says what the numbers say, in three forms, escaped, offline, the same every time."""

import json
from dataclasses import replace
from html import escape
from html.parser import HTMLParser

import polars as pl
import pytest

from marl.evaluate.promotion.decide import decide
from marl.evaluate.promotion.guards import PromotionRules
from marl.evaluate.report.content import SCHEMA_VERSION, build_content
from marl.evaluate.report.page import write_report
from tests.unit.marl.evaluate.promotion.contests import NEW, RULE, contest
from tests.unit.marl.evaluate.report import frames

KNOWN = ("replay", "mixed")
PICTURES = ("scenarios", "forest", "profile", "trade_offs", "bill", "learning", "boundaries")
PICTURES += ("evolution", "degradation", "lead", "recovery", "episode_capacity", "episode_outcome")


@pytest.fixture(scope="module")
def frame():
    return frames.episodes(KNOWN, ("apg", "maddpg"), frames.RULES, 24, 2, noise=0.0005)


@pytest.fixture(scope="module")
def inputs(frame):
    return frames.inputs(frame, notes=["<b>one note</b>"])


@pytest.fixture(scope="module")
def content(inputs):
    return build_content(inputs)


def _compared(inputs, **changes):
    """The inputs with changed figures of maddpg's objective in replay."""
    is_it = (pl.col("policy") == "maddpg") & (pl.col("scenario") == "replay")
    is_it &= pl.col("metric") == "reward"
    table = inputs.comparisons.with_columns(
        pl.when(is_it).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
        for name, value in changes.items()
    )
    return replace(inputs, comparisons=table)


def test_policies_are_grouped_and_sorted_by_the_objective(content):
    groups = {group["name"]: group["policies"] for group in content["groups"]}
    assert groups["bounds"] == ["clairvoyant"]
    assert groups["learners"] == ["maddpg", "apg"]  # frames give the later name the larger gain
    assert groups["rules"][-3:] == ["expert", "static_peak", "random"]
    assert content["policies"] == [name for part in groups.values() for name in part]
    assert content["best_policy"] == "maddpg"
    assert content["best_baseline"] == groups["rules"][0] == "mpc"


def test_what_is_in_service_is_told_with_its_reasons(whole, content):
    decided = build_content(whole)
    assert decided["in_service"]["verdict"] == "PROMOTE"
    told = {row["question"]: row["answer"] for row in decided["at_a_glance"]}["What is in service"]
    assert told.startswith("new (seed 1), promoted in place of reactive. Why: ")
    assert whole.decision.reasons[0] in told
    rows = decided["in_service"]["objective"]
    assert [row["scope"] for row in rows] == ["replay", "all scenarios", "web"]
    assert all(row["shown"].startswith(f"{row['difference']:+.4f} [") for row in rows)
    assert content["in_service"] is None  # nothing was decided: nothing is told
    assert "What is in service" not in {row["question"] for row in content["at_a_glance"]}


def test_headlines_show_a_few_and_leave_out_what_is_far_off(content):
    assert set(content["leads"]) == {"maddpg", "apg", "mpc", "karpenter", "reactive", "clairvoyant"}
    assert content["far_off"] == ["expert", "static_peak", "random"]


def test_a_policy_trained_on_the_future_is_a_bound_and_never_the_best(inputs):
    content = build_content(replace(inputs, bounds=("clairvoyant", "maddpg")))
    assert content["best_policy"] == "apg"
    assert "maddpg" in next(g for g in content["groups"] if g["name"] == "bounds")["policies"]


def test_verdict_states_difference_interval_and_direction(inputs):
    told = {"mean": -0.13, "reference_mean": -0.14, "difference": 0.01, "lo": 0.008, "hi": 0.012}
    content = build_content(_compared(inputs, **told, is_significant=True))
    assert content["verdict"][0] == (
        "Composite objective: maddpg -0.1300 against reactive -0.1400: +0.0100 [+0.0080, +0.0120]"
        " — better (24 paired held-out episodes)."
    )
    assert content["headline"].startswith("maddpg is significantly better than the tuned reactive")
    answers = {row["question"]: row["answer"] for row in content["at_a_glance"]}
    assert "+0.0100 [+0.0080, +0.0120]" in answers["How much better than reactive"]
    assert "2 scenarios, 24 episodes of 24 h" in answers["On what"]
    assert "2 learned policies, 10 rules and planners, 1 bound" in answers["What was compared"]


def test_insignificant_is_said_and_listed(inputs):
    content = build_content(_compared(inputs, is_significant=False))
    assert content["headline"].startswith("maddpg is not shown to be better than the tuned")
    assert any("do not replace reactive" in sentence for sentence in content["verdict"])
    (row,) = [row for row in content["not_significant"] if row["policy"] == "maddpg"]
    assert "composite objective" in {metric["label"] for metric in row["metrics"]}


def test_worse_is_called_worse(inputs):
    content = build_content(_compared(inputs, difference=-0.01, lo=-0.02, hi=-0.005))
    assert content["headline"].startswith("maddpg is significantly worse than the tuned reactive")


def test_every_scenario_is_held_against_its_own_strongest_rule(inputs, content):
    means = inputs.episodes.filter(pl.col("policy").is_in(frames.RULES))
    means = means.group_by("scenario", "policy").agg(pl.col("reward").mean())
    for row in content["against_strongest"]:
        there = means.filter(pl.col("scenario") == row["scenario"]).sort("reward")
        assert row["rule"] == there["policy"][-1]
    assert {row["policy"] for row in content["against_strongest"]} == {"maddpg", "apg"}
    # Holm over all of them: none smaller than its own p, the largest at least it.
    assert all(row["p_holm"] >= row["p_value"] for row in content["against_strongest"])


def test_a_learner_equal_to_the_strongest_rule_is_not_called_better(inputs, frame):
    copied = frame.filter(pl.col("policy") == "mpc").with_columns(
        policy=pl.lit("apg"), training_seed=pl.lit(0, dtype=pl.Int64)
    )
    twin = pl.concat([frame.filter(~pl.col("policy").is_in(["apg", "maddpg"])), copied])
    content = build_content(
        replace(inputs, episodes=twin, learning=frames.learning(("apg",), 1, 2))
    )
    for row in content["against_strongest"]:
        if row["rule"] == "mpc":
            assert (row["difference"], row["p_holm"], row["is_significant"]) == (0.0, 1.0, False)


def test_a_run_that_learned_nothing_is_named(inputs, content):
    untrained = pl.col("env_steps") == 0
    learning = inputs.learning.with_columns(is_kept=untrained)
    notes = build_content(replace(inputs, learning=learning))["notes"]
    assert any("the untrained one was kept" in note for note in notes)
    assert not any("untrained" in note for note in content["notes"])


def test_reference_without_episodes_is_refused(inputs):
    with pytest.raises(ValueError, match="'nobody' has no episodes"):
        build_content(replace(inputs, reference="nobody"))


def test_baselines_only_is_told_plainly(inputs, tmp_path):
    rules = inputs.episodes.filter(pl.col("training_seed").is_null())
    plain = replace(inputs, episodes=rules, learning=inputs.learning.clear(), trajectories={})
    content = write_report(plain, tmp_path)
    assert content["verdict"] == ["No policy was trained; only the baselines are compared."]
    assert content["against_strongest"] == []
    drawn = [x for x in Page((tmp_path / "report.html").read_text()).ids if "picture-" in x]
    assert drawn == ["picture-forest", "picture-profile", "picture-trade_offs", "picture-bill"]


def test_threats_to_validity_name_all_four_kinds_and_the_synthetic_trace(inputs, content):
    assert list(content["validity"]) == ["construct", "internal", "external", "statistical"]
    assert all(content["validity"].values())
    assert any("trace is synthetic" in told for told in content["validity"]["external"])
    real = build_content(replace(inputs, is_synthetic=False))["validity"]["external"]
    assert not any("synthetic" in told for told in real)


class Page(HTMLParser):
    """What a page fetches, links to, names, and leaves without words."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.anchors, self.ids, self.unlabelled = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.ids += [told["id"]] if "id" in told else []
        for name, value in attrs:
            if name in ("src", "href", "xlink:href"):
                into = self.anchors if value.startswith("#") else self.fetched
                into.append(value)
        if told.get("role") in ("img", "region") and not told.get("aria-label"):
            self.unlabelled.append(tag)
        if told.get("role") in ("img", "region") and told.get("tabindex") != "0":
            self.unlabelled.append(f"{tag} out of the keyboard's reach")


@pytest.fixture(scope="module")
def whole(inputs):
    """Inputs of a report with every section."""
    return replace(
        inputs,
        trace={"source": "local", "location": "<script>x</script>"},
        slices=frames.slices("maddpg"),
        robustness=frames.robustness(["maddpg", "mpc"], kinds=3, severities=2),
        frontier=frames.frontier(count=24),
        decision=decide(RULE, NEW, contest({"reward": 0.01}), PromotionRules()),
        **_savings_and_gap(),
    )


@pytest.fixture(scope="module")
def everything(whole, tmp_path_factory):
    """The report of `whole`, written."""
    into = tmp_path_factory.mktemp("report")
    write_report(whole, into)
    return into


def _savings_and_gap():
    figures = {"slo": 0.99, "lowest_slo": 0.95, "highest_slo": 0.995, "inside": 1.0}
    saved = {"family": "reactive", "policy": "maddpg", "estimate": 0.061, "lo": 0.04, "hi": 0.08}
    outside = {"family": "reactive", "policy": "random", "estimate": None, "lo": None, "hi": None}
    edge = {"family": "reactive", "policy": "reactive", "estimate": 0.0, "lo": None, "hi": None}
    rows = [saved | figures, outside | figures | {"inside": 0.0}, edge | figures | {"inside": 0.6}]
    gap = {"scenario": "replay", "policy": "maddpg", "estimate": 0.31, "lo": 0.28, "hi": 0.34}
    return {"savings": pl.DataFrame(rows), "gap": pl.DataFrame([gap])}


def test_page_is_self_contained_escaped_and_marked_synthetic(everything):
    text = (everything / "report.html").read_text()
    assert "<script" not in text
    assert "&lt;b&gt;one note&lt;/b&gt;" in text
    assert "Synthetic trace" in text
    page = Page(text)
    # A way to another page, taken when a reader clicks on it; nothing is fetched.
    assert page.fetched == ["../episode_viewer/index.html"]
    assert set(anchor.removeprefix("#") for anchor in page.anchors) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_every_picture_and_table_has_words_a_command_and_the_keyboard(everything):
    text = (everything / "report.html").read_text()
    assert Page(text).unlabelled == []
    drawn = [name for name in Page(text).ids if name.startswith("picture-")]
    assert drawn == [f"picture-{name}" for name in PICTURES]
    assert text.count("<figure") == text.count("<figcaption")
    content = json.loads((everything / "report.json").read_text())
    for name, command in content["sources"].items():
        shown = escape(command).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
        assert shown in text, f"no reader finds the source of {name}"


def test_three_forms_agree_and_repeat_exactly(whole, everything, tmp_path):
    write_report(whole, tmp_path)
    for name in ("report.html", "report.md", "report.json"):
        assert (everything / name).read_bytes() == (tmp_path / name).read_bytes()
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["schema_version"] == SCHEMA_VERSION == 2
    markdown = (tmp_path / "report.md").read_text()
    (cost,) = [row for row in content["table"] if row["metric"] == "cost_usd"]
    for cell in cost["cells"]:
        assert f"| {cell['policy']}" in markdown
        assert cell["shown"] in markdown
    assert all(sentence in markdown for sentence in content["verdict"])


def test_savings_and_gap_are_told_and_refused_extrapolation_is_marked(inputs, everything, content):
    told = json.loads((everything / "report.json").read_text())
    (row,) = told["equal_slo"]
    shown = {cell["policy"]: (cell["shown"], cell["interval"]) for cell in row["cells"]}
    assert shown["maddpg"] == ("+6.1%", "[+4.0%, +8.0%]")
    assert shown["random"] == ("not told: 99.00% lies outside", None)
    assert shown["reactive"] == ("+0.0%", "60% of resamples inside: no interval")
    assert any("maddpg saves +6.1% [+4.0%, +8.0%] of cost" in line for line in told["verdict"])
    page, text = (everything / "report.html").read_text(), (everything / "report.md").read_text()
    assert "31%<small>[28%, 34%]" in page
    assert "31% [28%, 34%]" in text
    # Rows of the summary, also the one that has no recovery time.
    assert "perturbation 2" in page
    assert (content["equal_slo"], content["gap"], content["robustness"]) == ([], [], [])


def test_what_cannot_be_shown_is_said(inputs, content):
    assert any("What the policy decides is not shown" in note for note in content["notes"])
    one = replace(inputs, slices=frames.slices("maddpg", ("end",)))
    assert any("No snapshots of training" in note for note in build_content(one)["notes"])


def test_disturbed_worlds_are_counted_for_the_best_learner(whole):
    kinds = pl.col("perturbation") == "perturbation_1"
    harmed = whole.robustness.with_columns(
        difference=pl.when(kinds & (pl.col("policy") == "maddpg"))
        .then(-0.01)
        .otherwise(pl.col("difference"))
    )
    rows = build_content(replace(whole, robustness=harmed, slices=()))["at_a_glance"]
    (told,) = [row["answer"] for row in rows if row["question"] == "When the world is disturbed"]
    # Three perturbations at one severity each beside none; one of them harms.
    assert told == (
        "Better than the best rule at 2 of 3 severities of perturbations; worse at 1 "
        "(perturbation 1)."
    )
