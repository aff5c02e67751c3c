"""The price catalogue: typed, dated figures of one region, and their table.

Only what Google sells and what it costs, with unit, source and date. Turning capacity into dollars
belongs to `pricing`, into grams to `carbon`; the table of what is not in USD to
`figures`.
"""

import math
from typing import Any

import polars as pl
from pydantic import Field

from marl.cloud.catalogue import data
from marl.cloud.catalogue import machines as machine_data
from marl.cloud.catalogue.prices import CONTINENT_PRICES, PRICES
from marl.frozen import Frozen

DEFAULT_REGION = "us-central1"


class Price(Frozen):
    """One figure of the catalogue."""

    item: str
    unit: str
    usd: float = Field(ge=0)
    source: str
    date: str


class MachineType(Frozen):
    """A VM shape: size, hourly price by purchase type, power, range of its spot price.

    Prices are of the whole VM with its GPUs. Watts of a vCPU leave the GPUs out: those have their
    own. Embodied carbon is the making of the host, spread over its life and its vCPUs; where the
    host was counted with its GPUs (a2), so is the vCPU's share.
    """

    name: str
    family: str
    vcpu: int = Field(gt=0)
    memory_gib: float = Field(gt=0)
    is_arm: bool
    on_demand_usd_per_h: float = Field(gt=0)
    spot_usd_per_h: float = Field(gt=0)
    cud_1y_usd_per_h: float = Field(gt=0)
    cud_3y_usd_per_h: float = Field(gt=0)
    idle_watts_per_vcpu: float = Field(gt=0)
    full_watts_per_vcpu: float = Field(gt=0)
    spot_ratio_low: float = Field(gt=0, le=1)
    spot_ratio_high: float = Field(gt=0, le=1)
    gpus: int = Field(default=0, ge=0)
    gpu_name: str = ""
    gpu_idle_watts: float = Field(default=0.0, ge=0)  # of one GPU
    gpu_full_watts: float = Field(default=0.0, ge=0)  # of one GPU
    embodied_gco2_per_vcpu_h: float = Field(default=0.0, ge=0)


class DiskType(Frozen):
    """A persistent disk type: its price and performance.

    Attributes:
        name: as Google has it.
        usd_per_gib_month: of the space.
        iops_per_gib: the IOPS each GiB brings; the most it allows where IOPS are bought.
        is_ssd: flash, not spinning.
        mib_s_per_gib: throughput each GiB brings; the most it allows where IOPS are bought.
        usd_per_iops_month: of an IOPS that is bought; 0 where they come with the space.
        is_provisioned: IOPS are bought apart from the space.
        max_iops: the most one disk can have, where IOPS are bought.
        mib_s_per_iops: throughput each bought IOPS brings.
    """

    name: str
    usd_per_gib_month: float = Field(gt=0)
    iops_per_gib: float = Field(gt=0)
    is_ssd: bool
    mib_s_per_gib: float = Field(gt=0)
    usd_per_iops_month: float = Field(default=0.0, ge=0)
    is_provisioned: bool = False
    max_iops: float | None = Field(default=None, gt=0)
    mib_s_per_iops: float = Field(default=0.0, ge=0)

    def usd_per_month(self, gib: float, iops: float = 0.0) -> float:
        """The price of one disk of `gib` GiB with `iops` bought IOPS.

        Raises:
            ValueError: a size that is not above 0, IOPS below 0 or above what the size allows, or
                any bought where they come with the space.
        """
        if not (math.isfinite(gib) and gib > 0):
            raise ValueError(f"a {self.name} disk needs a size above 0 GiB; got {gib}")
        most = min(gib * self.iops_per_gib, self.max_iops or math.inf) if self.is_provisioned else 0
        if not 0 <= iops <= most:
            raise ValueError(
                f"{gib:g} GiB of {self.name} allow 0 to {most:,.0f} bought IOPS; got {iops}"
            )
        return gib * self.usd_per_gib_month + iops * self.usd_per_iops_month


class RegionCarbon(Frozen):
    """Grid intensity (gCO2eq/kWh), carbon-free share, and the data centre's overhead."""

    grid_gco2_per_kwh: float = Field(ge=0)
    carbon_free_share: float = Field(ge=0, le=1)
    pue: float = Field(ge=1)


