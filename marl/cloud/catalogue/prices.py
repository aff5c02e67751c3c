"""Prices of the catalogue beside machines and disks: buckets, network, CDN, databases. No logic.

Typed in from dated public sources; a row whose source begins with "assumed" was not confirmed.
Disks lie in `data`, machines in `machines`.
"""

from typing import Final

from marl.cloud.catalogue.data import INFRACOST, INFRACOST_DATE
from marl.cloud.catalogue.machines import COMPUTE_DATE, COMPUTE_SOURCE

Row = tuple[str, float, str, str]

GOOGLE_LB: Final = "cloud.google.com/load-balancing/pricing"
GOOGLE_VPC: Final = "cloud.google.com/vpc/network-pricing"
GOOGLE_CDN: Final = "cloud.google.com/cdn/pricing"
GOOGLE_DATE: Final = "2026-09-20"
_CDN_COPY: Final = f"{GOOGLE_CDN}, a copy without a date"
_CDN_COPY_DATE: Final = "2026-11-21"  # the day it was read
_OPS_DATE: Final = "2026-07-01"
_ONEUPTIME: Final = "oneuptime.com guide to the storage classes"
_ONEUPTIME_DATE: Final = "2026-02-17"
_EGRESS: Final = (
    "Cloud Billing Catalog API, StandardInternetEgress SKUs, as listed by a third party"
)
_EGRESS_DATE: Final = "2026-08-17"

# item: (unit, USD, source, date), us-central1
PRICES: Final[dict[str, Row]] = {
    "gcs.standard": ("GB-month", 0.020, COMPUTE_SOURCE, COMPUTE_DATE),
    "gcs.nearline": ("GB-month", 0.010, COMPUTE_SOURCE, COMPUTE_DATE),
    "gcs.coldline": ("GB-month", 0.004, COMPUTE_SOURCE, COMPUTE_DATE),
    "gcs.archive": ("GB-month", 0.0012, COMPUTE_SOURCE, COMPUTE_DATE),
    "gcs.retrieval.nearline": ("GB", 0.01, COMPUTE_SOURCE, COMPUTE_DATE),
    "gcs.retrieval.coldline": ("GB", 0.02, COMPUTE_SOURCE, COMPUTE_DATE),
    "gcs.retrieval.archive": ("GB", 0.05, COMPUTE_SOURCE, COMPUTE_DATE),
    "gcs.class_a.standard": ("10k operations", 0.05, INFRACOST, _OPS_DATE),
    "gcs.class_b.standard": ("10k operations", 0.004, INFRACOST, _OPS_DATE),
    "gcs.class_a.nearline": ("10k operations", 0.10, _ONEUPTIME, _ONEUPTIME_DATE),
    "gcs.class_b.nearline": ("10k operations", 0.01, _ONEUPTIME, _ONEUPTIME_DATE),
    "gcs.class_a.coldline": ("10k operations", 0.10, INFRACOST, _OPS_DATE),
    "gcs.class_b.coldline": ("10k operations", 0.05, INFRACOST, _OPS_DATE),
    "gcs.class_a.archive": ("10k operations", 0.50, "assumed: no source found", "2026-11-21"),
    "gcs.class_b.archive": ("10k operations", 0.50, "assumed: no source found", "2026-11-21"),
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
    "redis.basic.m1": ("GB-hour", 0.049, INFRACOST, INFRACOST_DATE),
    "redis.basic.m2": ("GB-hour", 0.027, INFRACOST, INFRACOST_DATE),
    "redis.basic.m3": ("GB-hour", 0.023, INFRACOST, INFRACOST_DATE),
    "redis.basic.m4": ("GB-hour", 0.019, INFRACOST, INFRACOST_DATE),
    "redis.basic.m5": ("GB-hour", 0.016, INFRACOST, INFRACOST_DATE),
    "redis.ha.m1": ("GB-hour", 0.064, INFRACOST, INFRACOST_DATE),
    "redis.ha.m2": ("GB-hour", 0.054, INFRACOST, INFRACOST_DATE),
    "redis.ha.m3": ("GB-hour", 0.046, INFRACOST, INFRACOST_DATE),
    "redis.ha.m4": ("GB-hour", 0.035, INFRACOST, INFRACOST_DATE),
    "redis.ha.m5": ("GB-hour", 0.030, INFRACOST, INFRACOST_DATE),
}

# Traffic whose price depends on the continent: standard tier by where it leaves from, CDN by where
# its readers are, taken to be near. Steps are GiB a month; standard tier's first step comes after
# `figure("egress.standard.free")` GiB. Above 500 TiB both are a matter of contract.
CONTINENT_PRICES: Final[dict[str, dict[str, Row]]] = {
    "america-europe": {
        "egress.standard.first_10_tib": ("GiB", 0.085, _EGRESS, _EGRESS_DATE),
        "egress.standard.next_140_tib": ("GiB", 0.065, _EGRESS, _EGRESS_DATE),
        "egress.standard.above_150_tib": (
            "GiB",
            0.045,
            "Cloud Billing Catalog API, SKU B096-F403-ED14 (Finland); assumed for the others",
            "2024-04-17",
        ),
        "cdn.egress.first_10_tib": ("GiB", 0.08, GOOGLE_CDN, GOOGLE_DATE),
        "cdn.egress.next_140_tib": ("GiB", 0.055, _CDN_COPY, _CDN_COPY_DATE),
        "cdn.egress.above_150_tib": ("GiB", 0.03, _CDN_COPY, _CDN_COPY_DATE),
        "cdn.fill": ("GiB", 0.01, GOOGLE_CDN, GOOGLE_DATE),
        "cdn.lookup": ("10k requests", 0.0075, GOOGLE_CDN, GOOGLE_DATE),
    },
    "asia": {
        "egress.standard.first_10_tib": ("GiB", 0.11, _EGRESS, _EGRESS_DATE),
        "egress.standard.next_140_tib": ("GiB", 0.075, _EGRESS, _EGRESS_DATE),
        "egress.standard.above_150_tib": (
            "GiB",
            0.075,
            "assumed: the price of the step before",
            _EGRESS_DATE,
        ),
        "cdn.egress.first_10_tib": ("GiB", 0.09, _CDN_COPY, _CDN_COPY_DATE),
        "cdn.egress.next_140_tib": ("GiB", 0.06, _CDN_COPY, _CDN_COPY_DATE),
        "cdn.egress.above_150_tib": ("GiB", 0.05, _CDN_COPY, _CDN_COPY_DATE),
        "cdn.fill": ("GiB", 0.02, "assumed: Google's page gives 0.01 to 0.04", GOOGLE_DATE),
        "cdn.lookup": ("10k requests", 0.0075, GOOGLE_CDN, GOOGLE_DATE),
    },
}
