"""The catalogue: typed figures equal their source, hand checks, errors name the known."""

import csv
import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marl.cloud.catalogue import DiskType, data, default_catalog
from marl.cloud.catalogue import machines as machine_data
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
    columns = ("hour", "spot_hour", "cud1y_hour", "cud3y_hour")
    for region in data.REGIONS:
        sold = {m.name for m in default_catalog(region).machines}
        listed = {
            name
            for name in machine_data.MACHINES
            if all(float(rows.get((region, name), {}).get(c) or 0) > 0 for c in columns)
        }
        assert sold == listed, region
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
    # n4a is not sold in Finland, Taiwan and Tokyo.
    assert compared == 4 * (len(data.REGIONS) * len(machine_data.MACHINES) - 3)


def test_prices_per_vcpu_and_gib_add_up_to_the_machine():
    catalog = default_catalog()
    without_gpu = [machine for machine in catalog.machines if machine.gpus == 0]
    assert len(without_gpu) == 12
    for machine in without_gpu:
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
        "c4a": "EPYC 3rd Gen",
        "g2": "Cascade Lake",
        "a2": "Cascade Lake",
    }
    assert {*processors, "e2"} == {family for family, *_ in machine_data.MACHINES.values()}
    for family, processor in processors.items():
        idle, full, _ = machine_data.FAMILY_WATTS[family]
        assert idle == pytest.approx(float(watts[processor]["Min Watts"]), abs=6e-4)
        assert full == pytest.approx(float(watts[processor]["Max Watts"]), abs=6e-4)


def test_spot_range_holds_the_monthly_series(facts):
    series = json.loads((facts / "spot_ratio_us_central1_monthly.json").read_text())
    with_shape = {name.split("-")[0] for month in series.values() for name in month}
    sold = {family for family, *_ in machine_data.MACHINES.values()}
    assert set(machine_data.SPOT_RATIO_RANGE) == with_shape & sold
    for family, (low, high) in machine_data.SPOT_RATIO_RANGE.items():
        ratios = [
            month[f"{family}-standard-4"][1] / month[f"{family}-standard-4"][0]
            for month in series.values()
            if f"{family}-standard-4" in month
        ]
        assert len(ratios) >= 38
        assert low == pytest.approx(min(ratios), abs=1e-3)
        assert high == pytest.approx(max(ratios), abs=1e-3)


def test_prices_borrowed_from_another_region_say_so():
    frame = default_catalog("europe-west1").to_frame()
    disks = frame.filter(frame["item"].str.starts_with("disk."))
    assert disks["source"].str.contains("us-central1 list price, assumed for europe-west1").all()
    machines = frame.filter(frame["item"].str.starts_with("compute."))
    assert not machines["source"].str.contains("assumed").any()
    cdn = frame.filter(frame["item"].str.starts_with("cdn."))
    assert not cdn["source"].str.contains("us-central1").any()


def test_traffic_is_priced_by_continent():
    iowa, tokyo = default_catalog(), default_catalog("asia-northeast1")
    assert default_catalog("europe-west4").usd("cdn.egress.first_10_tib") == 0.08
    assert iowa.usd("egress.standard.first_10_tib") == 0.085
    assert tokyo.usd("egress.standard.first_10_tib") == 0.11
    assert tokyo.usd("cdn.egress.first_10_tib") == 0.09
    for catalog in (iowa, tokyo):
        for kind in ("egress.standard", "cdn.egress"):
            steps = ("first_10_tib", "next_140_tib", "above_150_tib")
            prices = [catalog.usd(f"{kind}.{step}") for step in steps]
            assert prices == sorted(prices, reverse=True)
        # 1 TiB through the cache, a tenth of it filled, 10M requests: what a CDN saves at home.
        cached = 1024 * catalog.usd("cdn.egress.first_10_tib") + 1000 * catalog.usd("cdn.lookup")
        cached += 102.4 * catalog.usd("cdn.fill")
        assert cached < 1024 * catalog.usd("egress.internet.first_tib")


