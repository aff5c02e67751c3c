"""Savings at equal service level: by hand, paired, and never by extrapolation."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marl.evaluate.frontier import Costs, cost_at, efficient, saving_at_equal_slo, savings

COST = np.array([10.0, 14.0, 12.0, 20.0])
SLO = np.array([0.90, 0.98, 0.91, 0.97])  # the last is dearer and worse than the second


def flat(cost, slo, episodes=8):
    return Costs(np.full(episodes, cost), np.full(episodes, slo))


def test_the_frontier_by_hand():
    assert efficient(COST, SLO).tolist() == [0, 2, 1]
    assert cost_at(0.90, COST, SLO) == 10.0
    assert cost_at(0.905, COST, SLO) == pytest.approx(11.0)
    assert cost_at(0.945, COST, SLO) == pytest.approx(13.0)  # halfway from .91 to .98
    assert cost_at(0.98, COST, SLO) == 14.0
    assert np.isnan(cost_at(0.981, COST, SLO))
    assert np.isnan(cost_at(0.899, COST, SLO))
    # Of two that cost the same the better one counts.
    assert efficient(np.array([1.0, 1.0]), np.array([0.5, 0.6])).tolist() == [1]


def test_a_saving_by_hand():
    frontier = [flat(cost, slo) for cost, slo in zip(COST, SLO, strict=True)]
    saving = saving_at_equal_slo(flat(11.7, 0.945), frontier, np.random.default_rng(0))
    assert saving.estimate == pytest.approx(1 - 11.7 / 13.0)
    assert saving.lo == saving.hi == pytest.approx(0.1)
    assert saving.is_told
    assert saving.frontier_slo == pytest.approx((0.90, 0.98))
    assert saving.inside == 1.0


@pytest.mark.parametrize("slo", [0.89, 0.985])
def test_extrapolation_is_refused(slo):
    frontier = [flat(cost, level) for cost, level in zip(COST, SLO, strict=True)]
    saving = saving_at_equal_slo(flat(5.0, slo), frontier, np.random.default_rng(0))
    assert (saving.estimate, saving.lo, saving.hi) == (None, None, None)
    assert not saving.is_told
    assert (saving.slo, saving.inside) == (pytest.approx(slo), 0.0)


def test_at_the_frontiers_edge_there_is_an_estimate_without_an_interval():
    rng = np.random.default_rng(1)
    wobble = rng.normal(0, 0.02, 40)
    frontier = [flat(10.0, 0.90, 40), flat(14.0, 0.98, 40)]
    policy = Costs(np.full(40, 13.0), 0.979 + wobble - wobble.mean())
    saving = saving_at_equal_slo(policy, frontier, rng)
    assert saving.estimate is not None
    assert not saving.is_told
    assert 0.3 < saving.inside < 0.95


def test_the_interval_is_that_of_paired_episodes():
    rng = np.random.default_rng(2)
    size = rng.lognormal(0, 1.0, 200)  # episodes differ wildly in how much they cost anybody
    noise = rng.normal(0, 0.01, 200)
    frontier = [
        Costs(10 * size, np.full(200, 0.90)),
        Costs(14 * size, np.full(200, 0.98)),
    ]
    policy = Costs(12 * size * (0.9 + noise), np.full(200, 0.94))
    saving = saving_at_equal_slo(policy, frontier, np.random.default_rng(3))
    assert saving.lo < saving.estimate < saving.hi
    assert saving.estimate == pytest.approx(0.1, abs=0.005)
    assert saving.hi - saving.lo < 0.01  # unpaired it would be half as wide as the cost itself
    same = saving_at_equal_slo(policy, frontier, np.random.default_rng(3))
    assert same == saving


def test_episodes_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="do not pair"):
        saving_at_equal_slo(flat(1, 0.9, 3), [flat(1, 0.9, 4)], np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least one"):
        saving_at_equal_slo(flat(1, 0.9), [], np.random.default_rng(0))


@given(st.lists(st.tuples(st.floats(1, 9), st.floats(0, 1)), min_size=1, max_size=8))
def test_every_frontier_rises_and_a_point_of_it_saves_nothing(points):
    cost, slo = (np.array(part) for part in zip(*points, strict=True))
    kept = efficient(cost, slo)
    assert (np.diff(cost[kept]) > 0).all()
    assert (np.diff(slo[kept]) > 0).all()
    for index in range(len(points)):
        dominating = (cost <= cost[index]) & (slo >= slo[index])
        assert dominating[kept].any()
    for index in kept:
        assert cost_at(float(slo[index]), cost, slo) == pytest.approx(cost[index])


def test_the_savings_table_compares_every_policy_with_every_frontier():
    episodes, frontier = [], []
    for e in range(5):
        for seed, cost in ((0, 11.4), (1, 12.0)):  # 11.7 on average
            episodes.append(("replay", "apg", seed, e, cost, 0.945))
        episodes.append(("replay", "reactive", None, e, 14.0, 0.98))
        episodes.append(("other", "apg", 0, e, 1.0, 0.9))
        for factor, cost, slo in zip((0.5, 1.0, 0.25, 2.0), COST, SLO, strict=True):
            frontier.append(("replay", "reactive", factor, e, cost, slo))
    names = ["scenario", "policy", "training_seed", "episode", "cost_usd", "slo_attainment"]
    frame = pl.DataFrame(episodes, schema=names, orient="row")
    points = pl.DataFrame(
        frontier, schema=["scenario", "family", "factor", *names[3:]], orient="row"
    )
    table = savings(frame, points, "replay")
    assert table["policy"].to_list() == ["apg", "reactive"]
    assert table["estimate"].to_list() == pytest.approx([0.1, 0.0])
    assert table["lowest_slo"].to_list() == pytest.approx([0.90, 0.90])
    with pytest.raises(ValueError, match="do not pair"):
        savings(frame, points.filter(pl.col("episode") < 4), "replay")
