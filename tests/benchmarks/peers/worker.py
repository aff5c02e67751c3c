"""One training run of one side in a process of its own: one line of JSON in, one out.

Run by `bench_training` and `check_spread`, not by hand.
"""

import dataclasses
import json
import sys
import time
from typing import Any

import torch

from tests.benchmarks.peers.spread import Budget, mean_return


def run_ours(algorithm: str, budget: Budget, seed: int, changes: dict[str, Any], every: int) -> Any:
    """Clock after each iteration, returns on the way (iteration, return), the last policy."""
    from tests.benchmarks.peers import ours

    trained = ours.trainer(algorithm, budget, seed, **changes)
    stamps, curve = [], []
    for iteration in range(budget.iterations):
        trained.run_epoch()
        stamps.append((time.perf_counter(), time.process_time()))
        if every and (iteration + 1) % every == 0:
            curve.append((iteration + 1, mean_return(ours.player(trained), 128)))
    return stamps, curve, ours.player(trained)


def run_peer(algorithm: str, budget: Budget, seed: int) -> Any:
    """The same of BenchMARL, without a curve."""
    from tests.benchmarks.peers import benchmarl_side

    stamps, act = benchmarl_side.run(algorithm, budget, seed)
    return stamps, [], act


def main() -> None:
    """Train as the line says."""
    torch.set_num_threads(1)
    request = json.loads(sys.stdin.readline())
    budget = dataclasses.replace(Budget(), **request.get("budget", {}))
    what = request["algorithm"], budget, request["seed"]
    if request["side"] == "ours":
        stamps, curve, act = run_ours(
            *what, request.get("changes", {}), request.get("curve_every", 0)
        )
    else:
        stamps, curve, act = run_peer(*what)
    # Without the first iteration: what is set up once, and ours collects it without updates.
    wall, cpu = (stamps[-1][i] - stamps[0][i] for i in (0, 1))
    frames = budget.frames - budget.frames_each
    answer = {
        "frames_per_s": frames / wall,
        "frames_per_cpu_s": frames / cpu,
        "return": mean_return(act) if request.get("is_judged", True) else None,
        "curve": curve,
    }
    sys.stdout.write("\n" + json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
