"""`python -m tests.benchmarks.check_information`: which of what agents see is worth how much.

Trains the same first-order learner again and again on the workload and the tuned rule that the
lineage has stored: as it is, shown the true demand of its forecast's horizons (which nobody has),
and blind to one group of fields at a time, and prints each one's held-out gain over the tuned
reactive rule, paired, with its 95 % interval, and the share of the distance to the oracle's that is
lost. Some minutes a row on one core.
"""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from marl.cloud.dynamics import Cloud
from marl.cloud.features import state_names
from marl.envs.scenarios import Scenario
from marl.evaluate.baselines import BaselineSet, JointAction
from marl.evaluate.policies import BASELINES_FILE, ConstantPolicy, LearnedPolicy
from marl.evaluate.rollout import rollout
from marl.evaluate.statistics import paired_bootstrap
from marl.evaluate.world import MIXED, ProvisioningWorld, stored_world
from marl.train.config import TrainConfig, learner_named
from marl.train.loop import train
from marl.train.policy_file import load_policy_file
from pipelines.profiles import EVERY_STEP

ORACLE = "(shown the true demand ahead)"
# What is hidden, by the beginnings of the fields' names.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "nothing": (),
    "calendar": ("day_sin", "day_cos", "week_sin", "week_cos"),
    "same hour yesterday and last week": ("day_ago_", "week_ago_"),
    "forecast": ("forecast_",),
    "announcements and schedules": ("announced_", "scheduled_"),
    "all of the future's traces": ("day_", "week_", "forecast_", "announced_", "scheduled_"),
    "history of load": (
        *(f"load_{name}" for name in ("vcpu", "iops", "gbps", "db_vcpu", "memory", "ml_vcpu")),
    ),
    "queues": ("backlog_", "arrivals_", "late_"),
    "what the others do": ("utilisation_",),
}


@dataclasses.dataclass(frozen=True)
class BlindWorld(ProvisioningWorld):
    """The same clouds, whose state shows zeros in place of some fields.

    Attributes:
        hidden: beginnings of their names.
    """

    hidden: tuple[str, ...] = ()

    def _cloud(self, one: Scenario) -> Cloud:
        cloud = super()._cloud(one)
        names = state_names(cloud.params.config.zones)
        scale = cloud.feature_scale.clone()
        scale[[i for i, name in enumerate(names) if name.startswith(self.hidden)]] = 0.0
        return dataclasses.replace(cloud, feature_scale=scale)


def gains(
    world: ProvisioningWorld, config: TrainConfig, rule: JointAction, episodes: int
) -> np.ndarray:
    """(episodes,) held-out reward of the trained policy minus the rule's, episode by episode."""
    with tempfile.TemporaryDirectory() as folder:
        result = train(config, world.make_env(MIXED, "train"), rule, Path(folder))
        policies = (
            LearnedPolicy(load_policy_file(result.policy_path)),
            ConstantPolicy("reactive", rule),
        )
        learned, reactive = (
            rollout(policy, MIXED, "held_out", episodes, world=world)["reward"].to_numpy()
            for policy in policies
        )
    return learned - reactive


def main() -> int:
    """Train one learner a group, print one row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("STRATOFORM_DATA", "data"))
    )
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--episodes", type=int, default=256)
    parser.add_argument("--groups", nargs="*", default=list(GROUPS), choices=list(GROUPS))
    options = parser.parse_args()
    stored = stored_world(options.data)
    rule = BaselineSet.model_validate_json(
        (options.data / BASELINES_FILE).read_text(encoding="utf-8")
    ).actions()["reactive"]
    config = TrainConfig(
        learner=learner_named("apg"), epochs=options.epochs, num_envs=256, **EVERY_STEP
    )
    parts = {f.name: getattr(stored, f.name) for f in dataclasses.fields(stored)}
    oracle = BlindWorld(**parts | {"overrides": {"is_oracle_forecast": True}})
    worlds = {ORACLE: oracle}
    worlds |= {name: BlindWorld(**parts, hidden=GROUPS[name]) for name in options.groups}
    rows = {}
    sys.stdout.write("| hidden | gain over reactive | of the oracle's |\n|---|---|---|\n")
    for name, world in worlds.items():
        difference = gains(world, config, rule, options.episodes)
        interval = paired_bootstrap(difference, np.random.default_rng(0))
        rows[name] = interval.estimate
        share = rows[name] / rows[ORACLE]
        told = f"{interval.estimate:+.4f} [{interval.lo:+.4f}, {interval.hi:+.4f}]"
        sys.stdout.write(f"| {name} | {told} | {share:.0%} |\n")
        sys.stdout.flush()
    sys.stdout.write(json.dumps(rows) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
