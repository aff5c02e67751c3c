"""Stacked GRU cells against torch.nn.GRU with the same weights; memories that begin anew."""

import pytest
import torch
from torch import nn

from marl.nets.gru import StackedGRU

WIDTHS, HIDDEN, ROWS, STEPS = (3, 5), 4, 6, 7


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def stack_and_inputs():
    stack = StackedGRU(WIDTHS, HIDDEN, generator=generator())
    x = torch.randn((STEPS, 2, ROWS, 5), generator=generator(1))
    x[:, 0, :, 3:] = 0  # padding of the narrower member
    memory = torch.randn((2, ROWS, HIDDEN), generator=generator(2))
    return stack, x, memory


def torchs_own(stack, member):
    gru = nn.GRU(WIDTHS[member], HIDDEN)
    gru.weight_ih_l0.data = stack.input_weight.data[member, : WIDTHS[member]].T.contiguous()
    gru.weight_hh_l0.data = stack.memory_weight.data[member].T.contiguous()
    gru.bias_ih_l0.data = stack.input_bias.data[member, 0].clone()
    gru.bias_hh_l0.data = stack.memory_bias.data[member, 0].clone()
    return gru


def test_a_stack_equals_torchs_gru_in_outputs_and_gradients():
    stack, x, memory = stack_and_inputs()
    outputs, last = stack.unroll(x, memory)
    outputs.square().sum().backward()
    for member, width in enumerate(WIDTHS):
        gru = torchs_own(stack, member)
        expected, final = gru(x[:, member, :, :width], memory[member][None])
        expected.square().sum().backward()
        assert torch.allclose(outputs[:, member], expected, atol=1e-6)
        assert torch.allclose(last[member], final[0], atol=1e-6)
        assert torch.allclose(
            stack.input_weight.grad[member, :width], gru.weight_ih_l0.grad.T, atol=1e-5
        )
        assert torch.allclose(stack.memory_weight.grad[member], gru.weight_hh_l0.grad.T, atol=1e-5)
        assert torch.allclose(stack.memory_bias.grad[member, 0], gru.bias_hh_l0.grad, atol=1e-5)
    assert not stack.input_weight.grad[0, 3:].any()  # unused inputs


def test_single_steps_equal_the_unrolled_sequence():
    stack, x, memory = stack_and_inputs()
    outputs, last = stack.unroll(x, memory)
    for t in range(STEPS):
        memory = stack(x[t], memory)
        assert torch.allclose(memory, outputs[t], atol=1e-6)
    assert torch.allclose(memory, last, atol=1e-6)


def test_a_shared_input_equals_the_same_input_repeated():
    stack = StackedGRU([5, 5], HIDDEN, generator=generator())
    x = torch.randn((STEPS, ROWS, 5), generator=generator(1))
    memory = stack.initial(ROWS)
    for_each = stack.unroll(x[:, None].expand(-1, 2, -1, -1), memory)[0]
    assert torch.allclose(stack.unroll(x, memory)[0], for_each, atol=1e-6)
    assert torch.allclose(stack(x[0], memory), for_each[0], atol=1e-6)


def test_a_reset_begins_anew_and_stops_the_gradient():
    stack, x, memory = stack_and_inputs()
    x.requires_grad_()
    reset = torch.zeros((STEPS, ROWS), dtype=torch.bool)
    reset[3, 0] = True
    outputs, _ = stack.unroll(x, memory, reset)
    anew, _ = stack.unroll(x[3:], stack.initial(ROWS))
    on, _ = stack.unroll(x, memory)
    assert torch.allclose(outputs[3:, :, 0], anew[:, :, 0], atol=1e-6)
    assert torch.allclose(outputs[:3], on[:3])
    assert torch.allclose(outputs[:, :, 1:], on[:, :, 1:])
    (gradient,) = torch.autograd.grad(outputs[-1, :, 0].sum(), x)
    assert not gradient[:3].any()
    assert gradient[3].any()


def test_flags_of_another_shape_are_refused():
    stack, x, memory = stack_and_inputs()
    with pytest.raises(ValueError, match=r"\(7, 6\); got \(6, 7\)"):
        stack.unroll(x, memory, torch.zeros((ROWS, STEPS), dtype=torch.bool))


def test_initial_weights_lie_in_torchs_own_bounds_and_depend_on_the_generator_only():
    torch.manual_seed(1)
    one = StackedGRU([4, 16], 16, generator=generator(3))
    torch.manual_seed(2)
    two = StackedGRU([4, 16], 16, generator=generator(3))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
        assert 0.2 < float(a.data.abs().max()) <= 0.25  # 1/sqrt(16)
