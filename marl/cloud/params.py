"""What stays fixed over an episode: the reference demand and the tensors derived from settings.

`Reference` is the scale of the demand; `CloudParams` is settings, catalogue and reference, resolved
to numbers on one device. How they act belongs to the modules that use them.
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
from marl.cloud.config import CloudConfig
from marl.cloud.types import DELAY_SLOTS, HISTORY, SERVICE_UNITS, SERVICES
from marl.frozen import Frozen
from marl.workload.demand import CHANNELS, CLASSES, DemandBatch, DemandGenerator

GIB_PER_GBPS_S: Final = 1e9 / 8 / 2**30
PROXY_GBPS: Final = 0.15
DISK_STEP_GIB: Final = 10.0
HYPERDISK_STEP_IOPS: Final = 1000.0
HYPERDISK_STEP_GIB: Final = 10.0  # 100 IOPS a GiB; Google allows up to 1,000
DATABASE_IOPS_PER_GIB: Final = 30.0  # Cloud SQL's SSD
TIER_STEP_VCPU: Final = 2.0
MAX_TIER_VCPU: Final = 96.0  # Cloud SQL's largest custom machine
_REFERENCE_EPISODES: Final = 64
# Hazard of preemption in the first hour by VM size over that of all sizes together, from the
# Kaplan-Meier estimates of CLOUD_FACTS D6 (.078, .111, .160, .213 against .149).
_SIZE_VCPU: Final = (2.0, 4.0, 16.0, 32.0)
_SIZE_FACTOR: Final = (0.503, 0.730, 1.081, 1.485)


class Reference(Frozen):
    """The scale of a demand: what floors, quotas, observations and rewards are measured by.

    Agents trained at one reference must be evaluated at it: pass the training environment's.

    Attributes:
        peak: p99 over steps of the load of each service (vCPU, IOPS, Gbps, database vCPU); of
            compute, the dominant of CPU and memory, in vCPUs of the general kind of machine.
        memory_gib: the same of the memory held.
        ml_vcpu: the same of the ML class's CPU.
        requests_per_s: the same of web requests.
        stored_gib: the same of the data stored.
        web_gbps: mean traffic of the web class.
        all_gbps: mean traffic of all classes.
    """

    peak: tuple[float, float, float, float]
    memory_gib: float = Field(gt=0)
    ml_vcpu: float = Field(ge=0)
    requests_per_s: float = Field(ge=0)
    stored_gib: float = Field(gt=0)
    web_gbps: float = Field(ge=0)
    all_gbps: float = Field(ge=0)

    @model_validator(mode="after")
    def _is_positive(self) -> Self:
        if min(self.peak) <= 0:
            raise ValueError(f"the reference peak must be above 0 for every service: {self.peak}")
        return self


# Channels of the demand in the order of `types.WORK`.
_WORK_CHANNELS: Final = [
    CHANNELS.index(name)
    for name in (
        "compute_vcpu",
        "storage_iops",
        "network_gbps",
        "database_qps",
        "memory_gib",
        "requests_per_s",
    )
]


def work_of(values: NDArray[np.float32], qps_per_vcpu: float) -> Tensor:
    """(T, C, R+1, B) demand (B, T, C, channels) in the units of the resources, requests/s last."""
    work = torch.from_numpy(values)[..., _WORK_CHANNELS].permute(1, 2, 3, 0).contiguous()
    work[:, :, 3] /= qps_per_vcpu
    return work


def load_of(values: NDArray[np.float32], qps_per_vcpu: float) -> Tensor:
    """(T, S, B) load of each service, summed over classes; see `work_of`."""
    demand = torch.from_numpy(values)
    total = demand[:, :, 0]
    for index in range(1, len(CLASSES)):
        total = total + demand[:, :, index]
    load = total[..., _WORK_CHANNELS[: len(SERVICES)]].permute(1, 2, 0).contiguous()
    load[:, 3] /= qps_per_vcpu
    return load


def measure_reference(
    generator: DemandGenerator, config: CloudConfig, catalog: PriceCatalog, steps: int
) -> Reference:
    """The reference of a generator, from 64 episodes of a fixed seed (so it is the same each time).

    Raises:
        ValueError: some service has no demand at all.
    """
    demand = generator.sample(_REFERENCE_EPISODES, steps, np.random.default_rng(0))
    return reference_of(demand, config, catalog, generator.name)


def reference_of(
    demand: DemandBatch, config: CloudConfig, catalog: PriceCatalog, name: str
) -> Reference:
    """The reference of episodes of demand called `name`; raises like `measure_reference`."""
    machine = catalog.machine(config.machine_type)
    work = work_of(demand.values, config.qps_per_vcpu).permute(3, 0, 1, 2).numpy()
    total = work.sum(2)
    stored = demand.values[..., CHANNELS.index("storage_gib")].sum(-1)
    dominant = np.maximum(total[..., 0], total[..., 4] * (machine.vcpu / machine.memory_gib))
    peaks = [dominant, *(total[..., i] for i in range(1, 5)), stored]
    vcpu, iops, gbps, database, memory, stored_gib = (float(np.quantile(p, 0.99)) for p in peaks)
    scales = dict(zip(SERVICE_UNITS, (vcpu, iops, gbps, database), strict=True))
    scales |= {"memory_gib": memory, "stored_gib": stored_gib}
    if nothing := [unit for unit, value in scales.items() if value <= 0]:
        raise ValueError(f"generator {name!r} has no demand for {', '.join(nothing)}")
    means = work[..., 2].mean((0, 1))
    return Reference(
        peak=(vcpu, iops, gbps, database),
        memory_gib=memory,
        ml_vcpu=float(np.quantile(work[:, :, CLASSES.index("ml"), 0], 0.99)),
        requests_per_s=float(np.quantile(work[:, :, CLASSES.index("web"), -1], 0.99)),
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
    machines: tuple[MachineType, MachineType, MachineType, MachineType]  # by kind
    disk: DiskType
    step_s: float
    device: torch.device
    peak: Tensor  # (S, 1) reference load
    quota: Tensor  # (S, 1) largest capacity
    vcpu: Tensor  # (M·Z, 1) of a VM, 0 for GPU VMs: their CPUs feed the GPU
    memory_gib: Tensor  # (M·Z, 1) of a VM, 0 for GPU VMs
    is_gpu: Tensor  # (M·Z, 1)
    home: Tensor  # (Z, 1) 1 for the zone where the database's primary lives
    service_s: Tensor  # (S, 1) mean service time of a web request
    drain: Tensor  # (C, 1, 1) part of a class's backlog the autoscalers count as load
    lags: Tensor  # (W, 1, 1) age in steps of a measured load
    slots: Tensor  # (D, 1, 1) 1, 2, ...
    hazard: Tensor  # (2, A, M, 1, 1) chance of preemption in a step: in quiet times, more in shocks
    weights: Tensor  # (4, 1)

    @property
    def machine(self) -> MachineType:
        """The general kind."""
        return self.machines[0]

    @property
    def committed_vms(self) -> float:
        """VMs under commitment at the start: the committed share of the reference peak, whole."""
        return float(
            math.floor(self.config.committed_share * self.reference.peak[0] / self.machine.vcpu)
        )

    @property
    def hot_gib(self) -> float:
        """GiB of the database that are read often."""
        return self.database_gib * self.config.redis_hot_share

    @property
    def database_gib(self) -> float:
        """GiB in the database at the reference."""
        return self.reference.stored_gib * self.config.database_stored_share

    @property
    def iops_per_gib(self) -> float:
        """What a GiB of disk carries: its IOPS, or its throughput in operations if that is less."""
        by_throughput = self.disk.mib_s_per_gib * 1024.0 / self.config.io_kib
        return min(self.disk.iops_per_gib, by_throughput)

    @property
    def steps_per_hour(self) -> float:
        """Steps in an hour."""
        return 3600.0 / self.step_s


def size_factor(vcpu: float) -> float:
    """Preemption hazard of a VM of this size over the mean, linear in log2 of the size."""
    return float(np.interp(math.log2(vcpu), np.log2(_SIZE_VCPU), _SIZE_FACTOR))


def _hazard(config: CloudConfig, machines: tuple[MachineType, ...], step_s: float) -> Tensor:
    """(2, A, M, 1, 1) chance in quiet times, and what a zone's shock adds.

    A multiplier of mean 1 is shared by a zone: `1 - shock_share` in quiet times, far more in a
    shock. Preemptions of a zone are so correlated (SkyServe, EuroSys 2025).
    """
    quiet = 1.0 - config.spot_shock_share
    stormy = quiet + config.spot_shock_share / config.spot_shock_time_share
    hours = step_s / 3600.0
    by_age = torch.tensor(config.spot_hazard_per_h) * (config.spot_hazard_factor * hours)
    by_size = torch.tensor([size_factor(machine.vcpu) for machine in machines])
    rate = by_age[:, None] * by_size
    calm, storm = -torch.expm1(-quiet * rate), -torch.expm1(-stormy * rate)
    return torch.stack((calm, storm - calm))[..., None, None]


def build_params(
    config: CloudConfig,
    catalog: PriceCatalog,
    reference: Reference,
    device: torch.device,
    step_s: float,
) -> CloudParams:
    """Resolve a configuration.

    Raises:
        ValueError: the catalogue lacks a machine or the disk, the GPU kind has no GPU, or no Cloud
            SQL instance could ever carry the reference peak.
    """
    largest = MAX_TIER_VCPU / (1.0 - config.read_share * 0.75)  # the primary and three replicas
    if reference.peak[3] > largest:
        raise ValueError(
            f"the demand's peak needs {reference.peak[3]:.0f} database vCPUs; Cloud SQL's largest "
            f"primary with three replicas gives {largest:.0f}. Scale the demand down, or raise "
            f"qps_per_vcpu (now {config.qps_per_vcpu:g})"
        )
    names = (config.machine_type, config.highmem_type, config.arm_type, config.gpu_type)
    general, highmem, arm, gpu = (catalog.machine(name) for name in names)
    if gpu.gpus < 1:
        raise ValueError(f"gpu_type {gpu.name!r} has no GPU")
    machines = (general, highmem, arm, gpu)

    def tensor(values: object, *shape: int) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device).reshape(*shape)

    by_kind = torch.tensor(
        [
            [m.vcpu for m in machines[:3]] + [0.0],
            [m.memory_gib for m in machines[:3]] + [0.0],
            [0.0, 0.0, 0.0, 1.0],
        ],
        dtype=torch.float32,
        device=device,
    ).repeat_interleave(config.zones, 1)[..., None]
    peak = tensor(reference.peak, len(SERVICES), 1)
    deadlines = (1.0, config.batch_deadline_steps / 4, config.ml_deadline_steps / 4)
    times_ms = (config.compute_ms, config.storage_ms, config.network_ms, config.database_ms)
    return CloudParams(
        config=config,
        catalog=catalog,
        reference=reference,
        machines=machines,
        disk=catalog.disk(config.disk_type),
        step_s=step_s,
        device=device,
        peak=peak,
        quota=peak * config.quota_share,
        vcpu=by_kind[0],
        memory_gib=by_kind[1],
        is_gpu=by_kind[2],
        home=tensor([1.0] + [0.0] * (config.zones - 1), config.zones, 1),
        service_s=tensor([ms / 1e3 for ms in times_ms], len(SERVICES), 1),
        drain=tensor([1 / max(1.0, steps) for steps in deadlines], len(CLASSES), 1, 1),
        lags=torch.arange(HISTORY, dtype=torch.float32, device=device)[:, None, None],
        slots=torch.arange(1, DELAY_SLOTS + 1, dtype=torch.float32, device=device)[:, None, None],
        hazard=_hazard(config, machines, step_s).to(device),
        weights=tensor(config.weights.values(), 4, 1),
    )
