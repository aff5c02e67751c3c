"""Steps of optimisers that every learner takes the same way: clipped per network, shrinking.

What is minimised belongs to `losses` and to the learners.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from marl.algos.losses import clip_stacked_grad_norm


def clipped_step(loss: Tensor, optimiser: torch.optim.Optimizer, limit: float) -> Tensor:
    """One step down `loss` of the optimiser's own parameters and no others.

    Args:
        loss: scalar.
        optimiser: of one stack of E networks.
        limit: largest gradient norm per network.

    Returns:
        (E,) gradient norms before clipping.
    """
    parameters = [one for group in optimiser.param_groups for one in group["params"]]
    gradients = list(torch.autograd.grad(loss, parameters))
    norms = clip_stacked_grad_norm(gradients, limit)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimiser.step()
    return norms


def shrink(
    optimisers: Iterable[tuple[torch.optim.Optimizer, float]], end: float, done: float
) -> None:
    """Set step sizes for the share `done` of a run: from their start linearly to `end` of it.

    Args:
        optimisers: each with its step at the start.
        end: share of the start that is left at the end.
        done: share of the run that is over.
    """
    for optimiser, start in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = start * (1.0 + (end - 1.0) * done)
