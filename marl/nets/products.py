"""Matrix products of a stack of linear layers, and of their gradients, by the fastest kernels.

E layers of the same size are E products of a batch. What computes them fastest depends on their
shapes and on the processor, several times over:

* Large ones on a CPU: a stack of layers is a 1×1 convolution in E groups, which oneDNN computes
  with kernels made for the processor it runs on. torch gives plain products to MKL, which on AMD's
  processors leaves half of the vector unit idle (seen on an EPYC, Zen 5).
* Few outputs (a value, an action): the product is formed transposed, because MKL spends on one
  column what it spends on sixteen.
* All else, and every other device: batched products.

`python -m tests.benchmarks.bench_maddpg` measures a whole update beside plain products and beside
these. Gradients of layers are put together in `marl.nets.layers`.
"""
# ruff: noqa: N803, N806 - dimension letters as suffixes, legend in marl/algos/base.py

from typing import Final

import torch
from torch import Tensor
from torch.nn.grad import conv2d_weight

_NARROW: Final = 16  # fewer outputs than this: the transposed product is faster
_IMAGES: Final = 16  # torch gives a 1×1 convolution to oneDNN from 16 images on: rows are cut so
_ROWS: Final = 512  # rows, and multiplications, from which a convolution is worth its overhead
_LARGE: Final = 6_000_000
_TALL: Final = 1 << 15  # numbers of input from which the transposed product is worth arranging
_WIDE: Final = 128  # from here on gradients by weights are worth a copy of each member's rows


def is_large(rows: int, weight_EFH: Tensor) -> bool:
    """Whether products of these weights with so many rows go to convolutions."""
    return (
        rows >= _ROWS
        and rows % _IMAGES == 0
        and rows * weight_EFH.numel() >= _LARGE
        and weight_EFH.shape[2] >= _NARROW
        and weight_EFH.device.type == "cpu"
        and weight_EFH.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
    )


def is_special(rows: int, weight_EFH: Tensor) -> bool:
    """Whether anything here is faster than one plain batched product with torch's own gradients."""
    members, width_in, width_out = weight_EFH.shape
    if width_out >= _NARROW:
        return is_large(rows, weight_EFH)
    return members * rows * width_in >= _TALL and members * width_out > 1


def forward(x: Tensor, weight_EFH: Tensor, bias: Tensor) -> Tensor:
    """Outputs of the layers.

    Args:
        x: (E, B, F) one input per member, or (B, F) the same for all.
        weight_EFH: weights.
        bias: (E, 1, H) biases, or (E, B, H) what else the products are added to.

    Returns:
        (E, B, H), not always contiguous.
    """
    members, width_in, width_out = weight_EFH.shape
    if is_large(x.shape[-2], weight_EFH):
        kernel = weight_EFH.mT.reshape(members * width_out, width_in, 1, 1)
        groups = 1 if x.dim() == 2 else members
        if bias.shape[1] > 1:
            return _rows(torch.conv2d(_image(x), kernel, groups=groups), members).add_(bias)
        return _rows(torch.conv2d(_image(x), kernel, bias.flatten(), groups=groups), members)
    x = x.expand(members, *x.shape[-2:])
    if width_out < _NARROW:
        return torch.baddbmm(bias.mT, weight_EFH.mT, x.mT).mT
    return torch.baddbmm(bias, x, weight_EFH)


def by_input(grad_EBH: Tensor, weight_EFH: Tensor) -> Tensor:
    """(E, B, F) gradients by every member's input, from those by its outputs."""
    members, width_in, width_out = weight_EFH.shape
    if is_large(grad_EBH.shape[1], weight_EFH):
        kernel = weight_EFH.reshape(members * width_in, width_out, 1, 1)
        return _rows(torch.conv2d(_image(grad_EBH), kernel, groups=members), members)
    if width_out == 1:
        return grad_EBH * weight_EFH.mT
    return torch.bmm(grad_EBH, weight_EFH.mT)


def by_weight(x: Tensor, grad_EBH: Tensor) -> Tensor:
    """(E, F, H) gradients by the weights, from inputs (see `forward`) and gradients by outputs."""
    members, rows, width_out = grad_EBH.shape
    # Nothing but the shape of the weights.
    weight_EFH = grad_EBH.new_empty(()).expand(members, x.shape[-1], width_out)
    if not is_large(rows, weight_EFH):
        x = x.expand(members, rows, -1)
        if width_out < _NARROW:
            return torch.bmm(grad_EBH.mT, x).mT.contiguous()
        return torch.bmm(x.mT, grad_EBH)
    if x.dim() == 2:
        flat = _by_kernel(x, grad_EBH.transpose(0, 1).flatten(1))
        return flat.unflatten(1, (members, width_out)).transpose(0, 1).contiguous()
    if members == 1 or min(x.shape[2], width_out) >= _WIDE:
        # oneDNN is slow at gradients by weights in groups.
        return torch.stack([_by_kernel(one, grad) for one, grad in zip(x, grad_EBH, strict=True)])
    return torch.bmm(x.mT, grad_EBH)


def _by_kernel(x_BF: Tensor, grad_BH: Tensor) -> Tensor:
    """(F, H) gradient by the weights of one layer."""
    shape = (grad_BH.shape[1], x_BF.shape[1], 1, 1)
    grad: Tensor = conv2d_weight(_image(x_BF), shape, _image(grad_BH))
    return grad[:, :, 0, 0].mT


def _image(x: Tensor) -> Tensor:
    """(16, E·F, B/16, 1) with channels last in memory, from (E, B, F) or (B, F)."""
    if x.dim() == 3:
        x = x.transpose(0, 1).flatten(1)
    return x.contiguous().view(_IMAGES, -1, 1, x.shape[1]).permute(0, 3, 1, 2)


def _rows(image: Tensor, members: int) -> Tensor:
    """(E, B, H) from what a convolution made; a view where it kept channels last."""
    flat = image.permute(0, 2, 3, 1).flatten(0, 2)
    return flat.unflatten(1, (members, -1)).transpose(0, 1)
