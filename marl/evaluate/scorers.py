"""Candidates of a search, all played at once in copies of the same weather.

Every kind of rule is scored by the same play in exact rounding. What is searched is `tuning`'s.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marl.cloud.actions import WIDTH
from marl.cloud.compiled import in_standard_layout
from marl.cloud.dynamics import initial_state
from marl.cloud.figures import FIGURES
from marl.cloud.types import SERVICES
from marl.envs.advance import Advance, exact
from marl.envs.batched import BatchedEnv
from marl.evaluate.baselines import Kind
from marl.evaluate.rules import RULES
from marl.evaluate.rules.rule import Memory, Rule, Sight
from marl.evaluate.search import Score
from marl.train.threads import torch_threads

# Clouds played at once: what a step touches then stays near the processor (four times as many took
# six times as long, compiled).
_BLOCK: Final = 1200
_PERFORMANCE = FIGURES.index("reward_performance")
# Features (F, B) before a step → actions (WIDTH, B) in [-1, 1].
_Act = Callable[[Tensor], Tensor]


class EpisodeScorer:
    """Mean reward and performance objective per step of settings, in copies of the same weather.

    Args:
        env: its clouds' first episodes are the weather.
        seed: of the weather.
        advance: the clouds by a step, in exact rounding.
    """

    def __init__(self, env: BatchedEnv, seed: int, advance: Advance = exact) -> None:
        env.reset(seed=seed)
        self._cloud, self._weather, self._advance = env.cloud, env.weather, advance
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
        return self._in_blocks(self._constant, rows)

    def rule(self, rule: Rule, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """(P, 2) scores of (P, A + K) rows: joint actions, then the rule's parameters."""
        return self._in_blocks(partial(self._rule, rule), rows)

    def _in_blocks(self, score: Score, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of candidates, as many at once as `_BLOCK` allows, in blocks of one size.

        One size, because a compiled step serves one; the last candidate fills the last block up.
        """
        blocks = min(math.ceil(len(rows) * self._episodes / _BLOCK), len(rows))
        size = math.ceil(len(rows) / blocks)
        filled = np.concatenate([rows, np.repeat(rows[-1:], -len(rows) % size, axis=0)])
        parts = [score(filled[at : at + size]) for at in range(0, len(filled), size)]
        return np.concatenate(parts)[: len(rows)]

    def _constant(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        actions = self._copied(rows)
        return self._play(len(rows), lambda seen: actions)

    def _rule(self, rule: Rule, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        joined = self._copied(rows)
        actions, values = joined[:WIDTH], joined[WIDTH:]
        named = {p.name: value for p, value in zip(rule.parameters, values, strict=True)}
        memory: Memory | None = None

        def act(seen: Tensor) -> Tensor:
            nonlocal memory
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
            state = in_standard_layout(initial_state(weather.at(0), self._cloud))
            seen = self._cloud.observe(state, weather.told[0])
            total = torch.zeros((2, copies * self._episodes), dtype=torch.float64)
            total = total.to(self._cloud.params.device)
            for t in range(len(weather)):
                state, reward, figures, seen = self._advance(
                    state, act(seen), weather.packed[t], weather.told[t + 1], self._cloud
                )
                total += torch.stack((reward.mean(0), figures[_PERFORMANCE]))
            mean = total.reshape(2, copies, self._episodes).mean(2) / len(weather)
            return np.asarray(mean.t().cpu().numpy())
