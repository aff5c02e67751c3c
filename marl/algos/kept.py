"""What every learner keeps between updates, so that it continues exactly; steps that shrink."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from marl.algos.steps import shrink


class Kept:
    """State of a learner: its parts by name, a counter, its random state.

    A learner calls `_keep` once its parts are made.

    Attributes:
        updates: gradient steps so far.
        generator: of everything random.
    """

    updates: int
    generator: torch.Generator

    def _keep(
        self,
        parts: Mapping[str, Any],
        annealed: Iterable[tuple[torch.optim.Optimizer, float]],
        end: float,
    ) -> None:
        """Remember what belongs to the state.

        Args:
            parts: networks, statistics and optimisers by name: all that has a `state_dict`.
            annealed: the optimisers whose steps shrink, each with its step at the start.
            end: share of its start that a step has at the end of a run.
        """
        self._parts, self._annealed, self._end = dict(parts), tuple(annealed), end

    def anneal(self, done: float) -> None:
        """Set the optimisers' steps for the share `done` of the run that is over."""
        shrink(self._annealed, self._end, done)

    def state_dict(self) -> dict[str, Any]:
        """Networks, targets, optimisers, statistics, counter, random state."""
        return {
            **{name: part.state_dict() for name, part in self._parts.items()},
            "updates": self.updates,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict()`."""
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        self.updates = int(state["updates"])
        self.generator.set_state(state["generator"])
