"""Soft actor-critic's losses by hand, and the density of squashed Gaussians."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from marl.algos.sac_losses import policy_loss, soft_value, temperature_loss
from marl.nets.gaussian import squashed_log_prob

ALPHA = torch.tensor([0.5, 2.0])
LOG_PROB = torch.tensor([[1.0, -1.0], [0.5, 0.0]])  # (N, R)


def test_soft_value_of_independent_judges_counts_each_agents_own_entropy():
    value = torch.tensor([[[3.0, 1.0], [0.0, 4.0]], [[2.0, 5.0], [1.0, 3.0]]])  # (C, J, R)
    # Smaller of two: [[2, 1], [0, 3]], minus alpha log pi: [[.5, -.5], [1, 0]].
    assert soft_value(value, LOG_PROB, ALPHA).tolist() == [[1.5, 1.5], [-1.0, 3.0]]


def test_soft_value_of_a_team_counts_all_entropies():
    value = torch.tensor([[[3.0, 1.0]], [[2.0, 5.0]]])
    # [2, 1] minus the sums [1.5, -.5].
    assert soft_value(value, LOG_PROB, ALPHA).tolist() == [[0.5, 1.5]]


def test_policy_loss_is_minus_the_weighted_soft_value():
    value = torch.tensor([[[3.0, 1.0]], [[2.0, 5.0]]])
    loss = policy_loss(value, LOG_PROB, ALPHA, torch.tensor([1.0, 0.0]))
    assert float(loss) == -0.25  # (0.5 * 1 + 1.5 * 0) / 2 rows


def test_temperature_falls_where_entropy_is_too_high_and_rises_where_it_is_too_low():
    log_alpha = torch.zeros(2, requires_grad=True)
    # Entropies -log pi: agent 0 has 0 (wanted -1: too much), agent 1 has -2 (wanted -1).
    log_prob = torch.tensor([[0.5, -0.5], [2.0, 2.0]], requires_grad=True)
    loss = temperature_loss(log_alpha, log_prob, torch.tensor([-1.0, -1.0]), torch.ones(2))
    assert loss.item() == 1.0 - 1.0  # -1 * (0 - 1) and -1 * (2 - 1)
    by_alpha, by_policy = torch.autograd.grad(loss, [log_alpha, log_prob], allow_unused=True)
    assert by_alpha.tolist() == [1.0, -1.0]  # descent: down, up
    assert by_policy is None


def test_squashed_density_by_hand():
    # One knob at the mean of a unit normal, squashed at 0 (slope 1) and a second one masked out.
    latent, zero = torch.tensor([[0.0, 3.0]]), torch.zeros(1, 2)
    found = squashed_log_prob(latent, zero, zero, torch.tensor([1.0, 0.0]))
    assert float(found) == pytest.approx(-0.5 * math.log(2 * math.pi))
    # At x = 1 with mean 0.5, sigma 0.5: normal part -0.5 - log .5 - .5 log 2 pi.
    x, mean, log_sigma = (
        torch.tensor([[1.0]]),
        torch.tensor([[0.5]]),
        torch.tensor([[math.log(0.5)]]),
    )
    normal = -0.5 + math.log(2) - 0.5 * math.log(2 * math.pi)
    wanted = normal - math.log(1 - math.tanh(1.0) ** 2)
    assert float(squashed_log_prob(x, mean, log_sigma, torch.ones(1))) == pytest.approx(wanted)


@given(mean=st.floats(-2, 2), sigma=st.floats(0.05, 1.0))
def test_squashed_density_integrates_to_one(mean, sigma):
    residual = torch.linspace(-1, 1, 200_001, dtype=torch.float64)[1:-1, None]
    ones = torch.ones(1, dtype=torch.float64)
    log_density = squashed_log_prob(
        torch.atanh(residual), ones * mean, torch.log(ones * sigma), ones
    )
    assert float(log_density.exp().mean() * 2) == pytest.approx(1.0, abs=5e-3)


def test_squashed_density_stays_finite_where_tanh_rounds_to_one():
    latent = torch.tensor([[30.0], [-30.0]], requires_grad=True)
    found = squashed_log_prob(latent, torch.zeros(1), torch.zeros(1), torch.ones(1))
    assert torch.isfinite(found).all()
    assert torch.isfinite(torch.autograd.grad(found.sum(), latent)[0]).all()
