"""How a plan's replicas split into instance groups, and what its machine family implies.

Sizes come from the plan; this module only applies Google's rules to them. Prices belong to `cost`.
"""

from typing import Final

from marl.frozen import Frozen
from marl.gcp.plan import ComputePlan, StoragePlan

# Machine series by the block storage they take ("Hyperdisk" and "Persistent Disk" pages of the
# Compute Engine documentation, 2026): series not named take both kinds.
_HYPERDISK_ONLY: Final = {"c4", "c4a", "c4d", "c4n", "n4", "n4a", "n4d", "m4", "x4"}
_NO_HYPERDISK_BALANCED: Final = {"c2", "c2d", "e2", "f1", "g1", "n1", "n2", "n2d", "t2a", "t2d"}
_ARM: Final = {"c4a", "n4a", "t2a"}


class InstanceGroup(Frozen):
    """One managed instance group and the range its autoscaler may use."""

    is_spot: bool
    min_replicas: int
    max_replicas: int


def instance_groups(compute: ComputePlan) -> dict[str, InstanceGroup]:
    """The groups that hold a plan's replicas: `on-demand`, `spot`, or both.

    The maxima add up to the plan's and split by `spot_share`, rounded. A group scales on its own
    CPU, and an empty group has none to measure: it would stay empty for ever. So each group keeps
    at least one replica, and the minima may add up to one more than the plan's.
    """
    spot = round(compute.max_replicas * compute.spot_share)
    if 0 < compute.spot_share < 1 and compute.max_replicas > 1:
        spot = min(max(spot, 1), compute.max_replicas - 1)
    sizes = {"on-demand": compute.max_replicas - spot, "spot": spot}
    spot_floor = min(round(compute.min_replicas * compute.spot_share), spot)
    on_demand_floor = min(compute.min_replicas - spot_floor, sizes["on-demand"])
    floors = {"on-demand": on_demand_floor, "spot": compute.min_replicas - on_demand_floor}
    return {
        key: InstanceGroup(
            is_spot=key == "spot", min_replicas=max(floors[key], 1), max_replicas=size
        )
        for key, size in sizes.items()
        if size > 0
    }


def family(machine_type: str) -> str:
    """The machine series: `n2` of `n2-standard-4`."""
    return machine_type.split("-", 1)[0]


def boot_disk_type(machine_type: str) -> str:
    """The balanced disk type that the machine's series can boot from."""
    return "hyperdisk-balanced" if family(machine_type) in _HYPERDISK_ONLY else "pd-balanced"


def source_image(machine_type: str) -> str:
    """The Debian image family for the machine's architecture."""
    suffix = "-arm64" if family(machine_type) in _ARM else ""
    return f"projects/debian-cloud/global/images/family/debian-12{suffix}"


def check_disk(compute: ComputePlan, storage: StoragePlan) -> None:
    """Refuse a data disk that the machine's series cannot attach.

    Raises:
        ValueError: names the machine, the disk and what to choose instead.
    """
    series, is_hyperdisk = family(compute.machine_type), storage.disk_type.startswith("hyperdisk")
    if is_hyperdisk and series in _NO_HYPERDISK_BALANCED:
        raise ValueError(
            f"{compute.machine_type} cannot attach {storage.disk_type}; choose a pd-* disk, or a "
            "c3, c4 or n4 machine"
        )
    if not is_hyperdisk and series in _HYPERDISK_ONLY:
        raise ValueError(
            f"{compute.machine_type} cannot attach {storage.disk_type}; choose hyperdisk-balanced, "
            "or a c3, n2 or e2 machine"
        )
