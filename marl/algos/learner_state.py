"""What every learner keeps between updates, so that it continues exactly; steps that shrink."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from marl.algos.steps import shrink


class LearnerState:
    """State of a learner: its parts, a counter, its random state.

    A learner calls `_register` once its parts are made.

    Attributes:
        updates: gradient steps so far.
        generator: of everything random.
    """

    updates: int
    generator: torch.Generator

    def _register(self, parts: Sequence[str], annealed: Mapping[str, float], end: float) -> None:
        """Say which attributes are state.

        Args:
            parts: names of networks, statistics and optimisers whose steps stay.
            annealed: names of the optimisers whose steps shrink, each with its step at the start.
            end: share of its start that a step has at the end of a run.
        """
        self._annealed, self._end = dict(annealed), end
        self._parts = (*parts, *annealed)

    def anneal(self, done: float) -> None:
        """Set the optimisers' steps for the share `done` of the run that is over."""
        steps = [(getattr(self, name), start) for name, start in self._annealed.items()]
        shrink(steps, self._end, done)

    def state_dict(self) -> dict[str, Any]:
        """Networks, targets, optimisers, statistics, counter, random state."""
        return {
            **{name: getattr(self, name).state_dict() for name in self._parts},
            "updates": self.updates,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict()`."""
        for name in self._parts:
            getattr(self, name).load_state_dict(state[name])
        self.updates = int(state["updates"])
        self.generator.set_state(state["generator"])
