"""Environments by name, and the one function that makes them.

What an environment does belongs to `batched`; what a cloud does to `marl.cloud`.
"""

from collections.abc import Callable
from typing import Any, Final

import torch

from marl.cloud.catalogue import PriceCatalog, default_catalog
from marl.cloud.config import CloudConfig
from marl.cloud.dynamics import build_cloud
from marl.cloud.params import Reference, build_params, measure_reference
from marl.envs.batched import BatchedEnv
from marl.workload.demand import STEP_S, DemandGenerator
from marl.workload.toy import ToyGenerator


def provisioning(
    num_envs: int,
    device: str | torch.device,
    seed: int,
    *,
    generator: DemandGenerator | None = None,
    catalog: PriceCatalog | None = None,
    episode_steps: int = 144,
    reference: Reference | None = None,
    **overrides: Any,
) -> BatchedEnv:
    """Four agents provision one cloud each; arguments as for `make`."""
    generator = generator or ToyGenerator()
    catalog = catalog or default_catalog()
    config = CloudConfig(**overrides)
    if episode_steps < 1:
        raise ValueError(f"episode_steps must be at least 1; got {episode_steps}")
    reference = reference or measure_reference(generator, config, catalog, episode_steps)
    params = build_params(config, catalog, reference, torch.device(device), STEP_S)
    return BatchedEnv(build_cloud(params), generator, num_envs, episode_steps, seed)


ENVIRONMENTS: Final[dict[str, Callable[..., BatchedEnv]]] = {"provisioning": provisioning}


def make(
    name: str = "provisioning",
    num_envs: int = 1,
    device: str | torch.device = "cpu",
    seed: int = 0,
    *,
    generator: DemandGenerator | None = None,
    catalog: PriceCatalog | None = None,
    episode_steps: int = 144,
    reference: Reference | None = None,
    **overrides: Any,
) -> BatchedEnv:
    """Make a batch of environments.

    Args:
        name: one of `ENVIRONMENTS`.
        num_envs: B, how many clouds advance together.
        device: "cpu", "cuda" ...
        seed: of the weather; see `BatchedEnv.reset`.
        generator: source of demand; the toy generator by default.
        catalog: prices; `default_catalog()` by default.
        episode_steps: T, steps of 5 minutes.
        reference: scale of the demand; measured from the generator by default. Pass the training
            environment's `reference` when evaluating on another generator (held-out windows), so
            that observations, floors and rewards keep their meaning.
        overrides: fields of `marl.cloud.params.CloudConfig`.

    Raises:
        ValueError: an unknown name, an unknown override, or a value out of its range.
    """
    if name not in ENVIRONMENTS:
        raise ValueError(f"no environment {name!r}; there are: {', '.join(sorted(ENVIRONMENTS))}")
    return ENVIRONMENTS[name](
        num_envs,
        device,
        seed,
        generator=generator,
        catalog=catalog,
        episode_steps=episode_steps,
        reference=reference,
        **overrides,
    )
