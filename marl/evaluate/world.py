"""Worlds: where environments of a scenario and a split come from, for training and evaluation.

The only place that joins the fitted workload, the simulated cloud and the learners' view of an
environment. Playing policies is `rollout`; dynamics are `marl.cloud`.
"""

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marl.cloud.actions import decode, knobs
from marl.cloud.catalogue import PriceCatalog, default_catalog
from marl.cloud.dynamics import initial_state, knobs_from_actions, step
from marl.cloud.observation import observation_names
from marl.cloud.params import Reference
from marl.cloud.types import SERVICES, WeatherStep
from marl.envs import make
from marl.envs.batched import BatchedEnv
from marl.train.env import MakeEnv
from marl.workload.demand import DemandGenerator
from marl.workload.generators import KINDS, MixedGenerator, make_generator
from marl.workload.model import WorkloadModel

MIXED: Final = "mixed"  # every kind of demand in turn: what policies are trained and tuned on
SCENARIOS: Final = (MIXED, *KINDS)
_OBSERVATION_NAMES: Final = {agent: observation_names(agent) for agent in SERVICES}
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


class LearnersView(BatchedEnv):
    """The provisioning environment with what learners ask for beside it: names, and the future."""

    observation_names = _OBSERVATION_NAMES
    action_names = _KNOB_NAMES

    def twin(self) -> "LearnersView":
        """An independent environment in the same weather and the same state.

        A shallow copy is enough: a step replaces states and never writes into them.
        """
        return copy.copy(self)

    def future(self, horizon: int) -> Tensor:
        """(B, horizon · 5) load and spot price of the next steps: for central critics only."""
        return self.weather.future(self.step_index, horizon).flatten(1)


@dataclass(frozen=True)
class ProvisioningWorld:
    """The simulated cloud under the demand of a fitted workload.

    Attributes:
        model: the fitted workload.
        catalog: prices.
        episode_steps: steps of five minutes in an episode.
        device: where environments live.
        overrides: fields of `marl.cloud.params.CloudConfig`.
    """

    model: WorkloadModel
    catalog: PriceCatalog = field(default_factory=default_catalog)
    episode_steps: int = 144
    device: str = "cpu"
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_synthetic(self) -> bool:
        """Whether the workload was fitted to a generated trace."""
        return self.model.is_synthetic

    @cached_property
    def reference(self) -> Reference:
        """The scale of demand: the training split's mixed demand, whatever is evaluated."""
        return self._make(MIXED, "train", 1, 0, None).reference

    def generator(self, scenario: str, split: str) -> DemandGenerator:
        """Demand of a scenario.

        Raises:
            ValueError: no such scenario or split.
        """
        if scenario not in SCENARIOS:
            raise ValueError(f"no scenario {scenario!r}; there are: {', '.join(SCENARIOS)}")
        kinds = KINDS if scenario == MIXED else (scenario,)
        # A short trace's held-out part may be shorter than an episode: replay then goes round.
        parts = [
            make_generator(self.model, kind, split, is_wrapped=True)  # type: ignore[arg-type]
            for kind in kinds
        ]
        return MixedGenerator(parts) if scenario == MIXED else parts[0]

    def make_env(self, scenario: str, split: str) -> MakeEnv:
        """Environments of a scenario, at the training split's reference."""
        generator = self.generator(scenario, split)

        def make_one(num_envs: int, seed: int) -> LearnersView:
            return self._view(generator, num_envs, seed)

        return make_one

    def physical(self, actions: Mapping[str, Tensor]) -> dict[str, float]:
        """`<agent>_<knob>` → value in the knob's unit, for one cloud's actions agent → (A_i,)."""
        return {
            f"{agent}_{name}": float(value)
            for agent in SERVICES
            for name, value in zip(_KNOB_NAMES[agent], decode(agent, actions[agent]), strict=True)
        }

    def scorer(self, episodes: int, seed: int) -> "ConstantScorer":
        """Scores constant joint actions on the same `episodes` training episodes."""
        return ConstantScorer(self._view(self.generator(MIXED, "train"), episodes, seed), seed)

    def _make(
        self, scenario: str, split: str, num_envs: int, seed: int, reference: Reference | None
    ) -> BatchedEnv:
        return make(
            "provisioning",
            num_envs,
            self.device,
            seed,
            generator=self.generator(scenario, split),
            catalog=self.catalog,
            episode_steps=self.episode_steps,
            reference=reference,
            **self.overrides,
        )

    def _view(self, generator: DemandGenerator, num_envs: int, seed: int) -> LearnersView:
        return LearnersView(self._cloud, generator, num_envs, self.episode_steps, seed)

    @cached_property
    def _cloud(self) -> Any:
        return self._make(MIXED, "train", 1, 0, self.reference).cloud


class ConstantScorer:
    """Mean reward per step of constant joint actions, all in copies of the same weather.

    Args:
        env: its clouds' first episodes are the weather.
        seed: of the weather.
    """

    def __init__(self, env: BatchedEnv, seed: int) -> None:
        env.reset(seed=seed)
        self._cloud, self._weather = env.cloud, env.weather
        self._episodes = env.num_envs

    @torch.no_grad()
    def __call__(self, actions: NDArray[np.float64]) -> NDArray[np.float64]:
        """(P,) scores of (P, A) actions, all agents' knobs in a row, in [-1, 1]."""
        copies, device = len(actions), self._cloud.params.device
        rows = torch.tensor(actions, dtype=torch.float32, device=device)
        knob_values = knobs_from_actions(rows.repeat_interleave(self._episodes, 0), self._cloud)
        total = torch.zeros(len(knob_values), dtype=torch.float64, device=device)
        state = None
        for one in self._weather.steps:
            weather = _copies(one, copies)
            state = initial_state(weather, self._cloud) if state is None else state
            state, outcome = step(state, knob_values, weather, self._cloud)
            total += outcome.reward.mean(1)
        mean = total.reshape(copies, self._episodes).mean(1) / len(self._weather.steps)
        return np.asarray(mean.cpu().numpy())


def _copies(weather: WeatherStep, copies: int) -> WeatherStep:
    """The same weather for `copies` times as many clouds, copy by copy."""
    tiled = {
        name: value.repeat(copies, *[1] * (value.dim() - 1))
        for name, value in vars(weather).items()
        if isinstance(value, Tensor)
    }
    return replace(weather, **tiled)  # type: ignore[arg-type]  # is_new_hour is no tensor


def stored_world(data: Path | None = None, episode_steps: int = 144) -> ProvisioningWorld:
    """The world of the lineage's stored workload and prices.

    Args:
        data: the data folder; STRATOFORM_DATA or `data` if absent.
        episode_steps: steps in an episode.
    """
    data = data or Path(os.environ.get("STRATOFORM_DATA", "data"))
    prices = (data / "price_catalog" / "catalog.json").read_text(encoding="utf-8")
    return ProvisioningWorld(
        WorkloadModel.load(data / "workload_model"),
        PriceCatalog.model_validate_json(prices),
        episode_steps=episode_steps,
    )
