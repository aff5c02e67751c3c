"""The whole training loop of MADDPG on the provisioning environment beside its parts.

Run: `python -m tests.benchmarks.bench_loop [--rounds 3] [--clouds 1024]`

An epoch with its settings as in `TrainConfig` (a day of 1,024 clouds and as many beside them, 12
decisions, 30 updates after each), against what an epoch cannot do without, measured apart in the
same round: drawing the weather and stepping both sets of clouds with constant actions, and the
updates on one batch that is at hand. The rest is acting, normalising, replay and bookkeeping. CPU
time on one thread, the least of the rounds each; "prioritised" is the same with prioritised
replay. Bar: the loop within 20 % of the sum. Nothing is asserted.
"""

import argparse
import sys
import time
from collections.abc import Callable

import torch

from marl.envs import make
from marl.replay.prioritised import PriorityConfig
from marl.train.config import TrainConfig
from marl.train.env import BatchedEnv, twin
from marl.train.trainer import Trainer


def make_env(clouds: int, seed: int) -> BatchedEnv:
    """The cloud under demand that needs no trace."""
    return make("provisioning", num_envs=clouds, seed=seed)


def seconds(operation: Callable[[], object]) -> float:
    """CPU time."""
    started = time.process_time()
    operation()
    return time.process_time() - started


def environment(trainer: Trainer) -> None:
    """What an epoch asks of its clouds."""
    env, config = trainer.env, trainer.config
    env.reset(seed=1)
    beside = twin(env, make_env, 1)
    for _ in range(config.epoch_steps):
        env.step(trainer.clouds.baseline_actions)
        beside.step(trainer.clouds.baseline_actions)


def updates(trainer: Trainer) -> None:
    """An epoch's updates, on one batch."""
    batch = trainer.experience.batch(next(trainer.experience.draws(1, 0.0)))
    config = trainer.config
    for _ in range(config.epoch_steps // config.hold_steps * config.updates_per_step):
        trainer.learner.update(batch)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clouds", type=int, default=1024)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    plain = TrainConfig(num_envs=arguments.clouds)
    first = make_env(1, 0)
    zero = {agent: [0.0] * space.shape[0] for agent, space in first.action_spec.items()}
    trainers = {
        "loop": Trainer(plain, make_env, zero),
        "prioritised": Trainer(
            plain.model_copy(update={"priority": PriorityConfig()}), make_env, zero
        ),
    }
    ways: dict[str, Callable[[], object]] = {
        "environment": lambda: environment(trainers["loop"]),
        "updates": lambda: updates(trainers["loop"]),
        **{name: one.run_epoch for name, one in trainers.items()},
    }
    for one in trainers.values():  # until actors learn too
        for _ in range(4):
            one.run_epoch()
    least = {name: min(seconds(way) for _ in range(arguments.rounds)) for name, way in ways.items()}
    parts = least["environment"] + least["updates"]
    for name, value in least.items():
        text = f" = {value / parts:.2f} × environment + updates" if name in trainers else ""
        sys.stdout.write(f"{name:12} {value:6.2f} s{text}\n")


if __name__ == "__main__":
    main()
