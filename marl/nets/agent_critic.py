"""Critics that attend over agents (MAAC: Iqbal and Sha 2019, arXiv:1810.02912).

Called as a stack of MLPs over the global state beside all agents' actions, so that a learner takes
either. What values are learned from belongs to the learner.
"""

import torch
from torch import Tensor, nn

from marl.nets.attention import attend
from marl.nets.config import NetConfig
from marl.nets.mlp import StackedMLP, uniform


class AttentionCritic(nn.Module):
    """E critics, each of N agents' encodings that ask one another.

    With encodings e_i of the state and agent i's own action, agent i attends over the others:
    x_i = Σ_{j≠i} α_ij h(V e_j), α_ij ∝ exp((K e_j)·(Q e_i)) (eq. 6, shared over agents), and the
    value is f([e, x]) (eq. 5), of agent i's own pair for a critic of agent i, of the agents' mean
    for a critic of the team. Here every agent's encoding starts from the whole state that
    critics are shown, not from its own observation.

    Args:
        config: `token` is the width of an encoding, `heads` share it; `hidden` are f's layers.
        state_size: S.
        agents: N.
        knobs: A.
        judged: (E,) whose value each critic tells: an agent's index, or None for the team.
        generator: source of the initial weights.

    Raises:
        ValueError: fewer than two agents, or heads that do not divide the token.
    """

    picks: Tensor
    is_other: Tensor

    def __init__(
        self,
        config: NetConfig,
        state_size: int,
        agents: int,
        knobs: int,
        judged: tuple[int | None, ...],
        *,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if agents < 2:
            raise ValueError("an attention critic attends over other agents; this team has one")
        config.refuse_uneven_heads()
        members, width = len(judged), config.token
        self.config, self.state_size, self.agents, self.knobs = config, state_size, agents, knobs
        bound = (state_size + knobs) ** -0.5
        # Encodings' first layer, cut where its inputs come from: the state is read once for all.
        self.from_state = StackedMLP(
            [state_size] * members, (), agents * width, generator=generator
        )
        self.from_action = uniform((members, agents * knobs, width), bound, generator)
        tokens = [width] * members
        self.query = StackedMLP(tokens, (), width, generator=generator)
        self.key = StackedMLP(tokens, (), width, generator=generator)
        self.value = StackedMLP(tokens, (), width, generator=generator)
        self.head = StackedMLP(
            [2 * width] * members,
            config.hidden,
            1,
            generator=generator,
            has_layer_norm=config.has_layer_norm,
        )
        shares = [
            [1 / agents] * agents if who is None else [float(i == who) for i in range(agents)]
            for who in judged
        ]
        self.register_buffer("picks", torch.tensor(shares)[:, None, :, None], persistent=False)
        is_other = ~torch.eye(agents, dtype=torch.bool)
        self.register_buffer("is_other", is_other[None, None], persistent=False)

    def forward(self, x: Tensor, first: int | None = None) -> Tensor:
        """Values.

        Args:
            x: (B, S + N·A) the state beside all agents' actions, or (E, B, S + N·A).
            first: use only this many members, from the start of the stack; all if None.

        Returns:
            (E, B, 1), E being `first` where given.
        """
        value: Tensor = self.head(self._pooled(x, first)[0], first)
        return value

    def weights(self, x: Tensor) -> Tensor:
        """(E, B, heads, N, N) weights: row i is how agent i weighs the others."""
        return self._pooled(x, None)[1]

    def _pooled(self, x: Tensor, first: int | None) -> tuple[Tensor, Tensor]:
        state, action = x.split((self.state_size, self.agents * self.knobs), -1)
        encoded = self._encoded(state, action, first)  # (E, B, N, D)
        flat = encoded.flatten(1, 2)
        asked, key, value = (
            layer(flat, first).view_as(encoded) for layer in (self.query, self.key, self.value)
        )
        value = nn.functional.leaky_relu(value)
        other, weights = attend(asked, key, value, self.is_other, self.config.heads)
        pairs = torch.cat((encoded, other), -1)
        return (pairs * self.picks[:first]).sum(2), weights

    def _encoded(self, state: Tensor, action: Tensor, first: int | None) -> Tensor:
        """(E, B, N, D) encodings of the state and each agent's own action."""
        weight = self.from_action[:first].unflatten(1, (self.agents, self.knobs))
        own = action.unflatten(-1, (self.agents, self.knobs))
        spec = "bna,enad->ebnd" if own.dim() == 3 else "ebna,enad->ebnd"
        encoded = self.from_state(state, first).unflatten(-1, (self.agents, -1))
        encoded = encoded + torch.einsum(spec, own, weight)
        if self.config.has_layer_norm:
            encoded = nn.functional.layer_norm(encoded, encoded.shape[-1:])
        return nn.functional.relu(encoded)
