"""MADDPG, and MATD3 as three numbers of its configuration.

Multi-agent deep deterministic policy gradient (Lowe et al. 2017, arXiv:1706.02275): every agent has
a critic that sees the global state and all agents' actions, and an actor that sees its own
observation. MATD3 (Ackermann et al. 2019, arXiv:1910.01465) adds twin critics, delayed actors and
target smoothing (Fujimoto et al. 2018, arXiv:1802.09477). Actions here are residuals around a
baseline (`marl.nets.actor`), or, with `is_discrete`, choices drawn by Gumbel-softmax as in Lowe et
al. (`marl.algos.action_heads`): `action_sizes` then count choices, one-hot where an action is
stored, and the baseline has no meaning (zeros). Loop, buffer, returns and noise are shared and live
elsewhere.
"""
# ruff: noqa: N803 - dimension letters as suffixes (obs_BNF), legend in marl/algos/base.py

import copy
from collections.abc import Mapping
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from marl.algos.action_heads import ChoiceHead, ResidualHead
from marl.algos.base import Batch, SoftTarget, TeamSpec, named_by_agent, take_over
from marl.algos.learner_state import LearnerState
from marl.algos.losses import actor_loss, critic_loss, td_target
from marl.algos.steps import clipped_step
from marl.frozen import Frozen
from marl.nets.actor import TeamActor
from marl.nets.agent_critic import AttentionCritic
from marl.nets.config import FeedForward, NetConfig
from marl.nets.layers import frozen
from marl.nets.mlp import StackedMLP
from marl.nets.norm import RunningNorm


