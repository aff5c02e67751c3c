"""A run's experience: what is stored of each step, which rows are drawn, batches made of them.

Collecting steps belongs to `marl.train.trainer`, buffers to `marl.replay`, returns to
`marl.algos.returns`.
"""
# ruff: noqa: N803, N806 - dimension letters as suffixes, legend in marl/algos/base.py

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from marl.algos.base import Batch, TeamSpec
from marl.algos.qmix import ChoiceBatch
from marl.algos.returns import NStepReturn, n_step_return
from marl.nets.norm import RunningNorm
from marl.replay.hindsight import chosen_later, is_relabelled, steps_left
from marl.replay.prioritised import Draw, PrioritisedReplay
from marl.replay.ring import RingReplay
from marl.train.config import TrainConfig
from marl.train.goals import Goals


def replay_fields(spec: TeamSpec, goals: Goals | None = None) -> dict[str, int]:
    """Fields of one stored step and their widths."""
    agents = len(spec.agents)
    return {
        "obs": agents * max(spec.obs_sizes),
        "state": spec.state_size,
        "residual": agents * max(spec.action_sizes),
        "reward": agents,
        "end": 2,  # terminated, truncated
        **({} if goals is None else {"achieved": goals.size}),
    }


def choice_fields(spec: TeamSpec) -> dict[str, int]:
    """The same where agents choose: `action_sizes` count choices, the team has one reward."""
    agents = len(spec.agents)
    return {
        "obs": agents * max(spec.obs_sizes),
        "state": spec.state_size,
        "choice": agents,
        "mask": agents * max(spec.action_sizes),
        "reward": 1,
        "end": 2,  # terminated, truncated
    }


class AnyExperience(Protocol):
    """What `marl.train.trainer` asks of a run's experience, whatever it draws and makes of it."""

    def add(self, block: Mapping[str, Tensor]) -> None:
        """Store one step of all clouds."""
        ...

    def draws(self, updates: int, done: float) -> Iterator[Any]:
        """What to learn from in each of `updates` updates."""
        ...

    def batch(self, draw: Any) -> Any:
        """The learner's batch of a draw."""
        ...

    def rate(self, draw: Any, batch: Any, error_B: Tensor) -> None:
        """Make errors priorities."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict()`."""
        ...


