"""Returns from rewards: pure functions of tensors, time first.

Letters: T time, B rows, N agents. Which rewards (normalised or raw) and whose value is bootstrapped
belong to the caller.
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
