"""Gumbel-softmax: worked by hand, and as a distribution."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from marl.algos.gumbel import gumbel_noise, gumbel_softmax, one_hot_best, straight_through

OPEN = torch.ones(1, dtype=torch.bool)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_soft_draw_by_hand():
    """(log 1, log 2, log 4) + (log 2, 0, 0), temperature ½: 4 : 4 : 16 over 24."""
    logits = torch.log(torch.tensor([1.0, 2.0, 4.0]))
    noise = torch.tensor([math.log(2.0), 0.0, 0.0])
    soft = gumbel_softmax(logits, noise, 0.5, OPEN)
    torch.testing.assert_close(soft, torch.tensor([4.0, 4.0, 16.0]) / 24)
    closed = gumbel_softmax(logits, noise, 0.5, torch.tensor([True, True, False]))
    torch.testing.assert_close(closed, torch.tensor([0.5, 0.5, 0.0]))


def test_the_hard_draw_carries_the_soft_gradient_by_hand():
    """By the softmax, d soft_i / d logit_j = soft_i (δ_ij − soft_j) / temperature."""
    logits = torch.log(torch.tensor([1.0, 3.0])).requires_grad_()
    draw = straight_through(gumbel_softmax(logits, torch.zeros(2), 0.5, OPEN))
    assert draw.tolist() == [0.0, 1.0]
    (draw * torch.tensor([5.0, 7.0])).sum().backward()
    # soft = (1, 9) / 10: 5 · .1 · .9 / .5 − 7 · .9 · .1 / .5 = −.36, and the opposite.
    torch.testing.assert_close(logits.grad, torch.tensor([-0.36, 0.36]))


def test_noise_is_standard_gumbel():
    """Mean γ = .5772, variance π²/6, P(G ≤ 0) = e⁻¹."""
    noise = gumbel_noise((200_000,), generator())
    assert torch.isfinite(noise).all()
    assert float(noise.mean()) == pytest.approx(0.5772, abs=0.01)
    assert float(noise.var()) == pytest.approx(math.pi**2 / 6, abs=0.03)
    assert float((noise <= 0).to(torch.float32).mean()) == pytest.approx(math.exp(-1), abs=0.005)
    assert torch.equal(gumbel_noise((4,), generator(3)), gumbel_noise((4,), generator(3)))


@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
def test_hard_draws_have_the_probabilities_of_the_softmax_at_any_temperature(temperature):
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0])
    is_open = torch.tensor([True, True, True, False])
    draws = 50_000
    noise = gumbel_noise((draws, 4), generator(1))
    hard = straight_through(gumbel_softmax(logits.expand(draws, 4), noise, temperature, is_open))
    expected = torch.softmax(logits[:3], 0)
    found = hard.mean(0)
    assert found[3] == 0
    # Five standard errors of a share.
    allowed = 5 * (expected * (1 - expected) / draws).sqrt()
    assert ((found[:3] - expected).abs() < allowed).all()


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=6), st.integers(0, 2**30))
def test_draws_are_one_hot_and_of_open_choices(values, seed):
    logits = torch.tensor(values)
    g = generator(seed)
    is_open = torch.rand(len(values), generator=g) < 0.5
    is_open[int(torch.randint(len(values), (), generator=g))] = True
    soft = gumbel_softmax(logits, gumbel_noise(tuple(logits.shape), g), 0.7, is_open)
    hard = straight_through(soft)
    assert sorted(hard.tolist()) == [0.0] * (len(values) - 1) + [1.0]
    assert is_open[hard.argmax()]
    best = one_hot_best(logits, is_open)
    assert float(logits[best.argmax()]) == float(logits[is_open].max())


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="temperature must be above 0; got 0"):
        gumbel_softmax(torch.zeros(2), torch.zeros(2), 0.0, OPEN)
    with pytest.raises(ValueError, match=r"noise \(3,\) for logits \(2,\)"):
        gumbel_softmax(torch.zeros(2), torch.zeros(3), 1.0, OPEN)
