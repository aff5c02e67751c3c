"""What MADDPG's actors' outputs become: residuals of knobs, or choices drawn by Gumbel-softmax.

Four answers each: what is played, what targets assume, what the actors' gradient passes through,
and in which neighbourhood a team's critic is asked. Networks and losses are `marl.algos.maddpg`'s.
"""
# ruff: noqa: N803 - dimension letters as suffixes (obs_BNF), legend in marl/algos/base.py

import torch
from torch import Tensor

from marl.algos.gumbel import gumbel_noise, gumbel_softmax, one_hot_best, straight_through


class ResidualHead:
    """Residuals tanh(output) in [-1, 1].

    Args:
        mask_NA: one where agent i has that knob.
        target_noise: see MaddpgConfig.
        actor_noise: see MaddpgConfig.
        generator: of all noise drawn here.
    """

    def __init__(
        self, mask_NA: Tensor, target_noise: float, actor_noise: float, generator: torch.Generator
    ) -> None:
        self.mask_NA, self.generator = mask_NA, generator
        self.target_noise, self.actor_noise = target_noise, actor_noise

    def act(self, output_NBA: Tensor, noise_NBA: Tensor | None) -> Tensor:
        """What is played, with exploration noise added where given."""
        residual = torch.tanh(output_NBA)
        if noise_NBA is not None:
            residual = (residual + noise_NBA.to(residual.device)).clamp(-1, 1)
        return residual * self.mask_NA[:, None]

    def target(self, output_NBA: Tensor) -> Tensor:
        """What targets assume, smoothed by clipped noise (Fujimoto et al. 2018, eq. 14)."""
        residual = torch.tanh(output_NBA)
        if self.target_noise:
            noise = torch.randn(residual.shape, generator=self.generator).clamp(-2.5, 2.5)
            residual = (residual + noise.to(residual.device) * self.target_noise).clamp(-1, 1)
        return residual * self.mask_NA[:, None]

    def drawn(self, output_NBA: Tensor) -> Tensor:
        """What the gradient passes through."""
        return torch.tanh(output_NBA) * self.mask_NA[:, None]

    def near(self, joint_BNA: Tensor) -> Tensor:
        """A neighbour of a team's joint residuals, at which they are judged."""
        noise = torch.randn(joint_BNA.shape, generator=self.generator).to(joint_BNA.device)
        return (joint_BNA + noise * self.actor_noise) * self.mask_NA


class ChoiceHead:
    """One-hot choices, drawn from the softmax of the outputs.

    Args:
        mask_NA: one where agent i has that choice.
        temperature: see MaddpgConfig.
        generator: of all draws.
    """

    def __init__(self, mask_NA: Tensor, temperature: float, generator: torch.Generator) -> None:
        self.is_open = (mask_NA > 0)[:, None]
        self.temperature, self.generator = temperature, generator

    def act(self, output_NBA: Tensor, noise_NBA: Tensor | None) -> Tensor:
        """The likeliest choice; with `gumbel_noise` given, one drawn by it."""
        noisy = output_NBA if noise_NBA is None else output_NBA + noise_NBA.to(output_NBA.device)
        return one_hot_best(noisy, self.is_open)

    def target(self, output_NBA: Tensor) -> Tensor:
        """A draw: the value that bootstraps is that of the policy, not of its likeliest choice."""
        return one_hot_best(output_NBA + self._noise(output_NBA), self.is_open)

    def drawn(self, output_NBA: Tensor) -> Tensor:
        """A hard draw that carries the soft one's gradient."""
        noise = self._noise(output_NBA)
        return straight_through(gumbel_softmax(output_NBA, noise, self.temperature, self.is_open))

    def near(self, joint_BNA: Tensor) -> Tensor:
        """The choices themselves: drawing is the neighbourhood."""
        return joint_BNA

    def _noise(self, output: Tensor) -> Tensor:
        return gumbel_noise(tuple(output.shape), self.generator).to(output.device)
