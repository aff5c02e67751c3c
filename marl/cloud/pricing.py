"""What a step costs, in USD, by service and purchase type. Free functions of units and prices.

VMs are billed by the second from the step in which they serve; the minute of boot before is not
billed here. A month has 730 hours, as Google's price list has it.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from marl.cloud.actions import row
from marl.cloud.buckets import Objects
from marl.cloud.params import (
    DISK_STEP_GIB,
    GIB_PER_GBPS_S,
    HYPERDISK_STEP_GIB,
    HYPERDISK_STEP_IOPS,
    PROXY_GBPS,
    TIER_STEP_VCPU,
    CloudParams,
)
from marl.cloud.scaling import Provisioned
from marl.cloud.service import Offered, Served
from marl.cloud.types import BUCKET_CLASSES, WeatherStep

_H_PER_MONTH: Final = 730.0
_REFERENCE_UTILISATION: Final = 0.7
_PREMIUM = row("network", "premium_share")
_LOCALITY = row("network", "zone_locality")


@dataclass(frozen=True)
class Bill:
    """USD of one step."""

    by_service: Tensor  # (S, B) capacity and what using it costs
    capacity: Tensor  # (S, B) what provisioning decides
    traffic: Tensor  # (B,) what passing and reading bytes costs
    decided: Tensor  # (B,) what decisions make the bill: see `bill`
    spot: Tensor  # (B,) part of compute
    committed: Tensor  # (B,) part of compute, paid whether used or not
    crossing: Tensor  # (B,) share of hops that go to another zone


@dataclass(frozen=True)
class StepPrices:
    """USD of one unit for one step, or of one unit of use."""

    on_demand: Tensor  # (M, 1) of a VM
    committed: Tensor  # (2, 1) of a general VM, for one and for three years
    disk: float  # of DISK_STEP_GIB
    hyperdisk: float  # of HYPERDISK_STEP_IOPS with their space
    buckets: Tensor  # (4, 1) of a GiB
    moves: Tensor  # (3, 1) of a GiB moved to nearline, coldline, archive
    reads: Tensor  # (4, 1) of a GiB read
    proxy: float
    network_base: float
    primary: float  # a step of the tier, zonal
    standby: float  # what HA adds to it
    database_disk: float  # of DISK_STEP_GIB on one node
    backup: float  # of DISK_STEP_GIB, of the primary alone
    redis_gib: float
    internet: float  # of a Gbps of web traffic for a step, premium tier
    standard: float  # the same on the standard tier
    processed: float  # of a Gbps through the load balancer
    cdn: float  # of a Gbps answered by the CDN
    lookup: float  # of a web request a second that the CDN sees
    inter_zone: float  # of a Gbps between zones
    nat: float  # of a Gbps through NAT


def step_prices(params: CloudParams) -> StepPrices:
    """Unit prices of a step from the catalogue.

    Egress is charged at the tier which the reference's monthly volume reaches; Redis at that of a
    cache that holds everything hot.
    """
    config, catalog = params.config, params.catalog
    usd = catalog.usd
    hours = params.step_s / 3600.0
    month = hours / _H_PER_MONTH
    gib = GIB_PER_GBPS_S * params.step_s  # of one Gbps in one step
    memory = config.database_gib_per_vcpu
    zonal = usd("sql.vcpu.zonal") + memory * usd("sql.memory.zonal")
    with_ha = usd("sql.vcpu.ha") + memory * usd("sql.memory.ha")
    web_gib_s = params.reference.web_gbps * config.internet_share * GIB_PER_GBPS_S
    monthly_tib = web_gib_s * 3600.0 * _H_PER_MONTH / 1024.0
    premium = "first_tib" if monthly_tib <= 1 else "next_9_tib"
    premium = premium if monthly_tib <= 10 else "above_10_tib"
    tier = "first_10_tib" if monthly_tib <= 10 else "next_140_tib"
    tier = tier if monthly_tib <= 150 else "above_150_tib"
    hyperdisk = catalog.disk("hyperdisk-extreme")
    redis = min(max(params.hot_gib, 1.0), 300.0)

    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=params.device)[:, None]

    colder = BUCKET_CLASSES[1:]
    per_object = 1.0 / (config.object_gib * 1e4)
    return StepPrices(
        on_demand=column([m.on_demand_usd_per_h * hours for m in params.machines]),
        committed=column(
            [params.machine.cud_1y_usd_per_h * hours, params.machine.cud_3y_usd_per_h * hours]
        ),
        disk=params.disk.usd_per_gib_month * DISK_STEP_GIB * month,
        hyperdisk=hyperdisk.usd_per_month(HYPERDISK_STEP_GIB, HYPERDISK_STEP_IOPS) * month,
        buckets=column([usd(f"gcs.{name}") * month for name in BUCKET_CLASSES]),
        moves=column([usd(f"gcs.class_a.{name}") * per_object for name in colder]),
        reads=column(
            [usd("gcs.class_b.standard") * per_object]
            + [
                usd(f"gcs.retrieval.{name}") + usd(f"gcs.class_b.{name}") * per_object
                for name in colder
            ]
        ),
        proxy=usd("lb.proxy") * hours,
        network_base=(usd("lb.forwarding_rules") + usd("nat.gateway") + usd("ip.in_use")) * hours,
        primary=zonal * TIER_STEP_VCPU * hours,
        standby=(with_ha - zonal) * TIER_STEP_VCPU * hours,
        database_disk=usd("sql.ssd.zonal") * DISK_STEP_GIB * month,
        backup=usd("sql.backup") * DISK_STEP_GIB * month,
        redis_gib=catalog.redis_usd_per_h(redis, is_ha=True) / redis * hours,
        internet=config.internet_share * usd(f"egress.internet.{premium}") * gib,
        standard=config.internet_share * usd(f"egress.standard.{tier}") * gib,
        processed=usd("lb.processed") * gib,
        cdn=(config.internet_share * usd(f"cdn.egress.{tier}")) * gib,
        lookup=usd("cdn.lookup") * params.step_s / 1e4,
        inter_zone=config.inter_zone_share * usd("egress.inter_zone") * gib,
        nat=config.nat_share * usd("nat.processed") * gib,
    )


def bill(
    now: Provisioned,
    objects: Objects,
    offered: Offered,
    served: Served,
    knobs: Tensor,
    weather: WeatherStep,
    prices: StepPrices,
    params: CloudParams,
) -> Bill:
    """One step's bill: units in service and bytes served at the step's prices.

    `decided` is the bill for capacity and objects, plus what the choice of CDN, network tier and
    locality adds to (or takes from) the price of the traffic that *asked* to be served. Traffic as
    such is no decision, and were it counted as served, dropping requests would save money.
    """
    on_demand, spot_vms = now.fleet.serving.unbind(0)
    # Commitments are of the general kind; what is bought is paid whether it runs or not.
    general = (on_demand[0] - now.committed.sum(0)).clamp_min(0.0)
    at_list_price = torch.cat((general[None], on_demand[1:]))
    committed = (now.committed * prices.committed).sum(0)
    spot = (spot_vms * weather.spot_ratio * prices.on_demand).sum(0)
    compute = (at_list_price * prices.on_demand).sum(0) + committed + spot
    disks, hyperdisk, proxies, tier, replicas, redis, db_disks = now.pools.unbind(0)
    storage = disks * prices.disk + hyperdisk * prices.hyperdisk
    storage = storage + (objects.gib * prices.buckets).sum(0)
    network = proxies * prices.proxy + prices.network_base
    nodes = 1.0 + now.has_ha + replicas
    database = tier * (prices.primary * (1.0 + replicas) + now.has_ha * prices.standby)
    database = database + db_disks * (nodes * prices.database_disk + prices.backup)
    database = database + redis * prices.redis_gib
    capacity = torch.stack((compute, storage, network, database))

    crossing = crossing_share(now, knobs)
    egress = prices.standard + knobs[_PREMIUM] * (prices.internet - prices.standard)
    to_backend, answered = egress + prices.processed, offered.hits_gbps * prices.cdn
    looked_up = offered.lookups_per_s * prices.lookup
    between = crossing * prices.inter_zone
    passing = (
        served.web_gbps * to_backend
        + answered
        + looked_up
        + served.all_gbps * between
        + (served.all_gbps - served.web_gbps).clamp_min(0.0) * prices.nat
    )
    # The same for all traffic that asked, against premium egress, no CDN and even hops.
    asked = offered.asked_gbps
    chosen = (asked - offered.hits_gbps) * to_backend + answered + looked_up
    plain = asked * (prices.internet + prices.processed)
    hops = weather.work[:, 2].sum(0) * (between - prices.inter_zone)
    reading = (objects.moved_gib * prices.moves).sum(0) + (objects.read_gib * prices.reads).sum(0)
    use = torch.stack((torch.zeros_like(passing), reading, passing, torch.zeros_like(passing)))
    return Bill(
        by_service=capacity + use,
        capacity=capacity,
        traffic=passing + reading,
        decided=capacity.sum(0) + reading + (chosen - plain) + hops,
        spot=spot,
        committed=committed,
        crossing=crossing,
    )


def crossing_share(now: Provisioned, knobs: Tensor) -> Tensor:
    """(B,) share of hops to another zone, of those in an even fleet without locality.

    A hop picks a VM evenly: it stays with the chance that caller and callee share a zone.
    """
    by_zone = now.fleet.vcpu_by_zone
    zones = len(by_zone)
    if zones == 1:
        return torch.zeros_like(by_zone[0])
    share = by_zone / by_zone.sum(0).clamp_min(1e-6)
    apart = (1.0 - (share * share).sum(0)) * (zones / (zones - 1.0))
    return (apart * (1.0 - knobs[_LOCALITY])).clamp(0.0, 1.0)


def reference_traffic_usd(params: CloudParams) -> float:
    """USD a step of the reference's mean traffic: premium egress, no CDN, even hops."""
    prices, reference = step_prices(params), params.reference
    return (
        reference.web_gbps * (prices.internet + prices.processed)
        + reference.all_gbps * prices.inter_zone
    )


def reference_capacity_usd(params: CloudParams) -> tuple[float, float, float, float]:
    """USD a step by service of a static plan: the reference peak at 70 % utilisation.

    On-demand VMs, HA, no replica, no cache, objects in the standard class. It is what the reward's
    cost term is measured by.
    """
    prices, config = step_prices(params), params.config
    vcpu, iops, gbps, database = (peak / _REFERENCE_UTILISATION for peak in params.reference.peak)
    stored = params.reference.stored_gib
    gib = max(iops / params.iops_per_gib, stored * (1.0 - config.object_share))
    return (
        vcpu / params.machine.vcpu * float(prices.on_demand[0]),
        gib / DISK_STEP_GIB * prices.disk + stored * config.object_share * float(prices.buckets[0]),
        gbps / PROXY_GBPS * prices.proxy + prices.network_base,
        database / TIER_STEP_VCPU * (prices.primary + prices.standby)
        + params.database_gib / DISK_STEP_GIB * (2.0 * prices.database_disk + prices.backup),
    )
