"""Where perturbations are played: environments of a scenario, unperturbed or changed.

The scale of demand stays the training split's, and weather is drawn from the same random numbers
whatever is changed, so that an episode's number means the same everywhere. Playing is `cells`.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import polars as pl

from marl.cloud.dynamics import Cloud
from marl.envs import make
from marl.envs.scenarios import Scenario, generator_for, reference_generator_for, scenario
from marl.evaluate.robustness.clouds import PerturbedEnv, Record
from marl.evaluate.robustness.demand import ChangedDemand, DemandChange, Level
from marl.evaluate.robustness.perturbations import Change
from marl.evaluate.world import ProvisioningWorld
from marl.train.env import MakeEnv
from marl.workload.config import Split
from marl.workload.demand import CLASSES, DemandGenerator
from marl.workload.model import WorkloadModel


@dataclass(frozen=True)
class Stage:
    """A scenario in which perturbations are tried.

    Attributes:
        world: the simulated cloud and its workload.
        scenario: by name.
        split: part of the trace; "held_out" for claims.
    """

    world: ProvisioningWorld
    scenario: str
    split: Split = "held_out"

    @cached_property
    def base(self) -> DemandGenerator:
        """The scenario's own demand; what it remembers of the past is drawn once."""
        return generator_for(scenario(self.scenario), self.world.model, self.split)

    def make_env(self, change: Change, record: Record | None = None) -> MakeEnv:
        """Environments with the change in them; the scenario's own, bit by bit, without one.

        Args:
            change: see `perturbations`.
            record: receives service levels step by step.

        Raises:
            ValueError: the change does not fit the scenario's clouds.
        """
        cloud, generator = self._cloud(change), self._generator(change)

        def make_one(num_envs: int, seed: int) -> PerturbedEnv:
            return PerturbedEnv(
                cloud,
                generator,
                num_envs,
                self.world.episode_steps,
                seed,
                senses=change.senses,
                delay_steps=change.delay_steps,
                trouble=change.trouble,
                record=record,
            )

        return make_one

    def _cloud(self, change: Change) -> Cloud:
        one, world = scenario(self.scenario), self.world
        made = make(
            "provisioning",
            1,
            world.device,
            generator=reference_generator_for(one, world.model),
            catalog=world.catalog,
            episode_steps=world.episode_steps,
            reference=world.reference,
            **{**one.overrides, **world.overrides, **change.overrides},
        )
        return made.cloud

    def _generator(self, change: Change) -> DemandGenerator:
        one, model = scenario(self.scenario), self.world.model
        made: DemandGenerator = self.base
        changes: tuple[DemandChange, ...] = change.demand
        if change.workload is not None:
            other = WorkloadModel.load(change.workload)
            made = generator_for(one, other, self.split)
            changes = (Level(mean_vcpu(model) / mean_vcpu(other)), *changes)
        if change.mix_drift:
            made = generator_for(drifted(one, model, change.mix_drift), model, self.split)
        return ChangedDemand(made, changes) if changes else made


def drifted(one: Scenario, model: WorkloadModel, share: float) -> Scenario:
    """The scenario with `share` of batch and ML compute turned into web.

    Raises:
        ValueError: a share outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share that drifts must be in [0, 1]; got {share}")
    ncu = {name: model.classes[name].cpu_ncu.mean for name in CLASSES if name in model.classes}
    own = dict(one.mix) if one.mix else {name: x / sum(ncu.values()) for name, x in ncu.items()}
    mix = {name: x * (1.0 - share) for name, x in own.items() if name != "web"}
    return replace(one, mix={"web": 1.0 - sum(mix.values()), **mix})


def mean_vcpu(model: WorkloadModel) -> float:
    """Mean compute (vCPU) of all classes over the training part of a workload's history."""
    train = model.history.filter(~pl.col("is_held_out"))
    totals = train.group_by("window_us").agg(pl.col("compute_vcpu").sum())
    return float(totals["compute_vcpu"].to_numpy().mean())


def stage_of(workload_model: Path, price_catalog: Path, episode_steps: int, name: str) -> Stage:
    """The held-out stage of a scenario in the world of a stored workload and stored prices."""
    from marl.evaluate.world import load_world

    return Stage(load_world(workload_model, price_catalog, episode_steps), name)
