"""Losses of soft actor-critics: pure functions of tensors, without networks or logging.

Letters: C critics per judge, J judges (1 for a team, else N), N agents, R rows. "Paper" is Haarnoja
et al. 2018, arXiv:1812.05905. All losses are weighted means over rows, summed over networks, so
that the gradient of one is what it would be if it were trained alone.
"""
# ruff: noqa: N803 - dimension letters as suffixes are this package's convention

from torch import Tensor


def soft_value(value_CJR: Tensor, log_prob_NR: Tensor, alpha_N: Tensor) -> Tensor:
    """V(s) = min_c Q_c(s, a) − α log π(a|s), (J, R), for a drawn from the policy (paper, eq. 3).

    A team's one judge counts the entropy of all its agents, Σ_i α_i log π_i; where every agent has
    a judge of its own, each counts its own.
    """
    cost = alpha_N[:, None] * log_prob_NR
    if value_CJR.shape[1] == 1:
        cost = cost.sum(0, keepdim=True)
    return value_CJR.amin(0) - cost


def policy_loss(
    value_CJR: Tensor, log_prob_NR: Tensor, alpha_N: Tensor, weight_R: Tensor
) -> Tensor:
    """J_π = E[α log π(a|s) − min_c Q_c(s, a)] with reparameterised a (paper, eq. 9)."""
    return -(soft_value(value_CJR, log_prob_NR, alpha_N) * weight_R).mean(-1).sum()


def temperature_loss(
    log_alpha_N: Tensor, log_prob_NR: Tensor, target_N: Tensor, weight_R: Tensor
) -> Tensor:
    """J(α) = E[−α (log π(a|s) + H̄)], with no gradient to the policy (paper, eq. 18).

    Falls where the policy's entropy −log π exceeds the target H̄, rises where it falls short.
    """
    surplus = (log_prob_NR.detach() + target_N[:, None]) * weight_R
    return -(log_alpha_N.exp() * surplus.mean(-1)).sum()
