"""Plans that no Google Cloud could hold are refused where they are made."""

import pytest
from pydantic import ValidationError

from marl.gcp.plan import (
    BucketPlan,
    CachePlan,
    CommitmentPlan,
    DatabasePlan,
    DiskPlan,
    NetworkPlan,
    ProvisioningPlan,
    StoragePlan,
)
from tests.unit.marl.gcp.example_plans import (
    every_group,
    example_compute,
    example_plan,
    full_plan,
    group,
)


@pytest.mark.parametrize(
    "name",
    ["", "-shop", "shop-", "Shop", "9shop", "a" * 43, "shop_1", 'shop"', "${x}", "shop\n", "sh op"],
)
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        example_plan(name=name)


@pytest.mark.parametrize("name", ["a", "a" * 42, "a--b", "shop-2"])
def test_good_names_are_taken(name: str) -> None:
    assert example_plan(name=name).name == name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"region": "us central1"}, "region"),
        ({"zones": ("europe-west1-b",)}, "'europe-west1-b' is not in region 'us-central1'"),
        ({"zones": ("us-central1-a", "us-central1-a")}, "named twice"),
        ({"zones": ()}, "zones"),
    ],
)
def test_places_must_agree(changes, message) -> None:
    with pytest.raises(ValidationError, match=message):
        example_plan(**changes)


def test_replicas_must_be_in_order() -> None:
    with pytest.raises(ValidationError, match="min_replicas 5 is above max_replicas 4"):
        group("n2-standard-4", 5, 4)
    with pytest.raises(ValidationError, match="min_replicas"):
        group("n2-standard-4", 0, 4)  # an empty group would stay empty


def test_groups_are_told_apart_by_kind_and_purchase() -> None:
    keys = [each.key for each in every_group().groups]
    assert keys == [
        *("on-demand", "spot", "highmem", "mem-spot"),
        *("arm", "arm-spot", "gpu", "gpu-spot"),
    ]
    assert max(len(key) for key in keys) <= 10
    assert (every_group().min_replicas, every_group().max_replicas) == (12, 48)
    with pytest.raises(ValidationError, match=r"same kind and purchase: \['spot', 'spot'\]"):
        example_compute(*[group("n2-standard-4", 1, 2, is_spot=True)] * 2)
    with pytest.raises(ValidationError, match="do not serve the web"):
        example_compute(group("g2-standard-8", 1, 2, kind="gpu"))


@pytest.mark.parametrize(
    "fields", [{"years": 2}, {"vms": 0}, {"memory_mib": 16_300}, {"commitment_type": "n2"}]
)
def test_bad_commitments_are_refused(fields) -> None:
    good = {
        "years": 1,
        "machine_type": "n2-standard-4",
        "commitment_type": "GENERAL_PURPOSE_N2",
        "vms": 1,
        "vcpu": 4,
        "memory_mib": 16_384,
    }
    once = CommitmentPlan(**good)
    with pytest.raises(ValidationError, match="same term"):
        example_compute(commitments=(once, once))
    with pytest.raises(ValidationError):
        CommitmentPlan(**(good | fields))


@pytest.mark.parametrize("gib", [0, 301])
def test_redis_has_1_to_300_gib(gib: int) -> None:
    with pytest.raises(ValidationError, match="memory_gib"):
        CachePlan(memory_gib=gib)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lifecycle": ((90, "NEARLINE"), (30, "COLDLINE"))}, "increase"),
        ({"lifecycle": ((0, "NEARLINE"),)}, "at least 1 day"),
        ({"lifecycle": ((30, "COLDLINE"), (90, "NEARLINE"))}, "colder"),
        ({"storage_class": "ARCHIVE", "lifecycle": ((30, "COLDLINE"),)}, "colder"),
        ({"lifecycle": ((30, "NEARLINE"),), "delete_after_days": 30}, "before the last"),
        ({"name_suffix": "Logs"}, "name_suffix"),
        ({"name_suffix": "../x"}, "name_suffix"),
    ],
)
def test_buckets_age_in_order(fields, message) -> None:
    with pytest.raises(ValidationError, match=message):
        BucketPlan(**({"name_suffix": "logs"} | fields))


def test_two_buckets_cannot_share_a_name() -> None:
    buckets = (BucketPlan(name_suffix="logs"), BucketPlan(name_suffix="logs"))
    with pytest.raises(ValidationError, match="same name_suffix"):
        StoragePlan(disk_type="pd-ssd", disk_gib=10, buckets=buckets)


def test_only_hyperdisk_takes_iops() -> None:
    for plan in (DiskPlan, StoragePlan):
        with pytest.raises(ValidationError, match="takes no provisioned_iops"):
            plan(disk_type="pd-ssd", disk_gib=10, provisioned_iops=3000)


@pytest.mark.parametrize("cidr", ["10.0.0.1/24", "10.0.0.0/30", "300.0.0.0/8", "::/64", "nonsense"])
def test_bad_subnets_are_refused(cidr: str) -> None:
    with pytest.raises(ValidationError, match="subnet_cidr"):
        NetworkPlan(peak_gbps=1, subnet_cidr=cidr)


@pytest.mark.parametrize("path", ["healthz", "/a b", "/a\nb"])
def test_bad_paths_are_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="health_check_path"):
        NetworkPlan(peak_gbps=1, health_check_path=path)


@pytest.mark.parametrize(
    "fields",
    [
        {"tier": "custom-4"},
        {"database_version": "SQLSERVER_2019_STANDARD"},  # no IAM sign-in: would need a password
        {"database_version": "POSTGRES_16; DROP"},
        {"read_replicas": 11},
    ],
)
def test_bad_databases_are_refused(fields) -> None:
    good = {"tier": "db-custom-2-8192", "has_ha": False, "read_replicas": 0, "disk_gib": 10}
    with pytest.raises(ValidationError):
        DatabasePlan(**(good | fields))


def test_a_plan_survives_its_file() -> None:
    """The lineage keeps plans as JSON."""
    for plan in (example_plan(), full_plan()):
        assert ProvisioningPlan.model_validate_json(plan.model_dump_json()) == plan
