"""What every rule shares: its interface, floors under services, and where its search begins.

A rule changes the tuned reactive rule's constant knobs at every step, from each agent's own
observation. The cloud's reactive autoscaler goes on beneath a floor: whichever asks for more
decides.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marl.cloud.actions import WIDTH, knobs, row
from marl.cloud.types import LOADS, SERVICES
from marl.evaluate.baselines import Parameter

# Name of an observation field → its values (B,), in shares of the reference peak.
Fields = Callable[[str], Tensor]
# The rule's parameters: a number each, or (B,) numbers where many settings are played at once.
Values = Mapping[str, Tensor | float]
# What a rule remembers from step to step of an episode, tensors whose last dimension is B.
Memory = Mapping[str, Tensor]

# Capacity per load the rule counts with; 0 leaves the service to the reactive rule.
MARGINS: Final = tuple(
    Parameter(name=f"margin_{service}", low=0.0, high=2.0, start=0.0) for service in SERVICES
)
_OWN_LOAD: Final = dict(zip(SERVICES, LOADS, strict=False))
_FLOORS: Final = {service: row(service, "floor_share") for service in SERVICES}
_HIGHEST: Final = {
    service: next(knob.high for knob in knobs(service) if knob.name == "floor_share")
    for service in SERVICES
}


@dataclass(frozen=True)
class Sight:
    """What a rule acts on at one step.

    Attributes:
        actions: (WIDTH, B) in [-1, 1], the constant knobs of all agents; not written into.
        fields: service → the fields of its agent's observation, and no other's.
        values: of each of the rule's parameters.
        memory: what the step before returned; None at an episode's first step.
    """

    actions: Tensor
    fields: Mapping[str, Fields]
    values: Values
    memory: Memory | None


class Rule(ABC):
    """A kind of rule; stateless, the memory of an episode is handed in and out.

    Attributes:
        kind: its name in `marl.evaluate.baselines`.
        parameters: what is tuned beside the knobs.
    """

    kind: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]]

    @abstractmethod
    def act(self, now: Sight) -> tuple[Tensor, Memory]:
        """(WIDTH, B) knobs of this step in [-1, 1], and the memory for the next one."""

    def first(self, known: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """(P, WIDTH + K) first candidates of a search that knows (P, WIDTH) good reactive settings.

        Every other one is the reactive rule itself, parameters at their start. Rules that have the
        parameters `MARGINS` rewrite services of the others as floors, see `as_floors`.
        """
        rows = np.hstack([known, np.tile([p.start for p in self.parameters], (len(known), 1))])
        column = self.columns()
        for one in rows[1::2]:
            as_floors(one, column, rng)
            self.vary(one, column, rng)
        return rows

    def vary(
        self, one: NDArray[np.float64], column: Mapping[str, int], rng: np.random.Generator
    ) -> None:
        """Put parameters other than margins of the first candidate `one` somewhere sensible."""
        for p in self.parameters:
            if p not in MARGINS:
                one[column[p.name]] = rng.uniform(p.low, p.high)

    def columns(self) -> dict[str, int]:
        """Parameter → its column in a row of settings."""
        return {p.name: WIDTH + place for place, p in enumerate(self.parameters)}


def own_load(service: str) -> str:
    """Name of the load that `service` scales by, as fields call it."""
    return f"load_{_OWN_LOAD[service]}"


def as_floors(
    one: NDArray[np.float64], column: Mapping[str, int], rng: np.random.Generator
) -> None:
    """Write services of a reactive setting, each by the toss of a coin, as floors instead.

    The target moves up to its limit and the margin takes over what it held free, 1 / target.
    Searching margins beneath an unchanged target would find nothing: a floor below load / target
    is never felt.
    """
    for service in SERVICES:
        if f"margin_{service}" in column and rng.random() < 0.5:
            at = row(service, "target_utilisation")
            one[column[f"margin_{service}"]] = 1.0 / decoded(service, "target_utilisation", one[at])
            one[at] = 1.0


def decoded(service: str, name: str, action: float) -> float:
    """Value, in the knob's unit, of an action in [-1, 1]."""
    knob = next(one for one in knobs(service) if one.name == name)
    return knob.low + (action + 1.0) * 0.5 * (knob.high - knob.low)


def encoded(service: str, name: str, value: Tensor) -> Tensor:
    """(B,) action in [-1, 1] of a knob's value (B,), held within its range."""
    knob = next(one for one in knobs(service) if one.name == name)
    return (2.0 * (value - knob.low) / (knob.high - knob.low) - 1.0).clamp(-1.0, 1.0)


def floor_action(service: str, share: Tensor) -> Tensor:
    """(B,) the knob `floor_share` in [-1, 1] that holds `share` (B,) of the reference peak."""
    return (2.0 / _HIGHEST[service] * share - 1.0).clamp(-1.0, 1.0)


def with_floors(actions: Tensor, shares: Mapping[str, Tensor]) -> Tensor:
    """(WIDTH, B) a copy of the actions, floors raised where they were lower.

    Args:
        actions: (WIDTH, B) in [-1, 1].
        shares: service → (B,) capacity to hold, of the reference peak.
    """
    raised = actions.clone()
    for service, share in shares.items():
        at = _FLOORS[service]
        raised[at] = torch.maximum(actions[at], floor_action(service, share))
    return raised
