"""Figures of the price catalogue, typed in from dated public sources. No logic.

Compute: Cyclenerd/google-cloud-pricing-cost-calculator (Apache-2.0), commit fd66b26, generated
from the Cloud Billing Catalog API. Power: cloud-carbon-coefficients and Cloud Carbon Footprint
(Apache-2.0). Grid intensity: GoogleCloudPlatform/region-carbon-info. How the figures are combined
belongs to `catalogue` and `pricing`.
"""

from typing import Final

COMPUTE_SOURCE: Final = "Cyclenerd/google-cloud-pricing-cost-calculator@fd66b26 pricing.yml"
COMPUTE_DATE: Final = "2026-07-30"
INFRACOST: Final = "Infracost golden files"
INFRACOST_DATE: Final = "2026-08-21"
GOOGLE_LB: Final = "cloud.google.com/load-balancing/pricing"
GOOGLE_VPC: Final = "cloud.google.com/vpc/network-pricing"
GOOGLE_DATE: Final = "2026-09-20"
CARBON_SOURCE: Final = "GoogleCloudPlatform/region-carbon-info (2024 averages)"
CARBON_DATE: Final = "2025-12-03"
CCF_SOURCE: Final = "Cloud Carbon Footprint GcpFootprintEstimationConstants"
CCF_DATE: Final = "2023-05-08"

# name: (family, vcpu, memory_gib, is_arm)
MACHINES: Final[dict[str, tuple[str, int, float, bool]]] = {
    "e2-standard-2": ("e2", 2, 8.0, False),
    "e2-standard-4": ("e2", 4, 16.0, False),
    "n2-standard-4": ("n2", 4, 16.0, False),
    "n2-standard-8": ("n2", 8, 32.0, False),
    "n2-highmem-4": ("n2", 4, 32.0, False),
    "n2d-standard-4": ("n2d", 4, 16.0, False),
    "c3-standard-4": ("c3", 4, 16.0, False),
    "n4a-standard-4": ("n4a", 4, 16.0, True),
}

# region: name: USD per hour (on demand, spot, 1-year commitment, 3-year commitment)
MACHINE_USD_PER_H: Final[dict[str, dict[str, tuple[float, float, float, float]]]] = {
    "us-central1": {
        "e2-standard-2": (0.06701142, 0.040212, 0.042217, 0.030155),
        "e2-standard-4": (0.13402284, 0.080424, 0.084434, 0.06031),
        "n2-standard-4": (0.194236, 0.09212, 0.122364, 0.087412),
        "n2-standard-8": (0.388472, 0.18424, 0.244728, 0.174824),
        "n2-highmem-4": (0.262028, 0.12428, 0.165068, 0.117924),
        "n2d-standard-4": (0.168984, 0.048912, 0.106456, 0.076048),
        "c3-standard-4": (0.201608, 0.0494, 0.127016, 0.090724),
        "n4a-standard-4": (0.154, 0.064664, 0.101648, 0.069308),
    },
    "us-west1": {
        "e2-standard-2": (0.06701142, 0.040212, 0.042217, 0.030155),
        "e2-standard-4": (0.13402284, 0.080424, 0.084434, 0.06031),
        "n2-standard-4": (0.194236, 0.09212, 0.122364, 0.087412),
        "n2-standard-8": (0.388472, 0.18424, 0.244728, 0.174824),
        "n2-highmem-4": (0.262028, 0.12428, 0.165068, 0.117924),
        "n2d-standard-4": (0.168984, 0.048912, 0.106456, 0.076048),
        "c3-standard-4": (0.201608, 0.0494, 0.127016, 0.090724),
        "n4a-standard-4": (0.154, 0.058544, 0.101648, 0.069308),
    },
    "europe-west1": {
        "e2-standard-2": (0.07371546, 0.035704, 0.046441, 0.033172),
        "e2-standard-4": (0.14743092, 0.071408, 0.092881, 0.066344),
        "n2-standard-4": (0.213668, 0.046888, 0.134604, 0.096144),
        "n2-standard-8": (0.427336, 0.093776, 0.269208, 0.192288),
        "n2-highmem-4": (0.288244, 0.063256, 0.18158, 0.129696),
        "n2d-standard-4": (0.185892, 0.08068, 0.1171, 0.08364),
        "c3-standard-4": (0.22199056, 0.084776, 0.139857, 0.099896),
        "n4a-standard-4": (0.16952, 0.07476, 0.111928, 0.076316),
    },
    "europe-west4": {
        "e2-standard-2": (0.07377204, 0.035264, 0.046476, 0.033197),
        "e2-standard-4": (0.14754408, 0.070528, 0.092953, 0.066395),
        "n2-standard-4": (0.213832, 0.077736, 0.134708, 0.096228),
        "n2-standard-8": (0.427664, 0.155472, 0.269416, 0.192456),
        "n2-highmem-4": (0.288456, 0.104872, 0.181716, 0.129812),
        "n2d-standard-4": (0.18604, 0.06512, 0.117196, 0.083716),
        "c3-standard-4": (0.2116884, 0.089376, 0.133367, 0.09526),
        "n4a-standard-4": (0.16168, 0.067912, 0.106724, 0.072776),
    },
}

