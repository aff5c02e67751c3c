"""Losses of proximal policy optimisation: pure functions of tensors, without networks or logging.

Letters: R rows of a minibatch, N agents, J judges (critics): N, or 1 for a team.
"""
# ruff: noqa: N803 - dimension letters as suffixes are this package's convention

import torch
from torch import Tensor


def clipped_surrogate(ratio_RN: Tensor, advantage_RJ: Tensor, clip: float) -> Tensor:
    """Minus the clipped surrogate, averaged over rows and summed over agents.

    L = E[min(ρ A, clip(ρ, 1 − ε, 1 + ε) A)] with ρ = π(a|o) / π_old(a|o)
    (Schulman et al. 2017, arXiv:1707.06347, eq. 7). Summed over agents, because each has
    parameters of its own: the gradient of one is what it would be if it were trained alone.
    """
    if ratio_RN.shape[0] != advantage_RJ.shape[0] or advantage_RJ.shape[1] not in (
        1,
        ratio_RN.shape[1],
    ):
        raise ValueError(
            f"ratios {tuple(ratio_RN.shape)} (R, N) and advantages {tuple(advantage_RJ.shape)} "
            "(R, N or 1) do not belong together"
        )
    limited = ratio_RN.clamp(1 - clip, 1 + clip)
    return -torch.minimum(ratio_RN * advantage_RJ, limited * advantage_RJ).mean(0).sum()


def value_loss(value_RJ: Tensor, old_RJ: Tensor, target_RJ: Tensor, clip: float) -> Tensor:
    """Half the squared error, averaged over rows and summed over judges.

    With `clip` above zero the larger of the errors of the value and of the value kept within
    ±clip of what it was when the rollout was taken (Yu et al. 2022, arXiv:2103.01955, appendix A).
    """
    if not value_RJ.shape == old_RJ.shape == target_RJ.shape:
        raise ValueError(
            f"values {tuple(value_RJ.shape)}, old values {tuple(old_RJ.shape)} and targets "
            f"{tuple(target_RJ.shape)} must have one shape (R, J)"
        )
    error = (value_RJ - target_RJ).square()
    if clip:
        kept = old_RJ + (value_RJ - old_RJ).clamp(-clip, clip)
        error = torch.maximum(error, (kept - target_RJ).square())
    return 0.5 * error.mean(0).sum()
