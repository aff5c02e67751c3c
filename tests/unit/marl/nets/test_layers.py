"""Layers, by whatever kernels, against plain operations in float64."""

import pytest
import torch
from torch import nn

from marl.nets import products
from marl.nets.layers import frozen, linear, norm_relu, pays_to_centre
from marl.nets.mlp import StackedMLP

# Members, rows, inputs, outputs, and whether such products go to convolutions on a CPU.
SHAPES = [
    (4, 7, 5, 6, False),
    (4, 256, 24, 64, False),
    (4, 1024, 64, 64, True),
    (4, 1023, 64, 64, False),  # rows that are not cut into equal images
    (1, 1024, 116, 64, True),
    (2, 512, 160, 144, True),  # wide: gradients by weights member by member
    (4, 2048, 64, 5, False),  # few outputs: transposed
    (3, 300, 200, 1, False),
]
has_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN"
)


def drawn(members, rows, inputs, outputs, *, is_shared=False, seed=0):
    """Inputs, weights, biases, and gradients by the outputs."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn((rows, inputs) if is_shared else (members, rows, inputs), generator=g)
    weight = torch.randn((members, inputs, outputs), generator=g) / inputs**0.5
    return (
        x,
        weight,
        torch.randn((members, 1, outputs), generator=g),
        torch.randn((members, rows, outputs), generator=g),
    )


def gradients(out, inputs, grad):
    return [one.double() for one in torch.autograd.grad(out, inputs, grad.to(out.dtype))]


def wide(tensors):
    return [one.double().requires_grad_() for one in tensors]


@has_onednn
@pytest.mark.parametrize(("members", "rows", "inputs", "outputs", "is_large"), SHAPES)
def test_where_products_go(members, rows, inputs, outputs, is_large):
    assert products.is_large(rows, torch.empty(members, inputs, outputs)) == is_large
    assert not products.is_large(rows, torch.empty(members, inputs, outputs).double())


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize(("members", "rows", "inputs", "outputs"), [shape[:4] for shape in SHAPES])
def test_a_layer_and_its_gradients_are_what_is_written(members, rows, inputs, outputs, is_shared):
    x, weight, bias, grad = drawn(members, rows, inputs, outputs, is_shared=is_shared)
    ours = [one.requires_grad_() for one in (x, weight, bias)]
    theirs = wide(one.detach() for one in ours)
    out = linear(*ours)
    expected = theirs[0] @ theirs[1] + theirs[2]
    torch.testing.assert_close(out.double(), expected, atol=1e-5, rtol=1e-5)
    for mine, their in zip(
        gradients(out, ours, grad), gradients(expected, theirs, grad), strict=True
    ):
        assert mine.shape == their.shape
        torch.testing.assert_close(mine, their, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("is_centred", [False, True])
@pytest.mark.parametrize(("members", "rows", "inputs", "outputs"), [shape[:4] for shape in SHAPES])
def test_a_normed_layer_and_its_gradients(members, rows, inputs, outputs, is_centred):
    x, weight, bias, grad = drawn(members, rows, inputs, outputs)
    weight, bias = weight + 1, bias + 3  # a mean that matters
    ours = [one.requires_grad_() for one in (x, weight, bias)]
    theirs = wide(one.detach() for one in ours)
    out = norm_relu(linear(*ours, is_centred=is_centred), is_centred=is_centred)
    z = theirs[0] @ theirs[1] + theirs[2]
    expected = nn.functional.layer_norm(z, z.shape[-1:]).relu()
    if outputs == 1:  # nothing but a mean: nothing is left
        assert float(out.detach().abs().max()) < 1e-3
        return
    torch.testing.assert_close(out.double(), expected, atol=1e-4, rtol=1e-4)
    for mine, their in zip(
        gradients(out, ours, grad), gradients(expected, theirs, grad), strict=True
    ):
        torch.testing.assert_close(mine, their, atol=2e-3 * float(their.abs().max()), rtol=0)


def test_without_gradients_a_layer_says_the_same():
    x, weight, bias, _ = drawn(4, 1024, 64, 64)
    assert pays_to_centre(1024, weight)
    kept = norm_relu(linear(x, weight.requires_grad_(), bias, is_centred=True), is_centred=True)
    with torch.no_grad():
        bare = norm_relu(linear(x, weight, bias, is_centred=True), is_centred=True)
    assert torch.equal(bare, kept)


@pytest.mark.parametrize("rows", [32, 1024])
@pytest.mark.parametrize("has_layer_norm", [False, True])
def test_a_network_of_a_large_batch_is_that_of_its_rows(rows, has_layer_norm):
    g = torch.Generator().manual_seed(0)
    stack = StackedMLP([40] * 4, (64, 64), 3, generator=g, has_layer_norm=has_layer_norm)
    x = torch.randn((4, rows, 40), generator=g)
    one_by_one = torch.cat([stack(part) for part in x.split(5, 1)], 1)
    torch.testing.assert_close(stack(x), one_by_one, atol=1e-5, rtol=1e-5)
    # The same rows with members side by side in memory, as observations come.
    turned = x.transpose(0, 1).contiguous().transpose(0, 1)
    torch.testing.assert_close(stack(turned), stack(x))


@pytest.mark.parametrize("rows", [32, 1024])
def test_in_two_parts_a_large_batch_gets_the_gradients_of_one(rows):
    g = torch.Generator().manual_seed(0)
    stack = StackedMLP([100] * 4, (64, 64), 1, generator=g)
    fixed = torch.randn((rows, 80), generator=g)
    moving = torch.randn((4, rows, 20), generator=g, requires_grad=True)
    whole = torch.cat([fixed.expand(4, -1, -1), moving], -1)
    asked = [moving, *stack.parameters()]
    ours = torch.autograd.grad(stack.beside(fixed, moving).square().sum(), asked)
    theirs = torch.autograd.grad(stack(whole).square().sum(), asked)
    for mine, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, their, atol=1e-4 * float(their.abs().max()), rtol=1e-4)


def test_a_frozen_network_passes_gradients_on_and_takes_none():
    stack = StackedMLP([5], (8,), 1, generator=torch.Generator().manual_seed(0))
    x = torch.randn((1, 6, 5), generator=torch.Generator().manual_seed(1), requires_grad=True)
    with frozen(stack):
        through = stack(x)
    (frozen_by_x,) = torch.autograd.grad(through.sum(), [x], retain_graph=True)
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(through.sum(), [x, *stack.parameters()])
    (by_x, *by_weights) = torch.autograd.grad(stack(x).sum(), [x, *stack.parameters()])
    assert torch.equal(frozen_by_x, by_x)
    assert all(one.abs().max() > 0 for one in by_weights[:2])
    with pytest.raises(ZeroDivisionError), frozen(stack):
        _ = 1 / 0
    assert all(one.requires_grad for one in stack.parameters())
    stack.biases[0].requires_grad_(False)
    with frozen(stack):
        pass
    assert not stack.biases[0].requires_grad  # what was frozen before stays so


@pytest.mark.parametrize("rows", [6, 4096])
def test_a_gradient_of_a_gradient_is_right_or_refused(rows):
    g = torch.Generator().manual_seed(0)
    stack = StackedMLP([5], (16,), 1, generator=g)
    x = torch.randn((1, rows, 5), generator=g, requires_grad=True)
    (by_x,) = torch.autograd.grad(stack(x).square().sum(), [x], create_graph=True)
    if pays_to_centre(rows, stack.weights[0]):
        with pytest.raises(RuntimeError, match="once_differentiable"):
            by_x.sum().backward()
    else:
        by_x.sum().backward()
        assert torch.isfinite(x.grad).all()