class PriceCatalog(Frozen):
    """What one region sells."""

    region: str
    machines: tuple[MachineType, ...]
    disks: tuple[DiskType, ...]
    prices: tuple[Price, ...]
    carbon: RegionCarbon

    def machine(self, name: str) -> MachineType:
        """The machine type called `name`.

        Raises:
            ValueError: not in the catalogue; the message lists what is.
        """
        return self._one(self.machines, name, "machine type")

    def disk(self, name: str) -> DiskType:
        """The disk type called `name`; raises ValueError like `machine`."""
        return self._one(self.disks, name, "disk type")

    def usd(self, item: str) -> float:
        """The price of one unit of `item` (see `prices`).

        Raises:
            ValueError: the catalogue has no such item.
        """
        for price in self.prices:
            if price.item == item:
                return price.usd
        known = ", ".join(sorted(p.item for p in self.prices))
        raise ValueError(f"no price for {item!r} in {self.region}; known: {known}")

    def figure(self, item: str) -> float:
        """A figure of the price list that is not in USD (see `data.FIGURES`).

        Raises:
            ValueError: there is no such item; the message lists those there are.
        """
        if item not in data.FIGURES:
            raise ValueError(f"no figure {item!r}; known: {', '.join(sorted(data.FIGURES))}")
        return data.FIGURES[item][1]

    def redis_usd_per_h(self, gib: float, *, is_ha: bool) -> float:
        """The price of a Memorystore for Redis instance of `gib` GiB.

        All of it is priced at its capacity tier, so the first size of a tier may cost less than the
        last of the one before.

        Args:
            gib: capacity, above 0 and at most 300 GiB.
            is_ha: the standard tier, with a replica to fail over to; else the basic one.

        Raises:
            ValueError: a size that Google does not offer.
        """
        for tier, largest in data.REDIS_TIERS:
            if 0 < gib <= largest:
                return gib * self.usd(f"redis.{'ha' if is_ha else 'basic'}.{tier}")
        most = data.REDIS_TIERS[-1][1]
        raise ValueError(f"a Redis instance has above 0 and at most {most:g} GiB; got {gib}")

    def to_frame(self) -> pl.DataFrame:
        """Every price as a row: item, unit, usd, source, date (sorted by item)."""
        rows = [price.model_dump() for price in self.prices]
        rows += [
            {
                "item": f"compute.{machine.name}.{purchase}",
                "unit": "VM-hour",
                "usd": getattr(machine, f"{purchase}_usd_per_h"),
                "source": machine_data.COMPUTE_SOURCE,
                "date": machine_data.COMPUTE_DATE,
            }
            for machine in self.machines
            for purchase in ("on_demand", "spot", "cud_1y", "cud_3y")
        ]
        rows += [
            {
                "item": f"disk.{disk.name}",
                "unit": "GB-month",
                "usd": disk.usd_per_gib_month,
                "source": _regional(data.DISKS[disk.name][1], self.region),
                "date": data.DISKS[disk.name][2],
            }
            for disk in self.disks
        ]
        rows += [
            {
                "item": f"disk.{disk.name}.iops",
                "unit": "IOPS-month",
                "usd": disk.usd_per_iops_month,
                "source": _regional(data.PROVISIONED[disk.name][1], self.region),
                "date": data.PROVISIONED[disk.name][2],
            }
            for disk in self.disks
            if disk.is_provisioned
        ]
        schema = {"item": pl.String, "unit": pl.String, "usd": pl.Float64}
        schema |= {"source": pl.String, "date": pl.String}
        return pl.DataFrame(rows, schema=schema).sort("item")

    def _one(self, entries: tuple[Any, ...], name: str, what: str) -> Any:
        for entry in entries:
            if entry.name == name:
                return entry
        known = ", ".join(entry.name for entry in entries)
        raise ValueError(f"no {what} {name!r} in {self.region}; known: {known}")


