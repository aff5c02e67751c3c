"""Soft actor-critic: one controller over all services, independent agents, or a central critic.

Haarnoja et al. 2018 (arXiv:1801.01290, and with a learned temperature arXiv:1812.05905): actors are
squashed Gaussians that maximise reward and entropy, twin critics judge them, the smaller one
counts. Who controls and who judges is in the name (`SacConfig`). Actions are residuals around a
baseline (`marl.nets.actor`). Here are the updates; what networks see and remember is the learners'
(`marl.algos.sac`, and with memory `marl.algos.sac_gru`). Loop, buffer and returns are shared and
live elsewhere.
"""
# ruff: noqa: N802, N803 - dimension letters as suffixes (obs_BNF), legend in marl/algos/base.py

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from marl.algos.base import SoftTarget, TeamSpec, take_over
from marl.algos.learner_state import LearnerState
from marl.algos.losses import critic_loss
from marl.algos.sac_config import SacConfig
from marl.algos.sac_losses import policy_loss, soft_value, temperature_loss
from marl.algos.steps import clipped_step
from marl.nets.actor import TeamActor
from marl.nets.gaussian import GaussianHead, squashed_log_prob
from marl.nets.layers import frozen
from marl.nets.norm import RunningNorm


class Rows(Protocol):
    """What is asked of a batch of any kind: R rows to learn values of, see `marl.algos.base`."""

    @property
    def residual_BNA(self) -> Tensor:
        """(R, N, A) what was done."""
        ...

    @property
    def return_BN(self) -> Tensor:
        """(R, N) rewards before the bootstrap."""
        ...

    @property
    def discount_B(self) -> Tensor:
        """(R,) factor of the value of what follows."""
        ...

    @property
    def weight_B(self) -> Tensor:
        """(R,) how much each row counts."""
        ...


BatchT = TypeVar("BatchT", bound=Rows)


