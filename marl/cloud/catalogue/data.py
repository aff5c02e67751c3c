"""Figures of the price catalogue that are neither a machine's nor a plain price. No logic.

Regions and their zones, disks, power of what is not a vCPU, and factors, typed in from dated public
sources. Machines lie in `machines`, other prices in `prices`; how the figures
are combined belongs to `catalogue` and `pricing`.
"""

from typing import Final

from marl.cloud.catalogue.machines import CCF_DATE, CCF_SOURCE, COMPUTE_DATE, COMPUTE_SOURCE

INFRACOST: Final = "Infracost golden files"
INFRACOST_DATE: Final = "2026-08-21"
GOOGLE_DISKS: Final = "cloud.google.com/compute/docs/disks/performance"
GOOGLE_HYPERDISK: Final = "cloud.google.com/compute/docs/disks/hd-types/hyperdisk-extreme"
GATHERED: Final = "2026-11-21"  # the day on which a page without a date of its own was read
CARBON_SOURCE: Final = "GoogleCloudPlatform/region-carbon-info (2024 averages)"
CARBON_DATE: Final = "2025-12-03"

# region: (grid gCO2eq per kWh, share of carbon-free energy, power usage effectiveness). Sources:
# CARBON_SOURCE; PUE of CCF_SOURCE, its average of 1.1 where it names no region (asia-northeast1).
REGIONS: Final[dict[str, tuple[float, float, float]]] = {
    "us-central1": (412.72, 0.87, 1.11),
    "us-east1": (575.77, 0.31, 1.102),
    "us-west1": (79.23, 0.87, 1.095),
    "europe-west1": (103.37, 0.84, 1.08),
    "europe-west4": (208.81, 0.83, 1.09),
    "europe-north1": (39.32, 0.98, 1.09),
    "asia-east1": (439.29, 0.17, 1.13),
    "asia-northeast1": (452.85, 0.17, 1.1),
    "asia-southeast1": (366.85, 0.04, 1.14),
}
PUE_AVERAGE: Final = 1.1

# The first three zones of each region; their letters do not all begin with a
# (cloud.google.com/compute/docs/regions-zones).
ZONES: Final[dict[str, tuple[str, str, str]]] = {
    "us-central1": ("us-central1-a", "us-central1-b", "us-central1-c"),
    "us-east1": ("us-east1-b", "us-east1-c", "us-east1-d"),
    "us-west1": ("us-west1-a", "us-west1-b", "us-west1-c"),
    "europe-west1": ("europe-west1-b", "europe-west1-c", "europe-west1-d"),
    "europe-west4": ("europe-west4-a", "europe-west4-b", "europe-west4-c"),
    "europe-north1": ("europe-north1-a", "europe-north1-b", "europe-north1-c"),
    "asia-east1": ("asia-east1-a", "asia-east1-b", "asia-east1-c"),
    "asia-northeast1": ("asia-northeast1-a", "asia-northeast1-b", "asia-northeast1-c"),
    "asia-southeast1": ("asia-southeast1-a", "asia-southeast1-b", "asia-southeast1-c"),
}

# region: the list its traffic is priced by in `prices.CONTINENT_PRICES`
CONTINENTS: Final[dict[str, str]] = {
    region: "asia" if region.startswith("asia") else "america-europe" for region in REGIONS
}

# name: (USD per GB-month, source, date, sustained IOPS per GiB, read or write, the lower; sustained
# MiB/s per GiB; is_ssd; source of the performance). us-central1.
DISKS: Final[dict[str, tuple[float, str, str, float, float, bool, str]]] = {
    "pd-standard": (0.04, COMPUTE_SOURCE, COMPUTE_DATE, 0.75, 0.12, False, GOOGLE_DISKS),
    "pd-balanced": (0.10, COMPUTE_SOURCE, COMPUTE_DATE, 6.0, 0.28, True, GOOGLE_DISKS),
    "pd-ssd": (0.17, COMPUTE_SOURCE, COMPUTE_DATE, 30.0, 0.48, True, GOOGLE_DISKS),
    "pd-extreme": (
        0.125,
        INFRACOST,
        INFRACOST_DATE,
        240.0,
        6.0,
        True,
        "assumed: 120,000 IOPS and 3,000 MiB/s on the smallest disk, 500 GiB",
    ),
    "hyperdisk-extreme": (0.125, INFRACOST, INFRACOST_DATE, 1200.0, 300.0, True, GOOGLE_HYPERDISK),
}

