"""Soft actor-critic with memory: GRUs in actors and critics, learned from replayed sequences.

For what cannot be seen now but could be seen before. Actors and critics have memories of their own
(Ni et al. 2022, arXiv:2110.05038; Yang and Nguyen 2021, arXiv:2110.12628), which are not stored but
replayed: sequences begin with a zero memory, and where that is not what it was, their first
`burn_in` steps only warm it up (Kapturowski et al. 2019, R2D2, section 3).
"""
# ruff: noqa: N803, N806, N815 - dimension letters as suffixes, legend in marl/algos/base.py

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from marl.algos.returns import n_step_return
from marl.algos.soft_actor_critic import SoftActorCritic
from marl.nets.gru import StackedGRU
from marl.nets.mlp import StackedMLP


@dataclass(frozen=True)
class SequenceBatch:
    """Sequences of B clouds and, of each of their R = T·B steps, time first, what a row needs.

    Attributes:
        obs_TBNF: what actors saw.
        state_TBS: what central critics saw.
        begin_TB: true where an episode begins.
        residual_BNA: (R, N, A) what was done.
        return_BN: (R, N) n-step returns of normalised rewards.
        discount_B: (R,) of the value of the row `next_B`; 0 where the episode ended before.
        weight_B: (R,) zero where a row is not learned from, one on average.
        next_B: (R,) the row whose value follows.
    """

    obs_TBNF: Tensor
    state_TBS: Tensor
    begin_TB: Tensor
    residual_BNA: Tensor
    return_BN: Tensor
    discount_B: Tensor
    weight_B: Tensor
    next_B: Tensor


def is_learned(begin_TB: Tensor, burn_in: int) -> Tensor:
    """(T, B) steps whose memory is right: warmed up, or known since an episode began."""
    is_known = begin_TB.cumsum(0) > 0
    is_warm = torch.arange(len(begin_TB), device=begin_TB.device) >= burn_in
    return is_known | is_warm[:, None]


def sequence_batch(
    fields: dict[str, Tensor],
    reward_TBN: Tensor,
    agents: int,
    *,
    gamma: float,
    n_step: int,
    burn_in: int,
) -> SequenceBatch:
    """Rows from stored sequences; what follows a sequence's last step is not in it.

    Args:
        fields: name → (T, B, width), as `marl.train.experience.replay_fields` and "begin".
        reward_TBN: normalised rewards.
        agents: N.
        gamma: discount per step.
        n_step: rewards before the bootstrap.
        burn_in: see SacConfig.
    """
    begin_TB = fields["begin"][..., 0] > 0
    steps, clouds = begin_TB.shape
    terminated, truncated = fields["end"].unbind(-1)
    # Beyond the last step nothing is known: as if a time limit had cut the episode there.
    truncated = truncated.clone()
    truncated[-1] = 1.0
    ahead = torch.arange(steps)[None] + torch.arange(n_step)[:, None]  # (n, T)
    is_beyond = (ahead >= steps)[..., None]
    ahead = ahead.clamp(max=steps - 1)
    returns = n_step_return(
        reward_TBN[ahead].flatten(1, 2),
        (terminated[ahead] * ~is_beyond).flatten(1),
        torch.where(is_beyond, 1.0, truncated[ahead]).flatten(1),
        gamma,
    )
    weight = returns.is_usable_B * is_learned(begin_TB, burn_in).flatten()
    row = torch.arange(steps * clouds, device=weight.device)
    return SequenceBatch(
        obs_TBNF=fields["obs"].unflatten(2, (agents, -1)),
        state_TBS=fields["state"],
        begin_TB=begin_TB,
        residual_BNA=fields["residual"].flatten(0, 1).unflatten(1, (agents, -1)),
        return_BN=returns.return_BN,
        discount_B=returns.discount_B,
        weight_B=weight / weight.to(torch.float32).mean().clamp(min=1e-6),
        # After a termination at the end there is no row; its value counts nothing.
        next_B=(row + returns.steps_B * clouds).clamp(max=len(row) - 1),
    )


