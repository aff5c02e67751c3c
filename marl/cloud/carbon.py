"""Grams of CO2-equivalent of a step: power by utilisation, overhead of the hall, grid intensity.

watts of a vCPU = idle + utilisation · (full - idle), as Cloud Carbon Footprint has it; a VM's share
of the making of its host is added. Location-based: the region's average grid, not what Google
bought.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from marl.cloud.catalogue import data
from marl.cloud.params import (
    DISK_STEP_GIB,
    GIB_PER_GBPS_S,
    HYPERDISK_STEP_GIB,
    PROXY_GBPS,
    TIER_STEP_VCPU,
    CloudParams,
)
from marl.cloud.scaling import Provisioned
from marl.cloud.service import Offered, Served

_REPLICATION: Final = 2.0  # of disks
_BUCKET_REPLICATION: Final = 2.0  # regional buckets
_PROXY_VCPU: Final = 1.0


@dataclass(frozen=True)
class StepCarbon:
    """gCO2eq of one unit for one step: idle, and added at full utilisation."""

    vm_idle: Tensor  # (M, 1) with memory and the making of the host
    vm_busy: Tensor  # (M, 1)
    disk: float
    hyperdisk: float
    object_gib: float
    proxy: float
    tier_idle: float
    tier_busy: float
    redis_gib: float
    gbps: float


def step_carbon(params: CloudParams) -> StepCarbon:
    """Grams per unit and step from the catalogue."""
    config, general = params.config, params.machine
    hours = params.step_s / 3600.0
    per_kwh = params.catalog.carbon.grid_gco2_per_kwh * params.catalog.carbon.pue
    per_watt = per_kwh * hours / 1e3
    memory = data.MEMORY_KWH_PER_GIB_H * hours * per_kwh
    ssd, hdd = (
        DISK_STEP_GIB / 1024 * watts * per_watt * _REPLICATION
        for watts in (data.SSD_WH_PER_TIB_H, data.HDD_WH_PER_TIB_H)
    )
    swing = general.full_watts_per_vcpu - general.idle_watts_per_vcpu
    made = general.embodied_gco2_per_vcpu_h * hours

    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=params.device)[:, None]

    return StepCarbon(
        vm_idle=column(
            [
                (m.vcpu * m.idle_watts_per_vcpu + m.gpus * m.gpu_idle_watts) * per_watt
                + m.memory_gib * memory
                + m.vcpu * m.embodied_gco2_per_vcpu_h * hours
                for m in params.machines
            ]
        ),
        vm_busy=column(
            [
                (
                    m.vcpu * (m.full_watts_per_vcpu - m.idle_watts_per_vcpu)
                    + m.gpus * (m.gpu_full_watts - m.gpu_idle_watts)
                )
                * per_watt
                for m in params.machines
            ]
        ),
        disk=ssd if params.disk.is_ssd else hdd,
        hyperdisk=ssd * HYPERDISK_STEP_GIB / DISK_STEP_GIB,
        object_gib=data.HDD_WH_PER_TIB_H / 1024 * per_watt * _BUCKET_REPLICATION,
        proxy=_PROXY_VCPU * (general.idle_watts_per_vcpu + swing / 2) * per_watt,
        tier_idle=TIER_STEP_VCPU
        * (general.idle_watts_per_vcpu * per_watt + config.database_gib_per_vcpu * memory + made),
        tier_busy=TIER_STEP_VCPU * swing * per_watt,
        redis_gib=2.0 * memory,
        gbps=GIB_PER_GBPS_S * params.step_s * data.NETWORK_KWH_PER_GIB * per_kwh,
    )


def emissions(
    now: Provisioned, objects_gib: Tensor, offered: Offered, served: Served, unit: StepCarbon
) -> Tensor:
    """(B,) gCO2eq of a step.

    Args:
        now: units in service.
        objects_gib: (B,) in buckets.
        offered: for the traffic the CDN answers.
        served: utilisation and traffic.
        unit: grams of one unit for one step.
    """
    vms = now.fleet.serving.sum(0)
    busy = torch.cat((served.utilisation[:1].expand(3, -1), served.gpu_used[None]))
    compute = (vms * (unit.vm_idle + busy * unit.vm_busy)).sum(0)
    disks, hyperdisk, proxies, tier, replicas, redis, db_disks = now.pools.unbind(0)
    nodes = 1.0 + now.has_ha + replicas
    database = tier * nodes * (unit.tier_idle + served.utilisation[3] * unit.tier_busy)
    storage = disks * unit.disk + (hyperdisk + db_disks * nodes) * unit.hyperdisk
    storage = storage + objects_gib * unit.object_gib
    traffic = (served.all_gbps + offered.hits_gbps) * unit.gbps
    return compute + database + storage + redis * unit.redis_gib + proxies * unit.proxy + traffic


def reference_gco2(params: CloudParams) -> float:
    """Grams a step of the static plan `pricing.reference_capacity_usd` prices, at 50 % use."""
    unit, config = step_carbon(params), params.config
    vcpu, iops, gbps, database = (peak / 0.7 for peak in params.reference.peak)
    stored = params.reference.stored_gib
    gib = max(iops / params.iops_per_gib, stored * (1.0 - config.object_share))
    return (
        vcpu / params.machine.vcpu * float(unit.vm_idle[0] + 0.5 * unit.vm_busy[0])
        + gib / DISK_STEP_GIB * unit.disk
        + stored * config.object_share * unit.object_gib
        + gbps / PROXY_GBPS * unit.proxy
        + database / TIER_STEP_VCPU * 2.0 * (unit.tier_idle + 0.5 * unit.tier_busy)
        + params.reference.all_gbps * unit.gbps
    )
