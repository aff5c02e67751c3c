"""The simulated cloud's vocabulary: services, pools, and the tensors that carry a batch of clouds.

Only shapes, units and names. Dimension letters: B clouds, T steps, C workload classes, S services,
K pools, D delay slots, W steps of history, Z zones, A age groups.
"""

from dataclasses import dataclass
from typing import Final

from torch import Tensor

SERVICES: Final = ("compute", "storage", "network", "database")
SERVICE_UNITS: Final = ("vcpu", "iops", "gbps", "db_vcpu")
POOLS: Final = ("on_demand", "spot", "disk", "proxy", "database", "replica")
OBJECTIVES: Final = ("cost", "performance", "reliability", "sustainability")
WORK: Final = (*SERVICE_UNITS, "requests_per_s")  # columns of `work` and `backlog`
HISTORY: Final = 12  # W: an hour of 5-minute steps
DELAY_SLOTS: Final = 6  # D: no order takes longer than half an hour
AGE_GROUPS: Final = 4  # A: started in this clock hour, the one before, the one before that, earlier


@dataclass(frozen=True)
class CloudState:
    """Everything a step reads from the step before it.

    Attributes:
        pools: units in service (whole numbers).
        pending: units ordered; slot d arrives at the start of the (d+1)-th step from now.
        spot: spot VMs by zone and age group; its sum is `pools[:, 1]`.
        backlog: work carried over, in the unit of each service times one step (see `WORK`).
        served: background (batch, ML) work served since the episode began, vCPU times steps.
        loads: load measured by each service's autoscaler, newest first.
        stored_gib: data resident on disks at the last measurement.
        measured: what monitoring showed of the last step (columns: `observation.MEASURED`).
    """

    pools: Tensor  # (B, K)
    pending: Tensor  # (B, K, D)
    spot: Tensor  # (B, Z * A)
    backlog: Tensor  # (B, C, 5)
    served: Tensor  # (B, 2)
    loads: Tensor  # (B, S, W) vCPU, IOPS, Gbps, database vCPU
    stored_gib: Tensor  # (B,)
    measured: Tensor  # (B, M)


@dataclass(frozen=True)
class WeatherStep:
    """What happens to the clouds in one step whatever the agents do."""

    work: Tensor  # (B, C, 5) arriving work: rates in the unit of each service, requests/s
    load: Tensor  # (B, S) the same, summed over classes
    stored_gib: Tensor  # (B,)
    due: Tensor  # (B, 2) batch and ML work due by the end of this step since the episode began
    due_now: Tensor  # (B, 2) the part of it that falls due in this step
    spot_ratio: Tensor  # (B,) spot price over on-demand price
    preemption: Tensor  # (B, Z * A) probability that a spot VM is preempted in this step
    spot_open: Tensor  # (B, Z) 1 where the zone has spot capacity to give, else 0
    preemption_draw: Tensor  # (B,) uniform in [0, 1)
    delay: Tensor  # (B, K) whole steps, 1 .. D, until an order made now is in service
    failover: Tensor  # (B,) share of the step in which the database primary fails over
    is_new_hour: bool  # spot VMs pass into the next age group at the start of this step


@dataclass(frozen=True)
class StepOutcome:
    """What a step gave back, every tensor (B,) unless stated."""

    reward: Tensor  # (B, S) per agent, in the order of SERVICES
    info: dict[str, Tensor]  # named quantities, see docs/simulator.md
