"""Gumbel-softmax: gradients through a drawn choice. Pure functions of logits and given noise.

Adding Gumbel noise to logits and taking the largest draws from their softmax (Gumbel 1954; the
"Gumbel-max trick"). Softening that maximum makes the draw differentiable (Jang et al. 2017,
arXiv:1611.01144; Maddison et al. 2017, arXiv:1611.00712); its straight-through form plays the hard
choice and lets the soft one carry the gradient. What a continuous actor's learner needs where
actions are discrete, as in MADDPG (Lowe et al. 2017, arXiv:1706.02275).
"""

import torch
from torch import Tensor


def gumbel_noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise −log(−log U), U uniform in (0, 1); finite always."""
    uniform = torch.rand(shape, generator=generator)
    # The generator's zero would be −∞; its nearest to one stays below it.
    return -torch.log(-torch.log(uniform.clamp(min=torch.finfo(uniform.dtype).tiny)))


def gumbel_softmax(logits: Tensor, noise: Tensor, temperature: float, is_open: Tensor) -> Tensor:
    """Soft draw softmax((logits + noise) / temperature) over open choices (Jang et al., eq. 2).

    Args:
        logits: (..., A) unnormalised log-probabilities.
        noise: the same shape, `gumbel_noise`.
        temperature: near 0 the draw is hard and its gradient's variance large; large, the draw is
            uniform and its gradient small.
        is_open: bool, broadcastable; closed choices have probability 0. At least one is open.

    Raises:
        ValueError: a temperature that is not above 0, or noise of another shape.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0; got {temperature}")
    if noise.shape != logits.shape:
        raise ValueError(f"noise {tuple(noise.shape)} for logits {tuple(logits.shape)}")
    perturbed = (logits + noise) / temperature
    return torch.softmax(perturbed.masked_fill(~is_open, -torch.inf), -1)


def straight_through(soft: Tensor) -> Tensor:
    """One-hot of the largest entry, with the gradient of the soft ones (Jang et al., section 2.2).

    The first of several largest entries is taken.
    """
    hard = torch.zeros_like(soft).scatter(-1, soft.argmax(-1, keepdim=True), 1.0)
    # Exactly one-hot: soft − soft is 0 to the last bit, as soft is finite.
    return hard + (soft - soft.detach())


def one_hot_best(logits: Tensor, is_open: Tensor) -> Tensor:
    """One-hot of the open choice of the largest logit; no gradient."""
    best = logits.detach().masked_fill(~is_open, -torch.inf).argmax(-1, keepdim=True)
    return torch.zeros_like(logits).scatter(-1, best, 1.0)
