"""What a plan costs a month: list prices × sizes, one line a resource, each with its basis.

A pure function of the plan's parts, a price catalogue and the use expected. Prices themselves, with
source and date, belong to `marl.cloud.catalogue`.
"""

import re
from dataclasses import dataclass
from typing import Final

from pydantic import Field

from marl.cloud.catalogue import PriceCatalog
from marl.frozen import Frozen
from marl.gcp.groups import boot_disk_type, instance_groups
from marl.gcp.plan import ComputePlan, CostLine, DatabasePlan, NetworkPlan, StoragePlan

HOURS_PER_MONTH: Final = 730.0  # as Google's price list has it
_NAT_VMS: Final = 32  # Cloud NAT's hourly price stops growing at this many VMs
_EGRESS_GIB: Final = (  # internet egress gets cheaper with volume
    ("egress.internet.first_tib", 1024.0),
    ("egress.internet.next_9_tib", 9 * 1024.0),
    ("egress.internet.above_10_tib", float("inf")),
)
_CUSTOM_TIER = re.compile(r"db-custom-(\d+)-(\d+)")


class ExpectedUse(Frozen):
    """The use a month is expected to bring.

    Attributes:
        mean_replicas: replicas running on average, within what the autoscalers may do.
        balanced_gib: traffic through the load balancer, both directions.
        egress_gib: the part of it that leaves to the internet.
        inter_zone_gib: traffic between zones of the region.
        nat_gib: traffic of the replicas through Cloud NAT.
        bucket_gib: data in each bucket on average, by name suffix; a bucket not named holds none.
    """

    mean_replicas: float = Field(ge=0)
    balanced_gib: float = Field(default=0.0, ge=0)
    egress_gib: float = Field(default=0.0, ge=0)
    inter_zone_gib: float = Field(default=0.0, ge=0)
    nat_gib: float = Field(default=0.0, ge=0)
    bucket_gib: dict[str, float] = Field(default_factory=dict)


@dataclass(frozen=True)
class _Book:
    """The catalogue as price and provenance by item."""

    rows: dict[str, tuple[float, str]]
    region: str

    def line(self, resource: str, *parts: tuple[str, float, str]) -> CostLine:
        """A line of (item, units a month, how the units come about); sources named once."""
        total, basis, sources = 0.0, [], []
        for item, units, words in parts:
            usd, source = self._row(item)
            total += units * usd
            basis.append(f"{words} × {usd:.6g} USD")
            if source not in sources:
                sources.append(source)
        text = f"{' + '.join(basis)} ({'; '.join(sources)})"
        return CostLine(resource=resource, monthly_usd=total, basis=text)

    def _row(self, item: str) -> tuple[float, str]:
        if item not in self.rows:
            raise ValueError(f"no price for {item!r} in {self.region}: the plan cannot be costed")
        return self.rows[item]


def estimate(
    compute: ComputePlan,
    storage: StoragePlan,
    network: NetworkPlan,
    database: DatabasePlan,
    catalog: PriceCatalog,
    use: ExpectedUse,
) -> tuple[CostLine, ...]:
    """The monthly estimate of a plan's parts: 730 hours, list prices, no discounts.

    Buckets are priced in their class for new objects, an upper bound where lifecycle rules move
    objects to colder ones. Backups are priced as one copy of the database's disk.

    Raises:
        ValueError: the catalogue lacks a price the plan needs; the expected replicas lie outside
            the groups' range; the tier is not a db-custom one (only their size is in their name);
            or data are expected in a bucket the plan does not have.
    """
    rows = catalog.to_frame().select("item", "usd", "source", "date").iter_rows()
    priced = {item: (usd, f"{source}, {date}") for item, usd, source, date in rows}
    book = _Book(priced, catalog.region)
    return (
        *_compute(compute, book, use),
        *_disks(compute, storage, book, use),
        *_buckets(storage, book, use),
        *_network(network, book, use),
        *_database(database, book),
    )


def mean_by_group(compute: ComputePlan, mean_replicas: float) -> dict[str, float]:
    """Replicas of each instance group when `mean_replicas` run in all: by share, within ranges.

    Raises:
        ValueError: fewer or more than the groups together can have.
    """
    groups = instance_groups(compute)
    low = sum(group.min_replicas for group in groups.values())
    high = sum(group.max_replicas for group in groups.values())
    if not low <= mean_replicas <= high:
        raise ValueError(
            f"{mean_replicas} replicas on average are outside the groups' range of {low} to {high}"
        )
    if len(groups) == 1:
        return dict.fromkeys(groups, mean_replicas)
    on_demand, spot = groups["on-demand"], groups["spot"]
    least = max(spot.min_replicas, mean_replicas - on_demand.max_replicas)
    most = min(spot.max_replicas, mean_replicas - on_demand.min_replicas)
    share = min(max(mean_replicas * compute.spot_share, least), most)
    return {"on-demand": mean_replicas - share, "spot": share}