class SoftActorCritic(LearnerState, ABC, Generic[BatchT]):
    """Everything of the learners but what their networks remember.

    Args:
        config: hyper-parameters.
        spec: sizes of observations, actions and state; of one controller where `is_joint`.
        baseline: (N, A) the baseline joint action, padded.
        generator: initial weights and exploration; its state is part of `state_dict`.
        device: where networks live.
    """

    def __init__(
        self,
        config: SacConfig,
        spec: TeamSpec,
        baseline: Tensor,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config = config
        self.spec = spec
        self.name = config.name
        self.generator = generator
        self.updates = 0
        self._error_CJR = torch.zeros(1, 1, 0)
        agents, knobs = baseline.shape
        self.judges = 1 if config.is_central else agents
        self.actor = TeamActor(
            spec.obs_sizes,
            baseline,
            bound=config.residual_bound,
            net=config.net,
            generator=generator,
            layouts=spec.layouts,
        ).to(device)
        self.head = GaussianHead(
            "squashed",
            self._head_inputs(),
            knobs,
            sigma=config.sigma,
            sigma_range=config.sigma_range,
            hidden=config.sigma_hidden,
            generator=generator,
        ).to(device)
        # What each judge sees, and the actions it judges. Padded observations keep their width.
        self.critic = (
            self._new_critic([spec.state_size], agents * knobs)
            if config.is_central
            else self._new_critic([max(spec.obs_sizes)] * agents, knobs)
        ).to(device)
        self.target_critic = copy.deepcopy(self.critic)
        self.follower = SoftTarget(self.target_critic, self.critic, config.tau)
        self.state_norm = RunningNorm((spec.state_size,)).to(device)
        self.mask = spec.action_mask().to(device)  # (N, A)
        self.target_entropy = config.target_entropy * self.mask.sum(1)  # (N,)
        self.log_alpha = nn.Parameter(torch.full((agents,), math.log(config.alpha), device=device))
        self.actor_optimiser = torch.optim.Adam(
            [*self.actor.net.parameters(), *self.head.parameters()], lr=config.actor_lr, fused=True
        )
        self.critic_optimiser = torch.optim.Adam(
            self.critic.parameters(), lr=config.critic_lr, fused=True
        )
        self.alpha_optimiser = torch.optim.Adam([self.log_alpha], lr=config.alpha_lr)
        lrs = {"actor_optimiser": config.actor_lr, "critic_optimiser": config.critic_lr}
        self._register(
            ("actor", "head", "critic", "target_critic", "state_norm", "alpha_optimiser"),
            lrs,
            config.lr_end,
        )

    def observe(self, obs_BNF: Tensor, state_BS: Tensor) -> None:
        """Take new experience into the running statistics that normalise inputs."""
        self.actor.norm.update(obs_BNF)
        self.state_norm.update(state_BS)

    def policy(self) -> TeamActor:
        """The actor to evaluate and to store."""
        return self.actor

    def load_actor(self, state: Mapping[str, Tensor]) -> None:
        """Take over actors with their input statistics; exploration starts anew."""
        take_over(self.actor, state)

    def td_error(self) -> Tensor:
        """(R,) absolute temporal-difference errors of the last batch, mean over critics."""
        return self._error_CJR.abs().mean((0, 1))

    def update(self, batch: BatchT) -> dict[str, Tensor]:
        """One critic step and, after the warm-up, one step of actors and temperatures."""
        metrics = self._update_critic(batch)
        self.updates += 1
        if self.updates > self.config.actor_warmup:
            metrics |= self._update_actor(batch)
        self.follower.move()
        return metrics

    def _update_critic(self, batch: BatchT) -> dict[str, Tensor]:
        with torch.no_grad():
            residual, log_prob = self._draw(*self._next_policy(batch))
            seen = self._seen(self.target_critic, batch, is_next=True)
            next_value = soft_value(
                self._values(self.target_critic, seen, residual), log_prob, self.alpha
            )
            returns = batch.return_BN
            if self.judges == 1:
                returns = returns.mean(1, keepdim=True)
            target = returns.transpose(0, 1) + batch.discount_B * next_value  # (J, R)
        seen = self._seen(self.critic, batch, is_next=False)
        value = self._values(self.critic, seen, batch.residual_BNA.transpose(0, 1))
        self._error_CJR = value.detach() - target
        loss = critic_loss(value, target, batch.weight_B)
        norms = clipped_step(loss, self.critic_optimiser, self.config.grad_limit)
        return {
            "critic_loss": loss.detach() / (value.shape[0] * value.shape[1]),
            "critic_grad_norm": norms.mean(),
            "value": value.detach().mean(),
            "target_std": target.std(),
        }

    def _update_actor(self, batch: BatchT) -> dict[str, Tensor]:
        """One step of all actors, then of the temperatures."""
        mean, log_sigma = self._policy(batch)
        residual, log_prob = self._draw(mean, log_sigma)
        with torch.no_grad():
            seen = self._seen(self.critic, batch, is_next=False)
        with frozen(self.critic):
            value = self._values(self.critic, seen, residual)
        saturation = (mean.square() * self.mask[:, None]).sum((0, 2)).mean()
        loss = policy_loss(value, log_prob, self.alpha, batch.weight_B)
        norms = clipped_step(
            loss + self.config.residual_l2 * saturation,
            self.actor_optimiser,
            self.config.grad_limit,
        )
        entropy_loss = temperature_loss(
            self.log_alpha, log_prob, self.target_entropy, batch.weight_B
        )
        (self.log_alpha.grad,) = torch.autograd.grad(entropy_loss, [self.log_alpha])
        self.alpha_optimiser.step()
        return {
            "actor_loss": loss.detach() / self.judges,
            "actor_grad_norm": norms.mean(),
            "residual_rms": torch.tanh(mean.detach()).square().mean().sqrt(),
            "exploration/sigma": (log_sigma.detach().exp().mean(1) * self.mask).sum()
            / self.mask.sum(),
            "entropy_per_knob": -(log_prob.detach().mean(1) / self.mask.sum(1)).mean(),
            "alpha": self.alpha.mean(),
        }

    @property
    def alpha(self) -> Tensor:
        """(N,) temperatures, without gradient."""
        return self.log_alpha.detach().exp()

    def _values(self, critic: nn.Module, seen: Tensor, residual_NRA: Tensor) -> Tensor:
        """(C, J, R) from what is seen and all agents' residuals; each judge sees its own."""
        residual = residual_NRA * self.mask[:, None] * self.config.action_gain
        if self.config.is_central:
            acted = residual.transpose(0, 1).flatten(1)  # (R, N·A)
            acted = acted.expand(*seen.shape[:-1], -1)
        else:
            acted = residual.repeat(self.config.critics, 1, 1)
        value: Tensor = critic(torch.cat([seen, acted], -1))
        return value.squeeze(-1).unflatten(0, (self.config.critics, self.judges))

    @abstractmethod
    def _head_inputs(self) -> Sequence[int]:
        """(N,) width of what the actors' spread depends on."""

    @abstractmethod
    def _new_critic(self, seen: Sequence[int], acted: int) -> nn.Module:
        """Critics of judges that see (J,) features and judge `acted` knobs each; C of each."""

    @abstractmethod
    def explore(self, obs_BNF: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Residuals (N, B, A) drawn from the policy, and the memory after."""

    @abstractmethod
    def _policy(self, batch: BatchT) -> tuple[Tensor, Tensor]:
        """Means and log σ (N, R, A) at the batch's rows; seen through actors' observations only."""

    @abstractmethod
    def _next_policy(self, batch: BatchT) -> tuple[Tensor, Tensor]:
        """Means and log σ (N, R, A) at what follows the rows."""

    @abstractmethod
    def _seen(self, critic: nn.Module, batch: BatchT, *, is_next: bool) -> Tensor:
        """What critics see beside actions: (R, ·) shared by all, or (C·J, R, ·)."""

    def _draw(self, mean_NRA: Tensor, log_sigma_NRA: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals (N, R, A), reparameterised, and their log-density (N, R)."""
        noise = torch.randn(mean_NRA.shape, generator=self.generator).to(mean_NRA.device)
        latent = mean_NRA + noise * log_sigma_NRA.exp()
        log_prob = squashed_log_prob(latent, mean_NRA, log_sigma_NRA, self.mask[:, None])
        return torch.tanh(latent) * self.mask[:, None], log_prob

    def state_dict(self) -> dict[str, Any]:
        """As of every learner, and the temperatures."""
        return {**super().state_dict(), "log_alpha": self.log_alpha.detach()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict()`."""
        super().load_state_dict(state)
        self.log_alpha.data.copy_(state["log_alpha"])
