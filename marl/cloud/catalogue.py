"""The price catalogue: typed, dated figures of one region, and their table.

Only what Google sells and what it costs, with unit, source and date. Turning capacity into dollars
belongs to `pricing`, into grams to `carbon`.
"""

from typing import Any

import polars as pl
from pydantic import Field

from marl.cloud import catalogue_data as data
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
    """A VM shape: size, hourly price by purchase type, power, range of its spot price."""

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


class DiskType(Frozen):
    """A persistent disk type: price and the IOPS each GiB brings."""

    name: str
    usd_per_gib_month: float = Field(gt=0)
    iops_per_gib: float = Field(gt=0)
    is_ssd: bool


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

    def to_frame(self) -> pl.DataFrame:
        """Every figure as a row: item, unit, usd, source, date (sorted by item)."""
        rows = [price.model_dump() for price in self.prices]
        rows += [
            {
                "item": f"compute.{machine.name}.{purchase}",
                "unit": "VM-hour",
                "usd": getattr(machine, f"{purchase}_usd_per_h"),
                "source": data.COMPUTE_SOURCE,
                "date": data.COMPUTE_DATE,
            }
            for machine in self.machines
            for purchase in ("on_demand", "spot", "cud_1y", "cud_3y")
        ]
        rows += [
            {
                "item": f"disk.{disk.name}",
                "unit": "GB-month",
                "usd": disk.usd_per_gib_month,
                "source": _regional(data.COMPUTE_SOURCE, self.region),
                "date": data.COMPUTE_DATE,
            }
            for disk in self.disks
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

    VM prices are the region's own. Disks, buckets, network and Cloud SQL are us-central1's list
    prices everywhere; outside it each such row's source says so.

    Args:
        region: one of `catalogue_data.REGIONS`.

    Raises:
        ValueError: an unknown region; the message lists the known ones.
    """
    if region not in data.REGIONS:
        raise ValueError(f"no prices for region {region!r}; known: {', '.join(data.REGIONS)}")
    grid, carbon_free, pue = data.REGIONS[region]
    machines = tuple(_machine(region, name) for name in data.MACHINES)
    disks = tuple(
        DiskType(name=name, usd_per_gib_month=usd, iops_per_gib=iops, is_ssd=ssd)
        for name, (usd, iops, ssd) in data.DISKS.items()
    )
    prices = [
        Price(item=item, unit=unit, usd=usd, source=_regional(source, region), date=date)
        for item, (unit, usd, source, date) in data.PRICES.items()
    ]
    if region == DEFAULT_REGION:
        prices += _family_prices()
    return PriceCatalog(
        region=region,
        machines=machines,
        disks=disks,
        prices=tuple(prices),
        carbon=RegionCarbon(grid_gco2_per_kwh=grid, carbon_free_share=carbon_free, pue=pue),
    )


def _machine(region: str, name: str) -> MachineType:
    family, vcpu, memory_gib, is_arm = data.MACHINES[name]
    on_demand, spot, cud_1y, cud_3y = data.MACHINE_USD_PER_H[region][name]
    idle, full = data.FAMILY_WATTS[family]
    now = spot / on_demand
    low, high = data.SPOT_RATIO_RANGE.get(family, (now, now))
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
    )


def _family_prices() -> list[Price]:
    return [
        Price(
            item=f"compute.{family}.{part}.{purchase}",
            unit=f"{part}-hour",
            usd=pair[index],
            source=data.COMPUTE_SOURCE,
            date=data.COMPUTE_DATE,
        )
        for family, purchases in data.FAMILY_USD_PER_H.items()
        for purchase, pair in purchases.items()
        for index, part in enumerate(("vcpu", "gib"))
    ]


def _regional(source: str, region: str) -> str:
    if region == DEFAULT_REGION:
        return source
    return f"{source} ({DEFAULT_REGION} list price, assumed for {region})"
