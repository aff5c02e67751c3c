"""One controller instead of a team: all observations side by side, all knobs at once.

What a single-agent rival of the multi-agent learners sees. To a learner it is a team of one; to
the environment and to a policy's card it is still every agent by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from marl.algos.base import TeamSpec


@dataclass(frozen=True, kw_only=True)
class JointSpec(TeamSpec):
    """A team's sizes as one controller has them; packs and unpacks the members' dictionaries.

    Attributes:
        parts: the team as the environment has it.
    """

    parts: TeamSpec

    @property
    def members(self) -> TeamSpec:
        """The agents as the environment has them."""
        return self.parts

    def pack_obs(self, obs: Mapping[str, Tensor]) -> Tensor:
        """Agent → (B, F_i) into (B, 1, ΣF), in the members' order. Float32."""
        return self._joined(obs, self.parts.obs_sizes)

    def pack_actions(self, actions: Mapping[str, Tensor]) -> Tensor:
        """Agent → (B, A_i) into (B, 1, ΣA)."""
        return self._joined(actions, self.parts.action_sizes)

    def unpack_actions(self, actions_BNA: Tensor) -> dict[str, Tensor]:  # noqa: N803
        """(B, 1, ΣA) into agent → (B, A_i)."""
        parts = actions_BNA[:, 0].split(list(self.parts.action_sizes), 1)
        return dict(zip(self.parts.agents, parts, strict=True))

    def pack_rewards(self, rewards: Mapping[str, Tensor]) -> Tensor:
        """Agent → (B,) into (B, 1): the mean, which is what a team is judged by."""
        return self.parts.pack_rewards(rewards).mean(1, keepdim=True)

    def pack_vector(self, vectors: Mapping[str, Sequence[float]]) -> Tensor:
        """Agent → A_i numbers (a constant joint action) into (1, ΣA)."""
        return self.pack_actions(
            {agent: torch.tensor([list(vectors[agent])]) for agent in self.parts.agents}
        )[0]

    def _joined(self, parts: Mapping[str, Tensor], sizes: Sequence[int]) -> Tensor:
        packed = self.parts._pack(parts, sizes)  # refuses what does not fit, by name
        rows = [packed[:, i, :size] for i, size in enumerate(sizes)]
        return torch.cat(rows, 1)[:, None]


def joint_spec(team: TeamSpec) -> JointSpec:
    """The team as one controller."""
    return JointSpec(
        agents=("controller",),
        obs_sizes=(sum(team.obs_sizes),),
        action_sizes=(sum(team.action_sizes),),
        state_size=team.state_size,
        parts=team,
    )
