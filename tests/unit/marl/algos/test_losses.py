"""Losses by hand, and clipping against torch's own."""

import pytest
import torch
from torch import nn

from marl.algos.losses import actor_loss, clip_stacked_grad_norm, critic_loss, td_target


def test_target_takes_the_most_pessimistic_critic():
    # Two critics, one agent, two rows: 1 + .5·min(4, 2) = 2 and 3 + 0·min(1, 8) = 3.
    value = torch.tensor([[[4.0, 1.0]], [[2.0, 8.0]]])
    target = td_target(torch.tensor([[1.0], [3.0]]), torch.tensor([0.5, 0.0]), value)
    assert target.tolist() == [[2.0, 3.0]]


def test_losses_by_hand_leave_out_rows_of_weight_zero():
    value = torch.tensor([[[1.0, 5.0]], [[2.0, 7.0]]])
    target = torch.tensor([[0.0, 0.0]])
    weight = torch.tensor([1.0, 0.0])
    assert float(critic_loss(value, target, weight)) == pytest.approx(0.5 + 2.0)
    assert float(actor_loss(torch.tensor([[1.0, 9.0], [3.0, 9.0]]), weight)) == pytest.approx(-2.0)


def test_clipping_treats_every_network_as_torch_treats_one():
    generator = torch.Generator().manual_seed(0)
    gradients = [
        torch.randn((3, 4, 5), generator=generator) * torch.tensor([0.01, 1.0, 9.0])[:, None, None],
        torch.randn((3, 1, 5), generator=generator),
    ]
    expected = []
    for member in range(3):
        parameters = [nn.Parameter(torch.zeros_like(g[member])) for g in gradients]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient[member].clone()
        norm = nn.utils.clip_grad_norm_(parameters, 2.5)
        expected.append((norm, [p.grad for p in parameters]))
    norms = clip_stacked_grad_norm(gradients, 2.5)
    for member, (norm, clipped) in enumerate(expected):
        assert norms[member] == pytest.approx(float(norm))
        for gradient, wanted in zip(gradients, clipped, strict=True):
            assert torch.allclose(gradient[member], wanted)
