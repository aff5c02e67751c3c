"""First-order learners: actors follow the return's own gradient through a differentiable world.

Analytic policy gradient ("apg"): truncated backpropagation through replayed history (Madeka et al.
2022, arXiv:2210.03137; Alvo et al. 2023, arXiv:2306.11246). Short-horizon actor-critic ("shac": Xu
et al. 2022, arXiv:2204.07137): what comes after a window is told by a central critic with a target
network. Actors are decentralised; the gradient of the team's reward also passes through what one
agent's action lets the others observe. The world and its windows belong to `marl.train`.
"""
# ruff: noqa: N803, N815 - dimension letters as suffixes (obs_BNF), legend in marl/algos/base.py

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn

from marl.algos.base import SoftTarget, TeamSpec, named_by_agent, take_over
from marl.algos.first_order_returns import faded_return, td_lambda_target, window_return
from marl.algos.learner_state import LearnerState
from marl.algos.sensors import Sensors
from marl.algos.steps import clipped_step
from marl.frozen import Frozen
from marl.nets.actor import TeamActor
from marl.nets.config import NetConfig
from marl.nets.mlp import StackedMLP
from marl.nets.norm import RunningNorm

# Added to the variance of the critic's inputs: a slope with respect to a feature that has hardly
# moved yet must not be magnified a thousandfold when it is followed back to the actions.
_LEAST_VARIANCE = 1e-2


class DifferentiableRollout(Protocol):
    """One episode of B worlds that gradients flow through, from its first step on."""

    def obs(self) -> Mapping[str, Tensor]:
        """Agent → (B, F_i) what each agent sees before the next step."""
        ...

    def state(self) -> Tensor:
        """(B, S) what a central critic sees of the worlds before the next step."""
        ...

    def future(self, horizon: int) -> Tensor:
        """(B, K) exogenous inputs of the next `horizon` steps; K is 0 for 0 steps."""
        ...

    def advance(self, actions: Mapping[str, Tensor], steps: int) -> Tensor:
        """Hold agent → (B, A_i) for `steps` steps; (B,) mean team reward per step."""
        ...

    def fade(self, share: float, limit: float = ...) -> None:
        """Let only `share` of later gradients reach what came before, each at most `limit`.

        A share of 0 cuts them off; without a limit all pass.
        """
        ...

    def fork(self) -> "DifferentiableRollout":
        """An independent copy at the same state in the same weather."""
        ...


class FirstOrderConfig(Frozen):
    """Hyper-parameters of APG and SHAC. Those of critics are of no effect for "apg".

    Attributes:
        name: "apg" or "shac".
        window: decisions that gradients pass through (Xu et al. 2022: 32 steps of physics). Three
            hours of five minutes, longer than any order or start-up takes.
        carry_limit: largest gradient of the window's mean reward per cloud that a decision's
            successors hand back to any component of its state, in units of normalised reward.
            In a few clouds gradients multiply from step to step; without a limit these steer the
            whole batch (clipping within backpropagation through time: Graves 2013,
            arXiv:1308.0850, §2.1).
        discount: where the discount of a window's later rewards is put. "gradient" lets `gamma` of
            a later reward's gradient through every decision, so that each decision, wherever it
            stands in the window, climbs its own discounted future; "reward" weighs rewards by their
            place in the window (Xu et al. 2022, eq. 5), which with a small `gamma` all but
            silences the late decisions.
        noise: standard deviation, at the run's start, of the Gaussian offsets that each cloud adds
            to all residuals for an episode; it shrinks linearly to nothing. Actors climb the return
            averaged over a neighbourhood (randomised smoothing: Duchi, Bartlett and Wainwright
            2012, arXiv:1103.4296), because whole units leave plateaus without a slope. Drawn anew
            at every decision, as Xu et al. (2022) do, it would restart the database all the time.
        misread: how wrong clouds read their metrics while actors learn (`marl.algos.sensors`).
        net: kind and sizes of the actors' networks, with a memory or without; the critic is an MLP
            of its sizes (Xu et al. 2022: layer norm, too).
        actor_lr: Adam step of the actors (Xu et al. 2022: .002). Gradients here are nearly free of
            noise and windows few, so larger.
        critic_lr: Adam step of the critic (Xu et al. 2022: .002 or .0005).
        lr_end: both steps shrink linearly to this share of themselves over the run.
        betas: Adam's averages (Xu et al. 2022: .7, .95; a short memory suits few, exact gradients).
        grad_limit: largest gradient norm per network, in units of normalised reward (Xu et al.
            2022: 1).
        residual_bound: how far an actor may move a knob from the baseline, in action units. Wider
            than where exploring costs: nothing is explored.
        residual_l2: weight of the squared output before squashing, which keeps tanh from
            saturating.
        td_lambda: λ of the critic's targets (Xu et al. 2022: .95).
        tau: target rate per window (Xu et al. 2022 keep .2 of the old: .8).
        critic_steps: passes over a window's states per window (Xu et al. 2022: 16).
        critic_batches: gradient steps of each pass (Xu et al. 2022: 4).
    """

    name: Literal["apg", "shac"] = "apg"
    window: int = Field(default=36, ge=1)
    carry_limit: float = Field(default=5.0, gt=0)
    discount: Literal["gradient", "reward"] = "gradient"
    noise: float = Field(default=0.15, ge=0)
    misread: float = Field(default=0.0, ge=0, le=1)
    net: NetConfig = NetConfig()
    actor_lr: float = Field(default=5e-3, gt=0)
    critic_lr: float = Field(default=2e-3, gt=0)
    lr_end: float = Field(default=0.1, gt=0, le=1)
    betas: tuple[float, float] = (0.7, 0.95)
    grad_limit: float = Field(default=1.0, gt=0)
    residual_bound: float = Field(default=1.0, gt=0, le=2)
    residual_l2: float = Field(default=1e-3, ge=0)
    td_lambda: float = Field(default=0.95, ge=0, le=1)
    tau: float = Field(default=0.8, gt=0, le=1)
    critic_steps: int = Field(default=16, ge=1)
    critic_batches: int = Field(default=4, ge=1)


