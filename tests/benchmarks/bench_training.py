"""The whole training loop beside BenchMARL's on VMAS `simple_spread`: frames a second.

Run: `python -m tests.benchmarks.bench_training [--rounds 3] [--iterations 4]
[--algorithms maddpg mappo qmix] [--peers FOLDER]`

Same task and simulator, networks (two hidden layers of 64, ReLU, no layer norm, one network per
agent, one critic of the team), batch, updates a frame; one thread each, in processes of their own,
in turn so that noise hits all alike; medians over the rounds. A frame moves all three agents of
one environment. Both clocks: wall time, and CPU time, which does not count what other programs
take. The first iteration is left out on both sides, evaluation and logging are off. Bar: 2 ×
BenchMARL for each algorithm. BenchMARL is installed once into FOLDER (default data/peers). Nothing
is asserted.
"""

import argparse
import statistics
import sys
from pathlib import Path

from tests.benchmarks.peers.run import ALGORITHMS, ROOT, SIDES, WorkerError, installed, train
from tests.benchmarks.peers.spread import Budget


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=ALGORITHMS)
    parser.add_argument("--peers", type=Path, default=ROOT / "data" / "peers")
    arguments = parser.parse_args()
    budget = Budget(iterations=arguments.iterations)
    try:
        peer = installed(arguments.peers)
    except WorkerError as error:
        sys.exit(f"NOT MEASURED: {error}")
    sys.stdout.write(f"{budget}\n")
    for algorithm in arguments.algorithms:
        rates: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
        for seed in range(arguments.rounds):
            for side in SIDES:
                answer = train(side, algorithm, seed, budget, peer, is_judged=False)
                rates[side].append((answer["frames_per_s"], answer["frames_per_cpu_s"]))
        for i, clock in enumerate(("wall", "CPU")):
            ours, theirs = (statistics.median(row[i] for row in rates[side]) for side in SIDES)
            sys.stdout.write(
                f"{algorithm:7} {clock:4} ours {ours:7.0f} frames/s, BenchMARL {theirs:7.0f}: "
                f"{ours / theirs:.2f} ×\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
