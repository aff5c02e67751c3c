"""`python -m tests.benchmarks.check_learners apg maddpg …`: what learners gain on the cloud.

Trains each named learner on the workload and around the tuned rule that the lineage has stored, and
prints its gain over that rule, paired, with its 95 % interval: held-in after training, and held out
on mixed demand and on the replayed trace. Settings of `TrainConfig` (those of its learner below
"learner") are given as JSON. Minutes a learner on one core; finished runs are not done again while
`--keep` names the same folder.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from marl.cloud.compiled import mode_here
from marl.evaluate.baselines import BaselineSet
from marl.evaluate.policies import (
    BASELINES_FILE,
    ConstantPolicy,
    LearnedPolicy,
    Policy,
    departure,
)
from marl.evaluate.rollout import rollout
from marl.evaluate.statistics import paired_bootstrap
from marl.evaluate.world import MIXED, TRAINING, ProvisioningWorld, stored_world
from marl.train.config import TrainConfig, learner_named
from marl.train.loop import train
from marl.train.policy_file import load_policy_file

HELD_OUT = (MIXED, "replay")


def config_of(name: str, settings: dict[str, Any]) -> TrainConfig:
    """The run's settings; what is not said is the learner's own default."""
    own = settings.get("learner", {})
    rest = {key: value for key, value in settings.items() if key != "learner"}
    return TrainConfig(learner=learner_named(name, **own), **rest)


def held_out_gains(
    world: ProvisioningWorld, policy: Policy, rule: Policy, episodes: int
) -> list[str]:
    """`difference [low, high]` for each held-out scenario."""
    told = []
    for scenario in HELD_OUT:
        learned, tuned = (
            rollout(one, scenario, "held_out", episodes, world=world)["reward"].to_numpy()
            for one in (policy, rule)
        )
        interval = paired_bootstrap(learned - tuned, np.random.default_rng(0))
        told.append(f"{interval.estimate:+.4f} [{interval.lo:+.4f}, {interval.hi:+.4f}]")
    return told


def main() -> int:
    """Train, then print one row a learner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("learners", nargs="+")
    parser.add_argument("--data", type=Path, default=os.environ.get("STRATOFORM_DATA", "data"))
    parser.add_argument("--settings", type=json.loads, default={}, help="of TrainConfig, as JSON")
    parser.add_argument("--episodes", type=int, default=128)
    parser.add_argument("--keep", type=Path, help="folder of finished runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    world = stored_world(options.data)
    training = replace(world, mode=mode_here("compiled"))
    text = (options.data / BASELINES_FILE).read_text(encoding="utf-8")
    rule = departure(BaselineSet.model_validate_json(text))
    sys.stdout.write("| learner | M steps | held-in | held-out mixed | held-out replay |\n")
    sys.stdout.write("|---|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as aside:
        for name in options.learners:
            config = config_of(name, options.settings)
            make_env = training.make_env(TRAINING, "train")
            result = train(config, make_env, rule, options.keep or Path(aside))
            best = result.summary.best
            policy = LearnedPolicy(load_policy_file(result.policy_path))
            told = held_out_gains(world, policy, ConstantPolicy("reactive", rule), options.episodes)
            held_in = f"{best.gain:+.4f} ± {1.96 * best.gain_se:.4f}"
            row = [name, f"{result.summary.env_steps / 1e6:.2f}", held_in, *told]
            sys.stdout.write(f"| {' | '.join(row)} |\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
