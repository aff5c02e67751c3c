"""What training and evaluation need from a world: a batched environment, by structure only.

Anything with these attributes can be learned in; `marl.envs` is one such world, the known-answer
problems of the tests are others. Optional attributes are read through the functions below.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

from torch import Tensor

from marl.algos.base import TeamSpec
from marl.algos.joint import joint_spec
from marl.nets.sequence import find_sequence


class Step(Protocol):
    """Outcome of one step of B clouds (agent → tensor where a mapping)."""

    @property
    def obs(self) -> Mapping[str, Tensor]:
        """(B, F_i); where an episode ended, already the next episode's first."""
        ...

    @property
    def reward(self) -> Mapping[str, Tensor]:
        """(B,)."""
        ...

    @property
    def terminated(self) -> Tensor:
        """(B,) bool."""
        ...

    @property
    def truncated(self) -> Tensor:
        """(B,) bool."""
        ...

    @property
    def info(self) -> Mapping[str, Tensor]:
        """(B,) named figures of the step."""
        ...


class BatchedEnv(Protocol):
    """B environments that advance together. Same seed → same exogenous inputs, whatever is done."""

    @property
    def agents(self) -> tuple[str, ...]:
        """Names."""
        ...

    @property
    def num_envs(self) -> int:
        """B."""
        ...

    @property
    def observation_spec(self) -> Mapping[str, Any]:
        """Agent → space of one environment, with `.shape`."""
        ...

    @property
    def action_spec(self) -> Mapping[str, Any]:
        """Agent → space of one environment, with `.shape`; actions lie in [-1, 1]."""
        ...

    def reset(self, seed: int | None = None) -> Mapping[str, Tensor]:
        """Begin new episodes in all clouds; observations."""
        ...

    def step(self, actions: Mapping[str, Tensor]) -> Step:
        """Advance all clouds by one step."""
        ...

    def state(self) -> Tensor:
        """(B, S) global state before the next step."""
        ...


# (number of clouds, seed) → an environment. Which split of the data it draws from is fixed inside.
MakeEnv = Callable[[int, int], BatchedEnv]


def twin(env: BatchedEnv, make_env: MakeEnv, seed: int) -> BatchedEnv:
    """An environment in the same weather as `env`, which has just been reset with `seed`.

    Environments that can copy themselves (`env.twin()`) save drawing the weather again.
    """
    if hasattr(env, "twin"):
        return cast(BatchedEnv, env.twin())
    other = make_env(env.num_envs, seed)
    other.reset(seed=seed)
    return other


def team_spec(env: BatchedEnv, state_size: int, *, is_joint: bool = False) -> TeamSpec:
    """Sizes of an environment's observations and actions; critics see `state_size` features.

    One controller has all of them where `is_joint`.
    """
    names: Mapping[str, Sequence[str]] = getattr(env, "observation_names", {})
    team = TeamSpec(
        agents=tuple(env.agents),
        obs_sizes=tuple(int(env.observation_spec[agent].shape[0]) for agent in env.agents),
        action_sizes=tuple(int(env.action_spec[agent].shape[0]) for agent in env.agents),
        state_size=state_size,
        layouts=tuple(find_sequence(names.get(agent, ())) for agent in env.agents),
    )
    return joint_spec(team) if is_joint else team


def open_knobs(env: BatchedEnv, spec: TeamSpec, hold_steps: int) -> Tensor:
    """(B, N, A) knobs to decide about: those that exist and, step by step, can do something.

    A held decision outlives the environment's mask, which speaks of the coming step alone.
    """
    if hold_steps == 1 and hasattr(env, "action_masks"):
        return spec.pack_actions(env.action_masks())
    return spec.action_mask().to(env.state().device).expand(env.num_envs, -1, -1)


def field_names(env: BatchedEnv, attribute: str, sizes: Mapping[str, int]) -> dict[str, list[str]]:
    """Names of each agent's observation fields or knobs, from `env.<attribute>` where it has it.

    Environments without names get positions ("0", "1" …), so that a policy file always says how
    wide its inputs are.
    """
    named: Mapping[str, Any] = getattr(env, attribute, {})
    names = {
        agent: [str(name) for name in named.get(agent, range(size))]
        for agent, size in sizes.items()
    }
    for agent, size in sizes.items():
        if len(names[agent]) != size:
            raise ValueError(f"{attribute} of {agent}: {len(names[agent])} names for {size} fields")
    return names