def replayed(gru: StackedGRU, x: Tensor, begin_TB: Tensor, burn_in: int) -> Tensor:
    """(T, E, B, H) memories of sequences that start with a zero memory.

    No gradient flows into the burn-in of sequences whose beginning is not in it: what was
    remembered there was wrong.

    Args:
        gru: the cells.
        x: (T, E, B, F), or (T, B, F) shown to all.
        begin_TB: (T, B) bool, true where an episode begins.
        burn_in: steps of warming up.
    """
    memory = gru.initial(begin_TB.shape[1])
    burn_in = min(burn_in, len(begin_TB) - 1)
    if not burn_in:
        return gru.unroll(x, memory, begin_TB)[0]
    first, memory = gru.unroll(x[:burn_in], memory, begin_TB[:burn_in])
    is_known = begin_TB[:burn_in].any(0)[:, None]
    memory = torch.where(is_known, memory, memory.detach())
    rest, _ = gru.unroll(x[burn_in:], memory, begin_TB[burn_in:])
    return torch.cat([first, rest])


class MemoryCritics(nn.Module):
    """E critics, each an MLP over what is seen now, what its GRU remembers, and what is done.

    Args:
        seen: (E,) features seen.
        acted: knobs judged, behind what is seen and remembered.
        memory: width of a memory.
        hidden: widths of the MLPs' hidden layers.
        generator: source of the initial weights.
        has_layer_norm: see StackedMLP.
    """

    def __init__(
        self,
        seen: Sequence[int],
        acted: int,
        *,
        memory: int,
        hidden: Sequence[int],
        generator: torch.Generator,
        has_layer_norm: bool,
    ) -> None:
        super().__init__()
        self.gru = StackedGRU(seen, memory, generator=generator)
        self.mlp = StackedMLP(
            [width + memory + acted for width in seen],
            hidden,
            1,
            generator=generator,
            has_layer_norm=has_layer_norm,
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Values (E, R, 1) from (E, R, seen + memory + acted)."""
        value: Tensor = self.mlp(inputs)
        return value


class RecurrentSac(SoftActorCritic[SequenceBatch]):
    """The learner with memory; its updates and arguments are `SoftActorCritic`'s."""

    critic: MemoryCritics

    def _head_inputs(self) -> Sequence[int]:
        return [self.config.net.memory] * len(self.spec.agents)

    def _new_critic(self, seen: Sequence[int], acted: int) -> MemoryCritics:
        net = self.config.net
        return MemoryCritics(
            list(seen) * self.config.critics,
            acted,
            memory=net.memory,
            hidden=net.hidden,
            generator=self.generator,
            has_layer_norm=net.has_layer_norm,
        )

    @torch.no_grad()
    def explore(self, obs_BNF: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        """Residuals (N, B, A) drawn from the policy, and the memory (N, B, H) after."""
        if memory is None:
            raise ValueError("actors with a memory need one: actor.begin(rows) makes it")
        memory = self._gru(self.actor.norm(obs_BNF).transpose(0, 1), memory)
        return self._draw(*self._heads(memory))[0], memory

    def _policy(self, batch: SequenceBatch) -> tuple[Tensor, Tensor]:
        obs = self.actor.norm(batch.obs_TBNF).transpose(1, 2)
        memory = replayed(self._gru, obs, batch.begin_TB, self.config.burn_in)
        return self._heads(_rows(memory))

    def _next_policy(self, batch: SequenceBatch) -> tuple[Tensor, Tensor]:
        mean, log_sigma = self._policy(batch)
        return mean[:, batch.next_B], log_sigma[:, batch.next_B]

    def _seen(self, critic: nn.Module, batch: SequenceBatch, *, is_next: bool) -> Tensor:
        if not isinstance(critic, MemoryCritics):
            raise TypeError(f"expected critics with a memory; got {type(critic).__name__}")
        if self.config.is_central:
            now = self.state_norm(batch.state_TBS)
            memory = _rows(replayed(critic.gru, now, batch.begin_TB, self.config.burn_in))
            shown = now.flatten(0, 1).expand(len(memory), -1, -1)
        else:
            now = (
                self.actor.norm(batch.obs_TBNF).transpose(1, 2).repeat(1, self.config.critics, 1, 1)
            )
            memory = _rows(replayed(critic.gru, now, batch.begin_TB, self.config.burn_in))
            shown = _rows(now)
        seen = torch.cat([shown, memory], -1)
        return seen[:, batch.next_B] if is_next else seen

    @property
    def _gru(self) -> StackedGRU:
        gru = self.actor.net.gru
        if gru is None:
            raise AssertionError("the configuration has asked for one")
        return gru

    def _heads(self, memory_NRH: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log σ, (N, R, A), from what actors remember."""
        mean, log_sigma = self.head(self.actor.net.mlp(memory_NRH), memory_NRH)
        return mean, log_sigma


def _rows(x_TEBH: Tensor) -> Tensor:
    """(T, E, B, H) into (E, R, H), time first."""
    return x_TEBH.transpose(0, 1).flatten(1, 2)
