"""Where hindsight helps on the simulated cloud and where not: service levels as goals.

Run: `python -m tests.benchmarks.check_goals [--data data] [--epochs 12] [--seeds 1]`

The world is the stored one (`make report` first), goals as in `marl.train.service_goals`: "easy"
goals are met by the tuned rule in most hours, "hard" ones in few. MADDPG learns each from the
sparse reward alone, with hindsight and without, from the same start (the rule) and with the same
steps and updates. Told is the share of held-out hours in which the goal is met. Nothing is
asserted.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from marl.algos.maddpg import MaddpgConfig
from marl.evaluate.world import stored_world
from marl.replay.hindsight import HindsightConfig
from marl.train.config import TrainConfig
from marl.train.service_goals import GoalProvisioning, ServiceGoals
from marl.train.trainer import Trainer

DECISIONS, HOLD = 12, 12
KINDS = {
    "easy": ServiceGoals(nines=(1.5, 2.5), cost=(1.0, 1.2)),
    "hard": ServiceGoals(nines=(2.5, 3.5), cost=(0.8, 0.95)),
}


def met(trainer: Trainer, env: GoalProvisioning, *, is_rule: bool) -> float:
    """Share of decisions whose goal is met, by the trained policy or the rule."""
    obs, total = env.reset(seed=5), 0.0
    for _ in range(DECISIONS):
        residual = trainer.learner.act(trainer.spec.pack_obs(obs)) * (not is_rule)
        actions = trainer.spec.unpack_actions(trainer.learner.actor.action(residual))
        step = env.step(actions)
        obs = step.obs
        total += float(step.reward[env.agents[0]].mean()) + 1.0
    return total / DECISIONS


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    world = stored_world(arguments.data)
    stored = json.loads((arguments.data / "baseline_policies/baselines.json").read_text())
    rule = next(one["action"] for one in stored["tuned"] if one["name"] == "reactive")
    for kind, goals in KINDS.items():
        for ratio in (4.0, 0.0):
            for seed in range(arguments.seeds):
                config = TrainConfig(
                    learner=MaddpgConfig(actor_warmup=300, actor_lr=2e-4),
                    seed=seed, epochs=arguments.epochs, epoch_steps=DECISIONS, hold_steps=1,
                    num_envs=256, updates_per_step=20, is_relative=False, critic_horizon=0,
                    noise_sigma=0.3, hindsight=HindsightConfig(ratio=ratio),
                )  # fmt: skip

                def make(num: int, at: int, split: str = "train", goals=goals):
                    return GoalProvisioning(
                        world.make_env("mixed", split), num, at, rule, HOLD, goals
                    )

                started = time.process_time()
                trainer = Trainer(config, make, rule)
                for _ in range(config.epochs):
                    trainer.run_epoch()
                env = make(256, 1, "held_out")
                sys.stdout.write(
                    f"{kind} goals, hindsight {ratio:.0f}:1, seed {seed}: met in "
                    f"{met(trainer, env, is_rule=False):.1%} of hours; the rule "
                    f"{met(trainer, env, is_rule=True):.1%}; "
                    f"{time.process_time() - started:.0f} s of CPU\n"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    main()
