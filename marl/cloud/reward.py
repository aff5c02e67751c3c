"""The reward: four objectives, each scaled by a stated reference, penalties, local parts.

Cost and sustainability are shares of the static reference plan (`pricing.reference_capacity_usd`,
`carbon.reference_gco2`); performance and reliability are -log(1 + x/scale)/log(1 + 1/scale), steep
while things go well and -1 when all is lost. All four are 0 at best and about -1 when bad, so that
none dominates; the weights then say what matters. Shaping, running normalisation and multipliers
are options of the faces: `shaping`, `normalise`, `lagrange`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from marl.cloud.latency import Latency
from marl.cloud.params import CloudParams
from marl.cloud.pricing import Bill
from marl.cloud.scaling import Provisioned
from marl.cloud.service import Served


@dataclass(frozen=True)
class RewardScales:
    """References of the reward's terms."""

    capacity_usd: Tensor  # (S, 1) of the static plan, a step
    total_usd: float
    budget_usd: float  # what a step may cost, traffic included
    gco2: float


@dataclass(frozen=True)
class Rewards:
    """Rewards of one step."""

    agents: Tensor  # (S, B) what each agent receives
    team: Tensor  # (B,) weighted sum of the objectives less the penalties
    objectives: Tensor  # (4, B) in the order of OBJECTIVES, unweighted
    local: Tensor  # (S, B) local parts, unmixed
    waste: Tensor  # (B,) share of the capacity bill that bought idle capacity
    over_budget: Tensor  # (B,) share of the budget to date that was overspent
    gap: Tensor  # (B,) share of what one service carries that another starves
    penalty: Tensor  # (B,) of both


def _falling(x: Tensor, scale: float) -> Tensor:
    """0 at x = 0, -1 at x = 1: what hurts begins to hurt at `scale`, and never stops to."""
    return torch.log1p(x * (1.0 / scale)) * (-1.0 / math.log1p(1.0 / scale))


def reward(
    money: Bill,
    gco2: Tensor,
    served: Served,
    times: Latency,
    now: Provisioned,
    failing: Tensor,
    spent_usd: Tensor,
    elapsed: Tensor,
    scales: RewardScales,
    params: CloudParams,
) -> Rewards:
    """Team and local rewards.

    Cost counts what provisioning decides (`Bill.decided`), so that dropping requests never earns.
    Performance is the share of due work that was late; reliability the share of web requests lost,
    of VMs lost, of the step the database took no writes, and churn.

    Args:
        money: bill of the step.
        gco2: (B,) emissions of the step.
        served: what was served.
        times: latency of the step.
        now: units in service.
        failing: (B,) share of the step in which the database's primary was down.
        spent_usd: (B,) bill since the episode began, this step included.
        elapsed: (B,) steps since the episode began, this one included.
        scales: references of the terms.
        params: of the cloud.
    """
    config, weights = params.config, params.weights
    idle = 1.0 - served.utilisation[:4]
    capacity_usd = money.capacity.sum(0)
    waste = (money.capacity * idle).sum(0) / capacity_usd
    late = (1.0 - times.on_time_share).clamp_min(0.0)
    fleet = now.fleet
    vms = (fleet.vms.sum(0) + fleet.lost).clamp_min(1.0)
    resolved = (served.web_share + served.lost_share).clamp_min(1e-6)
    failed = served.lost_share / resolved + 0.1 * fleet.lost / vms + 0.1 * failing
    failed = failed + 0.0005 * now.changes
    objectives = torch.stack(
        (
            money.decided * (-1.0 / scales.total_usd),
            _falling(late, config.violation_scale),
            _falling(failed, config.failure_scale),
            -0.5 * (gco2 / scales.gco2 + waste),
        )
    )
    over = (spent_usd / (elapsed * scales.budget_usd) - 1.0).clamp_min(0.0)
    penalty = config.budget_penalty * over + config.dependency_penalty * served.gap
    team = (objectives * weights).sum(0) - penalty
    waited = (times.sojourn_s - params.service_s) * (1e3 / config.slo_ms)
    # A stronger Redis makes the station faster than its nominal time: no waiting then.
    local = -(
        weights[0] * money.capacity / scales.capacity_usd
        - weights[1] * torch.expm1(-waited.clamp_min(0.0))
        - weights[2] * _falling(served.shortage[:4], config.failure_scale)
        + weights[3] * idle
    )
    mixed = (1.0 - config.local_share) * team + config.local_share * local
    return Rewards(
        agents=mixed,
        team=team,
        objectives=objectives,
        local=local,
        waste=waste,
        over_budget=over,
        gap=served.gap,
        penalty=penalty,
    )
