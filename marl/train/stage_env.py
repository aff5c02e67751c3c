"""Clouds of several situations side by side, as one environment that any trainer can train in.

Which situations, and how many clouds of each, is decided anew at every `reset`. When to change it
belongs to `curriculum`.
"""

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from marl.algos.first_order import DifferentiableRollout
from marl.train.env import BatchedEnv, MakeEnv, twin
from marl.train.seeding import derive_seed
from marl.train.smooth_rollout import rollout_of

# Ordered, the easiest first: name → environments of that situation on the training split.
Stages = Mapping[str, MakeEnv]
# What an environment may have beside the protocol: joined where every part has it.
_METHODS: Final = ("future", "action_masks", "requests")
_VALUES: Final = ("final_obs", "final_state", "final_requests")


@dataclass(frozen=True)
class Part:
    """One situation of a mixture: its name, how to make it, how many clouds of it."""

    name: str
    make_env: MakeEnv
    clouds: int


@dataclass(frozen=True)
class StageStep:
    """Outcome of one step of all parts; see `marl.train.env.Step`."""

    obs: Mapping[str, Tensor]
    reward: Mapping[str, Tensor]
    terminated: Tensor
    truncated: Tensor
    info: Mapping[str, Tensor]


class StageEnv:
    """Parts in a row: the first part's clouds come first.

    Parts must be of one kind: same agents, observations, knobs and episode length. A part's weather
    is that of the seed and the part's name (the first part's that of the seed alone), so an
    environment of one part is that part itself.

    Args:
        plan: says of which parts the next episodes are; asked at every `reset` with a seed.
        seed: of the weather before the first reset.
    """

    def __init__(self, plan: Callable[[], Sequence[Part]], seed: int) -> None:
        self._plan = plan
        self._parts: tuple[Part, ...] = ()
        self._envs: list[BatchedEnv] = []
        self._seed = seed
        self._adopt(tuple(plan()))
        first = self._envs[0]
        self.agents = tuple(first.agents)
        self.num_envs = sum(env.num_envs for env in self._envs)
        self.observation_spec, self.action_spec = first.observation_spec, first.action_spec

    @property
    def parts(self) -> dict[str, int]:
        """Clouds of each situation at present."""
        return {part.name: part.clouds for part in self._parts}

    def reset(self, seed: int | None = None) -> dict[str, Tensor]:
        """Begin new episodes, with a seed of the parts that the plan names now."""
        if seed is None:
            return _joined([env.reset() for env in self._envs])
        self._seed = seed
        parts = tuple(self._plan())
        if sum(part.clouds for part in parts) != self.num_envs:
            raise ValueError(f"{parts} are not {self.num_envs} clouds")
        self._adopt(parts)
        return _joined(
            [env.reset(seed=self._part_seed(i)) for i, env in enumerate(self._envs)],
        )

    def step(self, actions: Mapping[str, Tensor]) -> StageStep:
        """Advance all parts by one step."""
        steps = []
        start = 0
        for env in self._envs:
            end = start + env.num_envs
            steps.append(env.step({agent: rows[start:end] for agent, rows in actions.items()}))
            start = end
        return StageStep(
            obs=_joined([step.obs for step in steps]),
            reward=_joined([step.reward for step in steps]),
            terminated=torch.cat([step.terminated for step in steps]),
            truncated=torch.cat([step.truncated for step in steps]),
            info=_JoinedInfo([step.info for step in steps]),
        )

    def state(self) -> Tensor:
        """(B, S) global state."""
        return torch.cat([env.state() for env in self._envs])

    def twin(self) -> "StageEnv":
        """An independent environment in the same weather, right after a reset."""
        other = copy.copy(self)
        other._envs = [
            twin(env, part.make_env, self._part_seed(i))
            for i, (part, env) in enumerate(zip(self._parts, self._envs, strict=True))
        ]
        return other

    def differentiable(self) -> "StageRollout":
        """The episodes as worlds that gradients flow through; see `smooth_rollout.rollout_of`."""
        return StageRollout(
            [rollout_of(env) for env in self._envs], [env.num_envs for env in self._envs]
        )

    def __getattr__(self, name: str) -> Any:
        """Optional abilities: names from the first part, tensors joined from all parts."""
        if name.startswith("_"):
            raise AttributeError(name)
        found = [getattr(env, name) for env in self._envs]  # AttributeError where one lacks it
        if name in _METHODS:
            return lambda *args: _joined([ability(*args) for ability in found])
        if name in _VALUES:
            return None if any(one is None for one in found) else _joined(found)
        if name.endswith("_names"):
            return found[0]
        raise AttributeError(f"{type(self).__name__} cannot join {name!r} of its parts")

    def _part_seed(self, place: int) -> int:
        return derive_seed(self._seed, self._parts[place].name) if place else self._seed

    def _adopt(self, parts: tuple[Part, ...]) -> None:
        if parts == self._parts:
            return
        kept = dict(zip(self._parts, self._envs, strict=True))
        self._parts = parts
        self._envs = [
            kept[part] if part in kept else part.make_env(part.clouds, self._part_seed(i))
            for i, part in enumerate(parts)
        ]
        first = self._envs[0]
        for part, env in zip(parts[1:], self._envs[1:], strict=True):
            for attribute in ("agents", "observation_names", "action_names"):
                ours, theirs = (getattr(one, attribute, None) for one in (first, env))
                if ours != theirs:
                    raise ValueError(
                        f"stages {parts[0].name} and {part.name} cannot be mixed: {attribute} are "
                        f"{ours} and {theirs}"
                    )


