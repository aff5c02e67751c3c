"""What first-order learners climb in a window, and what their critic is fitted to: pure functions.

Letters: T decisions of a window, B rows. Gradients pass through rewards and last values.
"""
# ruff: noqa: N803 - dimension letters as suffixes are this package's convention

import torch
from torch import Tensor


def window_return(reward_TB: Tensor, last_value_B: Tensor, gamma: float) -> Tensor:
    """(B,) G = Σ_t γ^t r_t + γ^T V(s_T) (Xu et al. 2022, eq. 5, without its 1/h)."""
    _check_window(reward_TB, last_value_B)
    powers = gamma ** torch.arange(len(reward_TB) + 1, dtype=reward_TB.dtype)
    weights = powers.to(reward_TB.device)
    return (reward_TB * weights[:-1, None]).sum(0) + weights[-1] * last_value_B


def faded_return(reward_TB: Tensor, last_value_B: Tensor, gamma: float) -> Tensor:
    """(B,) Σ_t r_t + γ V(s_T), for worlds that let γ of gradients through every decision.

    Its gradient to the action of decision t is that of Σ_k γ^k r_{t+k} + γ^(T-t) V(s_T): every
    decision climbs its own discounted future. The world fades before each decision but the
    window's first, so the last state's value still lacks one γ. The number itself means nothing.
    """
    _check_window(reward_TB, last_value_B)
    return reward_TB.sum(0) + gamma * last_value_B


def td_lambda_target(reward_TB: Tensor, next_value_TB: Tensor, gamma: float, lam: float) -> Tensor:
    """(T, B) TD(λ) targets of a window's states (Xu et al. 2022, eq. 7).

    V̂_t = r_t + γ ((1 − λ) V'(s_{t+1}) + λ V̂_{t+1}), and V̂_T = V'(s_T): the recursive form of
    (1 − λ) Σ_k λ^(k-1) G_t^k + λ^(T-t-1) G_t^(T-t).

    Args:
        reward_TB: rewards.
        next_value_TB: target network's V'(s_{t+1}), the state after each decision.
        gamma: discount per decision.
        lam: 0 for one-step targets, 1 for the window's whole return.
    """
    if reward_TB.shape != next_value_TB.shape:
        raise ValueError(
            f"rewards {tuple(reward_TB.shape)} and next values {tuple(next_value_TB.shape)} must "
            "have one shape (T, B)"
        )
    target = torch.empty_like(reward_TB)
    ahead = next_value_TB[-1]
    for t in range(len(reward_TB) - 1, -1, -1):
        ahead = reward_TB[t] + gamma * ((1 - lam) * next_value_TB[t] + lam * ahead)
        target[t] = ahead
    return target


def _check_window(reward_TB: Tensor, last_value_B: Tensor) -> None:
    if reward_TB.dim() != 2 or reward_TB.shape[1:] != last_value_B.shape:
        raise ValueError(
            f"rewards {tuple(reward_TB.shape)} must be (T, B) and last values "
            f"{tuple(last_value_B.shape)} (B,)"
        )
