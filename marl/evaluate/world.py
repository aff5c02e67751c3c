"""Worlds: where environments of a scenario and a split come from, for training and evaluation.

The only place that joins the fitted workload, the simulated cloud and the learners' view of an
environment. Playing policies is `rollout`; dynamics are `marl.cloud`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, Protocol, cast

from torch import Tensor

from marl.cloud.actions import decode, knobs
from marl.cloud.catalogue import PriceCatalog, default_catalog
from marl.cloud.dynamics import Cloud
from marl.cloud.params import Reference
from marl.cloud.types import SERVICES
from marl.envs import make
from marl.envs.advance import Advance, advance_for, any_number, exact, smooth, smooth_for
from marl.envs.batched import BatchedEnv
from marl.envs.scenarios import (
    Scenario,
    by_difficulty,
    generator_for,
    reference_generator_for,
    scenario,
)
from marl.evaluate.scorers import EpisodeScorer
from marl.train.env import MakeEnv
from marl.workload.model import WorkloadModel

ORACLE: Final = "_oracle"  # policies named so are shown the true demand ahead: a bound, no rival
MIXED: Final = "mixed"  # every kind of demand in turn: the scale of demand is taken from it
TRAINING: Final = "varied"  # what policies are trained and tuned on: every demand, several mixes
_KNOB_NAMES: Final = {agent: tuple(knob.name for knob in knobs(agent)) for agent in SERVICES}


class World(Protocol):
    """What `rollout` and `trajectory` need."""

    @property
    def is_synthetic(self) -> bool:
        """Whether the workload behind it was generated."""
        ...

    def make_env(self, scenario: str, split: str) -> MakeEnv:
        """Environments whose demand is of this kind and from this part of the trace."""
        ...

    def physical(self, actions: Mapping[str, Tensor]) -> dict[str, float]:
        """`<agent>_<knob>` → value in the knob's unit, for one cloud's actions agent → (A_i,)."""
        ...


@dataclass(frozen=True)
class ProvisioningWorld:
    """The simulated cloud under the demand of a fitted workload.

    Attributes:
        model: the fitted workload.
        catalog: prices.
        episode_steps: steps of five minutes in an episode.
        device: where environments live.
        overrides: fields of `marl.cloud.params.CloudConfig`.
        mode: "eager", or "compiled" for what takes the same step millions of times: candidates of a
            search, training. The same results up to rounding. Scenarios whose clouds are not like
            all others' (`Scenario.overrides`) stay eager: each would have to be compiled for.
    """

    model: WorkloadModel
    catalog: PriceCatalog = field(default_factory=default_catalog)
    episode_steps: int = 144
    device: str = "cpu"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    mode: str = "eager"

    @property
    def is_synthetic(self) -> bool:
        """Whether the workload was fitted to a generated trace."""
        return self.model.is_synthetic

    @cached_property
    def reference(self) -> Reference:
        """The scale of demand: the training split's mixed demand, whatever is evaluated."""
        return self._make(scenario(MIXED), None).reference

    def make_env(self, scenario_name: str, split: str) -> MakeEnv:
        """Environments of a scenario (`marl.envs.scenarios`), at the training split's reference.

        Raises:
            ValueError: no such scenario or split.
        """
        one = scenario(scenario_name)
        generator = generator_for(one, self.model, split)  # type: ignore[arg-type]
        cloud = self._make(one, self.reference).cloud if one.overrides else self._cloud
        is_compiled = self.mode != "eager" and not one.overrides
        played = any_number(self._exact) if is_compiled else exact
        smoothed = self._smooth if is_compiled else smooth

        def make_one(num_envs: int, seed: int) -> BatchedEnv:
            return BatchedEnv(
                cloud,
                generator,
                num_envs,
                self.episode_steps,
                seed,
                played,
                smooth_advance=smoothed,
            )

        return make_one

    def stages(self, split: str) -> dict[str, MakeEnv]:
        """Every scenario's environments, the easiest first: what a curriculum climbs.

        A scenario's cloud and demand are made when its first environment is.
        """

        def later(name: str) -> MakeEnv:
            made = cache(lambda: self.make_env(name, split))
            return lambda num_envs, seed: made()(num_envs, seed)

        return {one.name: later(one.name) for one in by_difficulty()}

    def physical(self, actions: Mapping[str, Tensor]) -> dict[str, float]:
        """`<agent>_<knob>` → value in the knob's unit, for one cloud's actions agent → (A_i,)."""
        return physical(actions)

    def seen_by(self, policy_name: str) -> "ProvisioningWorld":
        """The world as a policy of this name is shown it: forecasts are true for an oracle."""
        return self._oracle if policy_name.endswith(ORACLE) else self

    def scorer(self, episodes: int, seed: int) -> EpisodeScorer:
        """Scores settings of every kind of rule on the same `episodes` training episodes."""
        env = cast(BatchedEnv, self.make_env(TRAINING, "train")(episodes, seed))
        return EpisodeScorer(env, seed, self._exact)

    @cached_property
    def _oracle(self) -> "ProvisioningWorld":
        return replace(self, overrides={**self.overrides, "is_oracle_forecast": True})

    @cached_property
    def _cloud(self) -> Cloud:
        """What stays fixed, of all scenarios without overrides."""
        return self._make(scenario(MIXED), self.reference).cloud

    @cached_property
    def _exact(self) -> Advance:
        return advance_for(self.mode, self._cloud)

    @cached_property
    def _smooth(self) -> Advance:
        return smooth_for(self.mode, self._cloud)

    def _make(self, one: Scenario, reference: Reference | None) -> BatchedEnv:
        return make(
            "provisioning",
            1,
            self.device,
            generator=reference_generator_for(one, self.model),
            catalog=self.catalog,
            episode_steps=self.episode_steps,
            reference=reference,
            **{**one.overrides, **self.overrides},
        )


def physical(actions: Mapping[str, Tensor]) -> dict[str, float]:
    """`<agent>_<knob>` → value in the knob's unit, for one cloud's actions agent → (A_i,)."""
    return {
        f"{agent}_{name}": float(value)
        for agent in SERVICES
        for name, value in zip(_KNOB_NAMES[agent], decode(agent, actions[agent]), strict=True)
    }


def load_world(workload_model: Path, price_catalog: Path, episode_steps: int) -> ProvisioningWorld:
    """The simulated cloud under a stored workload, at a stored catalogue's prices.

    Args:
        workload_model: folder of the workload.
        price_catalog: folder of the prices.
        episode_steps: steps in an episode.
    """
    prices = (price_catalog / "catalog.json").read_text(encoding="utf-8")
    return ProvisioningWorld(
        WorkloadModel.load(workload_model),
        PriceCatalog.model_validate_json(prices),
        episode_steps=episode_steps,
    )


def stored_world(data: Path | None = None, episode_steps: int = 144) -> ProvisioningWorld:
    """The world of the lineage's stored workload and prices.

    Args:
        data: the data folder; STRATOFORM_DATA or `data` if absent.
        episode_steps: steps in an episode.
    """
    data = data or Path(os.environ.get("STRATOFORM_DATA", "data"))
    return load_world(data / "workload_model", data / "price_catalog", episode_steps)
