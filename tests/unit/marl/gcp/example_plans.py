"""Plans that tests start from."""

from typing import Any

from marl.gcp.plan import (
    BucketPlan,
    ComputePlan,
    CostLine,
    DatabasePlan,
    NetworkPlan,
    ProvisioningPlan,
    Reason,
    StoragePlan,
)


def example_plan(**changes: Any) -> ProvisioningPlan:
    """A plan with everything in it; keyword arguments replace its fields."""
    fields: dict[str, Any] = {
        "name": "shop",
        "region": "us-central1",
        "zones": ("us-central1-a", "us-central1-b", "us-central1-c"),
        "policy": "maddpg",
        "demand": "a day of mixed demand, 1,240 requests/s at its p95",
        "is_synthetic": False,
        "compute": ComputePlan(
            machine_type="n2-standard-4",
            min_replicas=3,
            max_replicas=12,
            target_cpu_utilisation=0.62,
            spot_share=0.4,
        ),
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
