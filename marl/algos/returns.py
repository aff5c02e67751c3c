"""Returns and advantages from rewards: pure functions of tensors, time first.

Letters: T time, B rows, N agents (or judges, where a team has one). Which rewards (normalised or
raw) and whose value is bootstrapped belong to the caller.
"""
# ruff: noqa: N803, N806, N815 - dimension letters as suffixes are this package's convention

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class NStepReturn:
    """Truncated n-step returns of B windows.

    Attributes:
        return_BN: discounted sum of the rewards counted.
        discount_B: factor of the value at `steps_B` steps ahead; 0 after a termination.
        steps_B: how many rewards were counted; the observation to bootstrap from is that many
            steps after the window's first.
        is_usable_B: false where no reward could be counted.
    """

    return_BN: Tensor
    discount_B: Tensor
    steps_B: Tensor
    is_usable_B: Tensor


def n_step_return(
    reward_TBN: Tensor, terminated_TB: Tensor, truncated_TB: Tensor, gamma: float
) -> NStepReturn:
    """Multi-step returns that neither cross an episode's end nor invent a value there.

    G = Σ_{k<m} γ^k r_{t+k}, to which the caller adds γ^m V(s_{t+m})
    (Sutton and Barto 2018, eq. 7.1). The window of T steps is cut at the first episode end:
    at a termination the last reward counts and nothing is bootstrapped; at a truncation the true
    next observation is not in the buffer (the environment has already reset itself), so that step
    is left out and the value of the observation in which it was taken is used instead. A window
    that starts with a truncated step counts no reward and is not usable.

    Args:
        reward_TBN: rewards of the window.
        terminated_TB: nonzero where the step ended the episode for good.
        truncated_TB: nonzero where the step was the last for another reason (time limit, reset).
        gamma: discount per step.
    """
    terminated = terminated_TB > 0
    truncated = (truncated_TB > 0) & ~terminated
    is_over = terminated | truncated
    # is_reached[k]: no earlier step of the window ended the episode.
    is_reached = torch.cumsum(is_over.to(torch.int64), 0) - is_over.to(torch.int64) == 0
    is_counted = is_reached & ~truncated
    steps = is_counted.sum(0)
    exponents = torch.arange(len(reward_TBN), device=reward_TBN.device, dtype=reward_TBN.dtype)
    weights_TB = is_counted.to(reward_TBN.dtype) * (gamma**exponents)[:, None]
    is_ended = (terminated & is_counted).any(0)
    discount = torch.where(is_ended, 0.0, gamma ** steps.to(reward_TBN.dtype))
    return NStepReturn(
        return_BN=(reward_TBN * weights_TB[..., None]).sum(0),
        discount_B=discount,
        steps_B=steps,
        is_usable_B=steps > 0,
    )


def gae(
    reward_TBN: Tensor,
    value_TBN: Tensor,
    next_value_TBN: Tensor,
    terminated_TB: Tensor,
    cut_TB: Tensor,
    gamma: float,
    lam: float,
) -> Tensor:
    """Generalised advantage estimates (T, B, N) of a rollout that may hold several episodes.

    A_t = δ_t + γ λ A_{t+1} with δ_t = r_t + γ V(s_{t+1}) − V(s_t) (Schulman et al. 2016,
    arXiv:1506.02438, eq. 16). After a termination V(s_{t+1}) counts as zero. After a cut (time
    limit, end of the rollout) it counts in full, for the process would have gone on: there
    `next_value_TBN` must be the value of the true successor, not of the next episode's beginning.
    Neither carries A_{t+1} over. A_t + V(s_t) is the λ-return, the critic's target.

    Args:
        reward_TBN: rewards.
        value_TBN: V(s_t).
        next_value_TBN: V(s_{t+1}), of the state that the step led to.
        terminated_TB: nonzero where the step ended the episode for good.
        cut_TB: nonzero where what follows in the rollout is not what followed the step.
        gamma: discount per step.
        lam: 0 for the one-step advantage, 1 for the whole rollout's return.
    """
    if not reward_TBN.shape == value_TBN.shape == next_value_TBN.shape:
        raise ValueError(
            f"rewards {tuple(reward_TBN.shape)}, values {tuple(value_TBN.shape)} and next values "
            f"{tuple(next_value_TBN.shape)} must have one shape (T, B, N)"
        )
    if not terminated_TB.shape == cut_TB.shape == reward_TBN.shape[:2]:
        raise ValueError(
            f"flags {tuple(terminated_TB.shape)} and {tuple(cut_TB.shape)} must be (T, B) of "
            f"rewards {tuple(reward_TBN.shape)}"
        )
    goes_on = (~(terminated_TB > 0))[..., None].to(reward_TBN.dtype)
    carries = goes_on * (~(cut_TB > 0))[..., None].to(reward_TBN.dtype)
    delta = reward_TBN + gamma * goes_on * next_value_TBN - value_TBN
    advantage = torch.empty_like(delta)
    last = torch.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        last = delta[t] + gamma * lam * carries[t] * last
        advantage[t] = last
    return advantage