@dataclass(frozen=True)
class Window:
    """What a window of T decisions leaves behind.

    Attributes:
        reward_TB: normalised team rewards; gradients reach the actors through them.
        logit_TNBA: the actors' outputs before squashing.
        state_TBS: critic's inputs before each decision; (T, B, 0) where there is no critic.
        last_state_BS: the same after the last decision, with gradients.
        obs_TBNF: packed observations, without gradients.
    """

    reward_TB: Tensor
    logit_TNBA: Tensor
    state_TBS: Tensor
    last_state_BS: Tensor
    obs_TBNF: Tensor


class FirstOrder(LearnerState):
    """The learner; see the module docstring.

    Args:
        config: hyper-parameters.
        spec: sizes of observations, actions and the critic's state.
        baseline: (N, A) the baseline joint action, padded.
        gamma: discount per decision.
        generator: initial weights, noise and minibatches; its state is part of `state_dict`.
        device: where networks live.
    """

    def __init__(
        self,
        config: FirstOrderConfig,
        spec: TeamSpec,
        baseline: Tensor,
        gamma: float,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config, self.spec, self.gamma, self.generator = config, spec, gamma, generator
        self.name = config.name
        self.has_critic = config.name == "shac"
        self.updates = 0
        self.offset: Tensor | None = None  # (N, B, A) of the episode that is being played
        self.sensors = Sensors(config.misread, generator)
        self.actor = TeamActor(
            spec.obs_sizes,
            baseline,
            bound=config.residual_bound,
            net=config.net,
            generator=generator,
            layouts=spec.layouts,
        ).to(device)
        self.mask = spec.action_mask().to(device)  # (N, A)
        self.actor_optimiser = _adam(self.actor.net, config.actor_lr, config)
        parts, lrs = ["actor"], {"actor_optimiser": config.actor_lr}
        if self.has_critic:
            self.critic = StackedMLP(
                [spec.state_size],
                config.net.hidden,
                1,
                generator=generator,
                has_layer_norm=config.net.has_layer_norm,
            ).to(device)
            self.target_critic = copy.deepcopy(self.critic)
            self.follower = SoftTarget(self.target_critic, self.critic, config.tau)
            self.state_norm = RunningNorm((spec.state_size,), epsilon=_LEAST_VARIANCE).to(device)
            self.critic_optimiser = _adam(self.critic, config.critic_lr, config)
            parts += ["critic", "target_critic", "state_norm"]
            lrs["critic_optimiser"] = config.critic_lr
        self._register(parts, lrs, config.lr_end)

    def begin(self, rows: int, share: float) -> float:
        """Draw the offsets that `rows` clouds keep for an episode, and what they misread.

        Args:
            rows: B.
            share: of the noise at the run's start.

        Returns:
            The offsets' standard deviation.
        """
        self.sensors.begin(rows)
        sigma = self.config.noise * share
        self.offset = None
        if sigma:
            shape = (len(self.spec.agents), rows, max(self.spec.action_sizes))
            drawn = torch.randn(shape, generator=self.generator) * sigma
            self.offset = drawn.to(self.mask.device)
        return sigma

    def residual(self, logit_NBA: Tensor, noise_NBA: Tensor | None = None) -> Tensor:
        """(N, B, A) residuals of the actors' outputs, with gradients.

        Noise is added where given, else the episode's offsets.
        """
        residual = torch.tanh(logit_NBA)
        noise = self.offset if noise_NBA is None else noise_NBA
        if noise is not None:
            residual = (residual + noise.to(residual.device)).clamp(-1, 1)
        return residual * self.mask[:, None]

    def observe(self, obs_BNF: Tensor, state_BS: Tensor) -> None:
        """Take new experience into the running statistics that normalise inputs."""
        self.actor.norm.update(obs_BNF)
        if self.has_critic:
            self.state_norm.update(state_BS)

    def policy(self) -> TeamActor:
        """The actor to evaluate and to store."""
        return self.actor

    def load_actor(self, state: Mapping[str, Any]) -> None:
        """Begin as another learner's actors, normaliser included.

        Raises:
            ValueError: they depart from another baseline or within other bounds.
        """
        take_over(self.actor, state)

    def update(self, window: Window) -> dict[str, Tensor]:
        """One actor step up the window's return, then the critic's steps."""
        metrics = self.update_actor(window)
        if self.has_critic:
            metrics |= self.update_critic(window)
        return metrics

    def update_actor(self, window: Window) -> dict[str, Tensor]:
        """One step of all actors up the window's return."""
        reward = window.reward_TB
        last = torch.zeros_like(reward[0])
        if self.has_critic:
            last = self._value(self.target_critic, window.last_state_BS)
        summed = faded_return if self.config.discount == "gradient" else window_return
        returned = summed(reward, last, self.gamma).mean() / len(reward)
        saturation = (window.logit_TNBA.square() * self.mask[:, None]).sum((1, 3)).mean()
        loss = self.config.residual_l2 * saturation - returned
        norms = clipped_step(loss, self.actor_optimiser, self.config.grad_limit)
        self.updates += 1
        return {
            "actor_loss": loss.detach(),
            "actor_grad_norm": norms.mean(),
            "actor_grad_norm_max": norms.max(),
            **named_by_agent("actor_grad_norm", self.spec.agents, norms),
            "residual_rms": torch.tanh(window.logit_TNBA.detach()).square().mean().sqrt(),
        }

    def update_critic(self, window: Window) -> dict[str, Tensor]:
        """Fit the critic to TD(λ) targets, then move its target network."""
        states = window.state_TBS.detach()
        with torch.no_grad():
            after = torch.cat([states[1:], window.last_state_BS.detach()[None]])
            ahead = self._value(self.target_critic, after)
            reward = window.reward_TB.detach()
            target = td_lambda_target(reward, ahead, self.gamma, self.config.td_lambda)
        rows, goals = states.flatten(0, 1), target.flatten()
        losses = []
        for _ in range(self.config.critic_steps):
            order = torch.randperm(len(rows), generator=self.generator).to(rows.device)
            for part in order.chunk(self.config.critic_batches):
                loss = (self._value(self.critic, rows[part]) - goals[part]).square().mean()
                norms = clipped_step(loss, self.critic_optimiser, self.config.grad_limit)
                losses.append(loss.detach())
        self.follower.move()
        return {
            "critic_loss": torch.stack(losses).mean(),
            "critic_grad_norm": norms.mean(),
            "target_std": goals.std(),
        }

    def _value(self, critic: StackedMLP, state: Tensor) -> Tensor:
        """(...,) value of states (..., S)."""
        rows = self.state_norm(state).flatten(0, -2)
        return critic(rows)[0, :, 0].reshape(state.shape[:-1])


def _adam(module: nn.Module, lr: float, config: FirstOrderConfig) -> torch.optim.Adam:
    return torch.optim.Adam(module.parameters(), lr=lr, betas=config.betas, fused=True)
