"""An evaluation of ten policies in twelve scenarios, 64 held-out days each, beside the naive loop.

Run: `python -m tests.benchmarks.bench_evaluation [--data data] [--processes 2] [--naive 2]`

The stored policies (random, the tuned rules, the learners), repeated to make ten, in web, batch,
ML and mixed demand, each steady, in bursts and cyclical; every policy meets the same weather. Wall
time of all of it in that many processes of one thread; then, in one process, the share of each part
in one scenario; then the same policies the naive way, an episode at a time, one cloud a step,
figures gathered as Python numbers, on a small sample. Bar: ten minutes on two cores. Nothing is
asserted.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import torch

from marl.envs.batched import BatchedEnv
from marl.envs.shared import SharedClouds
from marl.evaluate.episode_sums import EpisodeSums
from marl.evaluate.policies import Policy
from marl.evaluate.rollout import rollout_together
from marl.evaluate.study import load_policies
from marl.evaluate.world import ProvisioningWorld, stored_world
from marl.side_by_side import Say, side_by_side
from marl.train.seeding import derive_seed

SCENARIOS = [f"{kind}_{shape}" for kind in ("web", "batch", "ml", "mixed")
             for shape in ("steady", "burst", "cyclical")]  # fmt: skip
POLICIES, EPISODES, STEPS = 10, 64, 288


def ten(data: Path) -> list[Policy]:
    """Ten policies: the stored ones in turn, each an object of its own."""
    policies: list[Policy] = []
    while len(policies) < POLICIES:
        policies += load_policies(data / "trained_policies", data / "baseline_policies")
    return policies[:POLICIES]


def _world(data: Path) -> ProvisioningWorld:
    """The stored world, its scale of demand measured."""
    world = stored_world(data, STEPS)
    world.make_env(SCENARIOS[0], "held_out")  # measures it, once
    return world


def play_scenario(data: Path, scenario: str, say: Say) -> pl.DataFrame:
    """All policies in one scenario: one part of the work."""
    world = stored_world(data, STEPS)
    return rollout_together(ten(data), scenario, "held_out", EPISODES, 0, world=world)


class Clock:
    """Wall time spent in functions that are replaced by timed ones."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, its time added to that of `part`."""

        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.spent[part] = self.spent.get(part, 0.0) + time.perf_counter() - started

        return call


def shares(data: Path, scenario: str) -> tuple[float, Mapping[str, float]]:
    """Seconds of one scenario in this process, the world included, and of its parts."""
    clock, started = Clock(), time.perf_counter()
    world = clock.timed("world and imports", _world)(data)
    policies = clock.timed("load policies", ten)(data)
    for policy in policies:
        policy.act = clock.timed("policies act", policy.act)  # type: ignore[method-assign]
    patched = [
        (BatchedEnv, "reset", "draw weather"),
        (SharedClouds, "step", "clouds step"),
        (EpisodeSums, "add", "add up figures"),
    ]
    before = [getattr(owner, name) for owner, name, _ in patched]
    for owner, name, part in patched:
        setattr(owner, name, clock.timed(part, getattr(owner, name)))
    try:
        rollout_together(policies, scenario, "held_out", EPISODES, 0, world=world)
    finally:
        for (owner, name, _), old in zip(patched, before, strict=True):
            setattr(owner, name, old)
    return time.perf_counter() - started, clock.spent


def naive(world: ProvisioningWorld, policy: Policy, scenario: str, episodes: int) -> float:
    """Seconds for an episode: one cloud, one policy, one episode at a time."""
    make_env, taken = world.make_env(scenario, "held_out"), 0.0
    for episode in range(episodes):
        started, seed = time.perf_counter(), derive_seed(0, "naive", episode)
        env = make_env(1, seed)
        obs = env.reset(seed=seed)
        policy.begin(env, seed)
        steps: list[dict[str, float]] = []
        for _ in range(STEPS):
            step = env.step(policy.act(obs))
            reward = sum(float(step.reward[agent]) for agent in env.agents) / len(env.agents)
            steps.append({"reward": reward, **{k: float(v) for k, v in step.info.items()}})
            obs = step.obs
        {name: sum(one[name] for one in steps) / STEPS for name in steps[0]}
        taken += time.perf_counter() - started
    return taken / episodes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--naive", type=int, default=1, help="episodes of each policy")
    options = parser.parse_args()
    if not (options.data / "trained_policies").is_dir():
        sys.stdout.write(f"no trained_policies in {options.data}: run `make report` first\n")
        return
    started = time.perf_counter()
    work = partial(play_scenario, options.data)
    frames = side_by_side(work, SCENARIOS, lambda line: None, options.processes)
    wall_s = time.perf_counter() - started
    rows = sum(frame.height for frame in frames)
    asked = POLICIES * len(SCENARIOS) * EPISODES
    sys.stdout.write(
        f"{POLICIES} policies x {len(SCENARIOS)} scenarios x {EPISODES} days of {STEPS} steps in "
        f"{options.processes} processes: {wall_s:.0f} s (bar 600 s), {rows} rows of {asked}, "
        f"{frames[0].width} columns, {rows * STEPS / wall_s:,.0f} cloud-steps/s\n\n"
    )
    torch.set_num_threads(1)
    whole_s, spent = shares(options.data, "mixed_burst")
    rest = whole_s - sum(spent.values())
    sys.stdout.write(f"one scenario in one process, {whole_s:.1f} s:\n")
    for part, seconds in sorted((*spent.items(), ("rest", rest)), key=lambda pair: -pair[1]):
        sys.stdout.write(f"  {part:18} {seconds:6.2f} s  {seconds / whole_s:5.1%}\n")
    world = stored_world(options.data, STEPS)
    policies = load_policies(options.data / "trained_policies", options.data / "baseline_policies")
    each = {one.name: naive(world, one, "mixed_burst", options.naive) for one in policies}
    mean_s = sum(each.values()) / len(each)
    alone_s = (whole_s - spent["world and imports"]) / (POLICIES * EPISODES)
    sys.stdout.write(
        f"\nnaive loop: {mean_s:.2f} s an episode; together {1e3 * alone_s:.1f} ms: "
        f"{mean_s / alone_s:.0f} x on one core; all of it would take "
        f"{mean_s * asked / options.processes / 60:.0f} minutes that way\n"
    )


if __name__ == "__main__":
    main()
