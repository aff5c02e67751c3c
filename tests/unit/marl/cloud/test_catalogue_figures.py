"""The catalogue's two tables: complete, with unit, source and date; what is assumed says so."""

import re

import polars as pl
import pytest

from marl.cloud.catalogue import data, default_catalog
from marl.cloud.catalogue.figures import figure_frame

UNITS = (
    r"hour|(VM|rule|proxy|vCPU|GB|gib|vcpu)-hour|(GB|IOPS)-month|GB|GiB|10k (operations|requests)"
)
FIGURE_UNITS = (
    r"day|vCPU|GiB( a month)?|GPU|IOPS( per GiB)?|MiB/s per (GiB|IOPS)|W per (vCPU|GPU)"
    r"|gCO2eq per (vCPU-hour|kWh)|kWh per GiB(-hour)?|Wh per TiB-hour|of the [\w' -]+"
)


@pytest.mark.parametrize("region", data.REGIONS)
def test_the_tables_name_unit_source_and_date_of_every_figure(region):
    catalog = default_catalog(region)
    for frame, value, units in (
        (catalog.to_frame(), "usd", UNITS),
        (figure_frame(catalog), "value", FIGURE_UNITS),
    ):
        assert frame.columns == ["item", "unit", value, "source", "date"]
        assert frame["item"].is_unique().all()
        assert frame["item"].is_sorted()
        assert frame.null_count().sum_horizontal().item() == 0
        assert (frame[value] > 0).all()
        assert frame["source"].str.len_chars().min() > 5
        assert frame["date"].str.contains(r"^20\d\d-\d\d(-\d\d)?$").all()
        wrong = [u for u in frame["unit"] if not re.fullmatch(units, u.split(",")[0])]
        assert wrong == []
    assert catalog.to_frame().equals(default_catalog(region).to_frame())


def test_the_tables_hold_every_figure_of_the_catalogue():
    catalog = default_catalog()
    prices, figures = catalog.to_frame(), figure_frame(catalog)
    purchases = 4 * len(catalog.machines)
    bought = sum(disk.is_provisioned for disk in catalog.disks)
    assert len(prices) == len(catalog.prices) + purchases + len(catalog.disks) + bought
    value = dict(figures.select("item", "value").iter_rows())
    for machine in catalog.machines:
        name = f"machine.{machine.name}"
        assert value[f"{name}.idle"] == machine.idle_watts_per_vcpu
        assert value[f"{name}.embodied"] == machine.embodied_gco2_per_vcpu_h
        assert (f"{name}.gpu_full" in value) == (machine.gpus > 0)
    for item in data.FIGURES:
        assert value[item] == catalog.figure(item)
    assert value["region.pue"] == catalog.carbon.pue == 1.11
    assert value["energy.memory"] == data.MEMORY_KWH_PER_GIB_H


def test_what_is_not_confirmed_says_assumed():
    catalog = default_catalog("asia-northeast1")
    frame = pl.concat(
        [
            catalog.to_frame().select("item", "source"),
            figure_frame(catalog).select("item", "source"),
        ]
    )
    assumed = set(frame.filter(frame["source"].str.starts_with("assumed"))["item"])
    assert {
        "lb.proxy",
        "gcs.class_a.archive",
        "cdn.fill",
        "machine.g2-standard-8.gpu_idle",
        "machine.g2-standard-8.embodied",
        "machine.c4a-standard-4.full",
        "machine.g2-standard-8.spot_ratio_low",
        "disk.pd-extreme.iops_per_gib",
    } <= assumed
    assert "machine.n2-standard-4.spot_ratio_low" not in assumed
    assert "machine.a2-highgpu-1g.gpu_idle" not in assumed
