"""Final returns beside BenchMARL's on VMAS `simple_spread`, over seeds, at equal frames and sizes.

Run: `python -m tests.benchmarks.check_spread [--seeds 5] [--algorithms maddpg mappo qmix]
[--results FILE] [--peers FOLDER]`

Each run trains as `bench_training` says, with `peers.spread.Budget`'s frames; the last policy is
played without exploration over the same 512 episodes for all. Printed: mean over seeds and its 95 %
interval (Student's t). Bar: our mean at least the lower end of BenchMARL's interval. Runs are kept
in FILE (default data/peers/spread.jsonl), one line each with the commit of our code, and not done
again. Nothing is asserted. For scale: doing nothing returns about −580, flying to a landmark of
one's own −180, to the best assignment of landmarks −127.
"""

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from tests.benchmarks.peers.run import ALGORITHMS, PACKAGES, ROOT, SIDES, installed, train
from tests.benchmarks.peers.spread import Budget


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half width of its 95 % interval; infinite for one value."""
    if len(values) < 2:
        return values[0], float("inf")
    spread = statistics.stdev(values) / len(values) ** 0.5
    return statistics.mean(values), float(student.ppf(0.975, len(values) - 1)) * spread


def main() -> None:
    """Train what is missing, print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=ALGORITHMS)
    parser.add_argument("--peers", type=Path, default=ROOT / "data" / "peers")
    parser.add_argument("--results", type=Path, default=ROOT / "data" / "peers" / "spread.jsonl")
    arguments = parser.parse_args()
    budget = Budget()
    peer = installed(arguments.peers)
    code = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()

    def key(side: str, algorithm: str, seed: int) -> list[Any]:
        made_by = code if side == "ours" else PACKAGES
        return [side, algorithm, seed, dataclasses.asdict(budget), made_by]

    known: dict[str, dict[str, Any]] = {}
    if arguments.results.is_file():
        for line in arguments.results.read_text().splitlines():
            row = json.loads(line)
            known[json.dumps(row["run"])] = row
    for seed in range(arguments.seeds):
        for algorithm in arguments.algorithms:
            for side in SIDES:
                run = key(side, algorithm, seed)
                if json.dumps(run) in known:
                    continue
                row = {"run": run, **train(side, algorithm, seed, budget, peer)}
                known[json.dumps(run)] = row
                with arguments.results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                sys.stdout.write(f"{side} {algorithm} seed {seed}: {row['return']:.1f}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{budget.frames} frames, {arguments.seeds} seeds, {budget}\n")
    for algorithm in arguments.algorithms:
        means = {}
        for side in SIDES:
            runs = [key(side, algorithm, seed) for seed in range(arguments.seeds)]
            means[side] = interval([known[json.dumps(run)]["return"] for run in runs])
        (ours, our_half), (theirs, their_half) = (means[side] for side in SIDES)
        verdict = "met" if ours >= theirs - their_half else "MISSED"
        sys.stdout.write(
            f"{algorithm:7} ours {ours:8.1f} ± {our_half:5.1f}, BenchMARL {theirs:8.1f} ± "
            f"{their_half:5.1f}: {verdict}\n"
        )


if __name__ == "__main__":
    main()