# disks whose IOPS are bought apart from their size. name: (USD per IOPS-month, source, date, most
# IOPS of one disk, MiB/s that come with each IOPS). hyperdisk-extreme attaches only to large
# machines: 64 vCPUs of c4a, 80 of n2, 88 of c3 (GOOGLE_HYPERDISK).
PROVISIONED: Final[dict[str, tuple[float, str, str, float, float]]] = {
    "pd-extreme": (0.065, INFRACOST, INFRACOST_DATE, 120_000.0, 0.025),
    "hyperdisk-extreme": (0.032, INFRACOST, INFRACOST_DATE, 350_000.0, 0.25),
}

# Memorystore for Redis: capacity tier, its largest size in GiB (Infracost redis_instance.go;
# 300 GiB: cloud.google.com/memorystore/docs/redis/redis-tiers)
REDIS_TIERS: Final[tuple[tuple[str, float], ...]] = (
    ("m1", 4.0),
    ("m2", 10.0),
    ("m3", 35.0),
    ("m4", 100.0),
    ("m5", 300.0),
)

# item: (unit, value, source, date): what the price list has that is not in USD
FIGURES: Final[dict[str, tuple[str, float, str, str]]] = {
    "sql.enterprise_plus.factor": (
        "of the Enterprise vCPU and memory price",
        1.3,
        "nOps help page, without a date; 0.05369 USD per vCPU-hour in other lists agrees",
        "2026-11-20",
    ),
    "sql.cud_1y.factor": (
        "of the vCPU and memory price",
        0.75,
        "cloud.google.com/sql/cud; Archera",
        "2026-03",
    ),
    "sql.cud_3y.factor": (
        "of the vCPU and memory price",
        0.48,
        "cloud.google.com/sql/cud; Archera",
        "2026-03",
    ),
    "gcs.min_days.nearline": (
        "day",
        30.0,
        "cloud.google.com/storage/docs/storage-classes",
        GATHERED,
    ),
    "gcs.min_days.coldline": (
        "day",
        90.0,
        "cloud.google.com/storage/docs/storage-classes",
        GATHERED,
    ),
    "gcs.min_days.archive": (
        "day",
        365.0,
        "cloud.google.com/storage/docs/storage-classes",
        GATHERED,
    ),
    "egress.standard.free": (
        "GiB a month",
        200.0,
        "Cloud Billing Catalog API, StandardInternetEgress SKUs, as listed by a third party",
        "2026-08-17",
    ),
}

# Energy of what is not a vCPU (CCF methodology): kWh per GB-hour, Wh per TB-hour, kWh per GB moved.
MEMORY_KWH_PER_GIB_H: Final = 0.000392
SSD_WH_PER_TIB_H: Final = 1.2
HDD_WH_PER_TIB_H: Final = 0.65
NETWORK_KWH_PER_GIB: Final = 0.001

# item: (unit, value, source, date)
ENERGY: Final[dict[str, tuple[str, float, str, str]]] = {
    "energy.memory": ("kWh per GiB-hour", MEMORY_KWH_PER_GIB_H, CCF_SOURCE, CCF_DATE),
    "energy.ssd": ("Wh per TiB-hour", SSD_WH_PER_TIB_H, CCF_SOURCE, CCF_DATE),
    "energy.hdd": ("Wh per TiB-hour", HDD_WH_PER_TIB_H, CCF_SOURCE, CCF_DATE),
    "energy.network": ("kWh per GiB", NETWORK_KWH_PER_GIB, CCF_SOURCE, CCF_DATE),
}