def default_catalog(region: str = DEFAULT_REGION) -> PriceCatalog:
    """The curated catalogue of a region.

    VM prices are the region's own, for the machines in its price list. CDN and standard tier are
    priced as on its continent. Disks, buckets, databases and the rest of the network are
    us-central1's list prices everywhere; outside it each such row's source says so.

    Args:
        region: one of `data.REGIONS`.

    Raises:
        ValueError: an unknown region; the message lists the known ones.
    """
    if region not in data.REGIONS:
        raise ValueError(f"no prices for region {region!r}; known: {', '.join(data.REGIONS)}")
    grid, carbon_free, pue = data.REGIONS[region]
    machines = tuple(_machine(region, name) for name in machine_data.MACHINE_USD_PER_H[region])
    prices = [
        Price(item=item, unit=unit, usd=usd, source=_regional(source, region), date=date)
        for item, (unit, usd, source, date) in PRICES.items()
    ]
    prices += [
        Price(item=item, unit=unit, usd=usd, source=source, date=date)
        for item, (unit, usd, source, date) in CONTINENT_PRICES[data.CONTINENTS[region]].items()
    ]
    if region == DEFAULT_REGION:
        prices += _family_prices()
    return PriceCatalog(
        region=region,
        machines=machines,
        disks=tuple(_disk(name) for name in data.DISKS),
        prices=tuple(prices),
        carbon=RegionCarbon(grid_gco2_per_kwh=grid, carbon_free_share=carbon_free, pue=pue),
    )


def _machine(region: str, name: str) -> MachineType:
    family, vcpu, memory_gib, is_arm = machine_data.MACHINES[name]
    on_demand, spot, cud_1y, cud_3y = machine_data.MACHINE_USD_PER_H[region][name]
    idle, full, _ = machine_data.FAMILY_WATTS[family]
    gpus, gpu = machine_data.MACHINE_GPUS.get(name, (0, ""))
    gpu_idle, _, gpu_full, _ = machine_data.GPU_WATTS[gpu] if gpus else (0.0, "", 0.0, "")
    host_kg, host_vcpu, _ = machine_data.HOSTS[name.rsplit("-", 1)[0]]
    now = spot / on_demand
    low, high = machine_data.SPOT_RATIO_RANGE.get(family, (now, now))
    return MachineType(
        name=name,
        family=family,
        vcpu=vcpu,
        memory_gib=memory_gib,
        is_arm=is_arm,
        on_demand_usd_per_h=on_demand,
        spot_usd_per_h=spot,
        cud_1y_usd_per_h=cud_1y,
        cud_3y_usd_per_h=cud_3y,
        idle_watts_per_vcpu=idle,
        full_watts_per_vcpu=full,
        spot_ratio_low=min(low, now),
        spot_ratio_high=max(high, now),
        gpus=gpus,
        gpu_name=gpu,
        gpu_idle_watts=gpu_idle,
        gpu_full_watts=gpu_full,
        embodied_gco2_per_vcpu_h=host_kg * 1e3 / machine_data.HOST_LIFE_H / host_vcpu,
    )


def _disk(name: str) -> DiskType:
    usd, _, _, iops, mib_s, is_ssd, _ = data.DISKS[name]
    bought = data.PROVISIONED.get(name)
    return DiskType(
        name=name,
        usd_per_gib_month=usd,
        iops_per_gib=iops,
        is_ssd=is_ssd,
        mib_s_per_gib=mib_s,
        usd_per_iops_month=bought[0] if bought else 0.0,
        is_provisioned=bought is not None,
        max_iops=bought[3] if bought else None,
        mib_s_per_iops=bought[4] if bought else 0.0,
    )


def _family_prices() -> list[Price]:
    return [
        Price(
            item=f"compute.{family}.{part}.{purchase}",
            unit=f"{part}-hour",
            usd=pair[index],
            source=machine_data.COMPUTE_SOURCE,
            date=machine_data.COMPUTE_DATE,
        )
        for family, purchases in machine_data.FAMILY_USD_PER_H.items()
        for purchase, pair in purchases.items()
        for index, part in enumerate(("vcpu", "gib"))
    ]


def _regional(source: str, region: str) -> str:
    if region == DEFAULT_REGION:
        return source
    return f"{source} ({DEFAULT_REGION} list price, assumed for {region})"