def _compute(compute: ComputePlan, book: _Book, use: ExpectedUse) -> list[CostLine]:
    machine = compute.machine_type
    return [
        book.line(
            f"{machine}, {key}",
            (
                f"compute.{machine}.{key.replace('-', '_')}",
                mean * HOURS_PER_MONTH,
                f"{mean:.2f} VMs on average × 730 h",
            ),
        )
        for key, mean in mean_by_group(compute, use.mean_replicas).items()
    ]


def _disks(
    compute: ComputePlan, storage: StoragePlan, book: _Book, use: ExpectedUse
) -> list[CostLine]:
    mean = use.mean_replicas
    sizes = (
        ("boot disks", boot_disk_type(compute.machine_type), compute.boot_disk_gib),
        ("data disks", storage.disk_type, storage.disk_gib),
    )
    return [
        book.line(f"{label}, {kind}", (f"disk.{kind}", mean * gib, f"{mean:.2f} disks × {gib} GiB"))
        for label, kind, gib in sizes
    ]


def _buckets(storage: StoragePlan, book: _Book, use: ExpectedUse) -> list[CostLine]:
    classes = {bucket.name_suffix: bucket.storage_class for bucket in storage.buckets}
    if unknown := sorted(set(use.bucket_gib) - set(classes)):
        raise ValueError(f"data are expected in buckets the plan does not have: {unknown}")
    return [
        book.line(
            f"bucket {suffix}, {kind}",
            (
                f"gcs.{kind.lower()}",
                use.bucket_gib.get(suffix, 0.0),
                f"{use.bucket_gib.get(suffix, 0.0):.1f} GiB on average",
            ),
        )
        for suffix, kind in classes.items()
    ]


def _network(network: NetworkPlan, book: _Book, use: ExpectedUse) -> list[CostLine]:
    lines = [
        book.line(
            "load balancer",
            ("lb.forwarding_rules", HOURS_PER_MONTH, "730 h"),
            ("lb.processed", use.balanced_gib, f"{use.balanced_gib:.1f} GiB"),
        )
    ]
    if network.has_nat:
        share = min(use.mean_replicas, _NAT_VMS) / _NAT_VMS
        lines.append(
            book.line(
                "Cloud NAT",
                ("nat.gateway", share * HOURS_PER_MONTH, f"{share:.3f} of 32 VMs × 730 h"),
                ("ip.in_use", HOURS_PER_MONTH, "one address × 730 h"),
                ("nat.processed", use.nat_gib, f"{use.nat_gib:.1f} GiB"),
            )
        )
    parts: list[tuple[str, float, str]] = []
    left = use.egress_gib
    for item, width in _EGRESS_GIB:
        units = min(left, width)
        left -= units
        if units > 0 or not parts:
            parts.append((item, units, f"{units:.1f} GiB"))
    lines.append(book.line("internet egress", *parts))
    between = use.inter_zone_gib
    lines.append(
        book.line("traffic between zones", ("egress.inter_zone", between, f"{between:.1f} GiB"))
    )
    return lines


def _database(database: DatabasePlan, book: _Book) -> list[CostLine]:
    size = _CUSTOM_TIER.fullmatch(database.tier)
    if size is None:
        raise ValueError(
            f"cannot cost the tier {database.tier!r}: only db-custom-VCPU-MIB is priced"
        )
    vcpu, memory_gib = int(size[1]), int(size[2]) / 1024
    nodes = [("primary", "ha" if database.has_ha else "zonal", 1)]
    if database.read_replicas:
        nodes.append(("read replicas", "zonal", database.read_replicas))
    lines = []
    for label, kind, count in nodes:
        hours, times = count * HOURS_PER_MONTH, f"{count} × " if count > 1 else ""
        lines.append(
            book.line(
                f"Cloud SQL {label}, {database.tier}",
                (f"sql.vcpu.{kind}", vcpu * hours, f"{times}{vcpu} vCPU × 730 h"),
                (f"sql.memory.{kind}", memory_gib * hours, f"{times}{memory_gib:g} GiB × 730 h"),
                (f"sql.ssd.{kind}", count * database.disk_gib, f"{times}{database.disk_gib} GiB"),
            )
        )
    gib = float(database.disk_gib)
    lines.append(book.line("Cloud SQL backups", ("sql.backup", gib, f"{gib:.0f} GiB, one copy")))
    return lines
