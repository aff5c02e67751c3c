"""Performance profiles: by hand, and equal to rliable's on the same numbers."""

import numpy as np
import polars as pl
import pytest

from marl.evaluate.statistics import performance_profile, performance_profiles
from tests.unit.marl.evaluate.statistics.frames import frame
from tests.unit.marl.evaluate.statistics.rliable_library import library


def test_by_hand():
    found = performance_profile(
        [np.array([[1.0, 2.0, 3.0, 3.0]])], np.array([0.0, 1.0, 2.5, 3.0]), np.random.default_rng(0)
    )
    assert found["share"].to_list() == [1.0, 0.75, 0.5, 0.0]  # above, not at
    assert found["lo"][0] == found["hi"][0] == 1.0


def test_equal_to_rliable():
    rng = np.random.default_rng(0)
    scores, thresholds = rng.normal(size=(40, 3)), np.linspace(-2, 2, 9)
    theirs, bands = library.create_performance_profile({"x": scores}, thresholds, reps=1500)
    ours = performance_profile(
        [scores[:, task][None] for task in range(3)], thresholds, rng, is_shared=False
    )
    assert ours["share"].to_numpy() == pytest.approx(theirs["x"], abs=1e-12)
    assert ours["lo"].to_numpy() == pytest.approx(bands["x"][0], abs=0.02)
    assert ours["hi"].to_numpy() == pytest.approx(bands["x"][1], abs=0.02)


def test_of_a_table_of_episodes():
    rng = np.random.default_rng(0)
    base = rng.normal(size=30)
    rows = [("reactive", None, base), ("apg", 0, base + 1), ("apg", 1, base + 3)]
    table = pl.concat([frame(rows, name) for name in ("one", "two")])
    table = pl.concat([table, frame([("clairvoyant", None, base)], "one")])
    found = performance_profiles(table, reference="reactive", thresholds=np.array([0.5, 2.0]))
    assert found.select("policy", "threshold", "share").rows() == [
        ("apg", 0.5, 1.0), ("apg", 2.0, 0.5), ("reactive", 0.5, 0.0), ("reactive", 2.0, 0.0),
    ]  # fmt: skip
    raw = performance_profiles(table)
    assert raw["policy"].unique().sort().to_list() == ["apg", "reactive"]  # who played both
    assert raw.height == 2 * 101
    assert "clairvoyant" in performance_profiles(table, scenarios=["one"])["policy"]
    with pytest.raises(ValueError, match="no policy played all of three"):
        performance_profiles(table, scenarios=["three"])
