"""Soft actor-critic without memory: SAC, MASAC and ISAC by name (`marl.algos.sac_config`)."""
# ruff: noqa: N803 - dimension letters as suffixes (obs_BNF), legend in marl/algos/base.py

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from marl.algos.base import Batch
from marl.algos.soft_actor_critic import SoftActorCritic
from marl.nets.mlp import StackedMLP


class Sac(SoftActorCritic[Batch]):
    """The learner; its updates and arguments are `SoftActorCritic`'s."""

    def _head_inputs(self) -> Sequence[int]:
        return self.spec.obs_sizes

    def _new_critic(self, seen: Sequence[int], acted: int) -> StackedMLP:
        net = self.config.net
        return StackedMLP(
            [width + acted for width in seen] * self.config.critics,
            net.hidden,
            1,
            generator=self.generator,
            has_layer_norm=net.has_layer_norm,
        )

    @torch.no_grad()
    def explore(self, obs_BNF: Tensor, memory: Tensor | None = None) -> tuple[Tensor, None]:
        """Residuals (N, B, A) drawn from the policy; there is no memory."""
        return self._draw(*self._distribution(obs_BNF))[0], None

    def _policy(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self._distribution(batch.obs_BNF)

    def _next_policy(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self._distribution(batch.next_obs_BNF)

    def _seen(self, critic: nn.Module, batch: Batch, *, is_next: bool) -> Tensor:
        if self.config.is_central:
            return self.state_norm(batch.next_state_BS if is_next else batch.state_BS)
        obs = self.actor.norm(batch.next_obs_BNF if is_next else batch.obs_BNF)
        return obs.transpose(0, 1).repeat(self.config.critics, 1, 1)

    def _distribution(self, obs_BNF: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log σ, (N, B, A)."""
        inputs = self.actor.norm(obs_BNF).transpose(0, 1)
        mean, log_sigma = self.head(self.actor.net(inputs), inputs)
        return mean, log_sigma
