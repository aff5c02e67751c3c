"""MAPPO, and IPPO as one boolean: proximal policy optimisation for teams, decentralised actors.

Multi-agent PPO (Yu et al. 2022, arXiv:2103.01955) is PPO (Schulman et al. 2017, arXiv:1707.06347)
per agent with advantages from a critic that sees the global state; independent PPO (de Witt et al.
2020, arXiv:2011.09533) differs in the critic's input alone, which is the agent's own observation.
Actions are residuals around a baseline (`marl.nets.actor`) with Gaussian exploration
(`marl.nets.gaussian`). Losses are in `marl.algos.ppo_losses`, GAE in `marl.algos.returns`, how a
rollout is collected in `marl.train.on_policy`.
"""
# ruff: noqa: N803 - dimension letters as suffixes, legend in marl/algos/base.py

from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from marl.algos.base import TeamSpec, named_by_agent, take_over
from marl.algos.exploration import Noise
from marl.algos.learner_state import LearnerState
from marl.algos.ppo_losses import clipped_surrogate, value_loss
from marl.algos.returns import gae
from marl.algos.rollout import Rollout, RowTable
from marl.algos.steps import clipped_step
from marl.frozen import Frozen
from marl.nets.actor import TeamActor
from marl.nets.config import FeedForward, NetConfig
from marl.nets.gaussian import GaussianHead, HeadKind, entropy, log_prob
from marl.nets.norm import RunningNorm
from marl.nets.orthogonal import orthogonal_
from marl.nets.value import ValueCritics


class MappoConfig(Frozen):
    """Hyper-parameters of MAPPO and IPPO. "Paper" is Yu et al. 2022.

    Attributes:
        name: "mappo" (critic sees the global state), "ippo" (critic sees what its actor sees,
            and never the exogenous future) or "ppo" (one controller, joint observation to joint
            action; critic as MAPPO's).
        net: kind and sizes of the actors' networks; critics are MLPs of its sizes (paper: 64, 64
            and layer norm).
        actor_lr: Adam step of the actors (paper: 5e-4; 1e-3 was better held-in).
        critic_lr: Adam step of the critics (paper: 5e-4 to 1e-3).
        lr_end: both steps shrink linearly to this share of themselves over the run.
        lam: λ of generalised advantage estimation (paper: .95; pilot here: .9).
        clip: largest change of a probability's ratio that is rewarded (paper: .2 or less).
        value_clip: largest change of a normalised value that lowers the loss, 0 for no limit
            (paper: as `clip`).
        passes: times a rollout is used (paper: 5 to 15; fewer for harder tasks). Collecting costs
            several times as much as learning here.
        minibatches: parts a rollout is shuffled into in each pass (paper: 1 or 2).
        entropy_weight: weight of the policies' entropy (paper: .01; here exploration costs
            reward by itself and sigma is learned, so none).
        grad_limit: largest gradient norm per network (paper: 10).
        is_value_normalised: critics learn returns in units of their running deviation, and keep
            their predictions when it moves (PopArt: van Hasselt et al. 2016, arXiv:1602.07714).
        is_advantage_normalised: centre and scale advantages over the rollout, per agent.
        residual_bound: how far an actor may move a knob from the baseline, in action units.
        is_team: agents are rewarded with the team's mean reward, and MAPPO has one critic for all.
        head: see marl.nets.gaussian.
        sigma: exploration's standard deviation at the start, in residual units.
        sigma_range: least and largest it may become.
        noise_theta: share of the exploration that is forgotten per decision, as of an
            Ornstein–Uhlenbeck process: 1 draws each decision for itself (Schulman et al. 2017);
            less holds a way, while each draw for itself still has the policy's distribution, by
            which probabilities are compared (Hollenstein et al. 2024, arXiv:2312.11091).
        sigma_hidden: widths of a network that makes it depend on the observation; empty for one
            learned number per knob.
        last_gain: gain of the actors' orthogonal last layer (paper: .01); small, so that the first
            policy is the baseline.
    """

    name: Literal["mappo", "ippo", "ppo"] = "mappo"
    net: FeedForward = NetConfig()
    actor_lr: float = Field(default=1e-3, gt=0)
    critic_lr: float = Field(default=1e-3, gt=0)
    lr_end: float = Field(default=0.1, gt=0, le=1)
    lam: float = Field(default=0.9, ge=0, le=1)
    clip: float = Field(default=0.2, gt=0)
    value_clip: float = Field(default=0.2, ge=0)
    passes: int = Field(default=10, ge=1)
    minibatches: int = Field(default=4, ge=1)
    entropy_weight: float = Field(default=0.0, ge=0)
    grad_limit: float = Field(default=10.0, gt=0)
    is_value_normalised: bool = True
    is_advantage_normalised: bool = True
    residual_bound: float = Field(default=0.4, gt=0, le=2)
    is_team: bool = True
    head: HeadKind = "squashed"
    sigma: float = Field(default=0.2, gt=0)
    sigma_range: tuple[float, float] = (0.02, 1.0)
    noise_theta: float = Field(default=1.0, gt=0, le=1)
    sigma_hidden: tuple[int, ...] = ()
    last_gain: float = Field(default=0.01, gt=0)

    @property
    def is_joint(self) -> bool:
        """Whether one controller acts for all agents."""
        return self.name == "ppo"


