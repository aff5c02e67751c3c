"""Plans that tests start from."""

from typing import Any

from marl.gcp.plan import (
    BucketPlan,
    CachePlan,
    CommitmentPlan,
    ComputePlan,
    CostLine,
    DatabasePlan,
    DiskPlan,
    GroupPlan,
    NetworkPlan,
    ProvisioningPlan,
    Reason,
    StoragePlan,
)


def group(machine: str, low: int, high: int, **changes: Any) -> GroupPlan:
    """A group of `low` to `high` machines; keyword arguments are its other fields."""
    return GroupPlan(machine_type=machine, min_replicas=low, max_replicas=high, **changes)


def example_compute(*groups: GroupPlan, **changes: Any) -> ComputePlan:
    """These groups, or an on-demand and a spot group of n2-standard-4."""
    fields: dict[str, Any] = {
        "groups": groups
        or (group("n2-standard-4", 2, 7), group("n2-standard-4", 1, 5, is_spot=True)),
        "target_cpu_utilisation": 0.62,
    }
    return ComputePlan(**(fields | changes))


def every_group(machine: str = "c3-standard-4") -> ComputePlan:
    """Every kind and purchase, disks of their own where they need one, both commitments."""
    hyperdisk = DiskPlan(disk_type="hyperdisk-balanced", disk_gib=100)
    ssd = DiskPlan(disk_type="pd-ssd", disk_gib=200)
    return example_compute(
        *(
            group(name, low, high, kind=kind, is_spot=is_spot, data_disk=disk)
            for name, kind, disk in (
                (machine, "general", None),
                ("n2-highmem-4", "highmem", ssd),
                ("n4a-standard-4", "arm", hyperdisk),
                ("g2-standard-8", "gpu", ssd),
            )
            for is_spot, low, high in ((False, 2, 7), (True, 1, 5))
        ),
        target_shape="BALANCED",
        gpu_initialization_period_s=650,
        commitments=tuple(
            CommitmentPlan(
                years=years,
                machine_type=machine,
                commitment_type="COMPUTE_OPTIMIZED_C3",
                vms=vms,
                vcpu=4 * vms,
                memory_mib=16_384 * vms,
            )
            for years, vms in ((1, 3), (3, 2))
        ),
    )


EVERY_NETWORK = NetworkPlan(
    peak_gbps=2.5,
    is_cdn_enabled=True,
    load_balancer_port=8443,
    nat_tier="STANDARD",
    keeps_zone=True,
)
CACHE = CachePlan(memory_gib=6)


def example_plan(**changes: Any) -> ProvisioningPlan:
    """An ordinary plan; keyword arguments replace its fields."""
    fields: dict[str, Any] = {
        "name": "shop",
        "region": "us-central1",
        "zones": ("us-central1-a", "us-central1-b", "us-central1-c"),
        "policy": "maddpg",
        "demand": "a day of mixed demand, 1,240 requests/s at its p95",
        "is_synthetic": False,
        "compute": example_compute(),
        "storage": StoragePlan(
            disk_type="pd-balanced",
            disk_gib=100,
            buckets=(
                BucketPlan(
                    name_suffix="assets",
                    lifecycle=((30, "NEARLINE"), (90, "COLDLINE")),
                    delete_after_days=365,
                ),
                BucketPlan(name_suffix="logs", storage_class="NEARLINE"),
            ),
        ),
        "network": NetworkPlan(peak_gbps=2.5),
        "database": DatabasePlan(
            tier="db-custom-4-16384", has_ha=True, read_replicas=2, disk_gib=100
        ),
        "costs": (
            CostLine(resource="compute", monthly_usd=512.346, basis="3.3 VMs × 730 h × 0.19 USD"),
            CostLine(resource="database", monthly_usd=438.712, basis="4 vCPU × 730 h × 0.08 USD"),
        ),
        "reasons": (
            Reason(resource="compute", text="The peak held 11.3 replicas busy at 62 % CPU."),
        ),
    }
    return ProvisioningPlan(**(fields | changes))


def full_plan(**changes: Any) -> ProvisioningPlan:
    """A plan with everything a policy can buy; keyword arguments replace its fields."""
    fields: dict[str, Any] = {
        "compute": every_group(),
        "storage": StoragePlan(
            disk_type="hyperdisk-balanced",
            disk_gib=50,
            provisioned_iops=4000,
            buckets=(BucketPlan(name_suffix="data", lifecycle=((30, "NEARLINE"),)),),
        ),
        "network": EVERY_NETWORK,
        "cache": CACHE,
        "commitment_costs": (CostLine(resource="1-year", monthly_usd=321.5, basis="3 VMs"),),
    }
    return example_plan(**(fields | changes))
