"""From observations to actions, whatever kind of network decides: residuals, or moves of knobs.

What evaluation, held-in judgement and checks play. Exploration belongs to learners, how long a
decision is held to whoever plays.
"""
# ruff: noqa: N803 - dimension letters as suffixes (open_BNA), legend in marl/algos/base.py

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from marl.algos.base import TeamSpec
from marl.nets.actor import TeamActor, forget
from marl.nets.utilities import TeamUtility
from marl.train.moves import Moves


class Player(Protocol):
    """A team that decides for B clouds; it may remember what it needs within an episode."""

    def begin(self, clouds: int) -> None:
        """Forget; new episodes begin in that many clouds."""
        ...

    def restart(self, is_over_B: Tensor) -> None:
        """Forget in clouds whose episode is over."""
        ...

    def decide(self, obs: Mapping[str, Tensor], open_BNA: Tensor) -> dict[str, Tensor]:
        """Actions in [-1, 1], agent → (B, A_i).

        Args:
            obs: agent → (B, F_i) observations.
            open_BNA: nonzero where a knob can do something (`marl.train.env.open_knobs`).
        """
        ...


class ActorPlayer:
    """Residual actors, and the memory of those that have one.

    Args:
        spec: sizes of the team.
        actor: its networks.
        is_baseline: leave out what they have learned: play the baseline they depart from.
    """

    def __init__(self, spec: TeamSpec, actor: TeamActor, *, is_baseline: bool = False) -> None:
        self.spec, self.actor, self.is_baseline = spec, actor, is_baseline
        self._memory: Tensor | None = None

    def begin(self, clouds: int) -> None:
        """An empty memory in every cloud."""
        self._memory = self.actor.begin(clouds)

    def restart(self, is_over_B: Tensor) -> None:
        """An empty memory in clouds whose episode is over."""
        self._memory = forget(self._memory, is_over_B)

    @torch.no_grad()
    def decide(self, obs: Mapping[str, Tensor], open_BNA: Tensor) -> dict[str, Tensor]:
        """Each agent's actor on its own observation; a knob that can do nothing may be set."""
        seen = self.spec.pack_obs(obs)
        if self.is_baseline:
            return self.spec.unpack_actions(self.actor.baseline.expand(len(seen), -1, -1))
        residual, self._memory = self.actor.step(seen, self._memory)
        return self.spec.unpack_actions(self.actor.action(residual))


class MovesPlayer:
    """The best moves by a team's utilities; remembers the settings between decisions."""

    def __init__(self, moves: Moves, utility: TeamUtility) -> None:
        self.moves, self.utility = moves, utility

    def begin(self, clouds: int) -> None:
        """All knobs at the centre."""
        self.moves.begin(clouds)

    def restart(self, is_over_B: Tensor) -> None:
        """All knobs at the centre in clouds whose episode is over."""
        self.moves.restart(is_over_B)

    @torch.no_grad()
    def decide(self, obs: Mapping[str, Tensor], open_BNA: Tensor) -> dict[str, Tensor]:
        """Each agent's best open move by its own observation and settings, taken."""
        choice = self.utility.choose(self.moves.see(obs), self.moves.masks(open_BNA))
        return self.moves.take(choice, open_BNA)
