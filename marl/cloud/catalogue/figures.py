"""The table of a catalogue's figures that are not prices: sizes, power, carbon, disks, factors.

Prices are `PriceCatalog.to_frame`'s. What the figures mean for a step belongs to `carbon`,
`scaling` and `weather`.
"""

from collections.abc import Iterator

import polars as pl

from marl.cloud.catalogue import DiskType, MachineType, PriceCatalog, data
from marl.cloud.catalogue import machines as machine_data

_Row = tuple[str, str, float, str, str]


def figure_frame(catalog: PriceCatalog) -> pl.DataFrame:
    """Every figure of `catalog` that is not in USD.

    Returns:
        item, unit, value, source, date; sorted by item. The spot ratios of a family without a
        series are its region's ratio of the price list's day.
    """
    rows = [
        (item, *row) for table in (data.FIGURES, data.ENERGY) for item, row in sorted(table.items())
    ]
    rows += _region(catalog)
    for machine in catalog.machines:
        rows += _machine(machine)
    for disk in catalog.disks:
        rows += _disk(disk)
    rows += [
        (f"redis.{tier}.largest", "GiB", largest, "Infracost redis_instance.go", "2026-08-21")
        for tier, largest in data.REDIS_TIERS
    ]
    schema = {"item": pl.String, "unit": pl.String, "value": pl.Float64}
    schema |= {"source": pl.String, "date": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("item")


def _region(catalog: PriceCatalog) -> Iterator[_Row]:
    grid, carbon = (data.CARBON_SOURCE, data.CARBON_DATE), catalog.carbon
    ccf = machine_data.CCF_SOURCE
    pue = f"{ccf}, average" if carbon.pue == data.PUE_AVERAGE else ccf
    yield ("region.grid", "gCO2eq per kWh", carbon.grid_gco2_per_kwh, *grid)
    yield ("region.carbon_free_share", "of the energy", carbon.carbon_free_share, *grid)
    yield ("region.pue", "of the machines' energy", carbon.pue, pue, machine_data.CCF_DATE)


def _machine(machine: MachineType) -> Iterator[_Row]:
    listed = (machine_data.COMPUTE_SOURCE, machine_data.COMPUTE_DATE)
    series = "first price list of each month 2023-05 to 2026-07, us-central1"
    has_series = machine.family in machine_data.SPOT_RATIO_RANGE
    spot = (
        f"{listed[0]}, {series}" if has_series else "assumed: held at the day's ratio",
        listed[1],
    )
    power = (machine_data.FAMILY_WATTS[machine.family][2], machine_data.CCF_DATE)
    host = (machine_data.HOSTS[machine.name.rsplit("-", 1)[0]][2], machine_data.CCF_DATE)
    name = f"machine.{machine.name}"
    yield (f"{name}.vcpu", "vCPU", float(machine.vcpu), *listed)
    yield (f"{name}.memory", "GiB", machine.memory_gib, *listed)
    yield (f"{name}.idle", "W per vCPU", machine.idle_watts_per_vcpu, *power)
    yield (f"{name}.full", "W per vCPU", machine.full_watts_per_vcpu, *power)
    yield (f"{name}.spot_ratio_low", "of the on-demand price", machine.spot_ratio_low, *spot)
    yield (f"{name}.spot_ratio_high", "of the on-demand price", machine.spot_ratio_high, *spot)
    yield (f"{name}.embodied", "gCO2eq per vCPU-hour", machine.embodied_gco2_per_vcpu_h, *host)
    if machine.gpus:
        _, idle_source, _, full_source = machine_data.GPU_WATTS[machine.gpu_name]
        day = data.GATHERED
        yield (f"{name}.gpus", "GPU", float(machine.gpus), *listed)
        yield (f"{name}.gpu_idle", "W per GPU", machine.gpu_idle_watts, idle_source, day)
        yield (f"{name}.gpu_full", "W per GPU", machine.gpu_full_watts, full_source, day)


def _disk(disk: DiskType) -> Iterator[_Row]:
    source = (data.DISKS[disk.name][6], data.GATHERED)
    name = f"disk.{disk.name}"
    yield (f"{name}.iops_per_gib", "IOPS per GiB", disk.iops_per_gib, *source)
    yield (f"{name}.mib_s_per_gib", "MiB/s per GiB", disk.mib_s_per_gib, *source)
    if disk.max_iops is not None:
        yield (f"{name}.max_iops", "IOPS", disk.max_iops, *source)
        yield (f"{name}.mib_s_per_iops", "MiB/s per IOPS", disk.mib_s_per_iops, *source)
