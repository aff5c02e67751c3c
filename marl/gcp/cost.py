"""What a plan costs a month: list prices × sizes, one line a resource, each with its basis.

A pure function of the plan's parts, a price catalogue and the use expected. Prices themselves, with
source and date, belong to `marl.cloud.catalogue`.
"""

import re
from dataclasses import dataclass
from typing import Final

from pydantic import Field

from marl.cloud.catalogue import PriceCatalog
from marl.cloud.catalogue.data import REDIS_TIERS
from marl.frozen import Frozen
from marl.gcp.groups import HYPERDISK_FREE_IOPS, boot_disk_type, data_disk
from marl.gcp.plan import (
    CachePlan,
    ComputePlan,
    CostLine,
    DatabasePlan,
    NetworkPlan,
    StoragePlan,
)

HOURS_PER_MONTH: Final = 730.0  # as Google's price list has it
_NAT_VMS: Final = 32  # Cloud NAT's hourly price stops growing at this many VMs
_TIB: Final = 1024.0
_EGRESS_GIB: Final = (  # internet egress gets cheaper with volume
    ("egress.internet.first_tib", _TIB),
    ("egress.internet.next_9_tib", 9 * _TIB),
    ("egress.internet.above_10_tib", float("inf")),
)
_CDN_GIB: Final = (
    ("cdn.egress.first_10_tib", 10 * _TIB),
    ("cdn.egress.next_140_tib", 140 * _TIB),
    ("cdn.egress.above_150_tib", float("inf")),
)
_CUSTOM_TIER = re.compile(r"db-custom-(\d+)-(\d+)")
# What the catalogue does not price; a price of its own goes before.
_UNCONFIRMED: Final = ("assumed: no list price was confirmed", "2026-11-21")
_ASSUMED: Final = {
    "disk.hyperdisk-balanced": (0.08, ", ".join(_UNCONFIRMED)),
    "disk.hyperdisk-balanced.iops": (0.005, ", ".join(_UNCONFIRMED)),
}


class ExpectedUse(Frozen):
    """The use a month is expected to bring.

    Attributes:
        mean_replicas: replicas running on average by group, within what its autoscaler may do.
        balanced_gib: traffic through the load balancer to the replicas.
        egress_gib: the part of it that leaves to the internet.
        inter_zone_gib: traffic between zones of the region.
        nat_gib: traffic of the replicas through Cloud NAT.
        cdn_gib: traffic that the CDN answers to the internet.
        cdn_requests: requests the CDN sees.
        bucket_gib: data in each bucket on average, by name suffix and storage class; a bucket not
            named holds none.
        bucket_read_gib: the same of what is read.
    """

    mean_replicas: dict[str, float]
    balanced_gib: float = Field(default=0.0, ge=0)
    egress_gib: float = Field(default=0.0, ge=0)
    inter_zone_gib: float = Field(default=0.0, ge=0)
    nat_gib: float = Field(default=0.0, ge=0)
    cdn_gib: float = Field(default=0.0, ge=0)
    cdn_requests: float = Field(default=0.0, ge=0)
    bucket_gib: dict[str, dict[str, float]] = Field(default_factory=dict)
    bucket_read_gib: dict[str, dict[str, float]] = Field(default_factory=dict)


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
    cache: CachePlan | None,
    catalog: PriceCatalog,
    use: ExpectedUse,
) -> tuple[CostLine, ...]:
    """The monthly estimate of a plan's parts: 730 hours, list prices, no discounts.

    Moves between storage classes, operations on objects and filling the CDN's cache are not
    counted. Backups are priced as one copy of the database's disk.

    Raises:
        ValueError: the catalogue lacks a price the plan needs; the expected replicas are not those
            of the groups or lie outside their range; the tier is not a db-custom one (only their
            size is in their name); or data are expected in a bucket the plan does not have.
    """
    _check_replicas(compute, use)
    book = _book(catalog)
    return (
        *_compute(compute, book, use),
        *_disks(compute, storage, book, use),
        *_buckets(storage, book, use),
        *_network(network, book, use),
        *_database(database, book),
        *_cache(cache, book),
    )


def commitment_costs(compute: ComputePlan, catalog: PriceCatalog) -> tuple[CostLine, ...]:
    """What the plan's commitments cost a month if they are bought, and what they take the place of.

    Raises:
        ValueError: the catalogue lacks the machine.
    """
    book = _book(catalog)
    lines = []
    for each in compute.commitments:
        hours = each.vms * HOURS_PER_MONTH
        machine = f"compute.{each.machine_type}"
        line = book.line(
            f"{each.years}-year commitment, {each.machine_type}",
            (f"{machine}.cud_{each.years}y", hours, f"{each.vms} VMs × 730 h"),
        )
        listed = book.line("", (f"{machine}.on_demand", hours, "")).monthly_usd
        share = 1.0 - line.monthly_usd / listed
        basis = f"{line.basis}; {listed:,.2f} USD on demand, {share:.0%} less while all of it runs"
        lines.append(line.model_copy(update={"basis": basis}))
    return tuple(lines)


def _book(catalog: PriceCatalog) -> _Book:
    rows = catalog.to_frame().select("item", "usd", "source", "date").iter_rows()
    priced = {item: (usd, f"{source}, {date}") for item, usd, source, date in rows}
    return _Book(_ASSUMED | priced, catalog.region)


