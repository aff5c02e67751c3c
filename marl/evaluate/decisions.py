"""How long a policy takes to decide: wall clock of `act` for one cloud, as in production.

Apart from `rollout`, whose batches say nothing of one decision and whose table must be the same
whenever it is made. The exported policy is measured by `tests/benchmarks/bench_decision`.
`python -m marl.evaluate.decisions` prints the table for every stored policy.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from marl.train.threads import torch_threads

if TYPE_CHECKING:
    from marl.evaluate.policies import Policy
    from marl.evaluate.world import World

_WARM_UP: Final = 20  # calls before the clock counts: caches fill, lazy parts are made
SCHEMA: Final = pl.Schema(
    {
        "policy": pl.String,
        "training_seed": pl.Int64,
        "calls": pl.Int64,
        "decision_p50_us": pl.Float64,
        "decision_p95_us": pl.Float64,
        "decision_p99_us": pl.Float64,
        "decision_max_us": pl.Float64,
    }
)


def decision_latency(
    policies: "Sequence[Policy]",
    world: "World",
    scenario: str,
    *,
    calls: int = 1000,
    seed: int = 0,
) -> pl.DataFrame:
    """Microseconds of `act` for the four agents of one cloud, on one thread, by policy.

    A policy that holds a decision answers at once in between: its p99 is the time of deciding, its
    median that of answering.

    Args:
        policies: to measure.
        world: where the cloud comes from; held-out episodes, one after the other.
        scenario: kind of demand.
        calls: of `act` that are measured, some more before them are not.
        seed: of the weather.

    Returns:
        One row a policy, columns `SCHEMA`.

    Raises:
        ValueError: nothing to measure.
    """
    if calls < 1:
        raise ValueError(f"calls must be at least 1; got {calls}")
    rows = []
    with torch_threads(1):
        for policy in policies:
            taken = np.array(_timed(policy, world, scenario, calls, seed), dtype=np.float64) / 1e3
            p50, p95, p99 = np.percentile(taken, (50, 95, 99)).tolist()
            rows.append(
                (policy.name, policy.training_seed, calls, p50, p95, p99, float(taken.max()))
            )
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _timed(policy: "Policy", world: "World", scenario: str, calls: int, seed: int) -> list[int]:
    """Nanoseconds of each call of `act` after the warm-up."""
    env = world.make_env(scenario, "held_out")(1, seed)
    obs = env.reset(seed=seed)
    policy.begin(env, seed)
    taken: list[int] = []
    while len(taken) < _WARM_UP + calls:
        started = time.perf_counter_ns()
        actions = policy.act(obs)
        taken.append(time.perf_counter_ns() - started)
        step = env.step(actions)
        obs = step.obs
        if bool((step.terminated | step.truncated).all()):
            policy.begin(env, seed)  # the environment has begun its next episode already
    return taken[_WARM_UP:]


def as_table(latency: pl.DataFrame) -> str:
    """What `decision_latency` found as a Markdown table, the quickest first."""
    lines = ["| policy | seed | p50, µs | p95, µs | p99, µs |", "|---|---|---|---|---|"]
    for row in latency.sort("decision_p50_us").iter_rows(named=True):
        shown = [f"{row[f'decision_{name}_us']:,.0f}" for name in ("p50", "p95", "p99")]
        told = "–" if row["training_seed"] is None else str(row["training_seed"])
        lines.append(f"| {' | '.join([row['policy'], told, *shown])} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; the exit status."""
    from marl.evaluate.study import load_policies
    from marl.evaluate.world import MIXED, stored_world

    parser = argparse.ArgumentParser(prog="python -m marl.evaluate.decisions", description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("STRATOFORM_DATA", "data"))
    parser.add_argument("--calls", type=int, default=1000)
    options = parser.parse_args(argv)
    folders = [options.data / name for name in ("trained_policies", "baseline_policies")]
    if not all(folder.is_dir() for folder in folders):
        parser.error(f"no stored policies in {options.data}: materialise trained_policies first")
    policies, world = load_policies(*folders), stored_world(options.data)
    table = decision_latency(policies, world, MIXED, calls=options.calls)
    sys.stdout.write(as_table(table) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
