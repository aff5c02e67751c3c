"""From the ring buffer to a learner's batch: normalised rewards, n-step returns, next inputs."""

import torch

from marl.algos.base import Batch, TeamSpec
from marl.algos.returns import n_step_return
from marl.nets.norm import RunningNorm
from marl.replay.ring import RingReplay


def replay_fields(spec: TeamSpec) -> dict[str, int]:
    """Fields of one stored step and their widths."""
    agents = len(spec.agents)
    return {
        "obs": agents * max(spec.obs_sizes),
        "state": spec.state_size,
        "residual": agents * max(spec.action_sizes),
        "reward": agents,
        "end": 2,  # terminated, truncated
    }


def sample_batch(
    ring: RingReplay,
    spec: TeamSpec,
    reward_norm: RunningNorm,
    *,
    count: int,
    gamma: float,
    n_step: int,
    generator: torch.Generator,
) -> Batch:
    """Draw `count` windows of `n_step` steps.

    Rewards are centred and scaled by their running statistics, per agent, at sampling time: most of
    a step's reward is a constant, the part an action moves is a few per cent of it (centring leaves
    the order of policies unchanged in a continuing task: Naik et al. 2024, arXiv:2405.09999).
    """
    agents = len(spec.agents)
    fields = ring.fields
    first = ring.sample(count, generator, ahead=n_step)
    window = ring.later(first, torch.arange(n_step, device=first.device)[:, None])  # (T, B)
    ends = fields["end"][window]
    returns = n_step_return(
        reward_norm(fields["reward"][window]), ends[..., 0], ends[..., 1], gamma
    )
    bootstrap = ring.later(first, returns.steps_B)
    return Batch(
        obs_BNF=fields["obs"][first].unflatten(1, (agents, -1)),
        state_BS=fields["state"][first],
        residual_BNA=fields["residual"][first].unflatten(1, (agents, -1)),
        return_BN=returns.return_BN,
        discount_B=returns.discount_B,
        weight_B=returns.is_usable_B.to(torch.float32),
        next_obs_BNF=fields["obs"][bootstrap].unflatten(1, (agents, -1)),
        next_state_BS=fields["state"][bootstrap],
    )
