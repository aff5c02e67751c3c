"""The simulated cloud's vocabulary: services, pools, and the tensors that carry a batch of clouds.

Only shapes, units and names. Clouds are the *last* dimension of every tensor: one quantity of all
clouds is one contiguous vector, which is what a CPU's vector units and a GPU's threads read best.

Dimension letters: B clouds, T steps, C workload classes, S services, R resources, M kinds of
machine, P purchases, Z zones, N = P·M·Z cells of VMs, K pools beside the VMs, D delay slots,
W steps of history, A age groups, G classes of object storage.
"""

from dataclasses import dataclass
from typing import Final

from torch import Tensor

SERVICES: Final = ("compute", "storage", "network", "database")
# What a request needs at once; a service's capacity is counted in the first four.
RESOURCES: Final = ("vcpu", "iops", "gbps", "db_vcpu", "memory_gib")
SERVICE_UNITS: Final = RESOURCES[:4]
WORK: Final = (*RESOURCES, "requests_per_s")  # rows of `work` and `backlog`
LOADS: Final = (*RESOURCES, "ml_vcpu")  # rows of what the autoscalers measure
KINDS: Final = ("general", "highmem", "arm", "gpu")
PURCHASES: Final = ("on_demand", "spot")
POOLS: Final = ("disk", "hyperdisk", "proxy", "tier", "replica", "redis", "db_disk")
BUCKET_CLASSES: Final = ("standard", "nearline", "coldline", "archive")
OBJECTIVES: Final = ("cost", "performance", "reliability", "sustainability")
HISTORY: Final = 12  # W: an hour of 5-minute steps
DELAY_SLOTS: Final = 6  # D: no order takes longer than half an hour
AGE_GROUPS: Final = 4  # A: started in this clock hour, the one before, the one before that, earlier
REQUEST_SLOTS: Final = 8  # deadlines shown per background class, see `requests`


@dataclass(frozen=True)
class CloudState:
    """Everything a step reads from the step before it. Cells are ordered purchase, kind, zone.

    Attributes:
        vms: VMs in service by cell, those in a zone that is down included (whole numbers).
        ages: share of a spot cell's VMs in each age group; sums to 1 over A.
        refused: 1 where an order was refused lately, fading: the rule's memory of a stock-out.
        pending_vms: VMs ordered; slot d arrives at the start of the (d+1)-th step from now.
        pools: units in service beside the VMs, see `POOLS` (whole numbers).
        pending_pools: units ordered, as `pending_vms`.
        committed: VMs of the general kind bought for one and for three years.
        has_ha: 1 where the database has a standby in another zone.
        cdn: share of cacheable traffic that the CDN answers; a cache takes time to warm.
        colder: share of the objects in nearline or colder, coldline or colder, archive.
        hyperdisk_wait: steps until Hyperdisk's IOPS may be changed again.
        backlog: work carried over, in the unit of each resource times one step (see `WORK`).
        served: background (batch, ML) work served since the episode began, vCPU times steps.
        retries: web requests that were lost and will come again, per second.
        loads: load measured by the autoscalers, newest first.
        stored_gib: data stored at the last measurement.
        spent_usd: bill since the episode began.
        elapsed: steps since the episode began.
        measured: what monitoring showed of the last step (rows: `features.MEASURED`).
    """

    vms: Tensor  # (N, B)
    ages: Tensor  # (A, M·Z, B)
    refused: Tensor  # (N, B)
    pending_vms: Tensor  # (D, N, B)
    pools: Tensor  # (K, B)
    pending_pools: Tensor  # (D, K, B)
    committed: Tensor  # (2, B)
    has_ha: Tensor  # (B,)
    cdn: Tensor  # (B,)
    colder: Tensor  # (G - 1, B)
    hyperdisk_wait: Tensor  # (B,)
    backlog: Tensor  # (C, R+1, B)
    served: Tensor  # (2, B)
    retries: Tensor  # (B,)
    loads: Tensor  # (W, len(LOADS), B)
    stored_gib: Tensor  # (B,)
    spent_usd: Tensor  # (B,)
    elapsed: Tensor  # (B,)
    measured: Tensor  # (len(MEASURED), B)


@dataclass(frozen=True)
class WeatherStep:
    """What happens to the clouds in one step whatever the agents do.

    The fields lie one after the other in one tensor (see `weather`), each a view of its rows.
    """

    work: Tensor  # (C, R+1, B) arriving work: rates in the unit of each resource, requests/s
    stored_gib: Tensor  # (B,) data, on disks and in buckets
    due: Tensor  # (2, B) batch and ML work due by the end of this step since the episode began
    due_now: Tensor  # (2, B) the part of it that falls due in this step
    spot_ratio: Tensor  # (M, B) spot price over on-demand price
    is_shocked: Tensor  # (Z, B) 1 while a zone reclaims spot VMs and gives none
    is_sold_out: Tensor  # (M·Z, B) 1 while a zone has no VM of the kind to give
    is_up: Tensor  # (Z, B) 0 while the zone is down
    quota: Tensor  # (B,) share of the quota that is left
    delay: Tensor  # (4, B) whole steps, 1 .. D: VM, GPU VM, database change, Redis
    failover: Tensor  # (B,) 1 where the database primary fails in this step
    disk_speed: Tensor  # (B,) of the disks' IOPS, 1 in ordinary times
    loss_draw: Tensor  # (B,) uniform in [0, 1): which VMs fail and which are preempted
    is_new_hour: Tensor  # (B,) 1 when spot VMs pass into the next age group at the step's start
    is_review: Tensor  # (B,) 1 when commitments may be bought


@dataclass(frozen=True)
class StepOutcome:
    """What a step gave back."""

    reward: Tensor  # (S, B) per agent, in the order of SERVICES
    figures: Tensor  # (len(dynamics.FIGURES), B) named quantities, see docs/simulator.md