def _check_replicas(compute: ComputePlan, use: ExpectedUse) -> None:
    keys = [group.key for group in compute.groups]
    if set(keys) != set(use.mean_replicas):
        raise ValueError(
            f"the plan's groups are {keys}, the expected replicas {list(use.mean_replicas)}"
        )
    for group in compute.groups:
        mean, low, high = use.mean_replicas[group.key], group.min_replicas, group.max_replicas
        if not low <= mean <= high:
            raise ValueError(
                f"{mean} replicas on average are outside the range of {group.key}: {low} to {high}"
            )


def _compute(compute: ComputePlan, book: _Book, use: ExpectedUse) -> list[CostLine]:
    return [
        book.line(
            f"{group.machine_type}, {group.key}",
            (
                f"compute.{group.machine_type}.{'spot' if group.is_spot else 'on_demand'}",
                use.mean_replicas[group.key] * HOURS_PER_MONTH,
                f"{use.mean_replicas[group.key]:.2f} VMs on average × 730 h",
            ),
        )
        for group in compute.groups
    ]


def _disks(
    compute: ComputePlan, storage: StoragePlan, book: _Book, use: ExpectedUse
) -> list[CostLine]:
    """One line for each size of disk, boot and data."""
    counts: dict[tuple[str, str, int, int], float] = {}
    for group in compute.groups:
        data = data_disk(group, storage)
        iops = max(0, (data.provisioned_iops or 0) - HYPERDISK_FREE_IOPS)
        for key in (
            ("boot disks", boot_disk_type(group.machine_type), compute.boot_disk_gib, 0),
            ("data disks", data.disk_type, data.disk_gib, iops),
        ):
            counts[key] = counts.get(key, 0.0) + use.mean_replicas[group.key]
    lines = []
    for (label, kind, gib, iops), mean in counts.items():
        parts = [(f"disk.{kind}", mean * gib, f"{mean:.2f} disks × {gib} GiB")]
        if iops:
            parts.append((f"disk.{kind}.iops", mean * iops, f"{mean:.2f} disks × {iops} IOPS"))
        lines.append(book.line(f"{label}, {gib} GiB {kind}", *parts))
    return lines


def _buckets(storage: StoragePlan, book: _Book, use: ExpectedUse) -> list[CostLine]:
    suffixes = {bucket.name_suffix for bucket in storage.buckets}
    if unknown := sorted((set(use.bucket_gib) | set(use.bucket_read_gib)) - suffixes):
        raise ValueError(f"data are expected in buckets the plan does not have: {unknown}")
    lines = []
    for bucket in storage.buckets:
        held = use.bucket_gib.get(bucket.name_suffix, {})
        read = use.bucket_read_gib.get(bucket.name_suffix, {})
        for kind in (bucket.storage_class, *(kind for _, kind in bucket.lifecycle)):
            gib, out = held.get(kind, 0.0), read.get(kind, 0.0)
            parts = [(f"gcs.{kind.lower()}", gib, f"{gib:.1f} GiB on average")]
            if out > 0 and kind != "STANDARD":
                parts.append((f"gcs.retrieval.{kind.lower()}", out, f"{out:.1f} GiB read"))
            lines.append(book.line(f"bucket {bucket.name_suffix}, {kind}", *parts))
    return lines


def _by_volume(gib: float, tiers: tuple[tuple[str, float], ...]) -> list[tuple[str, float, str]]:
    """A volume over price tiers; the first is named even where nothing flows."""
    parts: list[tuple[str, float, str]] = []
    for item, width in tiers:
        units = min(gib, width)
        gib -= units
        if units > 0 or not parts:
            parts.append((item, units, f"{units:.1f} GiB"))
    return parts


def _network(network: NetworkPlan, book: _Book, use: ExpectedUse) -> list[CostLine]:
    lines = [
        book.line(
            "load balancer",
            ("lb.forwarding_rules", HOURS_PER_MONTH, "730 h"),
            ("lb.processed", use.balanced_gib, f"{use.balanced_gib:.1f} GiB"),
        )
    ]
    if network.has_nat:
        replicas = sum(use.mean_replicas.values())
        share = min(replicas, _NAT_VMS) / _NAT_VMS
        lines.append(
            book.line(
                "Cloud NAT",
                ("nat.gateway", share * HOURS_PER_MONTH, f"{share:.3f} of 32 VMs × 730 h"),
                ("ip.in_use", HOURS_PER_MONTH, "one address × 730 h"),
                ("nat.processed", use.nat_gib, f"{use.nat_gib:.1f} GiB"),
            )
        )
    if network.is_cdn_enabled:
        asked = use.cdn_requests / 1e4
        seen = ("cdn.lookup", asked, f"{asked:,.1f} × 10,000 requests")
        lines.append(book.line("Cloud CDN", *_by_volume(use.cdn_gib, _CDN_GIB), seen))
    lines.append(book.line("internet egress", *_by_volume(use.egress_gib, _EGRESS_GIB)))
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


def _cache(cache: CachePlan | None, book: _Book) -> list[CostLine]:
    if cache is None:
        return []
    gib = cache.memory_gib
    tier = next(name for name, largest in REDIS_TIERS if gib <= largest)
    hours = gib * HOURS_PER_MONTH
    return [book.line(f"Redis, {gib} GiB", (f"redis.ha.{tier}", hours, f"{gib} GiB × 730 h"))]
