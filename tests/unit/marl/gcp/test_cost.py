"""The estimate against sums worked by hand from prices typed in here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marl.cloud.catalogue import default_catalog
from marl.gcp.cost import ExpectedUse, estimate, mean_by_group
from marl.gcp.groups import instance_groups
from marl.gcp.plan import ComputePlan, DatabasePlan, StoragePlan
from tests.unit.marl.gcp.example_plans import example_plan

CATALOG = default_catalog("us-central1")


def lines(use: ExpectedUse, **changes) -> dict[str, float]:
    plan = example_plan(**changes)
    found = estimate(plan.compute, plan.storage, plan.network, plan.database, CATALOG, use)
    assert len({line.resource for line in found}) == len(found)
    return {line.resource: line.monthly_usd for line in found}


def test_every_line_worked_by_hand() -> None:
    use = ExpectedUse(
        mean_replicas=5.5,
        balanced_gib=2000,
        egress_gib=11_000,
        inter_zone_gib=300,
        nat_gib=20,
        bucket_gib={"assets": 500},
    )
    assert lines(use) == pytest.approx(
        {
            "n2-standard-4, on-demand": 3.3 * 730 * 0.194236,
            "n2-standard-4, spot": 2.2 * 730 * 0.09212,
            "boot disks, pd-balanced": 5.5 * 20 * 0.10,
            "data disks, pd-balanced": 5.5 * 100 * 0.10,
            "bucket assets, STANDARD": 500 * 0.02,
            "bucket logs, NEARLINE": 0.0,
            "load balancer": 730 * 0.025 + 2000 * 0.008,
            "Cloud NAT": 5.5 / 32 * 730 * 0.0448 + 730 * 0.005 + 20 * 0.045,
            "internet egress": 1024 * 0.12 + 9 * 1024 * 0.11 + (11_000 - 10 * 1024) * 0.08,
            "traffic between zones": 300 * 0.01,
            "Cloud SQL primary, db-custom-4-16384": 730 * (4 * 0.0826 + 16 * 0.014) + 100 * 0.34,
            "Cloud SQL read replicas, db-custom-4-16384": 2
            * (730 * (4 * 0.0413 + 16 * 0.007) + 100 * 0.17),
            "Cloud SQL backups": 100 * 0.08,
        }
    )


def test_basis_names_quantities_price_source_and_date() -> None:
    plan = example_plan()
    found = estimate(
        plan.compute,
        plan.storage,
        plan.network,
        plan.database,
        CATALOG,
        ExpectedUse(mean_replicas=5),
    )
    first = found[0]
    assert first.basis == (
        "3.00 VMs on average × 730 h × 0.194236 USD "
        "(Cyclenerd/google-cloud-pricing-cost-calculator@fd66b26 pricing.yml, 2026-07-30)"
    )


def test_zonal_database_without_replicas_costs_half_and_no_more() -> None:
    single = DatabasePlan(tier="db-custom-4-16384", has_ha=False, read_replicas=0, disk_gib=100)
    both = lines(ExpectedUse(mean_replicas=5))
    zonal = lines(ExpectedUse(mean_replicas=5), database=single)
    label = "Cloud SQL primary, db-custom-4-16384"
    assert zonal[label] == pytest.approx(both[label] / 2)
    assert "Cloud SQL read replicas, db-custom-4-16384" not in zonal


def test_other_regions_pay_their_own_machine_price() -> None:
    plan = example_plan(region="europe-west1", zones=("europe-west1-b",))
    catalog = default_catalog("europe-west1")
    use = ExpectedUse(mean_replicas=5)
    found = estimate(plan.compute, plan.storage, plan.network, plan.database, catalog, use)
    assert found[0].monthly_usd == pytest.approx(3 * 730 * 0.213668)
    assert any("us-central1 list price, assumed for europe-west1" in line.basis for line in found)


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0, 1), st.floats(0, 1))
def test_means_add_up_within_every_groups_range(a: int, high: int, share: float, at: float) -> None:
    plan = ComputePlan(
        machine_type="n2-standard-4",
        min_replicas=min(a, high),
        max_replicas=high,
        target_cpu_utilisation=0.5,
        spot_share=share,
    )
    groups = instance_groups(plan)
    low = sum(group.min_replicas for group in groups.values())
    mean = low + at * (high - low)
    means = mean_by_group(plan, mean)
    assert sum(means.values()) == pytest.approx(mean)
    for key, group in groups.items():
        assert group.min_replicas - 1e-9 <= means[key] <= group.max_replicas + 1e-9


def test_what_cannot_be_costed_is_refused() -> None:
    use = ExpectedUse(mean_replicas=5)
    with pytest.raises(ValueError, match="outside the groups' range of 3 to 12"):
        lines(ExpectedUse(mean_replicas=13))
    with pytest.raises(ValueError, match=r"does not have: \['backup'\]"):
        lines(ExpectedUse(mean_replicas=5, bucket_gib={"backup": 1}))
    plus = DatabasePlan(tier="db-perf-optimized-N-4", has_ha=False, read_replicas=0, disk_gib=100)
    with pytest.raises(ValueError, match="cannot cost the tier 'db-perf-optimized-N-4'"):
        lines(use, database=plus)
    with pytest.raises(ValueError, match=r"no price for 'disk\.hyperdisk-balanced'"):
        lines(use, storage=StoragePlan(disk_type="hyperdisk-balanced", disk_gib=100))
