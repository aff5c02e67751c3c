"""Clouds under a perturbation: the batched environment with wrong metrics and late actions.

What monitoring gets wrong reaches both who reads it: the agents' observations, and the loads that
the cloud's own autoscalers act on. Knobs that arrive late are the agents' alone: the autoscalers'
orders have delays of their own (`CloudConfig`). Masks, rewards, figures and the global state stay
true. Which perturbations there are is `perturbations`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import torch
from torch import Tensor

from marl.cloud.figures import FIGURES
from marl.cloud.types import LOADS
from marl.envs.batched import BatchedEnv
from marl.envs.shared import SharedClouds
from marl.evaluate.robustness.senses import (
    Moment,
    Senses,
    misread,
    misread_observations,
    older,
)
from marl.evaluate.robustness.trouble import Trouble, with_trouble

_LEVEL: Final = FIGURES.index("slo_attainment")


@dataclass
class Record:
    """Service level step by step of what is played.

    Attributes:
        batches: in order, each with its number of copies and its steps, each (copies · B,).
    """

    batches: list[tuple[int, list[Tensor]]] = field(default_factory=list)


@dataclass(frozen=True)
class Remembered:
    """What an episode leaves behind for its next steps; replaced, never written into."""

    step: int = -1  # of the newest observation
    true: tuple[Mapping[str, Tensor], ...] = ()  # observations, newest last, as many as stale needs
    read: Mapping[str, Tensor] | None = None  # the last one as it was read
    actions: tuple[Tensor, ...] = ()  # (WIDTH, B) each, the coming one first

    def repeated(self, copies: int) -> "Remembered":
        """The same for `copies` times as many clouds, copy by copy."""

        def rows(seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {agent: one.repeat(copies, 1) for agent, one in seen.items()}

        return replace(
            self,
            true=tuple(rows(one) for one in self.true),
            read=None if self.read is None else rows(self.read),
            actions=tuple(one.repeat(1, copies) for one in self.actions),
        )


class _Perturbed(BatchedEnv):
    """What `PerturbedEnv` and its copies share: metrics and actions on their way."""

    _senses: Senses
    _delay_steps: int
    _drawn: int  # clouds with errors of their own; copies share theirs
    _memory: Remembered
    _is_measured: Mapping[str, Tensor]

    def advance(self, joined: Tensor) -> tuple[Tensor, Tensor, bool]:
        """See `BatchedEnv.advance`."""
        before, senses = self._state, self._senses
        if self._delay_steps:
            joined = self._arriving(joined)
        if before is not None and senses.stale_steps:
            self._state = replace(before, loads=older(before.loads, senses.stale_steps))
        reward, figures, is_last = super().advance(joined)
        if before is not None and not senses.is_clear and not is_last:
            self._measure(before.loads)
        return reward, figures, is_last

    def _arriving(self, joined: Tensor) -> Tensor:
        """The action of `_delay_steps` ago; the first one until then."""
        kept = (*self._memory.actions, joined)[-(self._delay_steps + 1) :]
        self._memory = replace(self._memory, actions=kept)
        return kept[0]

    def _measure(self, history: Tensor) -> None:
        """Put the errors of measurement into the newest loads, and the true history behind them."""
        if self._state is None or self._weather is None:
            raise RuntimeError("call reset() first")
        newest = misread(
            self._state.loads[0].t(),
            history[0].t(),
            slice(0, len(LOADS)),
            self._width(),
            self._senses,
            self._moment(),
        ).clamp_min(0.0)
        self._state = replace(self._state, loads=torch.cat((newest.t()[None], history[:-1])))
        self._features = self.cloud.observe(self._state, self._weather.told[self._step])

    def _observed(self) -> dict[str, Tensor]:
        seen, senses = super()._observed(), self._senses
        if senses.is_clear:
            return seen
        memory = self._memory
        if memory.step == self._step and memory.read is not None:
            return dict(memory.read)  # looked at twice: the same
        true = (*memory.true, seen)[-(senses.stale_steps + 1) :]
        read = misread_observations(
            true[0], memory.read, self._is_measured, len(LOADS), senses, self._moment()
        )
        self._memory = replace(memory, step=self._step, true=true, read=read)
        return dict(read)

    def _width(self) -> int:
        return len(LOADS) + sum(len(names) for names in self.observation_names.values())

    def _moment(self) -> Moment:
        copies = self.num_envs // self._drawn
        return Moment(self._seed, self._episode, self._step, self._drawn, copies)


class PerturbedEnv(_Perturbed):
    """`BatchedEnv` under a perturbation; without one, the same in every bit.

    Its `final_obs` is what was read, not what was true.

    Args:
        args: of `BatchedEnv`.
        senses: what monitoring gets wrong.
        delay_steps: steps until an action arrives; until then the first one holds.
        trouble: at a fixed time of every episode.
        record: receives service levels where the clouds are played by `marl.evaluate.rollout`.
        kwargs: of `BatchedEnv`.
    """

    def __init__(
        self,
        *args: Any,
        senses: Senses | None = None,
        delay_steps: int = 0,
        trouble: Trouble | None = None,
        record: Record | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if delay_steps < 0:
            raise ValueError(f"delay_steps must be >= 0; got {delay_steps}")
        self._senses = senses or Senses()
        self._delay_steps, self._trouble, self._record = delay_steps, trouble, record
        self._drawn, self._memory = self.num_envs, Remembered()
        # Loads carry the errors of their measurement; a second one would be another metric's.
        self._is_measured = {
            agent: torch.tensor([name.startswith("load_") for name in names], device=self.device)
            for agent, names in self.observation_names.items()
        }

    def shared(self, copies: int) -> SharedClouds:
        """The clouds as they are now, several times: for policies that are played together."""
        return _PerturbedCopies(self, copies, self._record)

    def _begin(self) -> None:
        super()._begin()
        self._memory = Remembered()
        if self._trouble is not None:
            self._weather = with_trouble(self.weather, self._trouble)


class _PerturbedCopies(_Perturbed, SharedClouds):
    """Copies of perturbed clouds: each meets the errors of its original."""

    def __init__(self, env: PerturbedEnv, copies: int, record: Record | None) -> None:
        SharedClouds.__init__(self, env, copies)
        self._memory = env._memory.repeated(copies)
        self._levels: list[Tensor] = []
        if record is not None:
            record.batches.append((copies, self._levels))

    def advance(self, joined: Tensor) -> tuple[Tensor, Tensor, bool]:
        """See `BatchedEnv.advance`; the service level is noted."""
        reward, figures, is_last = super().advance(joined)
        self._levels.append(figures[_LEVEL])
        return reward, figures, is_last
