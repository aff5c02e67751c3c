"""What compiling brings to training and tuning: the same work compiled and operation by operation.

Run: `python -m tests.benchmarks.bench_compiled [--rounds 3]`

An epoch of APG (a day of 256 smooth clouds in windows of three hours, an update after each) and a
generation of a search (48 candidates, each in the same 24 exact episodes of a day). CPU time on one
thread, the least of interleaved rounds; compiling itself is told apart, it happens once (minutes;
seconds where torch has it cached). Demand needs no trace. Nothing is asserted.
"""

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from marl.algos.first_order import FirstOrderConfig
from marl.cloud.actions import WIDTH
from marl.cloud.compiled import MODES
from marl.envs import make
from marl.envs.advance import advance_for, smooth_for
from marl.envs.batched import BatchedEnv
from marl.evaluate.scorers import EpisodeScorer
from marl.train.config import TrainConfig
from marl.train.first_order import FirstOrderTrainer

STEPS = 288  # of an episode
CANDIDATES, EPISODES = 48, 24


def world(mode: str) -> Callable[[int, int], BatchedEnv]:
    """Environments of one cloud, whose smooth step is this mode's."""
    first = make("provisioning", episode_steps=STEPS)
    smooth = smooth_for(mode, first.cloud)

    def make_env(clouds: int, seed: int) -> BatchedEnv:
        return BatchedEnv(first.cloud, first.generator, clouds, STEPS, seed, smooth_advance=smooth)

    return make_env


def epoch(mode: str) -> Callable[[], object]:
    """One of APG, with the settings of the profiles."""
    make_env = world(mode)
    config = TrainConfig(
        learner=FirstOrderConfig(), epoch_steps=STEPS, hold_steps=1, num_envs=256, gamma=0.98
    )
    zero = {a: [0.0] * s.shape[0] for a, s in make_env(1, 0).action_spec.items()}
    trainer = FirstOrderTrainer(config, make_env, zero)
    trainer.run_epoch()  # warm-up, without gradients
    return trainer.run_epoch


def generation(mode: str) -> Callable[[], object]:
    """One of a search among constant knobs."""
    env = world("eager")(EPISODES, 0)
    scorer = EpisodeScorer(env, 0, advance_for(mode, env.cloud))
    rows = np.random.default_rng(0).uniform(-1, 1, (CANDIDATES, WIDTH))
    return lambda: scorer.constant(rows)


def seconds(work: Callable[[], object]) -> float:
    """CPU time."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for name, make_work in (("APG, an epoch", epoch), ("search, a generation", generation)):
        ways = {mode: make_work(mode) for mode in MODES}
        first = {mode: seconds(way) for mode, way in ways.items()}
        told = [{mode: seconds(way) for mode, way in ways.items()} for _ in range(rounds)]
        least = {mode: min(one[mode] for one in told) for mode in MODES}
        sys.stdout.write(
            f"{name:21} eager {least['eager']:6.2f} s, compiled {least['compiled']:6.2f} s = "
            f"{least['eager'] / least['compiled']:.1f} × as fast; the first compiled one "
            f"{first['compiled']:.0f} s\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