# family, us-central1: USD per hour of one vCPU and of one GiB of memory, by purchase type
FAMILY_USD_PER_H: Final[dict[str, dict[str, tuple[float, float]]]] = {
    "e2": {
        "on_demand": (0.021812, 0.002924),
        "spot": (0.01309, 0.001754),
        "cud_1y": (0.013741, 0.001842),
        "cud_3y": (0.009815, 0.001316),
    },
    "n2": {
        "on_demand": (0.031611, 0.004237),
        "spot": (0.01499, 0.00201),
        "cud_1y": (0.019915, 0.002669),
        "cud_3y": (0.014225, 0.001907),
    },
    "n2d": {
        "on_demand": (0.027502, 0.003686),
        "spot": (0.00796, 0.001067),
        "cud_1y": (0.017326, 0.002322),
        "cud_3y": (0.012376, 0.001659),
    },
    "c3": {
        "on_demand": (0.03465, 0.003938),
        "spot": (0.00849, 0.000965),
        "cud_1y": (0.02183, 0.002481),
        "cud_3y": (0.015593, 0.001772),
    },
    "n4a": {
        "on_demand": (0.02646, 0.00301),
        "spot": (0.01111, 0.001264),
        "cud_1y": (0.017464, 0.001987),
        "cud_3y": (0.011907, 0.001355),
    },
}

# family: lowest and highest spot price over on-demand price, us-central1, first price list of each
# month 2023-05 .. 2026-07. n4a is too young for a series: its price is held at the current one.
SPOT_RATIO_RANGE: Final[dict[str, tuple[float, float]]] = {
    "e2": (0.300, 0.600),
    "n2": (0.225, 0.474),
    "n2d": (0.151, 0.289),
    "c3": (0.091, 0.400),
}

# family: watts of one vCPU, idle and fully used. n2 is Cascade Lake; c3 (Sapphire Rapids) has no
# published coefficient and takes Cascade Lake's, n2d EPYC 2nd Gen's, n4a (Axion) EPYC 3rd Gen's;
# e2 has no fixed processor and takes the average of Google's fleet.
FAMILY_WATTS: Final[dict[str, tuple[float, float]]] = {
    "e2": (0.68, 4.11),
    "n2": (0.639, 3.642),
    "n2d": (0.474, 1.575),
    "c3": (0.639, 3.642),
    "n4a": (0.445, 1.872),
}

# name: (USD per GB-month, sustained IOPS per GiB, read or write, the lower; is_ssd).
# IOPS: cloud.google.com/compute/docs/disks/performance.
DISKS: Final[dict[str, tuple[float, float, bool]]] = {
    "pd-standard": (0.04, 0.75, False),
    "pd-balanced": (0.10, 6.0, True),
    "pd-ssd": (0.17, 30.0, True),
}

