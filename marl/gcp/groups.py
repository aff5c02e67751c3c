"""What a machine's series implies: disks, boot image, type of commitment.

Google's rules only; sizes come from the plan, prices belong to `cost`.
"""

import math
from typing import Final

from marl.cloud.catalogue.data import DISKS
from marl.gcp.plan import ComputePlan, DiskPlan, GroupPlan, StoragePlan
from marl.gcp.series import up

# Machine series by the block storage they take ("Hyperdisk" and "Persistent Disk" pages of the
# Compute Engine documentation, 2026): series not named take both kinds. That g2 takes neither
# pd-standard nor hyperdisk-balanced is assumed, the careful choice: pd-balanced and pd-ssd work.
_HYPERDISK_ONLY: Final = {"c4", "c4a", "c4d", "c4n", "n4", "n4a", "n4d", "m4", "x4"}
_NO_HYPERDISK_BALANCED: Final = {
    *("a2", "c2", "c2d", "e2", "f1", "g1", "g2", "n1", "n2", "n2d", "t2a", "t2d"),
}
_NO_PD_STANDARD: Final = {"c3", "c3d", "g2"}
_ARM: Final = {"c4a", "n4a", "t2a"}
# "regionCommitments.insert" of the Compute Engine API; other series have no type of their own.
_COMMITMENT_TYPES: Final = {
    "c3": "COMPUTE_OPTIMIZED_C3",
    "c3d": "COMPUTE_OPTIMIZED_C3D",
    "n1": "GENERAL_PURPOSE",
    **{series: f"GENERAL_PURPOSE_{series.upper()}" for series in ("c4", "c4a", "c4d", "e2")},
    **{series: f"GENERAL_PURPOSE_{series.upper()}" for series in ("n2", "n2d", "n4", "n4a", "n4d")},
    "t2d": "GENERAL_PURPOSE_T2D",
}
DISK_STEP_GIB: Final = 10
HYPERDISK_FREE_IOPS: Final = 3000  # hyperdisk-balanced has them without provisioning
_HYPERDISK_MOST_IOPS: Final = 160_000
_HYPERDISK_IOPS_PER_GIB: Final = 500


def family(machine_type: str) -> str:
    """The machine series: `n2` of `n2-standard-4`."""
    return machine_type.split("-", 1)[0]


def boot_disk_type(machine_type: str) -> str:
    """The balanced disk type that the machine's series can boot from."""
    return "hyperdisk-balanced" if family(machine_type) in _HYPERDISK_ONLY else "pd-balanced"


def architecture(machine_type: str) -> str:
    """`arm64` or `x86_64`."""
    return "arm64" if family(machine_type) in _ARM else "x86_64"


def source_image(architecture: str) -> str:
    """The Debian image family of an architecture."""
    suffix = "-arm64" if architecture == "arm64" else ""
    return f"projects/debian-cloud/global/images/family/debian-12{suffix}"


def commitment_type(machine_type: str) -> str | None:
    """Type of a resource-based commitment for the machine's series; None where none is known."""
    return _COMMITMENT_TYPES.get(family(machine_type))


def takes_disk(machine_type: str, disk_type: str) -> bool:
    """Whether the machine's series can attach a disk of this type."""
    series = family(machine_type)
    if disk_type.startswith("hyperdisk"):
        return series not in _NO_HYPERDISK_BALANCED
    if disk_type == "pd-standard" and series in _NO_PD_STANDARD:
        return False
    return series not in _HYPERDISK_ONLY


def iops_per_gib(disk_type: str, io_kib: float) -> float:
    """What a GiB of a Persistent Disk carries: its IOPS, or its throughput if that is less."""
    _, _, _, iops, mib_s, _, _ = DISKS[disk_type]
    return min(iops, mib_s * 1024.0 / io_kib)


def fitting_disk(
    machine_type: str, wanted: str, gib: float, iops: float, io_kib: float
) -> DiskPlan:
    """A disk that the machine takes and that carries `iops`, as near to `wanted` as can be.

    The wanted type where the machine takes it; Hyperdisk Balanced where it takes only Hyperdisk;
    SSD Persistent Disk, larger, where it does not take the Hyperdisk wanted; else balanced
    Persistent Disk.

    Args:
        machine_type: it is for.
        wanted: type of disk.
        gib: space at least.
        iops: it must carry.
        io_kib: size of one operation.
    """
    kind = wanted
    if not takes_disk(machine_type, wanted):
        is_other = family(machine_type) in _HYPERDISK_ONLY
        kind = "pd-ssd" if wanted.startswith("hyperdisk") else "pd-balanced"
        kind = "hyperdisk-balanced" if is_other else kind
    if kind != "hyperdisk-balanced":
        least = iops / iops_per_gib(kind, io_kib)
        return DiskPlan(disk_type=kind, disk_gib=up(max(gib, least), DISK_STEP_GIB))  # type: ignore[arg-type]
    bought = min(math.ceil(iops), _HYPERDISK_MOST_IOPS)
    return DiskPlan(
        disk_type="hyperdisk-balanced",
        disk_gib=up(max(gib, bought / _HYPERDISK_IOPS_PER_GIB), DISK_STEP_GIB),
        provisioned_iops=bought if bought > HYPERDISK_FREE_IOPS else None,
    )


def data_disk(group: GroupPlan, storage: StoragePlan) -> DiskPlan:
    """The data disk of a group's replicas."""
    return group.data_disk or storage


def check_disks(compute: ComputePlan, storage: StoragePlan) -> None:
    """Refuse a data disk that a group's machine series cannot attach.

    Raises:
        ValueError: names the machine, the disk and what to choose instead.
    """
    for group in compute.groups:
        machine, disk = group.machine_type, data_disk(group, storage).disk_type
        if takes_disk(machine, disk):
            continue
        possible = [
            each
            for each in ("pd-standard", "pd-balanced", "pd-ssd", "hyperdisk-balanced")
            if takes_disk(machine, each)
        ]
        raise ValueError(f"{machine} cannot attach {disk}; choose {' or '.join(possible)}")
