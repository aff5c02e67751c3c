"""Linear layers of a stack, and the norm with ReLU between them, for large batches on a CPU.

What is computed is `x·W + b` and `relu(layer_norm(z))`. torch's own operations and their gradients
say the same, several times slower where batches are large:

* Products, forward and backward, are those of `marl.nets.products`, biases added within them.
* Layer norm takes the mean out of its input. Taken out of the weights beforehand (`is_centred`) it
  is not there, and what is left to find is a row's length, which vectorises over rows of any width.

A gradient by weights is computed wherever weights require one, also where only gradients by inputs
are asked for; `frozen` is for networks through which others are trained.
"""
# ruff: noqa: N803, N806 - dimension letters as suffixes, legend in marl/algos/base.py

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from marl.nets import products

_EPSILON: Final = 1e-5  # torch's own
_MANY: Final = 1 << 16  # outputs from which centring weights costs less than it saves


def linear(
    x: Tensor,
    weight_EFH: Tensor,
    bias: Tensor,
    *,
    is_centred: bool = False,
    has_relu: bool = False,
) -> Tensor:
    """Outputs (E, B, H), not always contiguous.

    Args:
        x: (E, B, F) one input per member, or (B, F) the same for all.
        weight_EFH: weights.
        bias: (E, 1, H) biases, or (E, B, H) what else the products are added to.
        is_centred: without the mean of each row, which `bias` must not have either if it has rows.
            Only for `norm_relu`: gradients are right if those by the outputs have no mean.
        has_relu: ReLU of the outputs.
    """
    if is_centred or products.is_special(x.shape[-2], weight_EFH):
        out: Tensor = _Linear.apply(x, weight_EFH, bias, is_centred, has_relu)
        return out
    if x.dim() == 2:
        x = x.expand(len(weight_EFH), -1, -1)
    out = torch.baddbmm(bias, x, weight_EFH)
    # In place: nothing else reads it, and memory costs as much as arithmetic here.
    return nn.functional.relu(out, inplace=True) if has_relu else out


def norm_relu(z_EBH: Tensor, *, is_centred: bool = False) -> Tensor:
    """ReLU of layer norm without gain and bias (Ba et al. 2016). May overwrite its input.

    Args:
        z_EBH: what is normalised over its last dimension.
        is_centred: it came from `linear` without means.
    """
    if is_centred:
        out: Tensor = _NormReLU.apply(z_EBH)
        return out
    return nn.functional.relu(nn.functional.layer_norm(z_EBH, z_EBH.shape[-1:]), inplace=True)


def pays_to_centre(rows: int, weight_EFH: Tensor) -> bool:
    """Whether `is_centred` is the faster way for so many rows."""
    members, _, width = weight_EFH.shape
    return rows * members * width >= _MANY


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """What is computed within passes gradients on to its inputs, none to the network's weights."""
    trained = [one for one in network.parameters() if one.requires_grad]
    for one in trained:
        one.requires_grad_(False)
    try:
        yield
    finally:
        for one in trained:
            one.requires_grad_(True)


def _without_mean(rows: Tensor) -> Tensor:
    return torch.sub(rows, rows.sum(-1, keepdim=True), alpha=1 / rows.shape[-1])


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight_EFH: Tensor, bias: Tensor, is_centred: bool, has_relu: bool
    ) -> Tensor:
        used = weight_EFH
        ctx.has_rows = bias.shape[1] > 1
        if is_centred:
            used = _without_mean(weight_EFH)
            bias = bias if ctx.has_rows else _without_mean(bias)
        out_EBH = products.forward(x, used, bias)
        if has_relu:
            out_EBH.relu_()
        ctx.save_for_backward(x, weight_EFH, out_EBH if has_relu else None)
        return out_EBH

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad_EBH,) = grads
        x, weight_EFH, out_EBH = ctx.saved_tensors
        if out_EBH is not None:
            grad_EBH = torch.ops.aten.threshold_backward(grad_EBH, out_EBH, 0)
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = products.by_input(grad_EBH, weight_EFH)
            if x.dim() == 2:
                grad_x = grad_x.sum(0)
        if ctx.needs_input_grad[1]:
            grad_weight = products.by_weight(x, grad_EBH)
        if ctx.needs_input_grad[2]:
            grad_bias = grad_EBH if ctx.has_rows else grad_EBH.sum(1, keepdim=True)
        return grad_x, grad_weight, grad_bias, None, None


class _NormReLU(torch.autograd.Function):
    """Of rows without a mean."""

    @staticmethod
    def forward(ctx: Any, z_EBH: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(z_EBH, dim=-1, keepdim=True)
        epsilon = z_EBH.new_full((), _EPSILON)
        scale = torch.addcmul(epsilon, length, length, value=1 / z_EBH.shape[-1]).rsqrt_()
        if not ctx.needs_input_grad[0]:
            return z_EBH.mul_(scale).relu_()
        y_EBH = (z_EBH * scale).relu_()
        ctx.save_for_backward(z_EBH, scale, y_EBH)
        return y_EBH

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """Layer norm's gradient, which has no mean, whatever came in."""
        z, scale, y = ctx.saved_tensors
        grad = torch.ops.aten.threshold_backward(grads[0], y, 0)
        is_turned = not z.is_contiguous()  # rows first in memory, as convolutions leave them
        if is_turned:
            z, scale, grad = (one.transpose(0, 1).contiguous() for one in (z, scale, grad))
        grad, _, _ = torch.ops.aten.native_layer_norm_backward(
            grad, z, z.shape[-1:], torch.zeros_like(scale), scale, None, None, [True, False, False]
        )
        return grad.transpose(0, 1) if is_turned else grad
