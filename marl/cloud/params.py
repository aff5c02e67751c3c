"""What stays fixed over an episode: the configuration, the reference demand, the derived tensors.

`CloudConfig` is what a user may override, every default a stated assumption or a sourced figure;
`Reference` is the scale of the demand; `CloudParams` is both and the catalogue, resolved to numbers
on one device. How they act belongs to the modules that use them.
"""

import math
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from marl.cloud.catalogue import DiskType, MachineType, PriceCatalog
from marl.cloud.types import DELAY_SLOTS, HISTORY, OBJECTIVES, SERVICE_UNITS, SERVICES
from marl.frozen import Frozen
from marl.workload.demand import CHANNELS, CLASSES, DemandBatch, DemandGenerator

GIB_PER_GBPS_S: Final = 1e9 / 8 / 2**30
PROXY_GBPS: Final = 0.15
DISK_STEP_GIB: Final = 10.0
TIER_STEP_VCPU: Final = 2.0
MAX_TIER_VCPU: Final = 96.0  # Cloud SQL's largest custom machine
WEIGHT_RANGES: Final = {
    "cost": (0.20, 0.30),
    "performance": (0.30, 0.40),
    "reliability": (0.15, 0.20),
    "sustainability": (0.10, 0.15),
}
_REFERENCE_EPISODES: Final = 64


class Weights(Frozen):
    """Weights of the four objectives; they sum to 1 and lie in the mission's ranges."""

    cost: float = Field(default=0.25, ge=0, le=1)
    performance: float = Field(default=0.40, ge=0, le=1)
    reliability: float = Field(default=0.20, ge=0, le=1)
    sustainability: float = Field(default=0.15, ge=0, le=1)
    is_free: bool = False  # True: any weights that sum to 1, e.g. for a Pareto front

    @model_validator(mode="after")
    def _is_allowed(self) -> Self:
        values = {name: getattr(self, name) for name in OBJECTIVES}
        if not math.isclose(sum(values.values()), 1.0, abs_tol=1e-6):
            raise ValueError(f"weights must sum to 1; got {values}")
        for name, (low, high) in WEIGHT_RANGES.items():
            if not self.is_free and not low - 1e-9 <= values[name] <= high + 1e-9:
                raise ValueError(
                    f"weight of {name} must be in [{low}, {high}]; got {values[name]} "
                    "(is_free=True lifts the ranges)"
                )
        return self

    def values(self) -> tuple[float, ...]:
        """In the order of OBJECTIVES."""
        return tuple(getattr(self, name) for name in OBJECTIVES)