class Mappo(LearnerState):
    """The learner; see the module docstring.

    Args:
        config: hyper-parameters.
        spec: sizes of observations, actions and state.
        baseline: (N, A) the baseline joint action, padded.
        generator: initial weights, exploration and shuffling; part of `state_dict`.
        device: where networks live.
    """

    def __init__(
        self,
        config: MappoConfig,
        spec: TeamSpec,
        baseline: Tensor,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config = config
        self.spec = spec
        self.name = config.name
        self.generator = generator
        self.updates = 0  # gradient steps
        self.noise: Noise | None = None  # of the rollout that is being collected
        agents, knobs = baseline.shape
        self.is_central = config.name != "ippo"
        self.judged = 1 if config.is_team and self.is_central else agents
        self.actor = TeamActor(
            spec.obs_sizes,
            baseline,
            bound=config.residual_bound,
            net=config.net,
            generator=generator,
            layouts=spec.layouts,
        )
        net = self.actor.net
        orthogonal_(net.mlp, net.mlp_inputs, last_gain=config.last_gain, generator=generator)
        self.actor.to(device)
        self.head = GaussianHead(
            config.head,
            spec.obs_sizes,
            knobs,
            sigma=config.sigma,
            sigma_range=config.sigma_range,
            hidden=config.sigma_hidden,
            generator=generator,
        ).to(device)
        seen = [spec.state_size] * self.judged if self.is_central else list(spec.obs_sizes)
        self.critic = ValueCritics(seen, config.net, generator=generator).to(device)
        self.state_norm = RunningNorm((spec.state_size,)).to(device)
        self.mask = spec.action_mask().to(device)  # (N, A)
        self.actor_optimiser = torch.optim.Adam(
            [*net.parameters(), *self.head.parameters()], lr=config.actor_lr, eps=1e-5, fused=True
        )
        self.critic_optimiser = torch.optim.Adam(
            self.critic.mlp.parameters(), lr=config.critic_lr, eps=1e-5, fused=True
        )
        lrs = {"actor_optimiser": config.actor_lr, "critic_optimiser": config.critic_lr}
        self._register(("actor", "head", "critic", "state_norm"), lrs, config.lr_end)

    def begin(self, rows: int) -> None:
        """Before a rollout of `rows` clouds: exploration starts anew."""
        shape = (len(self.mask), rows, self.mask.shape[1])
        self.noise = Noise("ou", shape, self.config.noise_theta, self.generator)

    @torch.no_grad()
    def explore(self, obs_BNF: Tensor, mask_BNA: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Residuals (N, B, A) drawn from the policy, their latents (B, N, A) and log p (B, N).

        Raises:
            RuntimeError: `begin` was not called.
        """
        if self.noise is None:
            raise RuntimeError("call begin() before explore()")
        mean, log_sigma = self._distribution(self.actor.norm(obs_BNF))
        noise = self.noise.sample(1.0).transpose(0, 1).to(mean.device)
        latent = mean + noise * log_sigma.exp()
        residual = (self.head.residual(latent) * self.mask).transpose(0, 1)
        return residual, latent, log_prob(latent, mean, log_sigma, mask_BNA)

    def observe(self, rollout: Rollout) -> None:
        """Take a rollout into the statistics that normalise inputs.

        Not between drawing a rollout and updating the actors from it: statistics that moved in
        between would change the policy whose probabilities are compared.
        """
        self.actor.norm.update(rollout.obs_TBNF)
        self.state_norm.update(rollout.state_TBS)

    def policy(self) -> TeamActor:
        """The actor to evaluate and to store."""
        return self.actor

    def load_actor(self, state: Mapping[str, Any]) -> None:
        """Begin as another learner's actors, normaliser included; exploration stays as it is.

        Raises:
            ValueError: they depart from another baseline or within other bounds.
        """
        take_over(self.actor, state)

    def update(
        self, rollout: Rollout, gamma: float, *, is_critic_only: bool = False
    ) -> dict[str, Tensor]:
        """All passes over one rollout; means of what was measured.

        Args:
            rollout: collected with the present policy.
            gamma: discount per decision.
            is_critic_only: leave the actors as they are.
        """
        config = self.config
        advantage, old_value, target = self._judge(rollout, gamma)
        known = rollout.is_known_TB.flatten().nonzero()[:, 0]
        if len(known) < config.minibatches:
            raise ValueError(f"{len(known)} usable steps make no {config.minibatches} minibatches")
        if config.is_advantage_normalised:
            kept = advantage[known]
            advantage = (advantage - kept.mean(0)) / (kept.std(0, correction=0) + 1e-8)
        # Normalised once: the statistics stand still until the next rollout.
        inputs, state = self.actor.norm(rollout.obs_TBNF), self.state_norm(rollout.state_TBS)
        collected = {
            "inputs": inputs,
            "state": state,
            "latent": rollout.latent_TBNA,
            "mask": rollout.mask_TBNA,
            "log_prob": rollout.log_prob_TBN,
        }
        judged = {"advantage": advantage, "value": old_value, "target": target}
        rows_of = {name: column.flatten(0, 1) for name, column in collected.items()} | judged
        table = RowTable({name: column[known] for name, column in rows_of.items()})
        sums: dict[str, Tensor] = {}
        steps = 0
        for _ in range(config.passes):
            for rows in table.shuffled(config.minibatches, self.generator):
                loss = value_loss(
                    self._value(rows["inputs"], rows["state"]),
                    rows["value"],
                    rows["target"],
                    config.value_clip,
                )
                measured = {
                    "critic_loss": loss.detach() / self.judged,
                    "critic_grad_norm": clipped_step(
                        loss, self.critic_optimiser, self.config.grad_limit
                    ).mean(),
                }
                if not is_critic_only:
                    measured |= self._update_actor(rows)
                for name, value in measured.items():
                    sums[name] = sums.get(name, torch.zeros_like(value)) + value
                steps += 1
                self.updates += 1
        error = (target - old_value)[known]
        return {
            **{name: value / steps for name, value in sums.items()},
            "explained_variance": 1 - (error.var(0) / (target[known].var(0) + 1e-8)).mean(),
        }

    @torch.no_grad()
    def _judge(self, rollout: Rollout, gamma: float) -> tuple[Tensor, Tensor, Tensor]:
        """Advantages in units of reward, values and λ-returns in the critic's; (T·B, J) each."""
        shape = rollout.terminated_TB.shape
        value, next_value = (
            self.critic.raw(self._value(self.actor.norm(obs), self.state_norm(state)))
            for obs, state in (
                (rollout.obs_TBNF.flatten(0, 1), rollout.state_TBS.flatten(0, 1)),
                (rollout.next_obs_TBNF.flatten(0, 1), rollout.next_state_TBS.flatten(0, 1)),
            )
        )
        value, next_value = value.unflatten(0, shape), next_value.unflatten(0, shape)
        reward = rollout.reward_TBN
        if self.judged == 1:
            reward = reward.mean(-1, keepdim=True)
        # A step of unknown outcome: as if it had earned what was expected and ended there.
        unknown = ~rollout.is_known_TB
        advantage = gae(
            torch.where(unknown[..., None], value, reward),
            value,
            next_value,
            (rollout.terminated_TB > 0) | unknown,
            rollout.cut_TB,
            gamma,
            self.config.lam,
        )
        returns = advantage + value
        if self.config.is_value_normalised:
            self.critic.observe(returns[rollout.is_known_TB])
        return (
            advantage.flatten(0, 1),
            self.critic.norm(value).flatten(0, 1),
            self.critic.norm(returns).flatten(0, 1),
        )

    def _update_actor(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        mask = rows["mask"]
        mean, log_sigma = self._distribution(rows["inputs"])
        change = log_prob(rows["latent"], mean, log_sigma, mask) - rows["log_prob"]
        ratio = change.exp()
        loss = clipped_surrogate(ratio, rows["advantage"], self.config.clip)
        spread = entropy(log_sigma, mask)
        if self.config.entropy_weight:
            loss = loss - self.config.entropy_weight * spread.mean(0).sum()
        norms = clipped_step(loss, self.actor_optimiser, self.config.grad_limit)
        agents, spread = self.spec.agents, spread.detach()
        return {
            "actor_loss": loss.detach() / len(self.mask),
            "actor_grad_norm": norms.mean(),
            **named_by_agent("actor_grad_norm", agents, norms),
            "entropy": spread.mean(),
            **named_by_agent("entropy", agents, spread.mean(0)),
            "exploration/sigma": (log_sigma.detach().exp() * mask).sum() / mask.sum(),
            "kl": (ratio - 1 - change).detach().mean(),  # k3 of Schulman 2020: never negative
            "clip_fraction": ((ratio - 1).abs() > self.config.clip).to(torch.float32).mean(),
        }

    def _distribution(self, inputs_BNF: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log σ, (B, N, A), from normalised observations and nothing else."""
        inputs = inputs_BNF.transpose(0, 1)
        mean, log_sigma = self.head(self.actor.net(inputs), inputs)
        return mean.transpose(0, 1), log_sigma.transpose(0, 1)

    def _value(self, inputs_BNF: Tensor, state_BS: Tensor) -> Tensor:
        """(B, J) in the critic's units, from what is normalised; where MAPPO and IPPO differ."""
        value: Tensor = self.critic(state_BS if self.is_central else inputs_BNF.transpose(0, 1))
        return value
