"""All scenarios at once: by hand, and no surer than the weather they share allows."""

import numpy as np
import polars as pl
import pytest

from marl.evaluate.statistics import compare, compare_pooled
from tests.unit.marl.evaluate.statistics.frames import draws, frame


def two_scenarios(*, seeds=(0, 1)):
    a, b = draws(shift=0.1)
    parts = [
        frame([("reactive", None, a), *(("new", s, b + gain + s / 10) for s in seeds)], name)
        for name, gain in (("one", 0.0), ("two", 0.4))
    ]
    return pl.concat([*parts, frame([("clairvoyant", None, b + 1)], "one")]), b - a


def test_means_are_of_scenarios_and_seeds():
    table, d = two_scenarios()
    found = compare_pooled(table)
    assert found["policy"].to_list() == ["new", "reactive"]  # the planner played one scenario only
    row = found.filter(policy="new").row(0, named=True)
    assert row["scenario"] == "all scenarios"
    assert row["difference"] == pytest.approx(d.mean() + 0.25)
    assert (row["episodes"], row["training_seeds"]) == (80, 2)
    assert row["lo"] < row["difference"] < row["hi"]
    assert row["seed_lo"] < row["lo"]
    every = np.concatenate([d + 0.05, d + 0.45])
    assert row["probability_of_improvement"] == pytest.approx((every > 0).mean())
    assert row["poi_lo"] < row["probability_of_improvement"] < row["poi_hi"]
    assert row["iqm_lo"] < row["iqm_difference"] < row["iqm_hi"]
    itself = found.filter(policy="reactive").row(0, named=True)
    assert (itself["difference"], itself["p_value"], itself["is_significant"]) == (0, 1, False)
    assert (itself["poi_lo"], itself["iqm_hi"]) == (0.5, 0)


def test_a_scenario_told_twice_makes_nothing_surer():
    a, b = draws(shift=0.1)
    rows = [("reactive", None, a), ("new", 0, b)]
    once = compare(frame(rows)).filter(policy="new").row(0, named=True)
    twice = compare_pooled(pl.concat([frame(rows, "one"), frame(rows, "two")]))
    twice = twice.filter(policy="new").row(0, named=True)
    assert twice["p_value"] == pytest.approx(once["p_value"])
    width = once["hi"] - once["lo"]
    assert twice["hi"] - twice["lo"] == pytest.approx(width, rel=0.1)
    assert twice["iqm_hi"] - twice["iqm_lo"] == pytest.approx(
        once["iqm_hi"] - once["iqm_lo"], rel=0.1
    )


def test_all_won_has_a_width_still():
    a, _ = draws()
    table = pl.concat(
        [frame([("reactive", None, a), ("new", 0, a + 1)], s) for s in ("one", "two")]
    )
    row = compare_pooled(table).filter(policy="new").row(0, named=True)
    assert row["probability_of_improvement"] == row["poi_hi"] == 1.0
    assert 0.9 < row["poi_lo"] < 1.0


def test_chosen_scenarios_another_reference_and_refusals():
    table, _ = two_scenarios()
    found = compare_pooled(table, "clairvoyant", scenarios=["one"])
    assert found.filter(policy="new")["difference"].item() == pytest.approx(-0.95)
    with pytest.raises(ValueError, match="no episodes of the reference 'nobody'"):
        compare_pooled(table, "nobody")
    short = table.filter((pl.col("scenario") == "one") | (pl.col("episode") < 70))
    with pytest.raises(ValueError, match="not the same training seeds and episodes in every"):
        compare_pooled(short)
