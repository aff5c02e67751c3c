"""Discrete choices in a continuous world: each agent keeps its knobs or moves one by one level.

The same face as the environments' "moves" (`marl.envs.discrete`), for any world of continuous
actions: settings begin an episode at a centre (the tuned rule), so a team that keeps everything is
the rule to the last bit, and what is learned this way is compared with every other policy in the
same environments. Tables are `marl.levels`; who chooses is a learner or a stored policy.
"""
# ruff: noqa: N803 - dimension letters as suffixes (obs_BNF), legend in marl/algos/base.py

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from marl.algos.base import TeamSpec
from marl.levels import level_tables


def moves_spec(spec: TeamSpec) -> TeamSpec:
    """A world's sizes as a learner of moves sees them.

    Agents see their settings beside their observations, the state holds all settings, and
    `action_sizes` are numbers of moves: keep, and up and down for each knob.
    """
    return replace(
        spec,
        obs_sizes=tuple(o + a for o, a in zip(spec.obs_sizes, spec.action_sizes, strict=True)),
        action_sizes=tuple(1 + 2 * size for size in spec.action_sizes),
        state_size=spec.state_size + sum(spec.action_sizes),
    )


class Moves:
    """The knobs' settings in B clouds, changed by moves around a centre.

    Args:
        spec: sizes of the world.
        centre: agent → (A_i,) actions in [-1, 1] where every episode begins.
        levels: settings of each knob, odd.
        reach: how far from the centre the outermost lie, in action units.
        device: where clouds live.

    Attributes:
        seen: `moves_spec` of the world.
    """

    def __init__(
        self,
        spec: TeamSpec,
        centre: Mapping[str, Sequence[float]],
        levels: int,
        reach: float,
        device: torch.device | str = "cpu",
    ) -> None:
        self.spec, self.seen = spec, moves_spec(spec)
        sizes = {agent: len(centre[agent]) for agent in spec.agents}
        if tuple(sizes.values()) != spec.action_sizes:
            raise ValueError(f"a centre of {spec.action_sizes} knobs is needed; got {sizes}")
        joined = np.concatenate([np.asarray(centre[agent], np.float64) for agent in spec.agents])
        self.levels = level_tables(spec.action_sizes, levels, joined, reach).on(
            torch.device(device)
        )
        self._set = torch.zeros((0, len(joined)), dtype=torch.int64, device=device)

    def begin(self, clouds: int) -> None:
        """Put every knob of every cloud at the centre."""
        self._set = self._set.new_full((clouds, self._set.shape[1]), self.levels.middle)

    def restart(self, is_over_B: Tensor) -> None:
        """Put every knob at the centre again in clouds whose episode is over."""
        self._set = torch.where(is_over_B[:, None], self.levels.middle, self._set)

    def settings(self) -> Tensor:
        """(B, W) present actions, all agents' side by side."""
        settings: Tensor = self.levels.actions(self._set)
        return settings

    def actions(self) -> dict[str, Tensor]:
        """The same as agent → (B, A_i), what the world is stepped with."""
        parts = self.settings().split(self.spec.action_sizes, 1)
        return dict(zip(self.spec.agents, parts, strict=True))

    def see(self, obs: Mapping[str, Tensor]) -> Tensor:
        """(B, N, F) packed observations, each agent's own settings behind its own."""
        own = self.actions()
        return self.seen.pack_obs(
            {agent: torch.cat((obs[agent], own[agent]), 1) for agent in self.spec.agents}
        )

    def masks(self, open_BNA: Tensor) -> Tensor:
        """(B, N, M) 1 where a move changes something, and for "keep".

        Args:
            open_BNA: nonzero where a knob can do something (`marl.train.env.open_knobs`).
        """
        masks = self.levels.move_masks(self._set, self._flat(open_BNA))
        parts = masks.split(self.seen.action_sizes, 1)
        return self.seen.pack_actions(dict(zip(self.spec.agents, parts, strict=True)))

    def take(self, choice_BN: Tensor, open_BNA: Tensor) -> dict[str, Tensor]:
        """One move of each agent; the actions to hold from then on.

        A move that `masks` shows as closed keeps everything.
        """
        self._set = self.levels.moved(self._set, choice_BN, self._flat(open_BNA))
        return self.actions()

    def _flat(self, knobs_BNA: Tensor) -> Tensor:
        """(B, W) without padding."""
        return torch.cat(tuple(self.spec.unpack_actions(knobs_BNA).values()), 1)
