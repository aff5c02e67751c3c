"""Stacks against separate networks, running statistics, residual actors."""

import pytest
import torch
from torch import nn

from marl.nets.actor import TeamActor
from marl.nets.config import NetConfig
from marl.nets.mlp import StackedMLP
from marl.nets.norm import RunningNorm

SMALL = NetConfig(hidden=(8,))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("has_layer_norm", [True, False])
def test_a_stack_equals_separate_networks(has_layer_norm):
    stack = StackedMLP([3, 5], (8, 8), 2, generator=generator(), has_layer_norm=has_layer_norm)
    x = torch.randn((2, 6, 5), generator=generator(1))
    x[0, :, 3:] = 0  # padding of the narrower member
    y = stack(x)
    for member, width in enumerate((3, 5)):
        h = x[member, :, :width]
        for layer in range(3):
            linear = nn.Linear(h.shape[1], stack.weights[layer].shape[2])
            linear.weight.data = stack.weights[layer][member, : h.shape[1]].T
            linear.bias.data = stack.biases[layer][member, 0]
            h = linear(h)
            if layer < 2:
                h = torch.relu(nn.functional.layer_norm(h, h.shape[-1:]) if has_layer_norm else h)
        assert torch.allclose(y[member], h, atol=1e-6)


def test_a_shared_input_equals_the_same_input_repeated():
    stack = StackedMLP([4, 4, 4], (8,), 1, generator=generator())
    x = torch.randn((6, 4), generator=generator(1))
    assert torch.allclose(stack(x), stack(x.expand(3, 6, 4)), atol=1e-6)
    assert torch.equal(stack(x, first=2), stack(x)[:2])


def test_initial_weights_lie_in_torchs_own_bounds_and_depend_on_the_generator_only():
    torch.manual_seed(1)
    one = StackedMLP([4, 16], (8,), 1, generator=generator(3), last_scale=0.1)
    torch.manual_seed(2)
    two = StackedMLP([4, 16], (8,), 1, generator=generator(3), last_scale=0.1)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    assert 0.4 < float(one.weights[0].data[0].abs().max()) <= 0.5  # 1/sqrt(4)
    assert 0.2 < float(one.weights[0].data[1].abs().max()) <= 0.25  # 1/sqrt(16)
    assert float(one.weights[1].data.abs().max()) <= 0.1 / 8**0.5


def test_running_norm_equals_the_statistics_of_all_rows_in_any_blocks():
    rows = torch.randn((1000, 2, 3), generator=generator()) * 7 + 100
    for sizes in ([1000], [1, 999], [250] * 4):
        norm = RunningNorm((2, 3))
        for part in rows.split(sizes):
            norm.update(part)
        assert torch.allclose(norm.mean, rows.double().mean(0))
        assert torch.allclose(norm.std, rows.double().std(0, correction=0), rtol=1e-6)
    assert float(norm(rows).std()) == pytest.approx(1.0, abs=0.01)
    assert float(norm(torch.full((1, 2, 3), 1e9)).max()) == 10.0


def test_running_norm_leaves_padding_zero_and_is_identity_before_data():
    norm = RunningNorm((2,))
    assert norm(torch.tensor([[3.0, 0.0]])).tolist() == [[3.0, 0.0]]
    norm.update(torch.tensor([[3.0, 0.0], [5.0, 0.0]]))
    assert float(norm(torch.tensor([[4.0, 0.0]]))[0, 1]) == 0.0


def test_actors_start_at_the_baseline_and_stay_within_the_bound():
    baseline = torch.tensor([[0.0, 0.9], [-1.0, 0.0]])
    actor = TeamActor([3, 3], baseline, bound=0.5, net=SMALL, generator=generator())
    obs = torch.randn((7, 2, 3), generator=generator(1))
    assert (actor.action(actor(obs)) - baseline).abs().max() < 0.01
    full = torch.ones((2, 1, 2))
    assert torch.allclose(actor.action(full)[0], torch.tensor([[0.5, 1.0], [-0.5, 0.5]]))
    low = actor.action(-full)[0]
    assert torch.allclose(low, torch.tensor([[-0.5, 0.4], [-1.0, -0.5]]))
    assert torch.equal(actor.action(0 * full)[0], baseline)


def test_no_actor_sees_another_agents_observation():
    actor = TeamActor([3, 3], torch.zeros(2, 2), bound=1.0, net=SMALL, generator=generator())
    obs = torch.randn((5, 2, 3), generator=generator(1), requires_grad=True)
    (gradient,) = torch.autograd.grad(actor(obs)[0].sum(), obs)
    assert gradient[:, 0].abs().sum() > 0
    assert gradient[:, 1].abs().sum() == 0


def test_a_baseline_outside_the_action_space_is_refused():
    with pytest.raises(ValueError, match=r"must lie in \[-1, 1\]"):
        TeamActor([1], torch.tensor([[1.5]]), bound=1.0, net=SMALL, generator=generator())
