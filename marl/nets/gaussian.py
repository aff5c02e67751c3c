"""Gaussian policies around an actor's output: what stochastic learners explore with.

The actor (`marl.nets.actor`) gives the mean and is what is evaluated and stored; the spread lives
here and is thrown away with training. A *latent* is what the Gaussian draws; a residual in [-1, 1]
is made of it. `log_prob` is that of latents: the Jacobian of the squashing is the same for two
policies at the same latent, so it cancels in every ratio of probabilities. `squashed_log_prob` is
that of residuals, for learners whose objective holds the entropy itself.
"""
# ruff: noqa: N803 - dimension letters as suffixes (obs_NBF), legend in marl/algos/base.py

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from marl.nets.mlp import StackedMLP

HeadKind = Literal["squashed", "clipped"]

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class GaussianHead(nn.Module):
    """Diagonal Gaussians of N agents; its mean residual is that of the actor, tanh(logits).

    Args:
        kind: "squashed": latent ~ N(logits, σ²), residual = tanh(latent), so that noise never piles
            up at a limit; "clipped": latent ~ N(tanh(logits), σ²), residual = latent clipped.
        obs_sizes: (N,) observation width of each agent.
        knobs: A, knobs of the widest agent.
        sigma: σ at the start, in residual units.
        sigma_range: least and largest σ; outside, gradients are stopped.
        hidden: widths of a network that makes σ depend on the observation; empty for one learned
            σ per knob, the same in every state.
        generator: source of that network's weights.
    """

    def __init__(
        self,
        kind: HeadKind,
        obs_sizes: Sequence[int],
        knobs: int,
        *,
        sigma: float,
        sigma_range: tuple[float, float],
        hidden: Sequence[int] = (),
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.log_range = (math.log(sigma_range[0]), math.log(sigma_range[1]))
        self.log_sigma = nn.Parameter(torch.full((len(obs_sizes), 1, knobs), math.log(sigma)))
        self.net = None
        if hidden:
            self.net = StackedMLP(obs_sizes, hidden, knobs, generator=generator, last_scale=0.01)

    def forward(self, logits_NBA: Tensor, obs_NBF: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log σ, both (N, B, A), from the actor's logits and its normalised input."""
        mean = logits_NBA if self.kind == "squashed" else torch.tanh(logits_NBA)
        log_sigma = self.log_sigma if self.net is None else self.log_sigma + self.net(obs_NBF)
        return mean, log_sigma.clamp(*self.log_range).expand_as(mean)

    def residual(self, latent: Tensor) -> Tensor:
        """Residuals in [-1, 1] from latents, of any shape."""
        return torch.tanh(latent) if self.kind == "squashed" else latent.clamp(-1, 1)


def log_prob(latent: Tensor, mean: Tensor, log_sigma: Tensor, mask: Tensor) -> Tensor:
    """Log-density of latents, summed over the last dimension's knobs where `mask` is one."""
    error = (latent - mean) * torch.exp(-log_sigma)
    return ((-0.5 * error.square() - log_sigma - _HALF_LOG_2PI) * mask).sum(-1)


def squashed_log_prob(latent: Tensor, mean: Tensor, log_sigma: Tensor, mask: Tensor) -> Tensor:
    """Log-density of the residuals tanh(latent), summed over the last dimension's masked knobs.

    log π(u) = log N(x; μ, σ²) − Σ log(1 − tanh²(x)) (Haarnoja et al. 2018, arXiv:1801.01290,
    appendix C, eq. 21), the second term as 2 (log 2 − x − softplus(−2x)), which stays finite where
    tanh rounds to one.
    """
    slope = 2 * (math.log(2) - latent - nn.functional.softplus(-2 * latent))
    return log_prob(latent, mean, log_sigma, mask) - (slope * mask).sum(-1)


def entropy(log_sigma: Tensor, mask: Tensor) -> Tensor:
    """Differential entropy of the latents, summed over the last dimension where `mask` is one."""
    return ((log_sigma + 0.5 + _HALF_LOG_2PI) * mask).sum(-1)
