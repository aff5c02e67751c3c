"""What a learner is, and what it knows about its world.

A learner answers few questions: how to act, how to update from a batch, which policy it has made,
and what its state is. Loops, buffers, evaluation, logging and checkpoints are shared
(`marl.train`). Learners see a `TeamSpec`, never an environment.

Dimension letters, used as suffixes: E stacked networks, T time, B rows (clouds or samples), N
agents, F observation features, S state features, A actions.
"""
# ruff: noqa: N803, N815 - dimension letters as suffixes (obs_BNF) are this package's convention

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from marl.nets.actor import TeamActor
from marl.nets.sequence import SequenceLayout


@dataclass(frozen=True)
class TeamSpec:
    """Sizes of everything a learner sees; packs per-agent dictionaries into padded tensors.

    Attributes:
        agents: names, in stacking order.
        obs_sizes: (N,) observation features of each agent.
        action_sizes: (N,) knobs of each agent.
        state_size: S, features of the global state.
        layouts: (N,) lists within observations (`marl.nets.sequence`); none if empty.
    """

    agents: tuple[str, ...]
    obs_sizes: tuple[int, ...]
    action_sizes: tuple[int, ...]
    state_size: int
    layouts: tuple[SequenceLayout | None, ...] = ()

    def pack_obs(self, obs: Mapping[str, Tensor]) -> Tensor:
        """Agent → (B, F_i) into (B, N, F), padded with zeros. Float32."""
        return self._pack(obs, self.obs_sizes)

    def pack_actions(self, actions: Mapping[str, Tensor]) -> Tensor:
        """Agent → (B, A_i) into (B, N, A), padded with zeros."""
        return self._pack(actions, self.action_sizes)

    def unpack_actions(self, actions_BNA: Tensor) -> dict[str, Tensor]:
        """(B, N, A) into agent → (B, A_i), padding removed."""
        return {
            agent: actions_BNA[:, i, :size]
            for i, (agent, size) in enumerate(zip(self.agents, self.action_sizes, strict=True))
        }

    @property
    def members(self) -> "TeamSpec":
        """The agents as the environment has them; not this spec where one controller acts."""
        return self

    def pack_rewards(self, rewards: Mapping[str, Tensor]) -> Tensor:
        """Agent → (B,) into (B, N)."""
        return torch.stack([rewards[agent] for agent in self.agents], 1)

    def pack_vector(self, vectors: Mapping[str, Sequence[float]]) -> Tensor:
        """Agent → A_i numbers (a constant joint action) into (N, A), padded with zeros."""
        rows = {agent: torch.tensor([list(vectors[agent])]) for agent in self.agents}
        return self.pack_actions(rows)[0]

    def action_mask(self) -> Tensor:
        """(N, A), one where agent i has that knob, zero in the padding."""
        return (torch.arange(max(self.action_sizes)) < torch.tensor(self.action_sizes)[:, None]).to(
            torch.float32
        )

    def _pack(self, parts: Mapping[str, Tensor], sizes: Sequence[int]) -> Tensor:
        if set(parts) != set(self.agents):
            raise ValueError(f"expected the agents {self.agents}; got {tuple(parts)}")
        widest = max(sizes)
        rows = []
        for agent, size in zip(self.agents, sizes, strict=True):
            part = parts[agent]
            if part.shape[1:] != (size,):
                raise ValueError(f"{agent}: expected (B, {size}); got {tuple(part.shape)}")
            rows.append(nn.functional.pad(part.to(torch.float32), (0, widest - size)))
        return torch.stack(rows, 1)


@dataclass(frozen=True)
class Batch:
    """Sampled experience, its n-step returns already made of normalised rewards.

    Rows whose window holds no usable step (`marl.algos.returns`) have weight 0.
    """

    obs_BNF: Tensor
    state_BS: Tensor
    residual_BNA: Tensor
    return_BN: Tensor
    discount_B: Tensor  # of the value of `next_*`; 0 where the episode ended within the window
    weight_B: Tensor
    next_obs_BNF: Tensor
    next_state_BS: Tensor


class Learner(Protocol):
    """One multi-agent learning algorithm."""

    name: str
    actor: TeamActor

    def act(self, obs_BNF: Tensor, noise_NBA: Tensor | None = None) -> Tensor:
        """Residuals (N, B, A) in [-1, 1], with exploration noise added where given."""
        ...

    def observe(self, obs_BNF: Tensor, state_BS: Tensor) -> None:
        """Take new experience into the running statistics that normalise inputs."""
        ...

    def anneal(self, done: float) -> None:
        """Adapt step sizes to the share of the run that is over."""
        ...

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One gradient step; returns named scalars (losses, gradient norms) to log."""
        ...

    def td_error(self) -> Tensor:
        """(B,) absolute temporal-difference errors of the last batch: its rows' priorities."""
        ...

    def policy(self) -> TeamActor:
        """The actor to evaluate and to store; a view, copy it to keep it."""
        ...

    def load_actor(self, state: Mapping[str, Any]) -> None:
        """Begin as another learner's actors (`policy().state_dict()`), normaliser included."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Networks, targets, optimisers, statistics, counters, random state."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict()`."""
        ...


def named_by_agent(name: str, agents: Sequence[str], values_N: Tensor) -> dict[str, Tensor]:
    """`name/agent` → that agent's figure, of (N,) figures to log."""
    return {f"{name}/{agent}": one for agent, one in zip(agents, values_N.unbind(), strict=True)}


class SoftTarget:
    """Moves a target network after its source; what belongs together is looked up once.

    Nothing is learned by gradients of the target: it is frozen from here on.

    Args:
        target: moved; of the same shape as `source`.
        source: followed.
        tau: share of the way at each move.
    """

    def __init__(self, target: nn.Module, source: nn.Module, tau: float) -> None:
        self.tau = tau
        target.requires_grad_(False)
        self._kept: list[Tensor] = list(target.parameters())
        self._new: list[Tensor] = list(source.parameters())
        self._buffers = list(zip(target.buffers(), source.buffers(), strict=True))

    @torch.no_grad()
    def move(self) -> None:
        """Move every parameter by `tau` of the way; copy every buffer.

        θ' ← τ θ + (1 − τ) θ' (Lillicrap et al. 2016, arXiv:1509.02971, algorithm 1).
        """
        if self._kept:  # VDN's mixer has none
            torch._foreach_lerp_(self._kept, self._new, self.tau)
        for old, now in self._buffers:
            old.copy_(now)


def take_over(actor: TeamActor, state: Mapping[str, Tensor]) -> None:
    """Load other actors (`TeamActor.state_dict()`) with their input statistics.

    Raises:
        ValueError: they depart from another baseline or within other bounds.
    """
    for name in ("baseline", "down", "up"):
        if not torch.equal(state[name], getattr(actor, name)):
            raise ValueError(f"the actors to start from have another {name}")
    actor.load_state_dict(state)
