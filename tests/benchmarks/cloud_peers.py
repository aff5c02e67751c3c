"""The simulators ours is measured against: how each is installed and stepped.

They are no dependencies of the project: each is installed into a throw-away folder and runs in a
process of its own, one line of JSON in, one out. Run by `bench_cloud`, not by hand.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PINNED = {
    # torch and numpy are the project's own, so that ours and VMAS run on the same ones
    "vmas": ("--no-deps", "vmas==1.5.2", "pyglet==1.5.27", "gym==0.26.2", "gym-notices==0.1.0"),
    "jaxmarl": ("jaxmarl==0.2.0", "jax==0.10.2", "jaxlib==0.10.2"),
    "mpe2": ("--no-deps", "mpe2==1.1.1", "pygame-ce==2.5.8"),
}
TITLES = {
    "vmas": "VMAS 1.5.2 balance, eager torch",
    "jaxmarl": "JaxMARL 0.2.0 simple_spread, jit",
    "mpe2": "MPE2 1.1.1 simple_spread, PettingZoo",
}
_AGENTS = 4
_JAX_STEPS = 25  # steps of one compiled rollout


def install(name: str, into: Path, uv: str, packages: Sequence[str] = ()) -> str | None:
    """Install one peer, `packages` or what is pinned above, into `into`/name unless it is there.

    Returns:
        None, or why it could not be installed.
    """
    packages = packages or PINNED[name]
    folder, wanted = into / name, "\n".join(packages)
    marker = folder / "installed.txt"
    if marker.is_file() and marker.read_text() == wanted:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder)]
    result = subprocess.run([*command, *packages], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        return (result.stderr.strip() or "uv said nothing").splitlines()[-1]
    marker.write_text(wanted)
    return None


def timed(step: Callable[[], object], seconds: float) -> list[float]:
    """Wall times of calls, in s, until `seconds` have passed; at least five."""
    times: list[float] = []
    end_s = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end_s:
        begun_s = time.perf_counter()
        step()
        times.append(time.perf_counter() - begun_s)
    return times


def median(times: list[float]) -> float:
    """The upper median."""
    return sorted(times)[len(times) // 2]


def serve(make: Callable[[int], tuple[Callable[[], object], int]]) -> None:
    """Answer requests {"batch", "seconds"} with {"rate", "first_s"} until the input ends.

    Args:
        make: batch size to a step function and the steps one call of it takes.
    """
    ready: dict[int, tuple[Callable[[], object], int, float]] = {}
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        batch = int(request["batch"])
        if batch not in ready:
            step, steps = make(batch)
            begun_s = time.perf_counter()
            step()
            ready[batch] = step, steps, time.perf_counter() - begun_s
        step, steps, first_s = ready[batch]
        rate = batch * steps / median(timed(step, request["seconds"]))
        sys.stdout.write(json.dumps({"rate": rate, "first_s": first_s}) + "\n")
        sys.stdout.flush()


def make_vmas(batch: int) -> tuple[Callable[[], object], int]:
    """Random actions drawn beforehand; its own episodes' resets are left out, in its favour."""
    import torch
    import vmas

    torch.set_num_threads(1)
    torch.manual_seed(0)
    env = vmas.make_env(
        scenario="balance",
        num_envs=batch,
        device="cpu",
        continuous_actions=True,
        seed=0,
        n_agents=_AGENTS,
    )
    env.reset()
    actions = [torch.rand(batch, agent.action_size) * 2 - 1 for agent in env.agents]
    return lambda: env.step(actions), 1


def make_jaxmarl(batch: int) -> tuple[Callable[[], object], int]:
    """A jitted rollout (scan over vmap), its fastest mode; actions drawn beforehand."""
    import jax
    import jaxmarl

    env = jaxmarl.make("MPE_simple_spread_v3", num_agents=_AGENTS, action_type="Continuous")
    key = jax.random.PRNGKey(0)
    _, state = jax.vmap(env.reset)(jax.random.split(key, batch))
    keys = dict(zip(env.agents, jax.random.split(key, _AGENTS), strict=True))
    actions = {
        agent: jax.random.uniform(keys[agent], (_JAX_STEPS, batch, *env.action_space(agent).shape))
        for agent in env.agents
    }

    def body(carry: Any, chosen: Any) -> Any:
        key, state = carry
        key, own = jax.random.split(key)
        obs, state, reward, _, _ = jax.vmap(env.step)(jax.random.split(own, batch), state, chosen)
        return (key, state), (obs, reward)

    @jax.jit
    def rollout(key: Any, state: Any) -> Any:
        return jax.lax.scan(body, (key, state), actions)

    return lambda: jax.block_until_ready(rollout(key, state)), _JAX_STEPS


def make_mpe2(batch: int) -> tuple[Callable[[], object], int]:
    """One environment, the PettingZoo parallel face; resets between episodes left out."""
    from mpe2 import simple_spread_v3

    if batch != 1:
        raise ValueError(f"MPE holds one environment; asked for {batch}")
    env = simple_spread_v3.parallel_env(N=_AGENTS, max_cycles=1_000_000)
    env.reset(seed=0)
    actions = {agent: env.action_space(agent).sample() for agent in env.agents}
    return lambda: env.step(actions), 1


def main() -> None:
    """`python cloud_peers.py NAME`: serve one peer."""
    name = sys.argv[1]
    if name == "jaxmarl":  # XLA has no setting for one thread that holds; one processor does
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    # Peers greet on stdout; answers go there, greetings to stderr.
    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
    os.dup2(2, 1)
    makers = {"vmas": make_vmas, "jaxmarl": make_jaxmarl, "mpe2": make_mpe2}
    make = makers[name]

    def quiet(batch: int) -> tuple[Callable[[], object], int]:
        made = make(batch)
        sys.stdout = answers
        return made

    serve(quiet)


if __name__ == "__main__":
    main()