# item: (unit, USD, source, date), us-central1
PRICES: Final[dict[str, tuple[str, float, str, str]]] = {
    "gcs.standard": ("GB-month", 0.020, COMPUTE_SOURCE, COMPUTE_DATE),
    "gcs.nearline": ("GB-month", 0.010, COMPUTE_SOURCE, COMPUTE_DATE),
    "gcs.coldline": ("GB-month", 0.004, COMPUTE_SOURCE, COMPUTE_DATE),
    "gcs.archive": ("GB-month", 0.0012, COMPUTE_SOURCE, COMPUTE_DATE),
    "gcs.retrieval.nearline": ("GB", 0.01, COMPUTE_SOURCE, COMPUTE_DATE),
    "gcs.retrieval.coldline": ("GB", 0.02, COMPUTE_SOURCE, COMPUTE_DATE),
    "gcs.retrieval.archive": ("GB", 0.05, COMPUTE_SOURCE, COMPUTE_DATE),
    "disk.snapshot": ("GB-month", 0.05, COMPUTE_SOURCE, COMPUTE_DATE),
    "lb.forwarding_rules": ("hour, first five together", 0.025, GOOGLE_LB, GOOGLE_DATE),
    "lb.forwarding_rule_additional": ("rule-hour", 0.010, GOOGLE_LB, GOOGLE_DATE),
    "lb.proxy": (
        "proxy-hour",
        0.025,
        "assumed: one load-balancer proxy at the price of the first forwarding rule",
        GOOGLE_DATE,
    ),
    "lb.processed": ("GiB", 0.008, GOOGLE_LB, GOOGLE_DATE),
    "nat.gateway": ("hour, 32 VMs or more", 0.0448, GOOGLE_VPC, GOOGLE_DATE),
    "nat.processed": ("GiB", 0.045, GOOGLE_VPC, GOOGLE_DATE),
    "ip.in_use": ("hour", 0.005, GOOGLE_VPC, GOOGLE_DATE),
    "egress.internet.first_tib": ("GiB", 0.12, GOOGLE_VPC, GOOGLE_DATE),
    "egress.internet.next_9_tib": ("GiB", 0.11, GOOGLE_VPC, GOOGLE_DATE),
    "egress.internet.above_10_tib": ("GiB", 0.08, GOOGLE_VPC, GOOGLE_DATE),
    "egress.inter_zone": ("GiB", 0.01, GOOGLE_VPC, GOOGLE_DATE),
    "sql.vcpu.zonal": ("vCPU-hour", 0.0413, INFRACOST, INFRACOST_DATE),
    "sql.vcpu.ha": ("vCPU-hour", 0.0826, INFRACOST, INFRACOST_DATE),
    "sql.memory.zonal": ("GB-hour", 0.0070, INFRACOST, INFRACOST_DATE),
    "sql.memory.ha": ("GB-hour", 0.0140, INFRACOST, INFRACOST_DATE),
    "sql.ssd.zonal": ("GB-month", 0.17, INFRACOST, INFRACOST_DATE),
    "sql.ssd.ha": ("GB-month", 0.34, INFRACOST, INFRACOST_DATE),
    "sql.backup": ("GB-month", 0.08, INFRACOST, INFRACOST_DATE),
}

# region: (grid gCO2eq per kWh, share of carbon-free energy, power usage effectiveness)
REGIONS: Final[dict[str, tuple[float, float, float]]] = {
    "us-central1": (412.72, 0.87, 1.11),
    "us-west1": (79.23, 0.87, 1.095),
    "europe-west1": (103.37, 0.84, 1.08),
    "europe-west4": (208.81, 0.83, 1.09),
}

# Energy of what is not a vCPU (CCF methodology): kWh per GB-hour, Wh per TB-hour, kWh per GB moved.
MEMORY_KWH_PER_GIB_H: Final = 0.000392
SSD_WH_PER_TIB_H: Final = 1.2
HDD_WH_PER_TIB_H: Final = 0.65
NETWORK_KWH_PER_GIB: Final = 0.001
