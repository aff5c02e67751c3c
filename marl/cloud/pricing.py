"""What a step costs, in USD, by service and purchase type. Free functions of units and prices.

VMs are billed by the second from the step in which they serve; the minute of boot before is not
billed here. A month has 730 hours, as Google's price list has it.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from marl.cloud.params import (
    DISK_STEP_GIB,
    GIB_PER_GBPS_S,
    PROXY_GBPS,
    TIER_STEP_VCPU,
    CloudParams,
)

_H_PER_MONTH: Final = 730.0
_REFERENCE_UTILISATION: Final = 0.7


@dataclass(frozen=True)
class Bill:
    """USD of one step."""

    by_service: Tensor  # (B, S) capacity and, for the network, traffic
    capacity: Tensor  # (B, S) what provisioning decides
    traffic: Tensor  # (B,) what passing bytes cost whatever was provisioned
    spot: Tensor  # (B,) part of compute
    committed: Tensor  # (B,) part of compute, paid whether used or not


@dataclass(frozen=True)
class StepPrices:
    """USD of one unit for one step."""

    on_demand: float
    committed: float
    disk: float
    proxy: float
    network_base: float
    primary: float
    replica: float
    database_gib: float
    web_traffic: float  # per Gbps of web traffic served
    all_traffic: float  # per Gbps of any traffic served


def step_prices(params: CloudParams) -> StepPrices:
    """Unit prices of a step from the catalogue.

    Internet egress is charged at the tier which the reference's monthly volume reaches.
    """
    config, catalog = params.config, params.catalog
    hours = params.step_s / 3600.0
    month = hours / _H_PER_MONTH
    gib = GIB_PER_GBPS_S * params.step_s  # of one Gbps in one step
    node_memory = config.database_gib_per_vcpu
    primary = catalog.usd("sql.vcpu.ha") + node_memory * catalog.usd("sql.memory.ha")
    replica = catalog.usd("sql.vcpu.zonal") + node_memory * catalog.usd("sql.memory.zonal")
    monthly_tib = (
        params.reference.web_gbps
        * config.internet_share
        * GIB_PER_GBPS_S
        * 3600.0
        * _H_PER_MONTH
        / 1024.0
    )
    tier = "first_tib" if monthly_tib <= 1 else "next_9_tib" if monthly_tib <= 10 else None
    egress = catalog.usd(f"egress.internet.{tier or 'above_10_tib'}")
    return StepPrices(
        on_demand=params.machine.on_demand_usd_per_h * hours,
        committed=params.machine.cud_1y_usd_per_h * hours,
        disk=params.disk.usd_per_gib_month * DISK_STEP_GIB * month,
        proxy=catalog.usd("lb.proxy") * hours,
        network_base=(
            catalog.usd("lb.forwarding_rules")
            + catalog.usd("nat.gateway")
            + catalog.usd("ip.in_use")
        )
        * hours,
        primary=primary * TIER_STEP_VCPU * hours,
        replica=replica * TIER_STEP_VCPU * hours,
        database_gib=(catalog.usd("sql.ssd.ha") + catalog.usd("sql.backup")) * month,
        web_traffic=(catalog.usd("lb.processed") + config.internet_share * egress) * gib,
        all_traffic=config.inter_zone_share * catalog.usd("egress.inter_zone") * gib,
    )


def bill(
    pools: Tensor,
    spot_ratio: Tensor,
    stored_gib: Tensor,
    gbps: Tensor,
    prices: StepPrices,
    params: CloudParams,
) -> Bill:
    """One step's bill.

    Args:
        pools: (B, K) units in service.
        spot_ratio: (B,) spot price over on-demand price.
        stored_gib: (B,) data on disks; a share of it lies in the database.
        gbps: (B, 2) traffic served, of web and of all classes.
        prices: of one unit for one step.
        params: of the cloud.
    """
    on_demand, spot_vms, disks, proxies, tier, replicas = pools.unbind(1)
    committed_vms = params.committed_vms
    committed = torch.full_like(on_demand, committed_vms * prices.committed)
    spot = spot_vms * spot_ratio * prices.on_demand
    compute = (on_demand - committed_vms).clamp_min(0.0) * prices.on_demand + committed + spot
    database = tier * (prices.primary + replicas * prices.replica) + stored_gib * (
        params.config.database_stored_share * prices.database_gib
    )
    network = proxies * prices.proxy + prices.network_base
    capacity = torch.stack((compute, disks * prices.disk, network, database), 1)
    traffic = gbps[:, 0] * prices.web_traffic + gbps[:, 1] * prices.all_traffic
    return Bill(
        by_service=torch.cat((capacity[:, :2], (network + traffic)[:, None], capacity[:, 3:]), 1),
        capacity=capacity,
        traffic=traffic,
        spot=spot,
        committed=committed,
    )


def reference_capacity_usd(params: CloudParams) -> tuple[float, float, float, float]:
    """USD a step by service of a static plan: the reference peak at 70 % utilisation.

    On-demand VMs, no replica. It is what the reward's cost term is measured by.
    """
    prices = step_prices(params)
    vcpu, iops, gbps, database = (peak / _REFERENCE_UTILISATION for peak in params.reference.peak)
    gib = max(iops / params.disk.iops_per_gib, params.reference.stored_gib)
    stored = params.reference.stored_gib * params.config.database_stored_share
    return (
        vcpu / params.machine.vcpu * prices.on_demand,
        gib / DISK_STEP_GIB * prices.disk,
        gbps / PROXY_GBPS * prices.proxy + prices.network_base,
        database / TIER_STEP_VCPU * prices.primary + stored * prices.database_gib,
    )
