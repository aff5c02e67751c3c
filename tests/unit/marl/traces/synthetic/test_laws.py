"""Distributions against hand-worked values and their own definitions."""

import numpy as np
import pytest
from scipy.special import ndtri

from marl.traces.synthetic.arrivals import ArrivalLaw, rates, times_us
from marl.traces.synthetic.laws import HeavyTail, Quantiles, RankMap, TaskCounts


def test_quantiles_go_through_their_points_and_are_lognormal_between():
    law = Quantiles(((0.5, 2.0), (0.9, 8.0)), most=100.0)
    at = law.at(ndtri(np.array([0.5, 0.9, 0.1])))
    assert at == pytest.approx([2.0, 8.0, 0.5])  # symmetric in the logarithm
    assert law.at(np.array([20.0])) == pytest.approx([100.0])


def test_quantiles_are_ascending_whatever_the_pieces():
    law = Quantiles(((0.5, 180.0), (0.9, 1666.0), (0.99, 29968.0)))
    values = law.at(np.linspace(-5, 5, 1001))
    assert (np.diff(values) > 0).all()


def test_task_counts_meet_the_published_shares():
    law = TaskCounts(0.79, 1050.0, 5770.0)
    score = np.random.default_rng(1).standard_normal(400_000)
    tasks = law.at(score)
    assert (tasks == 1).mean() == pytest.approx(0.79, abs=0.003)
    assert np.quantile(tasks, 0.99) == pytest.approx(1050, rel=0.05)
    assert tasks.max() <= 5770
    assert set(np.unique(tasks % 1)) == {0.0}


def test_heavy_tail_by_hand():
    law = HeavyTail(1.0, 10.0, 100.0, index=0.5, most=1e12)
    # P(X > 100) = .001; with index 1/2 a tenth of the probability is a hundred times as far.
    assert law.tail(np.array([0.01, 0.001, 0.0001])) == pytest.approx([10, 100, 10_000], rel=1e-3)


def test_heavy_tail_stays_below_its_end_and_integrates():
    law = HeavyTail(1.0, 10.0, 100.0, index=0.69, most=500.0)
    survival = np.random.default_rng(0).random(2_000_000) * 0.01
    values = law.tail(survival)
    assert values.max() <= 500.0
    assert law.tail_mean() == pytest.approx(values.mean() * 0.01, rel=0.01)
    assert law.tail_square() == pytest.approx((values**2).mean() * 0.01, rel=0.02)


def test_rank_map_gives_the_law_and_keeps_the_order():
    rng = np.random.default_rng(3)
    reference = np.sort(rng.standard_normal(200_000) * 3)
    law = HeavyTail(5e-5, 1.33, 69.7, 0.69, 1e5)
    logs = rng.standard_normal(500_000) * 3
    values = RankMap(law, reference)(logs)
    assert (np.diff(values[np.argsort(logs)]) >= 0).all()
    assert np.quantile(values, [0.5, 0.99, 0.999]) == pytest.approx([5e-5, 1.33, 69.7], rel=0.15)


def test_arrival_parameters_solve_the_moment_equations():
    law = ArrivalLaw.published()
    extra = np.expm1(law.log_variance)  # squared coefficient of variation of the rate
    assert 1 + 80 * extra == pytest.approx(17.4)
    noise = (17.4 - 1) / 17.4
    cycle = law.log_variance * law.cycle_share
    assert noise * np.expm1(cycle) / extra == pytest.approx(0.25)
    lag1 = cycle + (law.log_variance - cycle) * law.coefficient
    assert noise * np.expm1(lag1) / extra == pytest.approx(0.67)


def test_rates_have_the_mean_asked_for_and_peak_in_the_afternoon():
    expected = rates(10.0, 288 * 2000, np.random.default_rng(0))
    assert expected.mean() == pytest.approx(10.0, rel=0.01)
    by_hour = expected.reshape(-1, 24, 12).mean(axis=(0, 2))
    assert by_hour.argmax() in (13, 14)
    assert by_hour.max() / by_hour.min() == pytest.approx(np.exp(2 * 0.31), rel=0.1)


def test_times_are_sorted_and_inside():
    times = times_us(120.0, 2.0, 600_000_000, np.random.default_rng(0))
    assert (np.diff(times) >= 0).all()
    assert times.min() >= 600_000_000
    assert times.max() < 600_000_000 + 2 * 86_400_000_000
    assert len(times) == pytest.approx(120 * 48, rel=0.3)
