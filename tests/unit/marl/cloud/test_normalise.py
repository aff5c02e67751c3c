"""Running normalisation: equal to the statistics of the whole stream, however it is cut."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.cloud.normalise import (
    NormaliserConfig,
    check_finite,
    freeze,
    from_state_dict,
    initial_state,
    normalise,
    state_dict,
    update,
)


def stream(rows=500, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(rows, 4, generator=generator, dtype=torch.float64)
    return values * torch.tensor([1.0, 0.01, 30.0, 2.0]) + torch.tensor([0.0, -1.0, 500.0, 3.0])


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(0, 1000))
def test_however_the_stream_is_cut(sizes, seed):
    values = stream(sum(sizes), seed)
    state = initial_state(4)
    for part in values.split(sizes):
        state = update(state, part)
    assert float(state.count) == sum(sizes)
    if sum(sizes):
        torch.testing.assert_close(state.mean, values.mean(0))
        torch.testing.assert_close(state.variance(), values.var(0, correction=0))


def test_by_hand():
    state = update(update(initial_state(1), torch.tensor([[2.0], [4.0]])), torch.tensor([[9.0]]))
    assert state.mean.item() == pytest.approx(5.0)
    assert state.variance().item() == pytest.approx((9 + 1 + 16) / 3)
    config = NormaliserConfig(warmup=3, clip=None)
    scaled = normalise(state, torch.tensor([[13.0]]), config)
    assert scaled.item() == pytest.approx(13.0 / (26 / 3) ** 0.5)
    centred = normalise(state, torch.tensor([[13.0]]), NormaliserConfig(3, None, is_centred=True))
    assert centred.item() == pytest.approx(8.0 / (26 / 3) ** 0.5)


def test_no_objective_dominates():
    values = stream(5000)
    scaled = normalise(update(initial_state(4), values), values, NormaliserConfig(clip=None))
    torch.testing.assert_close(scaled.std(0), torch.ones(4, dtype=torch.float64), rtol=1e-3, atol=0)


def test_a_small_spread_on_a_large_mean_keeps_its_digits():
    # The textbook E x² − (E x)² loses this variance entirely.
    values = 1e8 + torch.tensor([[0.0], [1.0]], dtype=torch.float64).repeat(1000, 1)
    state = initial_state(1)
    for part in values.split(7):
        state = update(state, part)
    assert state.variance().item() == pytest.approx(0.25, rel=1e-6)


def test_values_pass_through_until_warm():
    config = NormaliserConfig(warmup=100, clip=0.5)
    state = update(initial_state(4), stream(99))
    values = 1e3 * torch.ones(2, 4, dtype=torch.float64)
    assert torch.equal(normalise(state, values, config), values)
    warm = normalise(update(state, stream(1)), values, config)
    assert (warm == 0.5).all()


def test_an_objective_that_never_moves_stays_finite():
    values = torch.full((2000, 1), -0.3)
    scaled = normalise(update(initial_state(1), values), values, NormaliserConfig(min_std=0.1))
    assert scaled.dtype == torch.float32
    assert scaled.unique().item() == pytest.approx(-3.0)


def test_frozen_statistics_stay():
    state = update(initial_state(4), stream())
    still = update(freeze(state), stream(seed=1))
    assert torch.equal(still.mean, state.mean)
    assert float(still.count) == 500
    moving = update(freeze(still, False), stream(seed=1))
    assert float(moving.count) == 1000


def test_update_leaves_the_old_state_alone():
    state = update(initial_state(4), stream())
    before = state.mean.clone()
    update(state, stream(seed=1))
    assert torch.equal(state.mean, before)


def test_gradients_flow_through_values_and_not_through_statistics():
    values = stream(2000).requires_grad_()
    state = update(initial_state(4), values)
    assert not state.mean.requires_grad
    normalise(state, values, NormaliserConfig(clip=None)).sum().backward()
    expected = (1.0 / state.variance().sqrt()).expand(2000, 4)
    torch.testing.assert_close(values.grad, expected)


def test_a_checkpoint_goes_on_exactly():
    state = freeze(update(initial_state(4), stream()))
    again = from_state_dict(state_dict(state))
    assert again.is_frozen
    for first in (state, again):
        moved = update(freeze(first, False), stream(seed=2))
        assert float(moved.count) == 1000
    assert torch.equal(again.mean, state.mean)
    assert torch.equal(again.squares, state.squares)


def test_bad_input_is_refused():
    state = update(initial_state(4), stream())
    with pytest.raises(ValueError, match=r"\(B, 4\).*\(3, 5\)"):
        update(state, torch.zeros(3, 5))
    with pytest.raises(ValueError, match=r"\(4,\)"):
        normalise(state, torch.zeros(4), NormaliserConfig())
    saved = state_dict(state)
    with pytest.raises(ValueError, match="checkpoint"):
        from_state_dict({k: v for k, v in saved.items() if k != "count"})
    with pytest.raises(ValueError, match="one length"):
        from_state_dict(saved | {"mean": torch.zeros(3)})
    with pytest.raises(ValueError, match="damaged"):
        from_state_dict(saved | {"squares": -saved["squares"]})
    spoilt = update(state, torch.tensor([[0.0, float("nan"), 0.0, 0.0]]))
    with pytest.raises(ValueError, match=r"objectives \[1\]"):
        check_finite(spoilt)
    with pytest.raises(ValueError, match=r"objectives \[1\]"):
        state_dict(spoilt)
    with pytest.raises(ValueError, match="at least one"):
        initial_state(0)


@pytest.mark.parametrize(
    ("bad", "message"),
    [({"warmup": 1}, "warmup 1"), ({"clip": 0.0}, "clip 0"), ({"min_std": 0.0}, "min_std 0")],
)
def test_bad_settings_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        NormaliserConfig(**bad)