def test_every_region_has_zones_carbon_and_machines():
    assert set(data.ZONES) == set(data.REGIONS) == set(machine_data.MACHINE_USD_PER_H)
    assert len(data.REGIONS) == 9
    for region, zones in data.ZONES.items():
        assert len(set(zones)) == 3
        assert all(re.fullmatch(rf"{region}-[a-f]", zone) for zone in zones)
    assert data.ZONES["us-east1"] == ("us-east1-b", "us-east1-c", "us-east1-d")
    with pytest.raises(ValueError, match=r"n4a-standard-4.*asia-east1; known:.*c4a-standard-4"):
        default_catalog("asia-east1").machine("n4a-standard-4")


@pytest.mark.parametrize("region", data.REGIONS)
def test_spot_and_commitments_are_cheaper_and_the_ratio_is_within_its_range(region):
    for machine in default_catalog(region).machines:
        assert machine.cud_3y_usd_per_h < machine.cud_1y_usd_per_h < machine.on_demand_usd_per_h
        ratio = machine.spot_usd_per_h / machine.on_demand_usd_per_h
        assert machine.spot_ratio_low <= ratio <= machine.spot_ratio_high < 1
        if machine.family not in machine_data.SPOT_RATIO_RANGE:
            assert machine.spot_ratio_low == machine.spot_ratio_high == ratio


def test_gpu_shapes_have_their_gpu():
    catalog = default_catalog()
    gpus = {m.name: (m.gpus, m.gpu_name) for m in catalog.machines if m.gpus}
    assert gpus == {
        "g2-standard-4": (1, "NVIDIA L4"),
        "g2-standard-8": (1, "NVIDIA L4"),
        "a2-highgpu-1g": (1, "NVIDIA A100 40GB"),
    }
    assert catalog.machine("g2-standard-8").gpu_full_watts == 72.0
    assert catalog.machine("a2-highgpu-1g").gpu_full_watts == 400.0
    for machine in catalog.machines:
        assert (0 < machine.gpu_idle_watts < machine.gpu_full_watts) == (machine.gpus > 0)
        assert machine.is_arm == (machine.family in ("c4a", "n4a"))


def test_embodied_carbon_is_the_hosts_over_its_life_and_vcpus():
    catalog = default_catalog()
    # 1,888.46 kg over 4 years of 8,760 h and 128 vCPUs; 1,230.46 kg over 32; 5,465.5 kg over 96.
    for name, grams in (
        ("n2-standard-4", 0.421051),
        ("e2-standard-2", 1.097371),
        ("a2-highgpu-1g", 1.624780),
    ):
        embodied = catalog.machine(name).embodied_gco2_per_vcpu_h
        assert embodied == pytest.approx(grams, rel=1e-5)
    assert machine_data.HOST_LIFE_H == 4 * 8760


def test_disks_cost_their_space_and_the_iops_bought():
    catalog = default_catalog()
    # Infracost's own examples: 16 + 640, 5 + 325, and 20 USD.
    assert catalog.disk("hyperdisk-extreme").usd_per_month(128, 20_000) == pytest.approx(656.0)
    assert catalog.disk("pd-extreme").usd_per_month(40, 5_000) == pytest.approx(330.0)
    assert catalog.disk("pd-standard").usd_per_month(500) == pytest.approx(20.0)
    assert catalog.usd("disk.snapshot") == 0.05
    for disk in catalog.disks:
        assert disk.is_provisioned == (disk.usd_per_iops_month > 0) == (disk.max_iops is not None)
        if disk.is_provisioned:
            throughput = disk.iops_per_gib * disk.mib_s_per_iops
            assert disk.mib_s_per_gib == pytest.approx(throughput)
    assert [
        catalog.disk(f"pd-{kind}").mib_s_per_gib for kind in ("standard", "balanced", "ssd")
    ] == [
        0.12,
        0.28,
        0.48,
    ]


