"""Hand-worked figures of the report's parts: profiles, trade-offs, bills, far-off policies."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marl.evaluate.report.certainty import profile_of
from marl.evaluate.report.content import build_content
from marl.evaluate.report.drawing import own_ids
from marl.evaluate.report.groups import cast_of
from marl.evaluate.report.inputs import Numbers
from marl.evaluate.report.money import cost_by_purchase, not_dominated, trade_offs
from marl.evaluate.report.pictures.learning import _band, draw_learning
from marl.evaluate.report.pictures.slices import draw_boundaries
from marl.evaluate.report.tables import relative
from tests.unit.marl.evaluate.report import frames


def _parts(frame, **changes):
    inputs = frames.inputs(frame, **changes)
    numbers = Numbers(inputs)
    return inputs, numbers, cast_of(inputs, numbers)


def _small(rewards):
    """Episodes of one scenario: policy → objective of each."""
    rows = [
        {
            "policy": policy, "scenario": "replay", "training_seed": 0 if policy == "apg" else None,
            "episode": episode, "reward": reward, "cost_usd": 10.0, "cost_capacity_usd": 8.0,
            "cost_traffic_usd": 2.0, "cost_spot_usd": 1.0, "cost_committed_usd": 3.0,
            "slo_attainment": 0.9, "carbon_gco2": 5.0,
        }
        for policy, values in rewards.items()
        for episode, reward in enumerate(values)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"training_seed": pl.Int64})


def test_profile_is_the_share_of_episodes_above_each_gain():
    frame = _small({"reactive": [0.0, 0.0, 0.0, 0.0], "apg": [-0.1, 0.1, 0.2, 0.4]})
    profile = profile_of(*_parts(frame, learning=frames.learning(("apg",), 1, 1)))
    shares = profile["policies"]["apg"]["share"]
    at = profile["thresholds"].index(0.0)
    assert shares[at] == 0.75
    assert shares == sorted(shares, reverse=True)
    assert profile["thresholds"][0] >= -0.1
    assert profile["scenarios"] == ["replay"]


def test_bill_by_purchase_adds_up_to_the_bill():
    _, numbers, cast = _parts(_small({"reactive": [0.0, 0.0], "apg": [0.1, 0.2]}))
    for row in cost_by_purchase(numbers, cast):
        parts = {name: row[name] for name in ("on_demand", "committed", "spot", "traffic")}
        assert parts == {"on_demand": 4.0, "committed": 3.0, "spot": 1.0, "traffic": 2.0}


def test_clouds_without_purchase_types_have_no_such_bill():
    frame = _small({"reactive": [0.0], "apg": [0.1]}).drop("cost_spot_usd")
    _, numbers, cast = _parts(frame)
    assert cost_by_purchase(numbers, cast) == []


def test_of_equal_policies_none_beats_the_other():
    _, numbers, cast = _parts(_small({"reactive": [0.0], "apg": [0.1]}))
    assert all(row["is_efficient"] for row in trade_offs(numbers, cast))


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=12))
def test_not_dominated_agrees_with_its_definition(points):
    def beats(a, b):
        return all(x <= y for x, y in zip(a, b, strict=True)) and a != b

    slow = [not any(beats(other, one) for other in points) for one in points]
    assert not_dominated(np.array(points, dtype=float)).tolist() == slow


def test_far_off_needs_company_and_is_only_worse():
    values = {"reactive": [0.0], "apg": [0.01], "predictive": [0.011], "random": [-0.2]}
    _, _, cast = _parts(_small(values))
    assert cast.far_off == ["random"]
    assert "random" not in cast.leads
    _, _, few = _parts(_small({"reactive": [0.0], "apg": [0.01], "random": [-0.2]}))
    assert few.far_off == []
    _, _, better = _parts(_small(values | {"random": [0.2]}))
    assert better.far_off == []


def test_relative_difference_of_nothing_is_not_told():
    row = {"difference": -5.0, "lo": -10.0, "hi": 0.0, "reference_mean": 100.0}
    assert relative(row) == "-5.0% [-10.0%, +0.0%]"
    assert relative(row | {"reference_mean": 0.0}) == ""


def test_learning_intervals_are_students_over_seeds():
    rows = pl.DataFrame(
        {
            "training_seed": [0, 1, 2, 0], "epoch": [4] * 4, "env_steps": [100, 100, 100, 200],
            "gain": [1.0, 2.0, 3.0, 9.0], "gain_se": [0.1] * 4,
        }
    )  # fmt: skip
    steps, mean, half, trained = _band(rows)
    assert steps.tolist() == [100]  # a step that one seed alone has is no mean of seeds
    assert mean.tolist() == [2.0]
    assert half[0] == pytest.approx(4.302653 / 3**0.5)  # t(.975, 2) times 1 / √3
    assert trained == 1
    _, _, alone, trained = _band(rows.filter(pl.col("training_seed") == 0))
    assert alone == pytest.approx([0.196, 0.196])
    assert trained == 1  # the second evaluation is of the same epoch: a calibration


def test_a_calibration_is_told_apart_from_training():
    inputs = frames.inputs(frames.episodes())
    picture = draw_learning(inputs, build_content(inputs))
    assert "diamond" in picture.title
    assert "calibrated +0." in picture.alt


def test_a_flat_slice_is_drawn_too():
    flat = frames.slices("apg", ("start",))[:1]
    picture = draw_boundaries(flat, {"sources": {"slices": "a command"}})
    assert picture.svg.startswith("<svg")
    assert "lies between 0.6 and 0.6, the rule's is 0.6" in picture.alt


def test_pictures_of_one_page_share_no_id():
    svg = '<svg><g id="figure_1"><path id="m1"/><use xlink:href="#m1" clip-path="url(#c)"/></g>'
    assert own_ids(svg, "bill") == (
        '<svg><g><path id="bill-m1"/><use xlink:href="#bill-m1" clip-path="url(#bill-c)"/></g>'
    )
