"""Playing policies: many paired episodes as one tidy frame, or one episode step by step.

Episode `e` means the same weather for every policy and for any number of episodes: episodes come in
blocks of `BLOCK`, a block's weather depends on the seed and its number alone, and a cloud's weather
within it on the cloud's number alone, so no more clouds are played than were asked for. Policies
that are played together share the weather and, in simulated clouds, the batch. Sums over steps are
`episode_sums`, what follows from them `episode_columns`; environments come from `world`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl
import torch
from torch import Tensor

from marl.envs.batched import BatchedEnv as CloudEnv
from marl.envs.shared import share
from marl.evaluate.episode_columns import with_derived
from marl.evaluate.episode_sums import EpisodeSums
from marl.train.env import BatchedEnv, MakeEnv
from marl.train.seeding import derive_seed
from marl.train.threads import torch_threads

if TYPE_CHECKING:
    from marl.evaluate.policies import Policy
    from marl.evaluate.world import World

BLOCK: Final = 256  # episodes whose weather has one seed; part of what an episode number means
# Clouds are played in whole multiples of this: vector instructions then treat each cloud alike,
# and an episode's numbers do not depend on how many are asked for.
_MULTIPLE: Final = 32
_TOGETHER: Final = 1024  # most clouds in one batch: beyond, memory grows and speed does not
_LONGEST: Final = 20_000  # steps; an environment that never ends an episode is an error


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
        `is_synthetic`, `steps`, `reward` (mean per step over agents), every figure of the
        environment's `info` (sums for costs, carbon and counts; averages over requests for service
        levels and latencies; averages over steps for the rest), and the columns of
        `episode_sums` and `episode_columns` (docs/sql.md has them all).
    """
    return rollout_together(
        [policy], scenario, split, episodes, seed, world=world, progress=progress
    )


def rollout_together(
    policies: "Sequence[Policy]",
    scenario: str = "mixed",
    split: str = "held_out",
    episodes: int = 256,
    seed: int = 0,
    *,
    world: "World | None" = None,
    progress: Callable[[str], None] | None = None,
) -> pl.DataFrame:
    """`rollout` of several policies, policy by policy, in weather that is drawn once.

    Simulated clouds are advanced in one batch for all of them: several times faster than one
    policy after the other, and the same rows within float32's rounding.
    """
    from marl.evaluate.world import stored_world

    world = world or stored_world()
    make_env = world.make_env(scenario, split)
    labels = Labels(scenario, split == "held_out", world.is_synthetic)
    return play_together(policies, make_env, episodes, seed, labels, progress=progress)


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
    return play_together([policy], make_env, episodes, seed, labels, progress=progress)


def play_together(
    policies: "Sequence[Policy]",
    make_env: MakeEnv,
    episodes: int,
    seed: int,
    labels: Labels,
    *,
    progress: Callable[[str], None] | None = None,
) -> pl.DataFrame:
    """`rollout_together` in given environments.

    Args:
        policies: each an object of its own: they remember what they need within an episode.
        make_env: environments whose cloud i meets the same weather however many there are.
        episodes: how many.
        seed: of the weather.
        labels: what rows say.
        progress: receives a line per policy and block.

    Raises:
        ValueError: no policy, the same one twice, no episode, or a policy that was not made for
            these environments.
        RuntimeError: an episode does not end.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1; got {episodes}")
    if not policies:
        raise ValueError("no policy to play")
    if len({id(policy) for policy in policies}) < len(policies):
        raise ValueError("a policy cannot be played beside itself: load it twice")
    frames: list[list[pl.DataFrame]] = [[] for _ in policies]
    with torch_threads(1):
        for block in range(-(-episodes // BLOCK)):
            first = block * BLOCK
            wanted = min(BLOCK, episodes - first)
            block_seed = derive_seed(seed, "block", block)
            env = make_env(_clouds(wanted), block_seed)
            played = _played(policies, env, block_seed)
            for policy, rows, told in zip(policies, frames, played, strict=True):
                rows.append(_rows(told, first, wanted, env))
                if progress:
                    progress(
                        f"{policy.name} · {labels.scenario}: {first + wanted} of {episodes} "
                        "episodes"
                    )
    return pl.concat(
        [
            _labelled(with_derived(pl.concat(parts)), policy, labels)
            for policy, parts in zip(policies, frames, strict=True)
        ],
        how="vertical",
    )


def _rows(told: Mapping[str, Tensor], first: int, wanted: int, env: BatchedEnv) -> pl.DataFrame:
    """The first `wanted` clouds' episodes, numbered from `first` on."""
    rows = pl.DataFrame({name: value[:wanted].cpu().numpy() for name, value in told.items()})
    rows = rows.with_columns(episode=pl.int_range(first, first + wanted, dtype=pl.Int64))
    if isinstance(env, CloudEnv):
        step_h = env.cloud.params.step_s / 3600.0
        rows = rows.with_columns(hours=pl.col("steps") * step_h)
    return rows