class CloudConfig(Frozen):
    """What may be changed about the simulated cloud, with its unit in the name.

    Figures without a source beside them are assumptions, chosen to be ordinary.
    """

    machine_type: str = "n2-standard-4"
    disk_type: str = "pd-standard"
    zones: int = Field(default=3, ge=1, le=6)
    committed_share: float = Field(default=0.2, ge=0, le=1)  # of the peak's VMs, 1-year commitment
    quota_share: float = Field(default=3.0, gt=0)  # capacity allowed, of the reference peak
    initial_utilisation: float = Field(default=0.6, gt=0, le=1)

    # Delays: CLOUD_FACTS D5 fits, medians in seconds and sigmas of the logarithm.
    vm_boot_median_s: float = Field(default=20.0, gt=0)
    vm_boot_sigma: float = Field(default=0.52, ge=0)  # p95 47 s
    vm_warm_up_s: tuple[float, float] = (5.0, 40.0)
    database_median_s: float = Field(default=660.0, gt=0)
    database_sigma: float = Field(default=0.4, ge=0)

    # Spot: hazard per hour by age (first clock hour, second, third, later), from the Kaplan-Meier
    # estimate over 1,442 VMs with user stops censored; half of it comes in zone-wide shocks.
    spot_hazard_per_h: tuple[float, float, float, float] = (0.161, 0.051, 0.051, 0.012)
    spot_shock_share: float = Field(default=0.5, ge=0, le=1)
    # Shocks: a zone out of spot capacity, 2.3 % of the time for an hour on average (skypilot
    # spot-traces, 45.6 h of two zones: 0.02 % and 4.6 %).
    spot_shock_time_share: float = Field(default=0.023, gt=0, lt=1)
    spot_shock_hours: float = Field(default=1.0, gt=0)
    spot_price_sigma_per_day: float = Field(default=0.05, ge=0)

    # Database: Cloud SQL.
    qps_per_vcpu: float = Field(default=500.0, gt=0)
    read_share: float = Field(default=0.8, ge=0, le=1)
    database_gib_per_vcpu: float = Field(default=4.0, gt=0)
    database_stored_share: float = Field(default=0.05, ge=0)  # of the data on disks
    failover_per_step: float = Field(default=1e-3, ge=0, le=1)  # one in 3.5 days
    failover_s: float = Field(default=120.0, ge=0)  # 60 s of missed heartbeats, 60 s of switching
    resize_downtime_s: float = Field(default=30.0, ge=0)

    # Traffic: which part of the served bytes is charged how.
    internet_share: float = Field(default=0.1, ge=0, le=1)  # of web traffic; the rest is internal
    inter_zone_share: float = Field(default=0.1, ge=0, le=1)  # of all traffic

    # A web request: mean service time at each station, its squared coefficient of variation.
    propagation_ms: float = Field(default=20.0, ge=0)
    compute_ms: float = Field(default=20.0, gt=0)
    storage_ms: float = Field(default=4.0, gt=0)
    network_ms: float = Field(default=2.0, gt=0)
    database_ms: float = Field(default=8.0, gt=0)
    arrival_scv: float = Field(default=1.0, ge=0)
    service_scv: float = Field(default=1.0, gt=0)
    storage_channels: float = Field(default=8.0, ge=1)
    network_channels: float = Field(default=4.0, ge=1)
    slo_ms: float = Field(default=150.0, gt=0)
    web_timeout_s: float = Field(default=30.0, gt=0)  # the load balancer's default backend timeout
    batch_deadline_steps: int = Field(default=24, ge=1)
    ml_deadline_steps: int = Field(default=72, ge=1)
    interference: float = Field(default=0.8, ge=0, le=1)  # of background work on web latency
    blocking: float = Field(default=0.5, ge=0)  # extra CPU of retries when the database starves

    # Reward.
    weights: Weights = Weights()
    local_share: float = Field(default=0.2, ge=0, le=1)
    violation_scale: float = Field(default=0.05, gt=0)  # of SLO violations: 1 - 1/e of the penalty
    failure_scale: float = Field(default=0.02, gt=0)  # of lost work: the same

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.slo_ms <= self.propagation_ms:
            raise ValueError(f"slo_ms {self.slo_ms} must exceed propagation_ms")
        low, high = self.vm_warm_up_s
        if not 0 <= low <= high:
            raise ValueError(f"vm_warm_up_s must be (low, high); got {self.vm_warm_up_s}")
        if min(self.spot_hazard_per_h) < 0:
            raise ValueError(f"spot_hazard_per_h must be >= 0; got {self.spot_hazard_per_h}")
        return self


class Reference(Frozen):
    """The scale of a demand: what floors, quotas, observations and rewards are measured by.

    Agents trained at one reference must be evaluated at it: pass the training environment's.

    Attributes:
        peak: p99 over steps of the load of each service (vCPU, IOPS, Gbps, database vCPU).
        stored_gib: the same of the data on disks.
        web_gbps: mean traffic of the web class.
        all_gbps: mean traffic of all classes.
    """

    peak: tuple[float, float, float, float]
    stored_gib: float = Field(gt=0)
    web_gbps: float = Field(ge=0)
    all_gbps: float = Field(ge=0)

    @model_validator(mode="after")
    def _is_positive(self) -> Self:
        if min(self.peak) <= 0:
            raise ValueError(f"the reference peak must be above 0 for every service: {self.peak}")
        return self


def service_work(demand: DemandBatch, machine: MachineType, qps_per_vcpu: float) -> NDArray:
    """(B, T, C, 5) demand in the units of the services, requests/s last.

    Compute is the dominant resource: vCPUs, or the vCPUs of the VMs that hold the memory where that
    is more (a VM brings both in a fixed ratio).
    """
    channel = {name: demand.values[..., i] for i, name in enumerate(CHANNELS)}
    gib_per_vcpu = machine.memory_gib / machine.vcpu
    return np.stack(
        [
            np.maximum(channel["compute_vcpu"], channel["memory_gib"] / np.float32(gib_per_vcpu)),
            channel["storage_iops"],
            channel["network_gbps"],
            channel["database_qps"] / np.float32(qps_per_vcpu),
            channel["requests_per_s"],
        ],
        axis=-1,
    )


