"""What a machine's series implies: disks it takes, image, type of commitment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marl.cloud.catalogue.machines import MACHINES
from marl.gcp import groups
from marl.gcp.plan import StoragePlan
from tests.unit.marl.gcp.example_plans import example_compute, group


@pytest.mark.parametrize(
    ("machine", "disk", "image"),
    [
        ("n2-standard-4", "pd-balanced", "debian-12"),
        ("c3-standard-4", "pd-balanced", "debian-12"),
        ("n4-standard-4", "hyperdisk-balanced", "debian-12"),
        ("c4a-standard-4", "hyperdisk-balanced", "debian-12-arm64"),
        ("n4a-standard-4", "hyperdisk-balanced", "debian-12-arm64"),
        ("g2-standard-8", "pd-balanced", "debian-12"),
        ("t2a-standard-1", "pd-balanced", "debian-12-arm64"),
    ],
)
def test_boot_disk_and_image_follow_the_series(machine: str, disk: str, image: str) -> None:
    assert groups.boot_disk_type(machine) == disk
    assert groups.source_image(groups.architecture(machine)).endswith(f"/{image}")


def test_the_catalogues_arm_machines_get_an_arm_image() -> None:
    for name, (_, _, _, is_arm) in MACHINES.items():
        assert (groups.architecture(name) == "arm64") == is_arm, name


@pytest.mark.parametrize(
    ("machine", "kind"),
    [
        ("n2-standard-4", "GENERAL_PURPOSE_N2"),
        ("n2d-standard-4", "GENERAL_PURPOSE_N2D"),
        ("e2-standard-2", "GENERAL_PURPOSE_E2"),
        ("n1-standard-1", "GENERAL_PURPOSE"),
        ("c3-standard-4", "COMPUTE_OPTIMIZED_C3"),
        ("c4a-standard-4", "GENERAL_PURPOSE_C4A"),
        ("z9-standard-4", None),
    ],
)
def test_commitments_are_of_a_series(machine: str, kind: str | None) -> None:
    assert groups.commitment_type(machine) == kind


@pytest.mark.parametrize(
    ("machine", "disk", "is_possible"),
    [
        ("n2-standard-4", "pd-ssd", True),
        ("n2-standard-4", "hyperdisk-balanced", False),
        ("c3-standard-4", "pd-ssd", True),
        ("c3-standard-4", "pd-standard", False),
        ("c3-standard-4", "hyperdisk-balanced", True),
        ("n4-standard-4", "pd-ssd", False),
        ("n4-standard-4", "hyperdisk-balanced", True),
        ("g2-standard-8", "pd-standard", False),
        ("g2-standard-8", "pd-balanced", True),
    ],
)
def test_disks_a_series_cannot_attach_are_refused(machine, disk, is_possible) -> None:
    arguments = (
        example_compute(group(machine, 1, 2)),
        StoragePlan(disk_type=disk, disk_gib=50),
    )
    assert groups.takes_disk(machine, disk) == is_possible
    if is_possible:
        groups.check_disks(*arguments)
    else:
        with pytest.raises(ValueError, match=f"{machine} cannot attach {disk}; choose"):
            groups.check_disks(*arguments)


@pytest.mark.parametrize(
    ("machine", "wanted", "gib", "iops", "expected"),
    [
        ("n2-standard-4", "pd-standard", 91, 75, ("pd-standard", 100, None)),
        ("n2-standard-4", "pd-standard", 50, 75.1, ("pd-standard", 110, None)),  # 0.75 a GiB
        ("g2-standard-8", "pd-standard", 40, 75, ("pd-balanced", 40, None)),
        ("c4a-standard-4", "pd-standard", 40, 75, ("hyperdisk-balanced", 40, None)),
        ("c3-standard-4", "hyperdisk-balanced", 40, 3000, ("hyperdisk-balanced", 40, None)),
        ("c3-standard-4", "hyperdisk-balanced", 40, 3000.5, ("hyperdisk-balanced", 40, 3001)),
        ("c3-standard-4", "hyperdisk-balanced", 10, 9000, ("hyperdisk-balanced", 20, 9000)),
        ("c3-standard-4", "hyperdisk-balanced", 10, 1e9, ("hyperdisk-balanced", 320, 160_000)),
        ("n2-standard-4", "hyperdisk-balanced", 40, 9000, ("pd-ssd", 300, None)),  # 30 a GiB
    ],
)
def test_a_fitting_disk_worked_by_hand(machine, wanted, gib, iops, expected) -> None:
    disk = groups.fitting_disk(machine, wanted, gib, iops, io_kib=16.0)
    assert (disk.disk_type, disk.disk_gib, disk.provisioned_iops) == expected


def test_throughput_bounds_large_operations() -> None:
    assert groups.iops_per_gib("pd-ssd", 16.0) == 30.0
    assert groups.iops_per_gib("pd-ssd", 64.0) == 0.48 * 1024 / 64


@given(
    st.sampled_from(sorted(MACHINES)),
    st.sampled_from(["pd-standard", "pd-balanced", "pd-ssd", "hyperdisk-balanced"]),
    st.floats(0, 5000),
    st.floats(0, 100_000),
)
def test_a_fitting_disk_always_fits_and_carries(machine, wanted, gib, iops) -> None:
    disk = groups.fitting_disk(machine, wanted, gib, iops, io_kib=16.0)
    assert groups.takes_disk(machine, disk.disk_type)
    assert disk.disk_gib >= gib - 0.01
    if disk.disk_type == "hyperdisk-balanced":
        assert (disk.provisioned_iops or 3000) >= min(iops, 160_000)
        assert (disk.provisioned_iops or 3000) <= max(3000, 500 * disk.disk_gib)
    else:
        assert disk.disk_gib * groups.iops_per_gib(disk.disk_type, 16.0) >= iops * 0.999 - 0.01