class MaddpgConfig(Frozen):
    """Hyper-parameters of MADDPG and MATD3.

    Attributes:
        name: "maddpg" or "matd3"; decides the next three where they are not given.
        critics: critics per agent; the smallest value is the target (MATD3: 2).
        policy_delay: critic steps per actor step (MATD3: 2).
        target_noise: standard deviation of the noise on target residuals, clipped at 2.5 of it
            (MATD3: .2 and .5 of the action range there; .1 here, because residuals are small).
        net: kind and sizes of the actors' networks; critics take its sizes.
        critic: "mlp" over the state beside all actions, or "attention" over agents
            (`marl.nets.agent_critic`).
        actor_lr: Adam step of the actors (Fujimoto et al. 2018 and Lowe et al. 2017: .001–.01; less
            here, because the start is already good).
        critic_lr: Adam step of the critics.
        lr_end: both steps shrink linearly to this share of themselves over the run, so that noisy
            gradients stop moving a policy that has arrived.
        tau: soft target rate (Fujimoto et al. 2018: .005; Lowe et al. 2017: .01).
        residual_bound: how far an actor may move a knob from the baseline, in action units.
        is_team: one critic (pair) of the team's mean reward instead of one per agent of its own,
            and each actor follows it among the others' present actions. What a cooperative team
            wants; a quarter of the work for four agents; and a team that explores with all knobs
            at once does not learn to guard against its own noise. False is Lowe et al. 2017 to
            the letter: own rewards, the others' actions as stored.
        actor_noise: standard deviation of noise on the joint residuals at which a team's actors are
            judged: they follow the critic's slope over a neighbourhood, not its error at a point.
        is_discrete: choices instead of residuals; `target_noise`, `actor_noise` and
            `residual_bound` then have no effect: a draw is noise enough.
        temperature: of the Gumbel-softmax that carries the actors' gradient (Lowe et al.'s
            published code: 1; Jang et al. 2017 anneal from 1 to .5).
        action_gain: factor on residuals as critics see them; exploration moves residuals by a
            fraction of their range, and beside state features of unit variance they would be
            learned last.
        residual_l2: weight of the squared pre-squashing output, which keeps tanh from saturating
            (Lowe et al.'s published code: .001).
        grad_limit: largest gradient norm per network; above the usual norm, so that it only stops
            outliers (Lowe et al.'s published code: .5 everywhere).
        actor_warmup: critic steps before the first actor step, so that actors never follow a
            critic that has learned nothing.
    """

    name: Literal["maddpg", "matd3"] = "maddpg"
    critics: int = Field(default=1, ge=1, le=2)
    policy_delay: int = Field(default=1, ge=1)
    target_noise: float = Field(default=0.0, ge=0)
    net: FeedForward = NetConfig()
    critic: Literal["mlp", "attention"] = "mlp"
    actor_lr: float = Field(default=5e-5, gt=0)
    critic_lr: float = Field(default=1e-3, gt=0)
    lr_end: float = Field(default=0.1, gt=0, le=1)
    tau: float = Field(default=0.005, gt=0, le=1)
    residual_bound: float = Field(default=0.4, gt=0, le=2)
    is_team: bool = True
    actor_noise: float = Field(default=0.3, ge=0)
    is_discrete: bool = False
    temperature: float = Field(default=1.0, gt=0)
    action_gain: float = Field(default=3.0, gt=0)
    residual_l2: float = Field(default=1e-3, ge=0)
    grad_limit: float = Field(default=10.0, gt=0)
    actor_warmup: int = Field(default=1000, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _matd3_defaults(cls, values: dict[str, Any]) -> dict[str, Any]:
        """What the name stands for, unless said otherwise."""
        if values.get("name") != "matd3":
            return values
        return {"critics": 2, "policy_delay": 2, "target_noise": 0.1, **values}

    @model_validator(mode="after")
    def _networks_fit(self) -> Self:
        if self.critic == "attention":
            self.net.refuse_uneven_heads()
        return self

    @property
    def is_joint(self) -> bool:
        """Whether one controller acts for all agents: never."""
        return False


class Maddpg(LearnerState):
    """The learner; see the module docstring.

    Args:
        config: hyper-parameters.
        spec: sizes of observations, actions and state.
        baseline: (N, A) the baseline joint action, padded.
        generator: initial weights and target smoothing; its state is part of `state_dict`.
        device: where networks live.
    """

    def __init__(
        self,
        config: MaddpgConfig,
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
        self._error_CNB = torch.zeros(1, 1, 0)
        agents, knobs = baseline.shape
        self.judged = 1 if config.is_team else agents  # rewards, and critics of each kind
        self.actor = TeamActor(
            spec.obs_sizes,
            baseline,
            bound=config.residual_bound,
            net=config.net,
            generator=generator,
            layouts=spec.layouts,
        ).to(device)
        self.critic = _critic(config, spec.state_size, agents, knobs, generator).to(device)
        self.state_norm = RunningNorm((spec.state_size,)).to(device)
        self.target_actor = copy.deepcopy(self.actor.net)
        self.target_critic = copy.deepcopy(self.critic)
        self.actor_follower = SoftTarget(self.target_actor, self.actor.net, config.tau)
        self.critic_follower = SoftTarget(self.target_critic, self.critic, config.tau)
        self.mask = spec.action_mask().to(device)  # (N, A)
        self.head: ResidualHead | ChoiceHead = (
            ChoiceHead(self.mask, config.temperature, generator)
            if config.is_discrete
            else ResidualHead(self.mask, config.target_noise, config.actor_noise, generator)
        )
        self.own = torch.eye(agents, device=device).bool()[:, None, :, None]  # (N, 1, N, 1)
        self.actor_optimiser = torch.optim.Adam(
            self.actor.net.parameters(), lr=config.actor_lr, fused=True
        )
        self.critic_optimiser = torch.optim.Adam(
            self.critic.parameters(), lr=config.critic_lr, fused=True
        )
        lrs = {"actor_optimiser": config.actor_lr, "critic_optimiser": config.critic_lr}
        self._register(
            ("actor", "critic", "target_actor", "target_critic", "state_norm"), lrs, config.lr_end
        )

    @torch.no_grad()
    def act(self, obs_BNF: Tensor, noise_NBA: Tensor | None = None) -> Tensor:
        """Residuals (N, B, A) in [-1, 1], or one-hot choices.

        Exploration noise is added where given: `Noise` to residuals, `gumbel_noise` to draw.
        """
        return self.head.act(self._output(self.actor.net, obs_BNF), noise_NBA)

    def observe(self, obs_BNF: Tensor, state_BS: Tensor) -> None:
        """Take new experience into the running statistics that normalise inputs."""
        self.actor.norm.update(obs_BNF)
        self.state_norm.update(state_BS)

    def policy(self) -> TeamActor:
        """The actor to evaluate and to store."""
        return self.actor

    def load_actor(self, state: Mapping[str, Tensor]) -> None:
        """Take over actors with their input statistics, as targets too.

        Raises:
            ValueError: they depart from another baseline or within other bounds.
        """
        take_over(self.actor, state)
        self.target_actor.load_state_dict(self.actor.net.state_dict())

    def td_error(self) -> Tensor:
        """(B,) absolute temporal-difference errors of the last batch, mean over critics."""
        return self._error_CNB.abs().mean((0, 1))

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One critic step and, every `policy_delay`-th time after the warm-up, one actor step."""
        state = self.state_norm(batch.state_BS)
        metrics = self._update_critic(batch, state)
        self.updates += 1
        is_warm = self.updates > self.config.actor_warmup
        if is_warm and self.updates % self.config.policy_delay == 0:
            metrics |= self._update_actor(batch, state)
            self.actor_follower.move()
            self.critic_follower.move()
        elif not is_warm:
            self.critic_follower.move()
        return metrics

    def _update_critic(self, batch: Batch, state: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            next_residual = self.head.target(self._output(self.target_actor, batch.next_obs_BNF))
            next_residual = next_residual.transpose(0, 1).flatten(1)
            next_state = self.state_norm(batch.next_state_BS)
            next_inputs = self._join(next_state, next_residual)
            next_value = self._split(self.target_critic(next_inputs))
            returns = batch.return_BN
            if self.config.is_team:
                returns = returns.mean(1, keepdim=True)
            target = td_target(returns, batch.discount_B, next_value)
        value = self._split(self.critic(self._join(state, batch.residual_BNA.flatten(1))))
        self._error_CNB = value.detach() - target
        loss = critic_loss(value, target, batch.weight_B)
        errors = ((value.detach() - target).square() * batch.weight_B).mean((0, 2))
        norms = clipped_step(loss, self.critic_optimiser, self.config.grad_limit)
        # Averages per network, comparable whatever the number of agents.
        return {
            "critic_loss": loss.detach() / (value.shape[0] * value.shape[1]),
            "critic_grad_norm": norms.mean(),
            **self._by_agent("critic_loss", errors),
            "value": value.detach().mean(),
            "target_std": target.std(),
        }

    def _update_actor(self, batch: Batch, state: Tensor) -> dict[str, Tensor]:
        """One step of all actors up their critics; no actor's gradient passes through another."""
        logits = self._output(self.actor.net, batch.obs_BNF)
        residual = self.head.drawn(logits)
        mine = residual.transpose(0, 1)
        if self.config.is_team:
            joint = self.head.near(mine)[None]  # (1, B, N, A)
        else:
            joint = torch.where(self.own, mine, batch.residual_BNA)  # (N, B, N, A)
        with frozen(self.critic):
            value = self.critic.beside(
                state, joint.flatten(2) * self.config.action_gain, first=self.judged
            )[..., 0]
        saturation = (logits.square() * self.mask[:, None]).sum((0, 2)).mean()
        loss = actor_loss(value, batch.weight_B) + self.config.residual_l2 * saturation
        norms = clipped_step(loss, self.actor_optimiser, self.config.grad_limit)
        return {
            "actor_loss": loss.detach() / self.judged,
            "actor_grad_norm": norms.mean(),
            **self._by_agent("actor_grad_norm", norms),
            **self._by_agent("actor_loss", -(value.detach() * batch.weight_B).mean(-1)),
            "residual_rms": residual.detach().square().mean().sqrt(),
        }

    def _output(self, network: nn.Module, obs_BNF: Tensor) -> Tensor:
        """(N, B, A) what actors, or their targets, say before the head makes an action of it."""
        output: Tensor = network(self.actor.norm(obs_BNF).transpose(0, 1))
        return output

    def _by_agent(self, name: str, values: Tensor) -> dict[str, Tensor]:
        """`name/agent` → its figure, where there is one for each agent."""
        if len(values) != len(self.spec.agents):
            return {}  # of the team as a whole
        return named_by_agent(name, self.spec.agents, values)

    def _join(self, state: Tensor, residual: Tensor) -> Tensor:
        """What critics see: (..., S) state beside (..., N·A) all agents' residuals."""
        return torch.cat([state, residual * self.config.action_gain], -1)

    def _split(self, value_EB1: Tensor) -> Tensor:
        """(C·N, B, 1) stacked outputs into (C, N, B); N is 1 for a team."""
        return value_EB1.squeeze(-1).unflatten(0, (self.config.critics, self.judged))


def _critic(
    config: MaddpgConfig, state_size: int, agents: int, knobs: int, generator: torch.Generator
) -> StackedMLP | AttentionCritic:
    """The stack of critics: all agents' first ones (or the team's), then the second ones."""
    judged: tuple[int | None, ...] = (None,) if config.is_team else tuple(range(agents))
    judged *= config.critics
    if config.critic == "attention":
        return AttentionCritic(config.net, state_size, agents, knobs, judged, generator=generator)
    return StackedMLP(
        [state_size + agents * knobs] * len(judged),
        config.net.hidden,
        1,
        generator=generator,
        has_layer_norm=config.net.has_layer_norm,
    )