def measure_reference(
    generator: DemandGenerator, config: CloudConfig, catalog: PriceCatalog, steps: int
) -> Reference:
    """The reference of a generator, from 64 episodes of a fixed seed (so it is the same each time).

    Raises:
        ValueError: some service has no demand at all.
    """
    demand = generator.sample(_REFERENCE_EPISODES, steps, np.random.default_rng(0))
    machine = catalog.machine(config.machine_type)
    work = service_work(demand, machine, config.qps_per_vcpu)[..., :4]
    stored = demand.values[..., CHANNELS.index("storage_gib")].sum(-1)
    vcpu, iops, gbps, database = (float(p) for p in np.quantile(work.sum(2), 0.99, axis=(0, 1)))
    stored_gib = float(np.quantile(stored, 0.99))
    scales = dict(zip(SERVICE_UNITS, (vcpu, iops, gbps, database), strict=True))
    nothing = [name for name, value in (scales | {"stored_gib": stored_gib}).items() if value <= 0]
    if nothing:
        raise ValueError(f"generator {generator.name!r} has no demand for {', '.join(nothing)}")
    means = work[..., 2].mean((0, 1))
    return Reference(
        peak=(vcpu, iops, gbps, database),
        stored_gib=stored_gib,
        web_gbps=float(means[CLASSES.index("web")]),
        all_gbps=float(means.sum()),
    )


@dataclass(frozen=True)
class CloudParams:
    """Configuration, catalogue and reference, resolved; tensors are float32 on one device."""

    config: CloudConfig
    catalog: PriceCatalog
    reference: Reference
    machine: MachineType
    disk: DiskType
    step_s: float
    device: torch.device
    peak: Tensor  # (S,) reference load
    quota: Tensor  # (S,) largest capacity
    units_per_load: Tensor  # (S,) VMs per vCPU, disk steps per IOPS, proxies per Gbps, tier steps
    service_s: Tensor  # (S,) mean service time of a web request
    drain: Tensor  # (C, 1) part of a class's backlog the autoscalers count as load
    lags: Tensor  # (S, W) age in steps of a load the scale-in window may hold; disks: only now
    slots: Tensor  # (D,) 1, 2, ...
    can_shrink: Tensor  # (K,) 0 for disks
    is_exclusive: Tensor  # (K,) bool: no new order while one is pending (Cloud SQL's tier)
    spread: Tensor  # (Z,) rounds whole spot VMs over zones
    weights: Tensor  # (4,)

    @property
    def committed_vms(self) -> float:
        """VMs bought for a year: the committed share of the reference peak, whole."""
        return float(
            math.floor(self.config.committed_share * self.reference.peak[0] / self.machine.vcpu)
        )


def build_params(
    config: CloudConfig,
    catalog: PriceCatalog,
    reference: Reference,
    device: torch.device,
    step_s: float,
) -> CloudParams:
    """Resolve a configuration.

    Raises:
        ValueError: the catalogue lacks the machine or disk, or no Cloud SQL instance could ever
            carry the reference peak.
    """
    largest = MAX_TIER_VCPU / (1.0 - config.read_share * 0.75)  # the primary and three replicas
    if reference.peak[3] > largest:
        raise ValueError(
            f"the demand's peak needs {reference.peak[3]:.0f} database vCPUs; Cloud SQL's largest "
            f"primary with three replicas gives {largest:.0f}. Scale the demand down, or raise "
            f"qps_per_vcpu (now {config.qps_per_vcpu:g})"
        )
    machine = catalog.machine(config.machine_type)
    disk = catalog.disk(config.disk_type)

    def tensor(values: list[float] | tuple[float, ...]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device)

    peak = tensor(reference.peak)
    deadlines = (1.0, config.batch_deadline_steps / 4, config.ml_deadline_steps / 4)
    return CloudParams(
        config=config,
        catalog=catalog,
        reference=reference,
        machine=machine,
        disk=disk,
        step_s=step_s,
        device=device,
        peak=peak,
        quota=peak * config.quota_share,
        units_per_load=tensor(
            [
                1 / machine.vcpu,
                1 / (disk.iops_per_gib * DISK_STEP_GIB),
                1 / PROXY_GBPS,
                1 / TIER_STEP_VCPU,
            ]
        ),
        service_s=tensor(
            [
                config.compute_ms / 1e3,
                config.storage_ms / 1e3,
                config.network_ms / 1e3,
                config.database_ms / 1e3,
            ]
        ),
        drain=tensor([1 / max(1.0, steps) for steps in deadlines])[:, None],
        lags=tensor(
            [
                float(lag) if service != "storage" or lag == 0 else math.inf
                for service in SERVICES
                for lag in range(HISTORY)
            ]
        ).view(len(SERVICES), HISTORY),
        slots=torch.arange(1, DELAY_SLOTS + 1, dtype=torch.float32, device=device),
        can_shrink=tensor([1, 1, 0, 1, 1, 1]),
        is_exclusive=tensor([0, 0, 0, 0, 1, 0]) > 0,
        spread=torch.arange(config.zones - 1, -1, -1, dtype=torch.float32, device=device),
        weights=tensor(config.weights.values()),
    )