class Experience:
    """Buffer, priorities and reward statistics of one run.

    Rewards are centred and scaled by their running statistics, per agent, at sampling time: most of
    a step's reward is a constant, the part an action moves is a few per cent of it (centring leaves
    the order of policies unchanged in a continuing task: Naik et al. 2024, arXiv:2405.09999).
    Sparse rewards of goals are taken as they are: of one that has never been earned there are no
    statistics.

    Args:
        config: the run's settings.
        agents: how many.
        fields: stored of each step, name → width: `replay_fields` or `choice_fields`.
        generator: the random state of all drawing.
        device: where the buffer lives.
        goals: of goal-conditioned environments, for hindsight.
    """

    def __init__(
        self,
        config: TrainConfig,
        agents: int,
        fields: Mapping[str, int],
        generator: torch.Generator,
        device: torch.device | str = "cpu",
        goals: Goals | None = None,
    ) -> None:
        if (config.hindsight is None) != (goals is None):
            raise ValueError("hindsight and goals belong together: one is given without the other")
        self.config, self.agents, self.generator, self.goals = config, agents, generator, goals
        self.ring = RingReplay(config.capacity, fields, config.num_envs, device)
        self.priorities = (
            None
            if config.priority is None
            else PrioritisedReplay(self.ring, config.priority, ahead=config.n_step)
        )
        # Not clipped: rare, large losses are what reliability is about.
        self.reward_norm = RunningNorm((fields["reward"],), clip=math.inf).to(device)

    def add(self, block: Mapping[str, Tensor]) -> None:
        """Store one step of all clouds."""
        self.reward_norm.update(block["reward"])
        (self.ring if self.priorities is None else self.priorities).add(block)

    def draws(self, updates: int, done: float) -> Iterator[Draw]:
        """Rows for each of `updates` batches.

        Args:
            updates: how many batches are wanted before new steps arrive.
            done: share of the run that is over.
        """
        count = self.config.batch_size
        if self.priorities is None:
            one = torch.ones(count, device=self.ring.device)
            for _ in range(updates):
                yield Draw(self.ring.sample(count, self.generator, ahead=self.config.n_step), one)
            return
        while updates > 0:
            batches = min(self.priorities.config.draws, updates)
            yield from self.priorities.sample_batches(batches, count, self.generator, done)
            updates -= batches

    def batch(self, draw: Draw) -> Batch:
        """The windows of `n_step` steps that begin at the rows drawn, relabelled where asked."""
        agents, (first, steps) = self.agents, self._window(draw)
        goal = None
        if self.goals is None:
            reward_TBN = self.reward_norm(steps["reward"])
        else:
            goal = self._goal(draw.index_B, self.goals.of_states(first["state"]))
            earned = self.goals.reward(steps["achieved"], goal.expand(len(steps["end"]), -1, -1))
            reward_TBN = earned[..., None].expand(-1, -1, agents)
        returns, following = self._continued(draw, reward_TBN, steps["end"])
        batch = Batch(
            obs_BNF=first["obs"].unflatten(1, (agents, -1)),
            state_BS=first["state"],
            residual_BNA=first["residual"].unflatten(1, (agents, -1)),
            return_BN=returns.return_BN,
            discount_B=returns.discount_B,
            weight_B=draw.weight_B * returns.is_usable_B,
            next_obs_BNF=following["obs"].unflatten(1, (agents, -1)),
            next_state_BS=following["state"],
        )
        if self.goals is None or goal is None:
            return batch
        return replace(
            batch,
            obs_BNF=self.goals.in_observations(batch.obs_BNF, goal),
            state_BS=self.goals.in_states(batch.state_BS, goal),
            next_obs_BNF=self.goals.in_observations(batch.next_obs_BNF, goal),
            next_state_BS=self.goals.in_states(batch.next_state_BS, goal),
        )

    def choices(self, draw: Draw) -> ChoiceBatch:
        """The same of a team that chooses (`choice_fields`)."""
        first, steps = self._window(draw)
        reward_TBN = self.reward_norm(steps["reward"])
        returns, following = self._continued(draw, reward_TBN, steps["end"])
        return ChoiceBatch(
            obs_BNF=first["obs"].unflatten(1, (self.agents, -1)),
            state_BS=first["state"],
            choice_BN=first["choice"].to(torch.int64),
            return_B=returns.return_BN[:, 0],
            discount_B=returns.discount_B,
            weight_B=draw.weight_B * returns.is_usable_B,
            next_obs_BNF=following["obs"].unflatten(1, (self.agents, -1)),
            next_state_BS=following["state"],
            next_mask_BNA=following["mask"].unflatten(1, (self.agents, -1)),
        )

    def rate(self, draw: Draw, batch: Batch | ChoiceBatch, error_B: Tensor) -> None:
        """Make errors the priorities of the rows they were measured on; none of unusable rows."""
        if self.priorities is not None:
            self.priorities.update(draw.index_B, torch.where(batch.weight_B > 0, error_B, 0.0))

    def state_dict(self) -> dict[str, Any]:
        """Rows, priorities, statistics, random state."""
        return {
            "replay": (self.ring if self.priorities is None else self.priorities).state_dict(),
            "reward_norm": self.reward_norm.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict()`."""
        replay = self.ring if self.priorities is None else self.priorities
        replay.load_state_dict(state["replay"])
        self.reward_norm.load_state_dict(state["reward_norm"])
        self.generator.set_state(state["generator"])

    def _window(self, draw: Draw) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Rows drawn, (B, width) each; what the steps from them on were like, (T, B, width)."""
        ring = self.ring
        first = ring.rows(draw.index_B)
        window = ring.later(
            draw.index_B, torch.arange(self.config.n_step, device=ring.device)[:, None]
        )
        if len(window) == 1:
            return first, {name: rows[None] for name, rows in first.items()}
        return first, {name: ring.fields[name][window] for name in first if name not in _WIDE}

    def _continued(
        self, draw: Draw, reward_TBN: Tensor, end_TBE: Tensor
    ) -> tuple[NStepReturn, dict[str, Tensor]]:
        """Returns of the windows, and the rows whose value continues them."""
        returns = n_step_return(reward_TBN, end_TBE[..., 0], end_TBE[..., 1], self.config.gamma)
        return returns, self.ring.rows(self.ring.later(draw.index_B, returns.steps_B))

    def _goal(self, index_B: Tensor, given_BG: Tensor) -> Tensor:
        """(B, G) the goal each row is learned for: its own, or what was achieved later on."""
        ring, hindsight = self.ring, self.config.hindsight
        if hindsight is None:
            raise AssertionError("checked when this was made")
        longest = self.config.epoch_steps // self.config.hold_steps
        ahead = torch.arange(longest, device=ring.device)[:, None]
        end_TB = ring.fields["end"][ring.later(index_B, ahead)].amax(-1)
        later = chosen_later(
            steps_left(end_TB, ring.steps_after(index_B)), hindsight.strategy, self.generator
        )
        achieved = ring.fields["achieved"][ring.later(index_B, later)]
        is_new = is_relabelled(len(index_B), hindsight.ratio, self.generator).to(ring.device)
        return torch.where(is_new[:, None], achieved, given_BG)


# Fields of which only a window's ends are read.
_WIDE = ("obs", "state", "residual", "choice", "mask")
