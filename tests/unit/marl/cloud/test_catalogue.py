"""The catalogue: typed figures equal their source, the table is complete, errors name the known."""

import csv
import json

import pytest

from marl.cloud import catalogue_data as data
from marl.cloud.catalogue import default_catalog
from tests.conftest import REPO

FACTS = REPO.parent / "shared" / "facts"


@pytest.fixture(scope="module")
def facts():
    if not FACTS.is_dir():
        pytest.skip(f"no collected figures at {FACTS}")
    return FACTS


def test_machine_prices_equal_the_collected_list(facts):
    with (facts / "machine_prices_all_regions_2026-07-30.csv").open() as stream:
        rows = {(row["region"], row["type"]): row for row in csv.DictReader(stream)}
    compared = 0
    for region in data.REGIONS:
        for machine in default_catalog(region).machines:
            row = rows[region, machine.name]
            assert machine.vcpu == int(row["vcpu"])
            assert machine.memory_gib == float(row["gb"])
            for ours, column in (
                (machine.on_demand_usd_per_h, "hour"),
                (machine.spot_usd_per_h, "spot_hour"),
                (machine.cud_1y_usd_per_h, "cud1y_hour"),
                (machine.cud_3y_usd_per_h, "cud3y_hour"),
            ):
                assert ours == pytest.approx(float(row[column]), abs=5e-7), (region, machine.name)
                compared += 1
    assert compared == 4 * len(data.REGIONS) * len(data.MACHINES)


def test_prices_per_vcpu_and_gib_add_up_to_the_machine():
    catalog = default_catalog()
    for machine in catalog.machines:
        for purchase in ("on_demand", "spot", "cud_1y", "cud_3y"):
            parts = catalog.usd(f"compute.{machine.family}.vcpu.{purchase}") * machine.vcpu
            parts += catalog.usd(f"compute.{machine.family}.gib.{purchase}") * machine.memory_gib
            whole = getattr(machine, f"{purchase}_usd_per_h")
            assert parts == pytest.approx(whole, rel=2e-4), (machine.name, purchase)


def test_carbon_and_power_equal_the_collected_figures(facts):
    with (facts / "region_carbon_2024.csv").open() as stream:
        rows = {row["Google Cloud Region"]: row for row in csv.DictReader(stream)}
    for region in data.REGIONS:
        carbon = default_catalog(region).carbon
        grid = float(rows[region]["Grid carbon intensity (gCO2eq / kWh)"])
        assert carbon.grid_gco2_per_kwh == grid
        assert carbon.carbon_free_share == float(rows[region]["Google CFE"])
    with (facts / "ccf_gcp_watts.csv").open() as stream:
        watts = {row["Architecture"]: row for row in csv.DictReader(stream)}
    processors = {
        "n2": "Cascade Lake",
        "c3": "Cascade Lake",
        "n2d": "EPYC 2nd Gen",
        "n4a": "EPYC 3rd Gen",
    }
    for family, processor in processors.items():
        idle, full = data.FAMILY_WATTS[family]
        assert idle == pytest.approx(float(watts[processor]["Min Watts"]), abs=6e-4)
        assert full == pytest.approx(float(watts[processor]["Max Watts"]), abs=6e-4)


def test_spot_range_holds_the_monthly_series(facts):
    series = json.loads((facts / "spot_ratio_us_central1_monthly.json").read_text())
    for family, (low, high) in data.SPOT_RATIO_RANGE.items():
        ratios = [
            month[f"{family}-standard-4"][1] / month[f"{family}-standard-4"][0]
            for month in series.values()
            if f"{family}-standard-4" in month
        ]
        assert len(ratios) >= 38
        assert low == pytest.approx(min(ratios), abs=1e-3)
        assert high == pytest.approx(max(ratios), abs=1e-3)


def test_the_table_names_source_and_date_of_every_figure():
    for region in data.REGIONS:
        frame = default_catalog(region).to_frame()
        assert frame.columns == ["item", "unit", "usd", "source", "date"]
        assert frame["item"].is_unique().all()
        assert frame["item"].is_sorted()
        assert (frame["usd"] > 0).all()
        assert frame["source"].str.len_chars().min() > 5
        assert frame["date"].str.contains(r"^20\d\d-\d\d-\d\d$").all()
    assert default_catalog().to_frame().equals(default_catalog().to_frame())


def test_prices_borrowed_from_another_region_say_so():
    frame = default_catalog("europe-west1").to_frame()
    disks = frame.filter(frame["item"].str.starts_with("disk."))
    assert disks["source"].str.contains("us-central1 list price, assumed for europe-west1").all()
    machines = frame.filter(frame["item"].str.starts_with("compute."))
    assert not machines["source"].str.contains("assumed").any()


def test_unknown_names_are_refused_with_the_known_ones():
    catalog = default_catalog()
    with pytest.raises(ValueError, match=r"mars-1.*us-central1"):
        default_catalog("mars-1")
    with pytest.raises(ValueError, match=r"n9.*n2-standard-4"):
        catalog.machine("n9")
    with pytest.raises(ValueError, match=r"floppy.*pd-standard"):
        catalog.disk("floppy")
    with pytest.raises(ValueError, match=r"no price for 'moon'"):
        catalog.usd("moon")
