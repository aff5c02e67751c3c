"""The smallest real grid: the simulated cloud under toy demand, seconds a cell."""

from dataclasses import dataclass
from functools import cached_property

from marl.evaluate.ablation.cells import Asked
from marl.evaluate.ablation.setups import Budget
from marl.evaluate.families import family
from marl.evaluate.world import ProvisioningWorld

BUDGET = Budget(steps=96, clouds=4, episode_steps=24, held_in=4)


class ToyWorld(ProvisioningWorld):
    """Toy demand in the place of a fitted workload."""

    is_synthetic = True


@dataclass(frozen=True)
class ToyAsked(Asked):
    """Needs no stored data."""

    @cached_property
    def world(self):
        return ToyWorld(None, episode_steps=self.budget.episode_steps)

    @cached_property
    def rule(self):
        return family("reactive").start

    @cached_property
    def inputs_hash(self):
        return "toy"


def toy(folder, **changes):
    return ToyAsked(folder, folder / "out", BUDGET, episodes=5, **changes)
