"""Options on the reward: shaping, running normalisation, constraints with multipliers.

The maths is `marl.cloud.shaping`, `normalise` and `lagrange`; here they are joined to a batch of
clouds. The state is data that every step replaces, so that a copied environment goes its own way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import torch
from torch import Tensor

from marl.cloud import lagrange, shaping
from marl.cloud import normalise as statistics
from marl.cloud.dynamics import Cloud
from marl.cloud.features import MEASURED
from marl.cloud.figures import figure_names
from marl.cloud.foresight import FORESIGHT
from marl.cloud.normalise import NormaliserState
from marl.cloud.params import DISK_STEP_GIB, HYPERDISK_STEP_IOPS, PROXY_GBPS, TIER_STEP_VCPU
from marl.cloud.shaping import ShapingConfig, ShapingState
from marl.cloud.types import OBJECTIVES, SERVICE_UNITS, SERVICES, CloudState

# Rows that the options add to `step.info`.
TERMS: Final = ("reward_normalised_team", "reward_shaping", "reward_constraints")
_CAPACITY: Final = MEASURED.index(f"capacity_{SERVICE_UNITS[0]}")
_EXPECTED: Final = FORESIGHT.index(f"forecast_{SERVICES[0]}_5")


@dataclass(frozen=True)
class RewardOptions:
    """What is done to the reward beside `CloudConfig`'s weights and penalties; nothing by default.

    Attributes:
        shaping: potential-based shaping; its clock counts steps of the batch.
        shaping_scale: a potential of 1 in units of the reward.
        normalise: unit scale for each objective, by running statistics.
        constraints: limits on named quantities of a step (`marl.cloud.figures`), in the mean over
            an episode, e.g. `Constraint("slo_attainment", 0.99, "at_least", scale=0.01)`.
        gains: how their multipliers move when episodes end.
    """

    shaping: ShapingConfig | None = None
    shaping_scale: float = 0.1
    normalise: statistics.NormaliserConfig | None = None
    constraints: tuple[lagrange.Constraint, ...] = ()
    gains: lagrange.Gains = field(default_factory=lagrange.Gains)

    def check(self, zones: int) -> None:
        """Refuse constraints on what no step returns.

        Raises:
            ValueError: naming them.
        """
        known = figure_names(zones)
        if unknown := sorted({c.name for c in self.constraints} - set(known)):
            raise ValueError(f"constraints on {unknown}; a step returns {', '.join(known)}")


@dataclass(frozen=True)
class RewardState:
    """What the options remember between steps."""

    shaping: ShapingState | None
    statistics: NormaliserState
    multipliers: lagrange.MultiplierState | None
    violations: Tensor  # (B, constraints) summed over the episode so far

    def saved(self) -> dict[str, Any]:
        """Statistics, multipliers and the schedule's clock, for a checkpoint."""
        saved: dict[str, Any] = {"statistics": statistics.state_dict(self.statistics)}
        if self.multipliers is not None:
            saved["multipliers"] = lagrange.state_dict(self.multipliers)
        if self.shaping is not None:
            saved["clock"] = self.shaping.step
        return saved


def begin(
    options: RewardOptions,
    before: RewardState | None,
    state: CloudState,
    told: Tensor,
    cloud: Cloud,
) -> RewardState:
    """The state at an episode's first observation; statistics and multipliers live on.

    Args:
        options: what is done.
        before: of the episode before; None at the very first.
        state: of the clouds.
        told: (F, B) what is known ahead.
        cloud: what stays fixed.
    """
    batch, device = told.shape[-1], told.device
    count = len(options.constraints)
    if before is None:
        before = RewardState(
            shaping=None,
            statistics=statistics.initial_state(len(OBJECTIVES), device),
            multipliers=lagrange.initial_state(options.constraints, device=device)
            if count
            else None,
            violations=torch.zeros((batch, count), device=device),
        )
    charged = None
    if options.shaping is not None:
        clock = before.shaping.step if before.shaping is not None else 0
        value = potential(state, told, cloud) * options.shaping_scale
        charged = shaping.start(value, options.shaping, clock)
    return replace(before, shaping=charged, violations=torch.zeros((batch, count), device=device))


