"""The named quantities a step gives back beside its rewards: the rows of `StepOutcome.figures`.

docs/simulator.md says what each means. They are one matrix, not a dictionary: a face looks rows up
when somebody asks.
"""

from typing import Final

import torch
from torch import Tensor

from marl.cloud.buckets import Objects
from marl.cloud.latency import Latency
from marl.cloud.params import CloudParams
from marl.cloud.pricing import Bill
from marl.cloud.reward import Rewards
from marl.cloud.scaling import Provisioned
from marl.cloud.service import Offered, Served
from marl.cloud.types import (
    BUCKET_CLASSES,
    KINDS,
    OBJECTIVES,
    POOLS,
    PURCHASES,
    RESOURCES,
    SERVICES,
    WeatherStep,
)
from marl.workload.demand import CLASSES

FIGURES: Final = (
    "cost_usd",
    *(f"cost_{service}_usd" for service in SERVICES),
    "cost_capacity_usd",
    "cost_traffic_usd",
    "cost_decided_usd",
    "cost_spot_usd",
    "cost_committed_usd",
    "slo_attainment",
    "requests",
    "requests_served",
    "dropped",
    "retries",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "deadline_misses",
    *(f"due_{name}" for name in CLASSES),
    *(f"late_{name}" for name in CLASSES),
    "work_done_batch",
    "work_done_ml",
    "backlog",
    "backlog_web",
    "backlog_batch",
    "backlog_ml",
    "waste",
    "carbon_gco2",
    *(f"utilisation_{service}" for service in SERVICES),
    "utilisation_memory",
    "utilisation_gpu",
    *(f"capacity_{service}" for service in SERVICES),
    "capacity_memory",
    *(f"demand_{service}" for service in SERVICES),
    "demand_memory",
    *(f"vms_{purchase}_{kind}" for purchase in PURCHASES for kind in KINDS),
    *(f"units_{pool}" for pool in POOLS),
    *(f"gib_{name}" for name in BUCKET_CLASSES),
    "committed_1y",
    "committed_3y",
    "has_ha",
    "cdn_hits",
    "redis_hits",
    "pending_vms",
    "preemptions",
    "failures",
    "refusals",
    "changes",
    "zones_down",
    "is_failing_over",
    "disk_speed",
    "quota",
    "spot_ratio",
    "dependency_gap",
    "over_budget",
    *(f"reward_{objective}" for objective in OBJECTIVES),
    "reward_penalty",
    "reward_team",
    *(f"reward_local_{service}" for service in SERVICES),
)


def figure_names(zones: int) -> tuple[str, ...]:
    """`FIGURES`, and the VMs in each zone."""
    return (*FIGURES, *(f"vms_zone{zone}" for zone in range(zones)))


def figures(
    now: Provisioned,
    carries: Tensor,
    offered: Offered,
    served: Served,
    times: Latency,
    objects: Objects,
    money: Bill,
    gco2: Tensor,
    rewards: Rewards,
    weather: WeatherStep,
    params: CloudParams,
) -> Tensor:
    """(len(figure_names), B): the step in numbers."""
    used, fleet = served.utilisation, now.fleet
    zones = params.config.zones
    load = weather.work[:, : len(RESOURCES)].sum(0)
    web_requests = weather.work[0, -1] * params.step_s
    reached = offered.work[0, -1] * served.web_share
    blocks = (
        money.by_service.sum(0),
        money.by_service,
        money.capacity.sum(0),
        money.traffic,
        money.decided,
        money.spot,
        money.committed,
        times.on_time_share,
        web_requests,
        (offered.hits_per_s + reached) * params.step_s,
        offered.work[0, -1] * served.lost_share * params.step_s,
        served.retries * params.step_s,
        times.p50_s * 1e3,
        times.p95_s * 1e3,
        times.p99_s * 1e3,
        served.late.sum(0),
        times.web_due,
        weather.due_now,
        times.web_late,
        served.late,
        served.work_done,
        served.backlog[:, 0].sum(0),
        served.backlog[:, 0],
        rewards.waste,
        gco2,
        used,
        served.gpu_used,
        carries,
        load,
        fleet.serving.flatten(0, 1),
        now.pools,
        objects.gib,
        now.committed,
        now.has_ha,
        offered.hits_per_s * params.step_s,
        offered.redis_hit,
        fleet.pending.sum((0, 1)),
        fleet.preempted,
        fleet.lost - fleet.preempted,
        fleet.refusals,
        now.changes,
        zones - weather.is_up.sum(0),
        weather.failover,
        weather.disk_speed,
        weather.quota,
        weather.spot_ratio[0],
        rewards.gap,
        rewards.over_budget,
        rewards.objectives,
        -rewards.penalty,
        rewards.team,
        rewards.local,
        fleet.vms.view(-1, zones, fleet.vms.shape[-1]).sum(0),
    )
    return torch.cat([block if block.dim() == 2 else block[None] for block in blocks])