def _labelled(rows: pl.DataFrame, policy: "Policy", labels: Labels) -> pl.DataFrame:
    return rows.select(
        pl.lit(policy.name).alias("policy"),
        pl.lit(labels.scenario).alias("scenario"),
        pl.lit(policy.training_seed, dtype=pl.Int64).alias("training_seed"),
        "episode",
        pl.lit(labels.is_held_out).alias("is_held_out"),
        pl.lit(labels.is_synthetic).alias("is_synthetic"),
        pl.exclude("episode"),
    )


def _played(
    policies: "Sequence[Policy]", env: BatchedEnv, seed: int
) -> Iterator[dict[str, Tensor]]:
    """(B,) figures of one episode of each of the clouds of `env`, policy by policy."""
    obs = env.reset(seed=seed)
    if not isinstance(env, CloudEnv) or env.reward_state is not None:
        for policy in policies:
            yield from _play_block([policy], env, [env], env.reset(seed=seed), seed)
        return
    count = max(1, _TOGETHER // env.num_envs)
    for first in range(0, len(policies), count):
        group = policies[first : first + count]
        shared = share(env, len(group))
        begun = {agent: rows.repeat(len(group), 1) for agent, rows in obs.items()}
        yield from _play_block(group, shared, shared.shares, begun, seed)


def _play_block(
    policies: "Sequence[Policy]",
    env: BatchedEnv,
    shares: Sequence[BatchedEnv],
    obs: Mapping[str, Tensor],
    seed: int,
) -> list[dict[str, Tensor]]:
    """One episode of each cloud: the figures of each policy's part of `env`, in their order.

    Args:
        policies: each acts for as many clouds, the first for the first ones.
        env: environments at the start of an episode.
        shares: what each policy sees of `env`.
        obs: agent → first observation of all clouds.
        seed: of the weather.
    """
    size = env.num_envs // len(policies)
    parts = [slice(at * size, (at + 1) * size) for at in range(len(policies))]
    for policy, seen in zip(policies, shares, strict=True):
        policy.begin(seen, seed)
    sums = EpisodeSums()
    first = next(iter(obs.values()))
    is_running = torch.ones(env.num_envs, dtype=torch.bool, device=first.device)
    for _ in range(_LONGEST):
        chosen = [
            policy.act({agent: rows[part] for agent, rows in obs.items()})
            for policy, part in zip(policies, parts, strict=True)
        ]
        step = env.step({agent: torch.cat([one[agent] for one in chosen]) for agent in obs})
        sums.add(_team_reward(env, step.reward), step.info, is_running)
        is_running &= ~(step.terminated | step.truncated)
        if not is_running.any():
            break
        obs = step.obs
    else:
        raise RuntimeError(f"an episode did not end within {_LONGEST} steps")
    told = sums.figures()
    return [{name: value[part] for name, value in told.items()} for part in parts]


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
    env = world.make_env(scenario, split)(_clouds(row + 1), block_seed)
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


def _clouds(wanted: int) -> int:
    """Clouds to play for the episodes of so many."""
    return -(-wanted // _MULTIPLE) * _MULTIPLE


def _team_reward(env: BatchedEnv, reward: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([reward[agent] for agent in env.agents]).mean(0)
