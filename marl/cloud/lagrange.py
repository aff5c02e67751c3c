"""Constraints on an episode's means, and the multipliers that price them.

A constraint holds a named mean of an episode (spend an hour, share of requests lost) against a
limit. Its multiplier λ ≥ 0 rises while episodes violate it and falls while they keep it; the reward
is charged Σ λ_k · violation_k. Two rules move λ after each batch of episodes:

* projected dual ascent, λ ← [λ + η e]₊ with e the mean violation (C. Tessler, D. J. Mankowitz,
  S. Mannor, "Reward constrained policy optimization", ICLR 2019, arXiv 1805.11074); the rate η
  must be far below the policy's learning rate;
* PID, λ ← [K_P e + K_I ∫e + K_D [Δe]₊]₊ (A. Stooke, J. Achiam, P. Abbeel, "Responsive safety in
  reinforcement learning by PID Lagrangian methods", ICML 2020, algorithm 2), whose proportional and
  derivative parts damp the oscillation of the first; the integral is kept at 0 or above.

Ascent is PID with K_I = η alone. Which means are held to which limits belongs to the caller.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Constraint:
    """One limit on a named quantity.

    Attributes:
        name: of the quantity, e.g. "cost_usd" or "slo_attainment".
        limit: in its unit.
        sense: "at_most" or "at_least".
        scale: what counts as a violation of 1, in its unit; a multiplier is then a price per scale,
            and constraints of different units learn at one rate.
    """

    name: str
    limit: float
    sense: Literal["at_most", "at_least"] = "at_most"
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a constraint needs the name of what it limits")
        if self.sense not in ("at_most", "at_least"):
            raise ValueError(f"{self.name}: sense is at_most or at_least, not {self.sense!r}")
        if not math.isfinite(self.limit):
            raise ValueError(f"{self.name}: limit {self.limit} must be finite")
        if not (self.scale > 0 and math.isfinite(self.scale)):
            raise ValueError(f"{self.name}: scale {self.scale} must be finite and above 0")


@dataclass(frozen=True)
class Gains:
    """How multipliers move. Only `integral`: projected dual ascent.

    Attributes:
        integral: K_I, or the ascent's rate η.
        proportional: K_P.
        derivative: K_D; acts on rising violations only.
        smoothing: share of the old value kept when violations are averaged for the proportional
            and derivative parts, 0 for none.
        most: upper bound of a multiplier, so that an impossible limit cannot drown the reward.
    """

    integral: float = 0.01
    proportional: float = 0.0
    derivative: float = 0.0
    smoothing: float = 0.0
    most: float = 100.0

    def __post_init__(self) -> None:
        for name in ("integral", "proportional", "derivative"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"gain {name} {value} must be finite and at least 0")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing {self.smoothing} lies in [0, 1)")
        if not (self.most > 0 and math.isfinite(self.most)):
            raise ValueError(f"most {self.most} must be finite and above 0")


@dataclass(frozen=True)
class MultiplierState:
    """Between updates. K constraints, float64."""

    multipliers: Tensor  # (K,) λ, at least 0
    integral: Tensor  # (K,) K_I ∫e, within [0, most]
    smoothed: Tensor  # (K,) averaged violation
    updates: Tensor  # () batches of episodes seen


def initial_state(
    constraints: Sequence[Constraint], start: float = 0.0, device: torch.device | str = "cpu"
) -> MultiplierState:
    """All multipliers at `start`.

    Raises:
        ValueError: two constraints of one name and sense, or a negative start.
    """
    if not constraints:
        raise ValueError("no constraints: leave the Lagrangian out")
    keys = [(c.name, c.sense) for c in constraints]
    if len(set(keys)) < len(keys):
        raise ValueError(f"constraints of the same name and sense: {sorted(keys)}")
    if not (start >= 0 and math.isfinite(start)):
        raise ValueError(f"multipliers start at 0 or above, not at {start}")
    values = torch.full((len(constraints),), start, dtype=torch.float64, device=device)
    zeros = torch.zeros_like(values)
    return MultiplierState(values, values.clone(), zeros, zeros.new_zeros(()))


def violations(means: Mapping[str, Tensor], constraints: Sequence[Constraint]) -> Tensor:
    """(B, K) by how much each limit is broken, in `scale`; negative where there is room.

    Args:
        means: by name, (B,) of a step or of an episode.
        constraints: K of them.

    Raises:
        KeyError: a constraint names what `means` does not hold.
    """
    columns = []
    for c in constraints:
        if c.name not in means:
            raise KeyError(f"constraint on {c.name!r}, which is not among {sorted(means)}")
        over = (means[c.name] - c.limit) / c.scale
        columns.append(over if c.sense == "at_most" else -over)
    return torch.stack(columns, -1)


def penalty(state: MultiplierState, violation: Tensor) -> Tensor:
    """(B,) Σ λ_k · violation_k, to be subtracted from the reward of a step.

    Steps with room earn back what others cost, because the limit is on the episode's mean.
    Differentiable in `violation`, constant in λ.
    """
    if violation.shape[-1] != len(state.multipliers):
        raise ValueError(
            f"{violation.shape[-1]} violations for {len(state.multipliers)} multipliers"
        )
    return violation @ state.multipliers.detach().to(violation.dtype)


def update(state: MultiplierState, violation: Tensor, gains: Gains) -> MultiplierState:
    """Move the multipliers after a batch of episodes.

    Args:
        state: before.
        violation: (E, K) of E episodes' means; their average is the error e.
        gains: rule and speed.

    Raises:
        ValueError: no episode, another number of constraints, or a value that is not finite.
    """
    if violation.ndim != 2 or violation.shape[1] != len(state.multipliers):
        raise ValueError(
            f"expected (E, {len(state.multipliers)}) violations, not {tuple(violation.shape)}"
        )
    if violation.shape[0] == 0:
        raise ValueError("no episode has ended: nothing to learn from")
    error = violation.detach().to(torch.float64).mean(0)
    if not bool(error.isfinite().all()):
        raise ValueError(f"violations must be finite, not {error.tolist()}")
    keep = gains.smoothing if float(state.updates) > 0 else 0.0
    smoothed = keep * state.smoothed + (1.0 - keep) * error
    rise = (smoothed - state.smoothed).clamp_min(0.0)
    if float(state.updates) == 0:  # nothing came before, so nothing rose
        rise = torch.zeros_like(rise)
    integral = (state.integral + gains.integral * error).clamp(0.0, gains.most)
    total = gains.proportional * smoothed + integral + gains.derivative * rise
    return MultiplierState(
        multipliers=total.clamp(0.0, gains.most),
        integral=integral,
        smoothed=smoothed,
        updates=state.updates + 1.0,
    )


def state_dict(state: MultiplierState) -> dict[str, Tensor]:
    """Everything needed to go on, as tensors for a checkpoint."""
    return {f.name: getattr(state, f.name).detach().clone() for f in fields(state)}


def from_state_dict(
    saved: Mapping[str, Tensor],
    constraints: Sequence[Constraint],
    device: torch.device | str = "cpu",
) -> MultiplierState:
    """The state that `state_dict` wrote, for the same constraints.

    Raises:
        ValueError: an entry is missing, unknown, or made for another number of constraints.
    """
    names = [f.name for f in fields(MultiplierState)]
    if set(saved) != set(names):
        raise ValueError(f"multipliers have {sorted(names)}, the checkpoint {sorted(saved)}")
    for name in names[:3]:
        if saved[name].shape != (len(constraints),):
            raise ValueError(
                f"{name} of shape {tuple(saved[name].shape)} for {len(constraints)} constraints"
            )
    if bool((saved["multipliers"] < 0).any()):
        raise ValueError("a multiplier below 0: the checkpoint is damaged")
    return MultiplierState(
        **{k: v.to(device=device, dtype=torch.float64, copy=True) for k, v in saved.items()}
    )