def restored(saved: Mapping[str, Any], options: RewardOptions, state: RewardState) -> RewardState:
    """`state` with the statistics, multipliers and clock that `RewardState.saved` gave."""
    device = state.violations.device
    normaliser = statistics.from_state_dict(saved["statistics"], device)
    multipliers = state.multipliers
    if multipliers is not None:
        multipliers = lagrange.from_state_dict(saved["multipliers"], options.constraints, device)
    clock = state.shaping
    if clock is not None:
        clock = replace(clock, step=int(saved["clock"]))
    return replace(state, shaping=clock, statistics=normaliser, multipliers=multipliers)


def apply(
    options: RewardOptions,
    before: RewardState,
    reward: Tensor,
    figures: Mapping[str, Tensor],
    state: CloudState,
    told: Tensor,
    is_last: bool,
    cloud: Cloud,
) -> tuple[Tensor, Tensor, RewardState]:
    """Rewards of a step with the options.

    Args:
        options: what is done.
        before: from the step before.
        reward: (S, B) of the dynamics.
        figures: named quantities of the step.
        state: of the clouds after the step.
        told: (F, B) what is known ahead after the step.
        is_last: whether the episode is cut off here.
        cloud: what stays fixed.

    Returns:
        (S, B) rewards, (3, B) `TERMS`, the state after.
    """
    config = cloud.params.config
    team, zero = figures["reward_team"], torch.zeros_like(reward[0])
    after = before
    if options.normalise is not None:
        values = torch.stack([figures[f"reward_{name}"] for name in OBJECTIVES], 1)
        after = replace(after, statistics=statistics.update(after.statistics, values))
        scaled = statistics.normalise(after.statistics, values, options.normalise)
        team = scaled @ cloud.params.weights[:, 0] + figures["reward_penalty"]
    added = (1.0 - config.local_share) * (team - figures["reward_team"])
    shaped = zero
    if options.shaping is not None and after.shaping is not None:
        value = potential(state, told, cloud) * options.shaping_scale
        over = torch.full_like(zero, float(is_last)).bool()
        shaped, clock = shaping.shape(
            after.shaping, value, torch.zeros_like(over), over, options.shaping
        )
        after = replace(after, shaping=clock)
    charge = zero
    if before.multipliers is not None:
        violation = lagrange.violations(figures, options.constraints)
        charge = lagrange.penalty(before.multipliers, violation)
        total = after.violations + violation
        after = replace(after, violations=total)
        if is_last:
            mean = total / state.elapsed[:, None]
            moved = lagrange.update(before.multipliers, mean, options.gains)
            after = replace(after, multipliers=moved)
    return reward + added + shaped - charge, torch.stack((team, shaped, -charge)), after


def potential(state: CloudState, told: Tensor, cloud: Cloud) -> Tensor:
    """(B,) how well the coming half hour is provided for: 0 at best (`shaping.potential`).

    The load forecast for half an hour on against the capacity in service and ordered, and
    background work that is past its date.
    """
    params = cloud.params
    expected = told[_EXPECTED : _EXPECTED + len(SERVICES)]
    capacity = state.measured[_CAPACITY : _CAPACITY + len(SERVICES)]
    vcpu = params.vcpu.repeat(2, 1)
    pending = state.pending_pools.sum(0)
    ordered = torch.stack(
        (
            (state.pending_vms.sum(0) * vcpu).sum(0),
            pending[0] * (DISK_STEP_GIB * params.iops_per_gib) + pending[1] * HYPERDISK_STEP_IOPS,
            pending[2] * PROXY_GBPS,
            pending[3] * TIER_STEP_VCPU,
        )
    )
    late = state.measured[MEASURED.index("late_batch") : MEASURED.index("late_ml") + 1]
    shortage = shaping.projected_shortage(expected.t(), capacity.t(), ordered.t())
    ones = shortage.new_ones
    return shaping.potential(shortage, late.t(), ones(len(SERVICES)), ones(len(late)))
