"""Candidates of a search, all played at once in copies of the same weather.

Every kind of rule is scored by the same play in exact rounding. What is searched is `tuning`'s.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marl.cloud.actions import WIDTH
from marl.cloud.dynamics import initial_state, knobs_from_actions, step
from marl.cloud.figures import FIGURES
from marl.cloud.types import SERVICES, CloudState
from marl.envs.batched import BatchedEnv
from marl.evaluate.baselines import Kind
from marl.evaluate.rules import RULES
from marl.evaluate.rules.rule import Memory, Rule, Sight
from marl.evaluate.search import Score
from marl.train.threads import torch_threads

_PERFORMANCE = FIGURES.index("reward_performance")
# State and what is told (F, B) before a step → actions (WIDTH, B) in [-1, 1].
_Act = Callable[[CloudState, Tensor], Tensor]


class EpisodeScorer:
    """Mean reward and performance objective per step of settings, in copies of the same weather.

    Args:
        env: its clouds' first episodes are the weather.
        seed: of the weather.
    """

    def __init__(self, env: BatchedEnv, seed: int) -> None:
        env.reset(seed=seed)
        self._cloud, self._weather = env.cloud, env.weather
        self._episodes = env.num_envs
        self._rows = {name: at for at, name in enumerate(env.state_names)}

    def by_kind(self) -> dict[Kind, Score]:
        """The score of each kind of rule."""
        return {
            "constant": self.constant,
            **{kind: partial(self.rule, rule) for kind, rule in RULES.items()},
        }

    def constant(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """(P, 2) scores of (P, A) joint actions, all agents' knobs in a row, in [-1, 1]."""
        actions = self._copied(rows)
        return self._play(len(rows), lambda state, told: actions)

    def rule(self, rule: Rule, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """(P, 2) scores of (P, A + K) rows: joint actions, then the rule's parameters."""
        joined = self._copied(rows)
        actions, values = joined[:WIDTH], joined[WIDTH:]
        named = {p.name: value for p, value in zip(rule.parameters, values, strict=True)}
        memory: Memory | None = None

        def act(state: CloudState, told: Tensor) -> Tensor:
            nonlocal memory
            seen = self._cloud.observe(state, told)
            fields = dict.fromkeys(SERVICES, lambda name: seen[self._rows[name]])
            chosen, memory = rule.act(Sight(actions, fields, named, memory))
            return chosen

        return self._play(len(rows), act)

    def _copied(self, rows: NDArray[np.float64]) -> Tensor:
        """(D, P · episodes) settings, each for all its episodes."""
        device = self._cloud.params.device
        columns = torch.tensor(rows.T, dtype=torch.float32, device=device)
        return columns.repeat_interleave(self._episodes, 1)

    def _play(self, copies: int, act: _Act) -> NDArray[np.float64]:
        # Several threads on a busy machine wait for each other: forty times as long was seen.
        with torch.no_grad(), torch_threads(1):
            weather = self._weather.repeated(copies)
            state = initial_state(weather.at(0), self._cloud)
            total = torch.zeros((2, copies * self._episodes), dtype=torch.float64)
            total = total.to(self._cloud.params.device)
            for t in range(len(weather)):
                knobs = knobs_from_actions(act(state, weather.told[t]), self._cloud)
                state, outcome = step(state, knobs, weather.at(t), self._cloud)
                total += torch.stack((outcome.reward.mean(0), outcome.figures[_PERFORMANCE]))
            mean = total.reshape(2, copies, self._episodes).mean(2) / len(weather)
            return np.asarray(mean.t().cpu().numpy())
