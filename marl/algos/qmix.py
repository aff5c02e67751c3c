"""QMIX, and VDN as its additive case: one value for the team, learned from the team's reward.

QMIX (Rashid et al. 2018, arXiv:1803.11485) trains per-agent utilities through a monotonic mixer of
the global state, so that each agent's best choice by its own observation is the team's. VDN
(Sunehag et al. 2017, arXiv:1706.05296) adds the utilities up. Targets are double Q-learning's
(van Hasselt et al. 2016, arXiv:1509.06461), as in QMIX's published code. The utilities here see an
observation, not its history (the paper's are recurrent): a world that needs memory must put it
into its observations. Loop, buffer, returns and the environment live elsewhere.
"""
# ruff: noqa: N803, N815 - dimension letters as suffixes (obs_BNF), legend in marl/algos/base.py

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from marl.algos.base import SoftTarget, TeamSpec
from marl.algos.learner_state import LearnerState
from marl.frozen import Frozen
from marl.nets.config import FeedForward, NetConfig
from marl.nets.mixers import AdditiveMixer, MonotonicMixer
from marl.nets.norm import RunningNorm
from marl.nets.utilities import TeamUtility, best_choice


class QmixConfig(Frozen):
    """Hyper-parameters of QMIX and VDN.

    Attributes:
        name: "qmix" (monotonic mixer) or "vdn" (sum).
        net: kind and sizes of the utilities' networks (paper: 64, recurrent); no memory here.
        embed: width of QMIX's mixing layer (paper: 32).
        hyper_hidden: hidden layer of the mixer's hypernetworks, 0 for none (paper: none; the
            authors' later code: 64).
        lr: Adam step (paper: RMSprop, 5e-4; Adam is better by Hu et al. 2021, arXiv:2102.03479).
        lr_end: the step shrinks linearly to this share of itself over the run.
        tau: how far the target networks move at an update of theirs; 1 copies (paper: 1).
        target_every: gradient steps between updates of the targets (paper: 200 episodes, one
            step each; with `tau` below 1 they follow softly).
        levels: settings of each knob, where choices are moves of knobs around a baseline; odd.
        residual_bound: how far from the baseline the outermost lie, in action units.
        epsilon_start: chance of a random choice, per agent, at the start (paper: 1; less here, as
            the start is a tuned rule and random moves of all knobs drown what one of them does).
        epsilon_end: the same once annealed (paper: .05).
        epsilon_share: share of the run over which it falls, linearly (paper: 50,000 steps of
            several million; more here, because runs are short).
        first_bonus: see TeamUtility; how strongly an untrained team prefers choice 0.
        first_margin: see TeamUtility; in units of utilities: with VDN, deviations of the team's
            reward where a trainer normalises it, with QMIX what its mixer makes of them.
        grad_limit: largest norm of the whole gradient (the authors' code: 10).
    """

    name: Literal["qmix", "vdn"] = "qmix"
    net: FeedForward = NetConfig()
    embed: int = Field(default=32, ge=1)
    hyper_hidden: int = Field(default=64, ge=0)
    lr: float = Field(default=5e-4, gt=0)
    lr_end: float = Field(default=0.1, gt=0, le=1)
    tau: float = Field(default=0.01, gt=0, le=1)
    target_every: int = Field(default=1, ge=1)
    levels: int = Field(default=9, ge=3)
    residual_bound: float = Field(default=0.4, gt=0, le=2)
    epsilon_start: float = Field(default=0.3, ge=0, le=1)
    epsilon_end: float = Field(default=0.05, ge=0, le=1)
    epsilon_share: float = Field(default=0.5, gt=0, le=1)
    first_bonus: float = Field(default=0.1, ge=0)
    first_margin: float = Field(default=0.2, ge=0)
    grad_limit: float = Field(default=10.0, gt=0)


@dataclass(frozen=True)
class ChoiceBatch:
    """Sampled experience of a team with discrete choices, one reward for all.

    Attributes:
        obs_BNF: packed observations (`TeamSpec.pack_obs`).
        state_BS: global state.
        choice_BN: int64, what each agent chose.
        return_B: n-step return of the team's reward.
        discount_B: of the value of `next_*`; 0 where the episode ended within the window.
        weight_B: of each row's squared error: importance weights, 0 for rows to leave out.
        next_obs_BNF: as obs, where the value is bootstrapped.
        next_state_BS: as state.
        next_mask_BNA: nonzero where a choice was open there; not read where the discount is 0.
    """

    obs_BNF: Tensor
    state_BS: Tensor
    choice_BN: Tensor
    return_B: Tensor
    discount_B: Tensor
    weight_B: Tensor
    next_obs_BNF: Tensor
    next_state_BS: Tensor
    next_mask_BNA: Tensor


def chosen_value(value_BNA: Tensor, choice_BN: Tensor) -> Tensor:
    """(B, N): the value of each agent's choice."""
    if value_BNA.shape[:2] != choice_BN.shape:
        raise ValueError(f"values {tuple(value_BNA.shape)} of choices {tuple(choice_BN.shape)}")
    return value_BNA.gather(2, choice_BN[..., None])[..., 0]


def explore(
    greedy_BN: Tensor, is_open_BNA: Tensor, epsilon: float, generator: torch.Generator
) -> Tensor:
    """(B, N): each choice replaced, with chance `epsilon`, by an open one drawn uniformly."""
    device = greedy_BN.device
    # The largest of independent uniform numbers is at each open place equally often.
    lots = torch.rand(is_open_BNA.shape, generator=generator).to(device)
    random = best_choice(lots, is_open_BNA)
    is_random = torch.rand(greedy_BN.shape, generator=generator).to(device) < epsilon
    return torch.where(is_random, random, greedy_BN)


