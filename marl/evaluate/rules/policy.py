"""A tuned rule as a policy: constant knobs, and what its kind makes of them at every step."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from marl.cloud.actions import SIZES
from marl.cloud.types import SERVICES
from marl.evaluate.rules import RULES
from marl.evaluate.rules.rule import Fields, Memory, Sight

if TYPE_CHECKING:
    from marl.train.env import BatchedEnv


class RulePolicy:
    """The tuned knobs, changed at every step by a rule that sees each agent's observation.

    Args:
        name: what tables call it.
        kind: of the rule, see `RULES`.
        action: agent → its constant knobs in [-1, 1].
        values: of each of the rule's parameters.
    """

    training_seed: int | None = None

    def __init__(
        self,
        name: str,
        kind: str,
        action: Mapping[str, Sequence[float]],
        values: Mapping[str, float],
    ) -> None:
        if kind not in RULES:
            raise ValueError(f"{name}: no rule {kind!r}; there are: {', '.join(RULES)}")
        self.rule = RULES[kind]
        known = {parameter.name for parameter in self.rule.parameters}
        if values.keys() != known:
            raise ValueError(f"{name} needs the parameters {sorted(known)}; got {sorted(values)}")
        self.name = name
        self.action = {agent: torch.tensor(list(knobs)) for agent, knobs in action.items()}
        self.values = dict(values)
        self._columns: dict[str, dict[str, int]] = {}
        self._memory: Memory | None = None

    def begin(self, env: "BatchedEnv", seed: int) -> None:
        """Find the fields by name; refuse an environment without the clouds' names and knobs."""
        sizes = {agent: int(space.shape[0]) for agent, space in env.action_spec.items()}
        if sizes != dict(zip(SERVICES, SIZES, strict=True)):
            raise ValueError(f"{self.name} sets the knobs of {SERVICES}; this world has {sizes}")
        names: Mapping[str, Sequence[str]] = getattr(env, "observation_names", {})
        self._columns = {
            agent: {name: column for column, name in enumerate(names[agent])} for agent in SERVICES
        }
        self._memory = None

    def act(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The rule's knobs, each service by its own agent's observation."""
        first = obs[SERVICES[0]]
        joined = torch.cat([self.action[agent] for agent in SERVICES]).to(first.device)
        fields = {agent: self._fields(agent, obs[agent]) for agent in SERVICES}
        constant = joined[:, None].expand(-1, len(first))
        chosen, self._memory = self.rule.act(Sight(constant, fields, self.values, self._memory))
        parts = chosen.split(SIZES)
        return {agent: part.t() for agent, part in zip(SERVICES, parts, strict=True)}

    def _fields(self, agent: str, obs: Tensor) -> Fields:
        return lambda name: obs[:, self._columns[agent][name]]