class StageRollout:
    """Differentiable episodes of all parts; see `marl.algos.first_order.DifferentiableRollout`."""

    def __init__(self, rollouts: Sequence[DifferentiableRollout], clouds: Sequence[int]) -> None:
        self._rollouts, self._clouds = list(rollouts), list(clouds)

    def obs(self) -> dict[str, Tensor]:
        """Agent → (B, F_i)."""
        return _joined([rollout.obs() for rollout in self._rollouts])

    def state(self) -> Tensor:
        """(B, S)."""
        return torch.cat([rollout.state() for rollout in self._rollouts])

    def future(self, horizon: int) -> Tensor:
        """(B, K)."""
        return torch.cat([rollout.future(horizon) for rollout in self._rollouts])

    def advance(self, actions: Mapping[str, Tensor], steps: int) -> Tensor:
        """(B,) mean team reward per step."""
        cut = {agent: rows.split(self._clouds) for agent, rows in actions.items()}
        return torch.cat(
            [
                rollout.advance({agent: rows[i] for agent, rows in cut.items()}, steps)
                for i, rollout in enumerate(self._rollouts)
            ]
        )

    def fade(self, share: float, limit: float = math.inf) -> None:
        """Let only `share` of later gradients reach what came before, each at most `limit`."""
        for rollout in self._rollouts:
            rollout.fade(share, limit)

    def fork(self) -> "StageRollout":
        """An independent copy."""
        return StageRollout([rollout.fork() for rollout in self._rollouts], self._clouds)

    def terms(self) -> dict[str, Tensor]:
        """Means of the reward's named terms over the last `advance`, of parts that tell them."""
        told: list[dict[str, Tensor]] = [
            getattr(rollout, "terms", dict)() for rollout in self._rollouts
        ]
        weights = [clouds / sum(self._clouds) for clouds in self._clouds]
        return {
            name: torch.stack([w * one[name] for w, one in zip(weights, told, strict=True)]).sum()
            for name in told[0]
        }


class _JoinedInfo(Mapping[str, Tensor]):
    """Named (B,) figures of all parts; joined when somebody asks."""

    def __init__(self, infos: Sequence[Mapping[str, Tensor]]) -> None:
        self._infos = infos

    def __getitem__(self, name: str) -> Tensor:
        return torch.cat([info[name] for info in self._infos])

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos[0])

    def __len__(self) -> int:
        return len(self._infos[0])


def _joined(parts: Sequence[Any]) -> Any:
    """Tensors (B, ...) of all parts in a row, also inside mappings and dataclasses."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(list(parts))
    if isinstance(first, Mapping):
        return {name: _joined([part[name] for part in parts]) for name in first}
    names = [field.name for field in dataclasses.fields(first)]
    return dataclasses.replace(
        first, **{name: _joined([getattr(part, name) for part in parts]) for name in names}
    )
