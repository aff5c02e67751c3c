"""Grams of CO2-equivalent of a step: power by utilisation, overhead of the hall, grid intensity.

watts of a vCPU = idle + utilisation · (full - idle), as Cloud Carbon Footprint has it; embodied
carbon is not counted. Location-based: the region's average grid, not what Google bought.
"""

from dataclasses import dataclass
from typing import Final

from torch import Tensor

from marl.cloud import catalogue_data as data
from marl.cloud.params import (
    DISK_STEP_GIB,
    GIB_PER_GBPS_S,
    PROXY_GBPS,
    TIER_STEP_VCPU,
    CloudParams,
)

_REPLICATION: Final = 2.0  # of disks and of an HA database
_PROXY_VCPU: Final = 1.0


@dataclass(frozen=True)
class StepCarbon:
    """gCO2eq of one unit for one step: idle, and added at full utilisation."""

    vm_idle: float
    vm_busy: float
    disk: float
    proxy: float
    tier_idle: float
    tier_busy: float
    gbps: float


def step_carbon(params: CloudParams) -> StepCarbon:
    """Grams per unit and step from the catalogue."""
    machine, config = params.machine, params.config
    hours = params.step_s / 3600.0
    per_kwh = params.catalog.carbon.grid_gco2_per_kwh * params.catalog.carbon.pue
    per_watt = per_kwh * hours / 1e3
    swing = machine.full_watts_per_vcpu - machine.idle_watts_per_vcpu
    memory = data.MEMORY_KWH_PER_GIB_H * hours * per_kwh
    wh_per_tib_h = data.SSD_WH_PER_TIB_H if params.disk.is_ssd else data.HDD_WH_PER_TIB_H
    return StepCarbon(
        vm_idle=machine.vcpu * machine.idle_watts_per_vcpu * per_watt + machine.memory_gib * memory,
        vm_busy=machine.vcpu * swing * per_watt,
        disk=DISK_STEP_GIB / 1024 * wh_per_tib_h * per_watt * _REPLICATION,
        proxy=_PROXY_VCPU * (machine.idle_watts_per_vcpu + swing / 2) * per_watt,
        tier_idle=TIER_STEP_VCPU
        * (machine.idle_watts_per_vcpu * per_watt + config.database_gib_per_vcpu * memory),
        tier_busy=TIER_STEP_VCPU * swing * per_watt,
        gbps=GIB_PER_GBPS_S * params.step_s * data.NETWORK_KWH_PER_GIB * per_kwh,
    )


def emissions(pools: Tensor, utilisation: Tensor, gbps: Tensor, unit: StepCarbon) -> Tensor:
    """(B,) gCO2eq of a step.

    Args:
        pools: (B, K) units in service.
        utilisation: (B, S) of each service.
        gbps: (B, 2) traffic served, of web and of all classes.
        unit: grams of one unit for one step.
    """
    on_demand, spot, disks, proxies, tier, replicas = pools.unbind(1)
    vms = (on_demand + spot) * (unit.vm_idle + utilisation[:, 0] * unit.vm_busy)
    nodes = tier * (_REPLICATION + replicas)
    database = nodes * (unit.tier_idle + utilisation[:, 3] * unit.tier_busy)
    return vms + database + disks * unit.disk + proxies * unit.proxy + gbps[:, 1] * unit.gbps


def reference_gco2(params: CloudParams) -> float:
    """Grams a step of the static plan `pricing.reference_capacity_usd` prices, at 50 % use."""
    unit = step_carbon(params)
    vcpu, iops, gbps, database = (peak / 0.7 for peak in params.reference.peak)
    gib = max(iops / params.disk.iops_per_gib, params.reference.stored_gib)
    return (
        vcpu / params.machine.vcpu * (unit.vm_idle + 0.5 * unit.vm_busy)
        + gib / DISK_STEP_GIB * unit.disk
        + gbps / PROXY_GBPS * unit.proxy
        + database / TIER_STEP_VCPU * _REPLICATION * (unit.tier_idle + 0.5 * unit.tier_busy)
        + params.reference.all_gbps * unit.gbps
    )
