"""Shares of a gap by hand."""

import numpy as np
import polars as pl
import pytest

from marl.evaluate.statistics import gap_closed, share_of_gap


def test_the_share_of_a_gap_by_hand():
    reference, ceiling = np.array([1.0, 2.0, 3.0]), np.array([3.0, 4.0, 5.0])
    rng = np.random.default_rng(0)
    half = share_of_gap(reference + 1.0, reference, ceiling, rng)
    assert (half.estimate, half.lo, half.hi) == (0.5, 0.5, 0.5)  # in every episode, whatever drawn
    assert share_of_gap(reference, reference, ceiling, rng).estimate == 0.0
    assert share_of_gap(ceiling, reference, ceiling, rng).estimate == 1.0
    uneven = share_of_gap(reference + np.array([0.0, 1.0, 2.0]), reference, ceiling, rng)
    assert uneven.estimate == 0.5
    assert uneven.lo == pytest.approx(0.0, abs=0.2)
    assert uneven.hi == pytest.approx(1.0, abs=0.2)
    with pytest.raises(ValueError, match="no gap to close"):
        share_of_gap(ceiling, ceiling, reference, rng)


def test_the_gap_table_pairs_episodes_and_averages_training_seeds():
    rows = []
    for scenario in ("one", "two"):
        for episode in range(6):
            rows.append((scenario, "reactive", None, episode, float(episode)))
            rows += [(scenario, "apg", s, episode, episode + 0.2 + 0.2 * s) for s in (0, 1)]
            if scenario == "one":  # the planner was played in one scenario only
                rows.append((scenario, "clairvoyant", None, episode, episode + 1.0))
    names = ["scenario", "policy", "training_seed", "episode", "reward"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    table = gap_closed(frame, "reactive", "clairvoyant")
    assert table.select("scenario", "policy").rows() == [("one", "apg")]
    assert table["estimate"].item() == pytest.approx(0.3)
    assert gap_closed(
        frame.filter(pl.col("scenario") == "two"), "reactive", "clairvoyant"
    ).is_empty()
    with pytest.raises(ValueError, match="different episodes"):
        gap_closed(frame[1:], "reactive", "clairvoyant")
