"""Rounding: whole machines and sampled losses against their smooth relatives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.cloud.rounding import EXACT, SMOOTH, Smooth

FEW = settings(max_examples=50, deadline=None)
UNITS = st.lists(st.floats(0, 500, width=32), min_size=1, max_size=8)


def line(low, high, n=4001):
    return torch.linspace(low, high, n, dtype=torch.float64)


def slope_of(function, x):
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(x).sum(), x)
    return slope


def test_exact_rounding_by_hand():
    x = torch.tensor([0.0, 0.2, 1.0, 1.00005, 1.001, 2.5])
    assert EXACT.up(x).tolist() == [0, 1, 1, 1, 2, 3]
    assert EXACT.nearest(x).tolist() == [0, 0, 1, 1, 1, 3]
    assert EXACT.whole_part(torch.tensor([0.0, 0.99995, 1.5])).tolist() == [0, 1, 1]
    assert EXACT.is_on(torch.tensor([0.5, 0.51])).tolist() == [0, 1]
    assert EXACT.is_any(torch.tensor([0.0, 1.0, 7.0])).tolist() == [0, 1, 1]
    assert EXACT.least(torch.tensor([[0.5, 3.0], [2.0, 4.0]])).tolist() == [0.5, 1.0]
    shared = EXACT.share_out(torch.tensor([[1.0], [1.0], [1.0]]), torch.tensor([2.0]))
    assert shared.flatten().tolist() == [1, 0, 1]


@FEW
@given(UNITS, st.integers(0, 1000))
def test_shares_are_whole_and_sum_to_the_total(parts, total):
    parts = torch.tensor(parts)[:, None]
    if parts.sum() < 1e-3:
        return
    for rounding in (EXACT, SMOOTH):
        shares = rounding.share_out(parts, torch.tensor([float(total)]))
        assert float(shares.sum()) == pytest.approx(total, rel=1e-5)
        assert (shares >= 0).all()
        assert (shares - parts / parts.sum() * total).abs().max() <= 1 + 1e-3
    exact = EXACT.share_out(parts, torch.tensor([float(total)]))
    assert torch.equal(exact, exact.round())


@FEW
@given(st.lists(st.integers(0, 60), min_size=1, max_size=8), st.floats(0, 1), st.integers(0, 9))
def test_losses_are_whole_never_too_many_and_right_on_average(counts, chance, seed):
    counts = torch.tensor(counts, dtype=torch.float64)[:, None].expand(-1, 2000)
    draws = (torch.arange(2000, dtype=torch.float64) + 0.05 * (seed + 1)) / 2000
    lost = EXACT.lose(counts, torch.full_like(counts, chance), draws)
    assert torch.equal(lost, lost.round())
    assert ((lost >= 0) & (lost <= counts)).all()
    expected = SMOOTH.lose(counts, torch.full_like(counts, chance), draws)
    torch.testing.assert_close(lost.mean(1), expected.mean(1), rtol=0, atol=2e-3)


def test_the_smooth_staircase_rises_keeps_near_whole_numbers_and_is_not_biased():
    x = line(0.0, 20.0)
    for name in ("up", "nearest"):
        smooth, exact = getattr(SMOOTH, name), getattr(EXACT, name)
        slope = slope_of(smooth, x)
        assert (slope >= -1e-9).all()
        assert slope.max() < 2 ** (2 * SMOOTH.edges)  # bounded, unlike a step's
        whole = line(1.0, 20.0, 20)
        inside = x[x > 1.0]
        assert (smooth(inside) - exact(inside)).mean().abs() < 0.01
        assert (SMOOTH.nearest(whole) - whole).abs().max() < 1e-9
    # Over three fifths of each step are within a tenth of the whole number.
    near = (SMOOTH.nearest(x) - EXACT.nearest(x)).abs() < 0.1
    assert near.double().mean() > 0.6


def test_nothing_asked_is_nothing_bought_yet_the_first_unit_has_a_slope():
    zero = torch.zeros(1, dtype=torch.float64)
    assert float(SMOOTH.up(zero)) == 0.0
    assert 0 < float(slope_of(SMOOTH.up, zero)) < 16
    assert float(SMOOTH.up(zero + 0.5)) == pytest.approx(1.0, abs=0.02)


@FEW
@given(st.lists(st.floats(1e-3, 50), min_size=1, max_size=6))
def test_the_soft_minimum_is_just_below_the_minimum(ratios):
    ratios = torch.tensor(ratios, dtype=torch.float64)[:, None]
    exact, smooth = EXACT.least(ratios), SMOOTH.least(ratios)
    bound = (len(ratios) + 1) ** (-1 / SMOOTH.norm)
    assert (smooth <= exact + 1e-12).all()
    assert (smooth >= exact * bound - 1e-12).all()
    assert slope_of(SMOOTH.least, ratios).isfinite().all()


def test_the_soft_minimum_loses_little_at_a_critical_load_and_nothing_below_it():
    one = torch.ones(1, 1, dtype=torch.float64)
    assert float(1 - SMOOTH.least(one)) == pytest.approx(0.00576, abs=1e-5)
    # A twentieth of headroom: what is kept waits under a hundredth of a second of a 300 s step.
    assert float(1 - SMOOTH.least(one * 1.05)) * 300 < 0.01


@pytest.mark.parametrize("ratio", [0.0, 1e-9, 1e9])
def test_extreme_ratios_have_finite_slopes(ratio):
    ratios = torch.tensor([[ratio], [1.0]], dtype=torch.float32)
    assert SMOOTH.least(ratios).isfinite().all()
    assert slope_of(SMOOTH.least, ratios).isfinite().all()


def test_switches_and_windows_are_soft_where_exact_ones_jump():
    x = line(0.0, 1.0)
    assert (slope_of(SMOOTH.is_on, x) > 0).all()
    far = (x - 0.5).abs() > 0.3
    assert (SMOOTH.is_on(x) - EXACT.is_on(x))[far].abs().max() < 0.01
    lags, window = torch.arange(12.0)[:, None], torch.tensor([3.5])
    exact, smooth = EXACT.is_within(lags, window), SMOOTH.is_within(lags, window)
    assert exact.flatten().tolist() == [1] * 4 + [0] * 8
    torch.testing.assert_close(smooth, exact, atol=1e-3, rtol=0)
    # Even a window of nothing keeps the newest measurement.
    assert float(SMOOTH.is_within(torch.zeros(1, 1), torch.zeros(1))) == 1.0


def test_a_bar_to_the_next_operation_is_shut_or_open_and_has_no_slope():
    x = torch.tensor([0.0, 0.2, 0.8, 3.0], requires_grad=True)
    bar = SMOOTH.is_any(x)
    assert bar.tolist() == [0, 0, 1, 1]
    assert not bar.requires_grad


def test_more_edges_are_truer_staircases():
    x = line(0.0, 10.0)
    wrong = [(Smooth(edges=n).nearest(x) - EXACT.nearest(x)).abs().mean() for n in range(4)]
    assert wrong == sorted(wrong, reverse=True)
    assert torch.equal(Smooth(edges=0).nearest(x), x)
