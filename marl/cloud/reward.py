"""The reward: four objectives, each scaled by a stated reference, and a local part per agent.

Cost and sustainability are shares of the static reference plan (`pricing.reference_capacity_usd`,
`carbon.reference_gco2`); performance and reliability are 1 - exp(-x / scale), near x/scale while
things go well and never beyond 1. All four are 0 at best and about -1 when bad, so that none
dominates; the weights then say what matters.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from marl.cloud.params import CloudParams
from marl.cloud.pricing import Bill
from marl.cloud.scaling import Provisioned
from marl.cloud.service import Served


@dataclass(frozen=True)
class RewardScales:
    """References of the reward's terms."""

    capacity_usd: Tensor  # (S,) of the static plan, a step
    total_usd: float
    gco2: float


@dataclass(frozen=True)
class Rewards:
    """Rewards of one step."""

    agents: Tensor  # (B, S) what each agent receives
    team: Tensor  # (B,) weighted sum of the objectives
    objectives: Tensor  # (B, 4) in the order of OBJECTIVES, unweighted
    local: Tensor  # (B, S) local parts, unmixed
    waste: Tensor  # (B,) share of the capacity bill that bought idle capacity


def reward(
    money: Bill,
    gco2: Tensor,
    served: Served,
    now: Provisioned,
    failover: Tensor,
    scales: RewardScales,
    params: CloudParams,
) -> Rewards:
    """Team and local rewards.

    Cost counts what provisioning decides; the charge for passing bytes is left out, else dropping
    requests would earn. Performance is the share of due work that was late; reliability the share
    of web requests lost, of VMs preempted, of the step the database was failing over, and churn.
    """
    config, weights = params.config, params.weights
    idle = 1.0 - served.utilisation
    capacity_usd = money.capacity.sum(1)
    waste = (money.capacity * idle).sum(1) / capacity_usd
    late = 1.0 - served.on_time_share
    vms = (now.pools[:, 0] + now.pools[:, 1] + now.preempted).clamp_min(1.0)
    failed = served.dropped_share + 0.1 * now.preempted / vms + 0.1 * failover + 0.001 * now.changes
    objectives = torch.stack(
        (
            capacity_usd * (-1.0 / scales.total_usd),
            torch.expm1(late * (-1.0 / config.violation_scale)),
            torch.expm1(failed * (-1.0 / config.failure_scale)),
            -0.5 * (gco2 / scales.gco2 + waste),
        ),
        1,
    )
    team = objectives @ weights
    waited = (served.sojourn_s - params.service_s) * (1e3 / config.slo_ms)
    local = -(
        weights[0] * money.capacity / scales.capacity_usd
        - weights[1] * torch.expm1(-waited)
        - weights[2] * torch.expm1(served.shortage * (-1.0 / config.failure_scale))
        + weights[3] * idle
    )
    mixed = (1.0 - config.local_share) * team[:, None] + config.local_share * local
    return Rewards(agents=mixed, team=team, objectives=objectives, local=local, waste=waste)
