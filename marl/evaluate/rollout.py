"""Playing policies: many paired episodes as one tidy frame, or one episode step by step.

Episode `e` means the same weather for every policy and for any number of episodes, because episodes
are always played in blocks of `BLOCK` clouds and a block's weather depends on the seed and its
number alone. Where environments come from is `marl.evaluate.world`; statistics are `statistics`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl
import torch
from torch import Tensor

from marl.train.env import BatchedEnv, MakeEnv
from marl.train.seeding import derive_seed
from marl.train.threads import torch_threads

if TYPE_CHECKING:
    from marl.evaluate.policies import Policy
    from marl.evaluate.world import World

BLOCK: Final = 256  # clouds played at once; part of what an episode number means
_LONGEST: Final = 20_000  # steps; an environment that never ends an episode is an error
# How the figures of an episode's steps become one figure of the episode; all others are averaged.
_SUMMED_SUFFIXES: Final = ("_usd", "_gco2", "_kwh")
_SUMMED: Final = frozenset({"requests", "dropped", "changes", "preemptions", "deadline_misses"})
_BY_REQUESTS: Final = ("slo_attainment", "latency_")  # averaged over requests, not over steps


@dataclass(frozen=True)
class Labels:
    """What a row of episodes says about where it comes from."""

    scenario: str
    is_held_out: bool
    is_synthetic: bool


def rollout(
    policy: "Policy",
    scenario: str = "mixed",
    split: str = "held_out",
    episodes: int = 256,
    seed: int = 0,
    *,
    world: "World | None" = None,
    progress: Callable[[str], None] | None = None,
) -> pl.DataFrame:
    """Play episodes and tell each in one row.

    Args:
        policy: see `marl.evaluate.policies`.
        scenario: kind of demand.
        split: "held_out" for claims, "train" for tuning.
        episodes: how many.
        seed: of the weather.
        world: where environments come from; the lineage's stored one if absent.
        progress: receives a line per block.

    Returns:
        One row per episode: `policy`, `scenario`, `training_seed`, `episode`, `is_held_out`,
        `is_synthetic`, `steps`, `reward` (mean per step over agents) and every figure of the
        environment's `info`: sums for costs, carbon and counts; averages over requests for service
        levels and latencies; averages over steps for the rest.
    """
    from marl.evaluate.world import stored_world

    world = world or stored_world()
    make_env = world.make_env(scenario, split)
    labels = Labels(scenario, split == "held_out", world.is_synthetic)
    return play_episodes(policy, make_env, episodes, seed, labels, progress=progress)


def play_episodes(
    policy: "Policy",
    make_env: MakeEnv,
    episodes: int,
    seed: int,
    labels: Labels,
    *,
    progress: Callable[[str], None] | None = None,
) -> pl.DataFrame:
    """`rollout` in given environments."""
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1; got {episodes}")
    with torch_threads(1):
        return _play(policy, make_env, episodes, seed, labels, progress)


def _play(
    policy: "Policy",
    make_env: MakeEnv,
    episodes: int,
    seed: int,
    labels: Labels,
    progress: Callable[[str], None] | None,
) -> pl.DataFrame:
    frames = []
    env = make_env(BLOCK, derive_seed(seed, "block", 0))
    for block in range(-(-episodes // BLOCK)):
        columns = _play_block(policy, env, derive_seed(seed, "block", block))
        first = block * BLOCK
        rows = pl.DataFrame({name: value.cpu().numpy() for name, value in columns.items()})
        frames.append(rows.with_columns(episode=pl.int_range(first, first + BLOCK, dtype=pl.Int64)))
        if progress:
            progress(
                f"{policy.name} · {labels.scenario}: {min(first + BLOCK, episodes)} of {episodes} "
                "episodes"
            )
    table = pl.concat(frames).head(episodes)
    return table.select(
        pl.lit(policy.name).alias("policy"),
        pl.lit(labels.scenario).alias("scenario"),
        pl.lit(policy.training_seed, dtype=pl.Int64).alias("training_seed"),
        "episode",
        pl.lit(labels.is_held_out).alias("is_held_out"),
        pl.lit(labels.is_synthetic).alias("is_synthetic"),
        pl.exclude("episode"),
    )


def trajectory(
    policy: "Policy",
    scenario: str = "mixed",
    split: str = "held_out",
    episode: int = 0,
    seed: int = 0,
    *,
    world: "World | None" = None,
) -> pl.DataFrame:
    """One episode step by step: the same weather as `episode` of `rollout` with the same seed.

    Returns:
        One row per step: `policy`, `scenario`, `episode`, `step`, `reward`, every figure of the
        environment's `info`, and each knob as `<agent>_<knob>` in its physical unit.
    """
    from marl.evaluate.world import stored_world

    if episode < 0:
        raise ValueError(f"episode must be at least 0; got {episode}")
    world = world or stored_world()
    block, row = divmod(episode, BLOCK)
    block_seed = derive_seed(seed, "block", block)
    env = world.make_env(scenario, split)(BLOCK, block_seed)
    told = {"policy": policy.name, "scenario": scenario, "episode": episode}
    return pl.DataFrame(
        [told | step for step in steps_of(policy, env, row, block_seed, world.physical)]
    )


def steps_of(
    policy: "Policy",
    env: BatchedEnv,
    row: int,
    seed: int,
    physical: Callable[[Mapping[str, Tensor]], dict[str, float]],
) -> list[dict[str, object]]:
    """The first episode of `seed` in cloud `row` of `env`, step by step.

    Args:
        policy: acts for all clouds of `env`.
        env: environments; reset here.
        row: which of its clouds is told.
        seed: of the weather.
        physical: one cloud's actions agent → (A_i,) as `<agent>_<knob>` → value.

    Returns:
        One mapping per step: `step`, `reward` (mean over agents), every figure, every knob.

    Raises:
        ValueError: there is no such cloud.
        RuntimeError: the episode does not end.
    """
    if not 0 <= row < env.num_envs:
        raise ValueError(f"row must be in [0, {env.num_envs}); got {row}")
    obs = env.reset(seed=seed)
    policy.begin(env, seed)
    rows: list[dict[str, object]] = []
    for index in range(_LONGEST):
        actions = policy.act(obs)
        step = env.step(actions)
        figures = {"reward": _team_reward(env, step.reward), **step.info}
        rows.append(
            {
                "step": index,
                **{name: float(value[row]) for name, value in figures.items()},
                **physical({agent: action[row] for agent, action in actions.items()}),
            }
        )
        if step.terminated[row] or step.truncated[row]:
            return rows
        obs = step.obs
    raise RuntimeError(f"cloud {row} did not end its episode within {_LONGEST} steps")


def _play_block(policy: "Policy", env: BatchedEnv, seed: int) -> dict[str, Tensor]:
    """One episode of each of the environment's clouds; (B,) figures of each episode."""
    obs = env.reset(seed=seed)
    policy.begin(env, seed)
    first = next(iter(obs.values()))
    is_running = torch.ones(len(first), dtype=torch.bool, device=first.device)
    sums: dict[str, Tensor] = {}
    weights: dict[str, Tensor] = {}
    steps = torch.zeros(len(first), dtype=torch.float64, device=first.device)
    for _ in range(_LONGEST):
        step = env.step(policy.act(obs))
        running = is_running.to(torch.float64)
        steps += running
        figures = {"reward": _team_reward(env, step.reward), **step.info}
        for name, value in figures.items():
            weight = running
            if name.startswith(_BY_REQUESTS) and "requests" in step.info:
                weight = running * step.info["requests"]
            # where(): what a finished cloud's next episode does must not leak in, not even as NaN.
            part = torch.where(is_running, value.to(torch.float64) * weight, 0.0)
            sums[name] = sums[name] + part if name in sums else part
            weights[name] = weights[name] + weight if name in weights else weight
        is_running &= ~(step.terminated | step.truncated)
        if not is_running.any():
            break
        obs = step.obs
    else:
        raise RuntimeError(f"an episode did not end within {_LONGEST} steps")
    return {
        "steps": steps.to(torch.int64),
        **{name: _episode_figure(name, sums[name], weights[name]) for name in sums},
    }


def _episode_figure(name: str, total: Tensor, weight: Tensor) -> Tensor:
    if name.endswith(_SUMMED_SUFFIXES) or name.startswith("cost_usd") or name in _SUMMED:
        return total
    # An episode without a single request has met every request's objective: attainment 1.
    empty = 1.0 if name.startswith("slo_attainment") else 0.0
    return torch.where(weight > 0, total / weight.clamp(min=1e-12), empty)


def _team_reward(env: BatchedEnv, reward: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([reward[agent] for agent in env.agents]).mean(0)