class Qmix(LearnerState):
    """The learner; see the module docstring.

    Args:
        config: hyper-parameters.
        spec: sizes; `action_sizes` are numbers of choices, so that `spec.pack_actions` packs masks
            (agent → (B, A_i)) into (B, N, A) with the padding closed.
        generator: initial weights and exploration; its state is part of `state_dict`.
        device: where networks live.

    Attributes:
        epsilon: present chance of a random choice, see `anneal`.
        error_B: of the last update, target − value per row: priorities for prioritised replay.
    """

    def __init__(
        self,
        config: QmixConfig,
        spec: TeamSpec,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config, self.spec, self.name = config, spec, config.name
        self.generator = generator
        self.updates = 0
        self.epsilon = config.epsilon_start
        self.utility = TeamUtility(
            spec.obs_sizes,
            spec.action_sizes,
            net=config.net,
            generator=generator,
            layouts=spec.layouts,
            first_bonus=config.first_bonus,
            first_margin=config.first_margin,
        ).to(device)
        mixer: nn.Module = AdditiveMixer()
        if config.name == "qmix":
            mixer = MonotonicMixer(
                len(spec.agents),
                spec.state_size,
                embed=config.embed,
                hyper_hidden=config.hyper_hidden,
                generator=generator,
            )
        self.mixer = mixer.to(device)
        self.state_norm = RunningNorm((spec.state_size,)).to(device)
        # Statistics are shared with the targets, networks are not.
        self.target_net = copy.deepcopy(self.utility.net)
        self.target_mixer = copy.deepcopy(self.mixer)
        self.followers = [
            SoftTarget(self.target_net, self.utility.net, config.tau),
            SoftTarget(self.target_mixer, self.mixer, config.tau),
        ]
        self.trained = [*self.utility.net.parameters(), *self.mixer.parameters()]
        self.optimiser = torch.optim.Adam(self.trained, lr=config.lr, fused=True)
        self._register(
            ("mixer", "state_norm", "target_mixer", "target_net", "utility"),
            {"optimiser": config.lr},
            config.lr_end,
        )
        self.error_B = torch.zeros(0, device=device)

    @torch.no_grad()
    def act(self, obs_BNF: Tensor, mask_BNA: Tensor, epsilon: float = 0.0) -> Tensor:
        """Choices (B, N) int64: the best open ones, each random with chance `epsilon`.

        Args:
            obs_BNF: packed observations.
            mask_BNA: nonzero where a choice is open; at least one per agent.
            epsilon: 0 to evaluate, `self.epsilon` to collect.

        Raises:
            ValueError: an agent has no open choice.
        """
        is_open = self.utility.open_choices(mask_BNA)
        greedy = self.utility.best(self.utility(obs_BNF), is_open)
        return explore(greedy, is_open, epsilon, self.generator) if epsilon > 0 else greedy

    def observe(self, obs_BNF: Tensor, state_BS: Tensor) -> None:
        """Take new experience into the running statistics that normalise inputs."""
        self.utility.norm.update(obs_BNF)
        self.state_norm.update(state_BS)

    def anneal(self, done: float) -> None:
        """Set exploration and the optimiser's step for the share `done` of the run that is over."""
        config = self.config
        fallen = min(done / config.epsilon_share, 1.0)
        self.epsilon = config.epsilon_start + (config.epsilon_end - config.epsilon_start) * fallen
        super().anneal(done)

    def policy(self) -> TeamUtility:
        """The utilities to evaluate (`choose`) and to store; a view, copy it to keep it."""
        return self.utility

    def value(self, obs_BNF: Tensor, state_BS: Tensor, choice_BN: Tensor) -> Tensor:
        """(B,) the team's value of joint choices."""
        own = chosen_value(self.utility(obs_BNF), choice_BN)
        return self.mixer(own, self.state_norm(state_BS))

    def update(self, batch: ChoiceBatch) -> dict[str, Tensor]:
        """One gradient step of all utilities and the mixer; named scalars to log."""
        target = self._target(batch)
        value = self.value(batch.obs_BNF, batch.state_BS, batch.choice_BN)
        error = target - value
        loss = (batch.weight_B * error.square()).mean()
        gradients = torch.autograd.grad(loss, self.trained)
        for parameter, gradient in zip(self.trained, gradients, strict=True):
            parameter.grad = gradient
        norm = nn.utils.clip_grad_norm_(self.trained, self.config.grad_limit)
        self.optimiser.step()
        self.updates += 1
        if self.updates % self.config.target_every == 0:
            for follower in self.followers:
                follower.move()
        self.error_B = error.detach()
        return {
            "loss": loss.detach(),
            "grad_norm": norm,
            "value": value.detach().mean(),
            "target_std": target.std(),
        }

    @torch.no_grad()
    def _target(self, batch: ChoiceBatch) -> Tensor:
        """Targets y = G + γ^m Q'_tot(s', a*), with a* the present networks' best open choices.

        Closed choices never enter: they are left out of a*, and only a* is valued.
        """
        normed = self.utility.norm(batch.next_obs_BNF).transpose(0, 1)
        present = self.utility.net(normed).transpose(0, 1)
        is_open = (batch.next_mask_BNA > 0) & self.utility.exists
        best = self.utility.best(present, is_open)
        own = chosen_value(self.target_net(normed).transpose(0, 1), best)
        value = self.target_mixer(own, self.state_norm(batch.next_state_BS))
        return batch.return_B + batch.discount_B * value

    def state_dict(self) -> dict[str, Any]:
        """As of every learner, and the present exploration."""
        return {**super().state_dict(), "epsilon": self.epsilon}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict()`."""
        super().load_state_dict(state)
        self.epsilon = float(state["epsilon"])
