"""VMAS `simple_spread` as our trainers see worlds, what both sides share, and how both are judged.

Three agents cover three landmarks without bumping into each other; every agent gets the same
reward, minus the landmarks' distances to their nearest agent and the collisions. VMAS is installed
by the benchmarks, it is no dependency of the project.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

AGENTS, STEPS = 3, 100  # BenchMARL's own configuration of the task
# VMAS's flat discrete actions: nothing, back or forth on the second axis, inside on the first.
_SEEDS = 2**32  # VMAS seeds numpy, too, which takes no more
_ONE_AXIS = (0.0, -1.0, 1.0)
FORCES = torch.tensor([(x, y) for x in _ONE_AXIS for y in _ONE_AXIS])  # (9, 2)


@dataclass(frozen=True)
class Budget:
    """What is the same on both sides.

    Attributes:
        iterations: collections of `envs` whole episodes, each followed by its updates.
        envs: episodes at a time.
        updates: gradient steps an iteration, off policy.
        batch: rows of each.
        passes: uses of each row, on policy.
        minibatches: parts of an iteration's rows, on policy.
        hidden: widths of hidden layers, ReLU, without layer norm; every agent has its own.
        gamma: discount.
        lr: Adam's step of every network.
        tau: soft target rate.
    """

    iterations: int = 20
    envs: int = 120
    updates: int = 200
    batch: int = 256
    passes: int = 10
    minibatches: int = 12
    hidden: tuple[int, ...] = (64, 64)
    gamma: float = 0.95
    lr: float = 1e-3
    tau: float = 0.005

    @property
    def frames(self) -> int:
        """Steps of single environments in all."""
        return self.iterations * self.frames_each

    @property
    def frames_each(self) -> int:
        """The same of one iteration."""
        return self.envs * STEPS


@dataclass(frozen=True)
class SpreadStep:
    """What `marl.train.env.Step` asks for."""

    obs: dict[str, Tensor]
    reward: dict[str, Tensor]
    terminated: Tensor
    truncated: Tensor
    info: dict[str, Tensor] = field(default_factory=dict)


class Spread:
    """B teams, continuous forces in [-1, 1]; all episodes end together, by the time limit."""

    def __init__(self, num_envs: int, seed: int) -> None:
        from vmas import make_env

        # The limit is kept here: VMAS itself would call it an end of the process.
        self._vmas = make_env(
            scenario="simple_spread",
            num_envs=num_envs,
            continuous_actions=True,
            clamp_actions=True,
            seed=seed % _SEEDS,
            n_agents=AGENTS,
        )
        self.num_envs = num_envs
        self.agents = tuple(agent.name for agent in self._vmas.agents)
        features = int(self._vmas.observation_space[0].shape[0])
        self.observation_spec = {a: Box(-np.inf, np.inf, (features,)) for a in self.agents}
        self.action_spec = {a: Box(-1.0, 1.0, (2,)) for a in self.agents}
        self.final_obs: dict[str, Tensor] | None = None
        self.final_state: Tensor | None = None
        self._never = torch.zeros(num_envs, dtype=torch.bool)
        self.reset(seed)

    def reset(self, seed: int | None = None) -> dict[str, Tensor]:
        """New episodes; observations."""
        self._steps = 0
        return self._see(self._vmas.reset(seed=None if seed is None else seed % _SEEDS))

    def step(self, actions: dict[str, Tensor]) -> SpreadStep:
        """Advance all by one step."""
        obs, reward, _, _ = self._vmas.step([actions[agent] for agent in self.agents])
        self._steps += 1
        seen, is_over = self._see(obs), self._never
        if self._steps == STEPS:
            self.final_obs, self.final_state = seen, self._state
            is_over = ~self._never
            seen = self.reset()
        earned = dict(zip(self.agents, reward, strict=True))
        return SpreadStep(seen, earned, self._never, is_over)

    def state(self) -> Tensor:
        """(B, S): all agents' observations, as BenchMARL's central critics see them."""
        return self._state

    def _see(self, obs: list[Tensor]) -> dict[str, Tensor]:
        self._state = torch.cat(obs, 1)
        return dict(zip(self.agents, obs, strict=True))


@torch.no_grad()
def mean_return(act: Callable[[Tensor], Tensor], episodes: int = 512, seed: int = 77) -> float:
    """Mean over the same episodes for everyone of the sum of a team's rewards.

    Args:
        act: (B, N, F) observations → (B, N, 2) forces, without exploration.
        episodes: how many.
        seed: of their first positions.
    """
    env = Spread(episodes, seed)
    obs, total = env.reset(seed), 0.0
    for _ in range(STEPS):
        forces = act(torch.stack([obs[agent] for agent in env.agents], 1))
        step = env.step(dict(zip(env.agents, forces.unbind(1), strict=True)))
        total += float(step.reward[env.agents[0]].mean())
        obs = step.obs
    return total
