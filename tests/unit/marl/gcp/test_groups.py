"""Replicas split over instance groups, and what machine series can attach."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marl.gcp import groups
from marl.gcp.plan import ComputePlan, StoragePlan


def compute(low: int, high: int, share: float, machine: str = "n2-standard-4") -> ComputePlan:
    return ComputePlan(
        machine_type=machine,
        min_replicas=low,
        max_replicas=high,
        target_cpu_utilisation=0.6,
        spot_share=share,
    )


def sizes(plan: ComputePlan) -> dict[str, tuple[int, int]]:
    found = groups.instance_groups(plan)
    return {key: (group.min_replicas, group.max_replicas) for key, group in found.items()}


@pytest.mark.parametrize(
    ("low", "high", "share", "expected"),
    [
        (3, 12, 0.4, {"on-demand": (2, 7), "spot": (1, 5)}),
        (2, 10, 0.0, {"on-demand": (2, 10)}),
        (2, 10, 1.0, {"spot": (2, 10)}),
        (4, 4, 0.5, {"on-demand": (2, 2), "spot": (2, 2)}),
        (1, 10, 0.5, {"on-demand": (1, 5), "spot": (1, 5)}),  # one more than asked, never empty
        (0, 3, 0.1, {"on-demand": (1, 2), "spot": (1, 1)}),
        (0, 1, 0.3, {"on-demand": (1, 1)}),  # one replica cannot be split
        (1, 1, 0.9, {"spot": (1, 1)}),
        (9, 10, 0.9, {"on-demand": (1, 1), "spot": (8, 9)}),
    ],
)
def test_split_worked_by_hand(low, high, share, expected) -> None:
    assert sizes(compute(low, high, share)) == expected


@given(st.integers(0, 400), st.integers(1, 400), st.floats(0, 1))
def test_split_keeps_the_plans_range(a: int, high: int, share: float) -> None:
    low = min(a, high)
    split = groups.instance_groups(compute(low, high, share))
    assert sum(group.max_replicas for group in split.values()) == high
    floor = sum(group.min_replicas for group in split.values())
    assert max(low, 1) <= floor <= max(low + 1, len(split))
    assert all(1 <= g.min_replicas <= g.max_replicas for g in split.values())
    assert all(group.is_spot == (key == "spot") for key, group in split.items())
    if "spot" in split and "on-demand" in split:
        assert abs(split["spot"].max_replicas - share * high) <= 1


@pytest.mark.parametrize(
    ("machine", "disk", "image"),
    [
        ("n2-standard-4", "pd-balanced", "debian-12"),
        ("c3-standard-4", "pd-balanced", "debian-12"),
        ("n4-standard-4", "hyperdisk-balanced", "debian-12"),
        ("c4a-standard-4", "hyperdisk-balanced", "debian-12-arm64"),
        ("t2a-standard-1", "pd-balanced", "debian-12-arm64"),
    ],
)
def test_boot_disk_and_image_follow_the_series(machine: str, disk: str, image: str) -> None:
    assert groups.boot_disk_type(machine) == disk
    assert groups.source_image(machine).endswith(f"/{image}")


@pytest.mark.parametrize(
    ("machine", "disk", "is_possible"),
    [
        ("n2-standard-4", "pd-ssd", True),
        ("n2-standard-4", "hyperdisk-balanced", False),
        ("c3-standard-4", "pd-ssd", True),
        ("c3-standard-4", "hyperdisk-balanced", True),
        ("n4-standard-4", "pd-ssd", False),
        ("n4-standard-4", "hyperdisk-balanced", True),
    ],
)
def test_disks_a_series_cannot_attach_are_refused(machine, disk, is_possible) -> None:
    arguments = (compute(1, 2, 0.0, machine), StoragePlan(disk_type=disk, disk_gib=50))
    if is_possible:
        groups.check_disk(*arguments)
    else:
        with pytest.raises(ValueError, match=f"{machine} cannot attach {disk}; choose"):
            groups.check_disk(*arguments)
