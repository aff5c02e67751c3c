"""Environments by name, and the one function that makes them.

What an environment does belongs to `batched`; what a cloud does to `marl.cloud`; which situations
there are to `scenarios`.
"""

from collections.abc import Callable
from typing import Any, Final

import torch

from marl.cloud.catalogue import PriceCatalog, default_catalog
from marl.cloud.config import CloudConfig
from marl.cloud.dynamics import build_cloud
from marl.cloud.params import Reference, build_params, measure_reference
from marl.envs.advance import advance_for
from marl.envs.batched import BatchedEnv
from marl.envs.rewards import RewardOptions
from marl.envs.scenarios import generator_for, reference_generator_for
from marl.envs.scenarios import scenario as scenario_of
from marl.workload.config import Split
from marl.workload.demand import STEP_S, DemandGenerator
from marl.workload.model import WorkloadModel
from marl.workload.toy import ToyGenerator


def provisioning(
    num_envs: int,
    device: str | torch.device,
    seed: int,
    *,
    scenario: str | None = None,
    model: WorkloadModel | None = None,
    split: Split = "train",
    generator: DemandGenerator | None = None,
    catalog: PriceCatalog | None = None,
    episode_steps: int = 144,
    reference: Reference | None = None,
    rewards: RewardOptions | None = None,
    mode: str = "eager",
    **overrides: Any,
) -> BatchedEnv:
    """Four agents provision one cloud each; arguments as for `make`."""
    catalog = catalog or default_catalog()
    scale_of = generator
    if scenario is not None:
        if generator is not None:
            raise ValueError("give a scenario or a generator: a scenario brings its own demand")
        one = scenario_of(scenario)
        generator, scale_of = generator_for(one, model, split), reference_generator_for(one, model)
        overrides = {**one.overrides, **overrides}
    elif model is not None:
        raise ValueError("a workload model needs a scenario that says what to draw from it")
    generator = generator or ToyGenerator()
    config = CloudConfig(**overrides)
    if episode_steps < 1:
        raise ValueError(f"episode_steps must be at least 1; got {episode_steps}")
    if reference is None:
        reference = measure_reference(scale_of or generator, config, catalog, episode_steps)
    params = build_params(config, catalog, reference, torch.device(device), STEP_S)
    cloud = build_cloud(params)
    advance = advance_for(mode, cloud)
    return BatchedEnv(cloud, generator, num_envs, episode_steps, seed, advance, rewards)


ENVIRONMENTS: Final[dict[str, Callable[..., BatchedEnv]]] = {"provisioning": provisioning}


def make(
    name: str = "provisioning",
    num_envs: int = 1,
    device: str | torch.device = "cpu",
    seed: int = 0,
    *,
    scenario: str | None = None,
    model: WorkloadModel | None = None,
    split: Split = "train",
    generator: DemandGenerator | None = None,
    catalog: PriceCatalog | None = None,
    episode_steps: int = 144,
    reference: Reference | None = None,
    rewards: RewardOptions | None = None,
    mode: str = "eager",
    **overrides: Any,
) -> BatchedEnv:
    """Make a batch of environments.

    Args:
        name: one of `ENVIRONMENTS`.
        num_envs: B, how many clouds advance together.
        device: "cpu", "cuda" ...
        seed: of the weather; see `BatchedEnv.reset`.
        scenario: a situation of `marl.envs.scenarios` (docs/scenarios.md): its demand, its events
            and its trouble.
        model: fitted workload a scenario draws from; toy demand of the same kinds without one.
        split: part of the trace a scenario draws from, "train" or "held_out".
        generator: source of demand, instead of a scenario; the toy generator by default.
        catalog: prices; `default_catalog()` by default.
        episode_steps: T, steps of 5 minutes.
        reference: scale of the demand; measured from the generator by default. Pass the training
            environment's `reference` when evaluating on another generator (held-out windows), so
            that observations, floors and rewards keep their meaning.
        rewards: shaping, normalisation, constraints on the reward; none by default.
        mode: "eager", or "compiled": the step fused by torch.compile, several times faster after a
            first call of a minute or two (some seconds once torch has it cached); the same results
            up to the rounding of float32. Needs a C++ compiler.
        overrides: fields of `marl.cloud.config.CloudConfig`; they win over the scenario's.

    Raises:
        ValueError: an unknown name, scenario or override, or a value out of its range.
    """
    if name not in ENVIRONMENTS:
        raise ValueError(f"no environment {name!r}; there are: {', '.join(sorted(ENVIRONMENTS))}")
    return ENVIRONMENTS[name](
        num_envs,
        device,
        seed,
        scenario=scenario,
        model=model,
        split=split,
        generator=generator,
        catalog=catalog,
        episode_steps=episode_steps,
        reference=reference,
        rewards=rewards,
        mode=mode,
        **overrides,
    )
