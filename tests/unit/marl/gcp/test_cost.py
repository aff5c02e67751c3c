"""The estimate against sums worked by hand from prices typed in here."""

import pytest

from marl.cloud.catalogue import default_catalog
from marl.gcp.cost import ExpectedUse, commitment_costs, estimate
from marl.gcp.plan import DatabasePlan, ProvisioningPlan, StoragePlan
from tests.unit.marl.gcp.example_plans import CACHE, EVERY_NETWORK, every_group, example_plan

CATALOG = default_catalog("us-central1")
MEANS = {"on-demand": 3.3, "spot": 2.2}


def priced(plan: ProvisioningPlan, use: ExpectedUse, catalog=CATALOG):
    parts = (plan.compute, plan.storage, plan.network, plan.database, plan.cache)
    found = estimate(*parts, catalog, use)
    assert len({line.resource for line in found}) == len(found)
    return found


def lines(use: ExpectedUse, **changes) -> dict[str, float]:
    return {line.resource: line.monthly_usd for line in priced(example_plan(**changes), use)}


def test_every_line_worked_by_hand() -> None:
    use = ExpectedUse(
        mean_replicas=MEANS,
        balanced_gib=2000,
        egress_gib=11_000,
        inter_zone_gib=300,
        nat_gib=20,
        bucket_gib={"assets": {"STANDARD": 500, "NEARLINE": 100}},
        bucket_read_gib={"assets": {"STANDARD": 900, "NEARLINE": 30}},
    )
    assert lines(use) == pytest.approx(
        {
            "n2-standard-4, on-demand": 3.3 * 730 * 0.194236,
            "n2-standard-4, spot": 2.2 * 730 * 0.09212,
            "boot disks, 20 GiB pd-balanced": 5.5 * 20 * 0.10,
            "data disks, 100 GiB pd-balanced": 5.5 * 100 * 0.10,
            "bucket assets, STANDARD": 500 * 0.02,
            "bucket assets, NEARLINE": 100 * 0.01 + 30 * 0.01,
            "bucket assets, COLDLINE": 0.0,
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
    first = priced(example_plan(), ExpectedUse(mean_replicas=MEANS))[0]
    assert first.basis == (
        "3.30 VMs on average × 730 h × 0.194236 USD "
        "(Cyclenerd/google-cloud-pricing-cost-calculator@fd66b26 pricing.yml, 2026-07-30)"
    )


def test_every_new_line_worked_by_hand() -> None:
    """Kinds of machine, their disks, CDN and Redis; means chosen so that sums are easy."""
    compute = every_group("c3-standard-4")
    use = ExpectedUse(
        mean_replicas={group.key: 2.0 if group.is_spot else 4.0 for group in compute.groups},
        cdn_gib=12_000,
        cdn_requests=3e8,
    )
    storage = StoragePlan(disk_type="hyperdisk-balanced", disk_gib=50, provisioned_iops=4000)
    found = lines(use, compute=compute, storage=storage, network=EVERY_NETWORK, cache=CACHE)
    expected = {
        "c3-standard-4, on-demand": 4 * 730 * 0.201608,
        "c3-standard-4, spot": 2 * 730 * 0.0494,
        "n2-highmem-4, highmem": 4 * 730 * 0.262028,
        "n2-highmem-4, mem-spot": 2 * 730 * 0.12428,
        "n4a-standard-4, arm": 4 * 730 * 0.154,
        "n4a-standard-4, arm-spot": 2 * 730 * 0.064664,
        "g2-standard-8, gpu": 4 * 730 * 0.853624271,
        "g2-standard-8, gpu-spot": 2 * 730 * 0.479872,
        "boot disks, 20 GiB pd-balanced": 18 * 20 * 0.10,
        "boot disks, 20 GiB hyperdisk-balanced": 6 * 20 * 0.08,
        "data disks, 50 GiB hyperdisk-balanced": 6 * (50 * 0.08 + 1000 * 0.005),
        "data disks, 100 GiB hyperdisk-balanced": 6 * 100 * 0.08,
        "data disks, 200 GiB pd-ssd": 12 * 200 * 0.17,
        "Cloud CDN": 10_240 * 0.08 + (12_000 - 10_240) * 0.055 + 30_000 * 0.0075,
        "Redis, 6 GiB": 6 * 730 * 0.054,  # the second capacity tier
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found.keys() - expected.keys() == {
        *("load balancer", "Cloud NAT", "internet egress", "traffic between zones"),
        *(f"Cloud SQL {one}, db-custom-4-16384" for one in ("primary", "read replicas")),
        "Cloud SQL backups",
    }
    assert found["Redis, 6 GiB"] == pytest.approx(730 * CATALOG.redis_usd_per_h(6, is_ha=True))


def test_a_price_nobody_confirmed_is_said_to_be_assumed() -> None:
    compute = every_group()
    use = ExpectedUse(mean_replicas={group.key: 3.0 for group in compute.groups})
    for line in priced(example_plan(compute=compute), use):
        is_assumed = "assumed: no list price was confirmed" in line.basis
        assert is_assumed == ("hyperdisk" in line.resource), line


def test_commitments_cost_less_than_the_list_while_they_run() -> None:
    one, three = commitment_costs(every_group("n2-standard-4"), CATALOG)
    assert one.monthly_usd == pytest.approx(3 * 730 * 0.122364)
    assert three.monthly_usd == pytest.approx(2 * 730 * 0.087412)
    assert one.resource == "1-year commitment, n2-standard-4"
    assert "; 425.38 USD on demand, 37% less while all of it runs" in one.basis
    assert commitment_costs(example_plan().compute, CATALOG) == ()


def test_zonal_database_without_replicas_costs_half_and_no_more() -> None:
    single = DatabasePlan(tier="db-custom-4-16384", has_ha=False, read_replicas=0, disk_gib=100)
    both = lines(ExpectedUse(mean_replicas=MEANS))
    zonal = lines(ExpectedUse(mean_replicas=MEANS), database=single)
    label = "Cloud SQL primary, db-custom-4-16384"
    assert zonal[label] == pytest.approx(both[label] / 2)
    assert "Cloud SQL read replicas, db-custom-4-16384" not in zonal


def test_other_regions_pay_their_own_machine_price() -> None:
    plan = example_plan(region="europe-west1", zones=("europe-west1-b",))
    catalog = default_catalog("europe-west1")
    use = ExpectedUse(mean_replicas=MEANS)
    found = priced(plan, use, catalog)
    assert found[0].monthly_usd == pytest.approx(3.3 * 730 * 0.213668)
    assert any("us-central1 list price, assumed for europe-west1" in line.basis for line in found)


def test_what_cannot_be_costed_is_refused() -> None:
    use = ExpectedUse(mean_replicas=MEANS)
    with pytest.raises(ValueError, match="outside the range of spot: 1 to 5"):
        lines(ExpectedUse(mean_replicas=MEANS | {"spot": 5.1}))
    with pytest.raises(ValueError, match=r"groups are \['on-demand', 'spot'\], the expected"):
        lines(ExpectedUse(mean_replicas={"on-demand": 3}))
    with pytest.raises(ValueError, match=r"does not have: \['backup'\]"):
        lines(ExpectedUse(mean_replicas=MEANS, bucket_gib={"backup": {"STANDARD": 1}}))
    plus = DatabasePlan(tier="db-perf-optimized-N-4", has_ha=False, read_replicas=0, disk_gib=100)
    with pytest.raises(ValueError, match="cannot cost the tier 'db-perf-optimized-N-4'"):
        lines(use, database=plus)
    cheaper = CATALOG.model_copy(update={"disks": ()})
    with pytest.raises(ValueError, match=r"no price for 'disk\.pd-balanced' in us-central1"):
        priced(example_plan(), use, cheaper)
