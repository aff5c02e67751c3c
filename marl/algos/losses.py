"""Losses of actor-critic learners: pure functions of tensors, without networks or logging.

Letters: C critics per agent (1, or 2 for clipped double Q), N agents, B rows.
"""
# ruff: noqa: N803 - dimension letters as suffixes are this package's convention

import torch
from torch import Tensor


def td_target(return_BN: Tensor, discount_B: Tensor, next_value_CNB: Tensor) -> Tensor:
    """Targets (N, B): return plus the discounted, most pessimistic of the C next values.

    y = G + γ^m min_c Q'_c(s', a') (MADDPG for C = 1: Lowe et al. 2017, eq. 6; clipped double
    Q-learning for C = 2: Fujimoto et al. 2018, arXiv:1802.09477, eq. 10).
    """
    return return_BN.transpose(0, 1) + discount_B * next_value_CNB.amin(0)


def critic_loss(value_CNB: Tensor, target_NB: Tensor, weight_B: Tensor) -> Tensor:
    """Weighted mean squared error, averaged over rows and summed over critics and agents.

    Summed, because each network has parameters of its own: the gradient of one is then what it
    would be if it were trained alone.
    """
    error = (value_CNB - target_NB) ** 2 * weight_B
    return error.mean(-1).sum()


def actor_loss(value_NB: Tensor, weight_B: Tensor) -> Tensor:
    """Deterministic policy gradient: minus each agent's mean value, summed over agents.

    ∇θ J = E[∇θ μ_i(o_i) ∇_{a_i} Q_i(s, a)] with a_i = μ_i(o_i) (Lowe et al. 2017, eq. 5).
    """
    return -(value_NB * weight_B).mean(-1).sum()


def clip_stacked_grad_norm(gradients: list[Tensor], limit: float) -> Tensor:
    """Scale each network's part of stacked gradients to a norm of at most `limit`, in place.

    As torch.nn.utils.clip_grad_norm_, but for every network of the stack by itself.

    Args:
        gradients: tensors (E, ., .) of one stack of E networks; or of several stacks of different
            sizes (encoders that only some agents have), each of which is clipped by itself.
        limit: largest norm per network.

    Returns:
        (E,) norms before clipping, of several stacks one after the other.
    """
    squares: dict[int, list[Tensor]] = {}
    for gradient in gradients:
        squares.setdefault(len(gradient), []).append(gradient.square().sum((1, 2)))
    norms = {size: torch.stack(parts).sum(0).sqrt() for size, parts in squares.items()}
    scales = {
        size: (limit / (norm + 1e-6)).clamp(max=1.0).view(-1, 1, 1) for size, norm in norms.items()
    }
    torch._foreach_mul_(gradients, [scales[len(gradient)] for gradient in gradients])
    return torch.cat(list(norms.values()))