@pytest.mark.parametrize(
    ("name", "gib", "iops"),
    [
        ("pd-ssd", 100.0, 1.0),  # they come with the space
        ("pd-ssd", 0.0, 0.0),
        ("pd-ssd", math.nan, 0.0),
        ("hyperdisk-extreme", 10.0, 12_001.0),  # 1,200 a GiB
        ("hyperdisk-extreme", 10_000.0, 350_001.0),
        ("hyperdisk-extreme", 100.0, -1.0),
        ("hyperdisk-extreme", 100.0, math.nan),
    ],
)
def test_impossible_disks_are_refused(name, gib, iops):
    with pytest.raises(ValueError, match=rf"{name}"):
        default_catalog().disk(name).usd_per_month(gib, iops)


@given(gib=st.floats(1, 60_000), share=st.floats(0, 1))
def test_more_disk_never_costs_less(gib, share):
    disk: DiskType = default_catalog().disk("hyperdisk-extreme")
    iops = share * min(gib * disk.iops_per_gib, 350_000.0)
    assert disk.usd_per_month(gib, iops) >= disk.usd_per_month(gib)
    assert disk.usd_per_month(gib + 1, iops) > disk.usd_per_month(gib, iops)


@pytest.mark.parametrize(
    ("gib", "basic", "ha"),
    [  # tier by size, at both ends of each
        (1, 0.049, 0.064),
        (4, 0.196, 0.256),
        (5, 0.135, 0.270),
        (10, 0.270, 0.540),
        (11, 0.253, 0.506),
        (35, 0.805, 1.610),
        (36, 0.684, 1.260),
        (100, 1.900, 3.500),
        (105, 1.680, 3.150),  # 1,226.40 and 2,299.50 USD a month of 730 h in Infracost
        (300, 4.800, 9.000),
    ],
)
def test_redis_is_priced_by_capacity_tier(gib, basic, ha):
    catalog = default_catalog()
    assert catalog.redis_usd_per_h(gib, is_ha=False) == pytest.approx(basic)
    assert catalog.redis_usd_per_h(gib, is_ha=True) == pytest.approx(ha)


@pytest.mark.parametrize("gib", [0.0, -1.0, 300.5, math.nan, math.inf])
def test_redis_sizes_that_are_not_offered_are_refused(gib):
    with pytest.raises(ValueError, match="at most 300 GiB"):
        default_catalog().redis_usd_per_h(gib, is_ha=True)


def test_factors_and_operations():
    catalog = default_catalog()
    plus = catalog.figure("sql.enterprise_plus.factor") * catalog.usd("sql.vcpu.zonal")
    assert plus == pytest.approx(0.05369)
    assert catalog.figure("sql.cud_1y.factor") == 0.75
    assert catalog.figure("sql.cud_3y.factor") == pytest.approx(1 - 0.52)
    classes = ("standard", "nearline", "coldline", "archive")
    for price in ("gcs.class_a.{}", "gcs.class_b.{}"):
        operations = [catalog.usd(price.format(each)) for each in classes]
        assert operations == sorted(operations)
    days = [catalog.figure(f"gcs.min_days.{each}") for each in classes[1:]]
    assert days == [30.0, 90.0, 365.0]


def test_unknown_names_are_refused_with_the_known_ones():
    catalog = default_catalog()
    with pytest.raises(ValueError, match=r"mars-1.*us-central1"):
        default_catalog("mars-1")
    with pytest.raises(ValueError, match=r"n9.*n2-standard-4"):
        catalog.machine("n9")
    with pytest.raises(ValueError, match=r"floppy.*pd-standard"):
        catalog.disk("floppy")
    with pytest.raises(ValueError, match=r"no price for 'moon'.*us-central1.*cdn\.fill"):
        catalog.usd("moon")
    with pytest.raises(ValueError, match=r"no figure 'moon'.*sql\.cud_1y\.factor"):
        catalog.figure("moon")
