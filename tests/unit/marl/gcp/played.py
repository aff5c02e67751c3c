"""Trajectories of policies that really played in the simulated cloud, without the lineage."""

from functools import cache
from typing import Any

import polars as pl

from marl.cloud.actions import encode, knobs
from marl.cloud.config import CloudConfig
from marl.cloud.types import SERVICES
from marl.envs import make
from marl.evaluate.policies import ConstantPolicy, Policy, RandomPolicy
from marl.evaluate.rollout import steps_of
from marl.evaluate.world import physical
from marl.gcp.planning import Setting
from marl.workload.toy import ToyGenerator

STEPS = 72  # of five minutes: long enough for caches to fill and a review of commitments

# A careful engineer's rules: nothing but what is needed.
PLAIN = {
    "target_utilisation": 0.6,
    "floor_share": 0.0,
    "scale_in_window": 10.0,
    "spot_share": 0.0,
    "arm_share": 0.0,
    "highmem_share": 0.0,
    "gpu_share": 0.0,
    "zone_spread": 1.0,
    "fallback_share": 1.0,
    "commitment_share": 0.0,
    "three_year_share": 0.0,
    "free_space_share": 0.3,
    "provisioned_share": 0.0,
    "nearline_after": 30.0,
    "cdn_share": 0.0,
    "premium_share": 1.0,
    "zone_locality": 0.0,
    "read_replicas": 0.0,
    "has_ha": 1.0,
    "cache_share": 0.0,
    "storage_free_share": 0.3,
}
# Everything that can be bought.
RICH = PLAIN | {
    "spot_share": 0.4,
    "arm_share": 0.4,
    "highmem_share": 0.3,
    "gpu_share": 1.0,
    "zone_spread": 0.5,
    "commitment_share": 0.6,
    "three_year_share": 0.5,
    "provisioned_share": 0.6,
    "nearline_after": 45.0,
    "cdn_share": 0.8,
    "premium_share": 0.2,
    "zone_locality": 0.8,
    "read_replicas": 2.0,
    "has_ha": 0.0,
    "cache_share": 1.0,
}


@cache
def play(name: str, **overrides: Any) -> tuple[pl.DataFrame, Setting]:
    """An episode of the rules `plain` or `rich`, or of `random` knobs, under toy demand.

    Args:
        name: which rules.
        overrides: fields of `CloudConfig`.

    Returns:
        The trajectory, and what it was played in.
    """
    rules = {"plain": PLAIN, "rich": RICH}
    policy = _constant(name, rules[name]) if name in rules else RandomPolicy()
    generator = ToyGenerator(mean_vcpu=200.0)
    env = make(num_envs=1, generator=generator, episode_steps=STEPS, **overrides)
    steps = steps_of(policy, env, 0, 3, physical)
    told = {"policy": name, "scenario": "toy", "episode": 0}
    setting = Setting(
        config=CloudConfig(**overrides),
        catalog=env.cloud.params.catalog,
        reference=env.reference,
        is_synthetic=True,
    )
    return pl.DataFrame([told | step for step in steps]), setting


def _constant(name: str, values: dict[str, float]) -> Policy:
    return ConstantPolicy(
        name,
        {
            agent: encode(agent, {each.name: values[each.name] for each in knobs(agent)}).tolist()
            for agent in SERVICES
        },
    )
