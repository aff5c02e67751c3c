"""One decision for four agents: the exported policy beside torch, on one thread.

Run: `python -m tests.benchmarks.bench_decision [--calls 20000] [--widths 64 256]`

Policies of the provisioning environment's sizes with fresh weights: what a decision costs does not
depend on what was learned. From numpy observations to numpy actions, everything included. Peers:
the stacked actors as training evaluates them, and a Python loop over four ordinary `nn.Sequential`.
Two clocks: wall time, which on a shared machine counts what other programs take, and the thread's
own CPU time, which does not (but does count what sharing a core's caches and units costs). Calls of
all ways alternate in blocks. Bar: batch 1, p99 under 150 µs, outputs within 1e-5 of torch's.
Nothing is asserted.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from marl.envs import make
from marl.nets.actor import TeamActor
from marl.nets.config import NetConfig
from marl.serve.decide import Decider
from marl.serve.export import export_policy
from marl.train.env import field_names, team_spec
from marl.train.policy_file import PolicyCard, StoredPolicy

BLOCK = 500
Observations = dict[str, np.ndarray]


def fresh_policy(width: int) -> StoredPolicy:
    """Untrained actors with two hidden layers, for the provisioning environment."""
    env = make(num_envs=64, seed=0)
    spec = team_spec(env, 0)
    obs = spec.pack_obs(env.reset())
    baseline = {a: [0.0] * n for a, n in zip(spec.agents, spec.action_sizes, strict=True)}
    net = NetConfig(hidden=(width, width))
    actor = TeamActor(
        spec.obs_sizes,
        spec.pack_vector(baseline),
        bound=0.4,
        net=net,
        generator=torch.Generator().manual_seed(0),
        last_scale=1.0,
    )
    actor.norm.update(obs)
    sizes = {
        "observation_names": dict(zip(spec.agents, spec.obs_sizes, strict=True)),
        "action_names": dict(zip(spec.agents, spec.action_sizes, strict=True)),
    }
    fields, knobs = (field_names(env, name, widths) for name, widths in sizes.items())
    card = PolicyCard.model_validate(
        {
            "learner": "none",
            "agents": spec.agents,
            "observation_fields": fields,
            "knobs": knobs,
            "baseline": baseline,
            "residual_bound": 0.4,
            "hold_steps": 12,
            "net": net,
            "training": {},
            "training_seed": 0,
            "env_steps": 0,
            "fingerprint": "",
            "versions": {},
        }
    )
    return StoredPolicy(card, actor.eval().requires_grad_(False))


def stacked(stored: StoredPolicy) -> Callable[[Observations], object]:
    """The actors as training and evaluation run them."""
    spec, actor = stored.card.spec(), stored.actor

    @torch.inference_mode()
    def decide(obs: Observations) -> object:
        packed = spec.pack_obs({agent: torch.from_numpy(rows) for agent, rows in obs.items()})
        actions = spec.unpack_actions(actor.action(actor(packed)))
        return {agent: rows.numpy() for agent, rows in actions.items()}

    return decide


def loop(stored: StoredPolicy, width: int) -> Callable[[Observations], object]:
    """The same work the plain way: four networks, normalised and squashed one after another."""
    spec = stored.card.spec()
    parts = {}
    for i, agent in enumerate(spec.agents):
        size, knobs = spec.obs_sizes[i], spec.action_sizes[i]
        layers: list[nn.Module] = []
        for wide in (size, width):
            layers += [nn.Linear(wide, width), nn.LayerNorm(width), nn.ReLU()]
        network = nn.Sequential(*layers, nn.Linear(width, knobs), nn.Tanh()).eval()
        parts[agent] = network, torch.zeros(size), torch.ones(size), torch.zeros(knobs)

    @torch.inference_mode()
    def decide(obs: Observations) -> object:
        actions = {}
        for agent, (network, mean, std, baseline) in parts.items():
            x = ((torch.from_numpy(obs[agent]) - mean) / std).clamp(-10, 10)
            actions[agent] = (baseline + network(x) * 0.4).clamp(-1, 1).numpy()
        return actions

    return decide


def measure(
    ways: dict[str, Callable[[Observations], object]], obs: Observations, calls: int
) -> dict[str, np.ndarray]:
    """Name → (calls, 2) µs of wall and of CPU time."""
    taken: dict[str, list[tuple[int, int]]] = {name: [] for name in ways}
    while len(next(iter(taken.values()))) < calls:
        for name, decide in ways.items():
            for _ in range(20):  # not counted: caches are another way's
                decide(obs)
            for _ in range(BLOCK):
                wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
                decide(obs)
                cpu = time.thread_time_ns() - cpu
                taken[name].append((time.perf_counter_ns() - wall, cpu))
    return {name: np.array(rows[:calls]) / 1e3 for name, rows in taken.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 256])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for width in arguments.widths:
        stored = fresh_policy(width)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "policy.onnx"
            difference = export_policy(stored, path)
            decider = Decider(path)
        ways = {
            "exported, ONNX Runtime": decider.decide,
            "torch, stacked": stacked(stored),
            "torch, loop": loop(stored, width),
        }
        sys.stdout.write(f"{width} wide; exported differs from torch by {difference:.1e}\n")
        for batch in arguments.batches:
            rng = np.random.default_rng(0)
            spec = stored.card.spec()
            obs = {
                agent: rng.normal(size=(batch, size)).astype(np.float32)
                for agent, size in zip(spec.agents, spec.obs_sizes, strict=True)
            }
            calls = arguments.calls if batch == 1 else max(BLOCK, arguments.calls // 10)
            for name, us in measure(ways, obs, calls).items():
                p50, p99 = np.percentile(us, 50, axis=0), np.percentile(us, 99, axis=0)
                sys.stdout.write(
                    f"  batch {batch:4} {name:24} p50 {p50[0]:7.0f} µs, p99 {p99[0]:7.0f} µs wall;"
                    f" p50 {p50[1]:7.0f}, p99 {p99[1]:7.0f} CPU\n"
                )


if __name__ == "__main__":
    main()
