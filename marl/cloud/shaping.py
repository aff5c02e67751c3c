"""Potential-based reward shaping with a schedule from dense to sparse. Pure functions.

The shaping reward is F = γ Φ(s') − Φ(s), which leaves the optimal policies of any decision problem
as they are (A. Y. Ng, D. Harada, S. Russell, "Policy invariance under reward transformations",
ICML 1999). The annealed potential Φ(s, t) = w(t) φ(s) changes with time; the result still holds
if every state is charged with the weight of the time at which it was reached, once on arrival and
the same amount on leaving (S. Devlin, D. Kudenko, "Dynamic potential-based reward shaping", AAMAS
2012). Multiplying F itself by w(t) would not do: `ShapingState` keeps the charged amount.

Ends of episodes (M. Grześ, "Reward shaping in episodic reinforcement learning", AAMAS 2017):

* terminated: nothing follows, Φ(s') counts as 0;
* truncated, and the learner bootstraps from the value of the last state: Φ(s') is that of the true
  last state (not of the one after the reset), because the bootstrapped value is a shaped one too;
* truncated, and the learner does not bootstrap: the end is an end to it, Φ(s') counts as 0.

What states are worth to the agents is learned; which numbers enter φ belongs to the caller.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class ShapingConfig:
    """How strong the shaping is, and until when.

    Attributes:
        gamma: the learner's discount; shaping with another one changes the optimal policy.
        weight: w before `begin`, 0 for no shaping at all.
        final: w after `end`.
        begin: step at which annealing begins; a step of the whole batch counts as one.
        end: step at which it is over.
        curve: "linear" or "cosine" (slow at both ends) in between.
        bootstraps_truncation: whether the learner bootstraps where an episode is cut off.
    """

    gamma: float = 0.99
    weight: float = 1.0
    final: float = 0.0
    begin: int = 0
    end: int = 100_000
    curve: Literal["linear", "cosine"] = "linear"
    bootstraps_truncation: bool = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.gamma <= 1.0:
            raise ValueError(f"gamma {self.gamma} lies in [0, 1]")
        for name in ("weight", "final"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"{name} {value} must be finite and at least 0")
        if not 0 <= self.begin <= self.end:
            raise ValueError(f"annealing from step {self.begin} to {self.end}: must not run back")
        if self.curve not in ("linear", "cosine"):
            raise ValueError(f"curve is linear or cosine, not {self.curve!r}")


@dataclass(frozen=True)
class ShapingState:
    """Between two steps."""

    charged: Tensor  # (B,) w(t) φ(s) of the current state, as it was reckoned on arrival
    step: int  # steps of the batch so far, over all episodes: the clock of the schedule


def schedule(step: int, config: ShapingConfig) -> float:
    """Weight at a step: `weight` before `begin`, `final` from `end` on."""
    if step < config.begin:
        return config.weight
    if step >= config.end:
        return config.final
    done = (step - config.begin) / (config.end - config.begin)
    if config.curve == "cosine":
        done = 0.5 - 0.5 * math.cos(math.pi * done)
    return config.weight + (config.final - config.weight) * done


def difference(
    before: Tensor,
    after: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    config: ShapingConfig,
) -> Tensor:
    """(B,) F = γ Φ(s') − Φ(s), with the ends of episodes as the module says.

    Args:
        before: (B,) Φ(s), weighted as it was on arrival in s.
        after: (B,) Φ(s') of the true next state, weighted.
        terminated: (B,) bool, s' is the end of the task.
        truncated: (B,) bool, the episode was cut off at s'.
        config: discount and the learner's bootstrapping.
    """
    is_over = terminated if config.bootstraps_truncation else terminated | truncated
    return config.gamma * torch.where(is_over, torch.zeros_like(after), after) - before


def start(potential: Tensor, config: ShapingConfig, step: int = 0) -> ShapingState:
    """The state at the first observation.

    Args:
        potential: (B,) φ of the first states, unweighted.
        config: schedule.
        step: where the clock stands, e.g. after a checkpoint.
    """
    if step < 0:
        raise ValueError(f"step {step}: the clock starts at 0 or above")
    return ShapingState(schedule(step, config) * potential, step)


def shape(
    state: ShapingState,
    after: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    config: ShapingConfig,
) -> tuple[Tensor, ShapingState]:
    """Shaping reward of one step.

    Args:
        state: before the step.
        after: (B,) φ of the true next states, unweighted; of the last one where an episode ended.
        terminated: (B,) bool.
        truncated: (B,) bool.
        config: discount, schedule.

    Returns:
        (B,) F, and the state after. Where episodes ended, call `restart` on it.
    """
    if after.shape != state.charged.shape:
        raise ValueError(
            f"potentials of shape {tuple(after.shape)}, {tuple(state.charged.shape)} before"
        )
    step = state.step + 1
    charged = schedule(step, config) * after
    reward = difference(state.charged, charged, terminated, truncated, config)
    return reward, ShapingState(charged, step)


def restart(
    state: ShapingState, ended: Tensor, potential: Tensor, config: ShapingConfig
) -> ShapingState:
    """After an automatic reset: new episodes are charged with their own first state.

    Args:
        state: that `shape` returned.
        ended: (B,) bool, the environments that were reset.
        potential: (B,) φ of their first states, unweighted; read only where `ended`.
        config: schedule.
    """
    first = schedule(state.step, config) * potential
    return ShapingState(torch.where(ended, first, state.charged), state.step)


def projected_shortage(load: Tensor, capacity: Tensor, ordered: Tensor) -> Tensor:
    """(B, S) share of the expected load for which nothing stands or is on its way.

    Orders count like capacity, so that ordering in time is rewarded when it is done and not
    minutes later when it arrives.

    Args:
        load: (B, S) expected when an order placed now would arrive, at least 0.
        capacity: (B, S) in service, same unit.
        ordered: (B, S) on its way, same unit.
    """
    scale = load.clamp_min(torch.finfo(load.dtype).tiny)
    return ((load - capacity - ordered).clamp_min(0.0) / scale).clamp_max(1.0)


def potential(
    shortage: Tensor, overdue: Tensor, shortage_weights: Tensor, overdue_weights: Tensor
) -> Tensor:
    """(B,) φ = −(Σ_s u_s · shortage_s + Σ_c v_c · x_c/(1 + x_c)), between −(Σu + Σv) and 0.

    Highest, 0, where all the capacity that is needed stands or is ordered and no work is overdue. A
    backlog saturates, so that one bad episode does not drown the reward.

    Args:
        shortage: (B, S) shares in [0, 1], of `projected_shortage`.
        overdue: (B, C) work past its time, x, in units of what the cloud does in a step, ≥ 0.
        shortage_weights: (S,) u, at least 0.
        overdue_weights: (C,) v, at least 0.
    """
    for name, values, weights in (
        ("shortage", shortage, shortage_weights),
        ("overdue", overdue, overdue_weights),
    ):
        if values.ndim != 2 or weights.shape != values.shape[1:]:
            raise ValueError(
                f"{name} {tuple(values.shape)} does not fit weights {tuple(weights.shape)}"
            )
    return -(shortage @ shortage_weights + (overdue / (1.0 + overdue)) @ overdue_weights)
