"""fmt, validate, plan, apply, no drift and destroy of modules that differ in every way they can."""

import json
from typing import Any

import pytest

from marl.gcp.plan import BucketPlan, DatabasePlan, NetworkPlan, StoragePlan
from tests.integration.terraform.conftest import PROJECT
from tests.unit.marl.gcp.example_plans import (
    CACHE,
    EVERY_NETWORK,
    every_group,
    example_compute,
    example_plan,
    group,
)

pytestmark = pytest.mark.terraform
UNPROTECTED = ("-var", "deletion_protection=false")


def resources(show: str) -> dict[str, dict[str, Any]]:
    """Address to values, from `terraform show -json`."""
    module = json.loads(show)["values"]["root_module"]
    return {each["address"]: each["values"] for each in module["resources"]}


def full_circle(terraform, folder, *variables: str) -> dict[str, dict[str, Any]]:
    """Everything Terraform can do with a module; returns what existed in between."""
    terraform.ok(folder, "fmt", "-check", "-recursive", "-diff")
    terraform.ok(folder, "apply", "-auto-approve", *PROJECT, *UNPROTECTED, *variables)
    drift = terraform.run(
        folder, "plan", "-detailed-exitcode", "-no-color", *PROJECT, *UNPROTECTED, *variables
    )
    assert drift.returncode == 0, drift.stdout + drift.stderr
    found = resources(terraform.ok(folder, "show", "-json"))
    terraform.ok(folder, "destroy", "-auto-approve", *PROJECT, *UNPROTECTED, *variables)
    assert terraform.ok(folder, "state", "list").strip() == ""
    return found


def test_everything_on(terraform, module) -> None:
    plan = example_plan(
        name="a--very-long-name-that-ends-at-the-limit-x",  # 42 characters
        is_synthetic=True,
        demand='it\'s "quoted" ${var.project_id} %{ if true } back\\slash\nnew line',
        network=EVERY_NETWORK,
        cache=CACHE,
        storage=StoragePlan(
            disk_type="hyperdisk-balanced",
            disk_gib=100,
            provisioned_iops=6000,
            buckets=(
                BucketPlan(
                    name_suffix="assets-of-a-length-near-a-limit",
                    lifecycle=((1, "NEARLINE"), (2, "COLDLINE"), (3, "ARCHIVE")),
                    delete_after_days=4,
                ),
                BucketPlan(name_suffix="0"),
            ),
        ),
        compute=every_group(),
    )
    folder = module(plan)
    found = full_circle(
        terraform,
        folder,
        "-var",
        'domains=["app.example.com", "www.example.com"]',
        "-var",
        "client_requests_per_minute=600",
        "-var",
        "startup_script=#!/bin/sh\necho ${HOME}\n",
        "-var",
        "buy_commitments=true",
        "-var",
        "service_lb_policy=//networkservices.googleapis.com/projects/p/locations/global/serviceLbPolicies/zone",
    )
    groups = [address for address in found if "instance_group_manager" in address]
    assert len(groups) == 8
    assert len(found) == 48 + 6 * 3 + 2 + 1 + 1  # six more groups, commitments, cache, its API
    spot = found['google_compute_instance_template.app["spot"]']
    assert spot["scheduling"][0]["provisioning_model"] == "SPOT"
    assert spot["scheduling"][0]["preemptible"] is True
    assert spot["metadata"]["startup-script"] == "#!/bin/sh\necho ${HOME}\n"
    assert [d["disk_type"] for d in spot["disk"]] == ["pd-balanced", "hyperdisk-balanced"]
    assert spot["disk"][1]["provisioned_iops"] == 6000
    assert spot["shielded_instance_config"][0]["enable_secure_boot"] is True
    steady = found['google_compute_region_autoscaler.app["on-demand"]']["autoscaling_policy"][0]
    assert (steady["min_replicas"], steady["max_replicas"]) == (2, 7)
    assert steady["cpu_utilization"][0]["target"] == 0.62
    assert steady["scale_in_control"][0]["time_window_sec"] == 600
    check_every_kind_of_machine(found)
    check_what_is_bought_once(found)
    bucket = found['google_storage_bucket.data["assets-of-a-length-near-a-limit"]']
    assert len(bucket["name"]) <= 63
    assert bucket["public_access_prevention"] == "enforced"
    ages = [rule["condition"][0]["age"] for rule in bucket["lifecycle_rule"]]
    assert ages[:4] == [1, 2, 3, 4]
    backend = found["google_compute_backend_service.app"]
    assert backend["enable_cdn"] is True
    assert len(backend["backend"]) == 6  # all but the GPUs'
    assert backend["service_lb_policy"].endswith("/serviceLbPolicies/zone")
    assert found["google_compute_global_forwarding_rule.https[0]"]["port_range"] == "443"
    assert found["google_compute_global_forwarding_rule.http"]["port_range"] == "8443"
    primary = found["google_sql_database_instance.primary"]
    assert primary["settings"][0]["availability_type"] == "REGIONAL"
    assert primary["settings"][0]["edition"] == "ENTERPRISE"
    assert primary["settings"][0]["ip_configuration"][0]["ipv4_enabled"] is False
    replicas = [found[f'google_sql_database_instance.replica["{i}"]'] for i in (0, 1)]
    zones = [each["settings"][0]["location_preference"][0]["zone"] for each in replicas]
    assert zones == ["us-central1-b", "us-central1-c"]
    assert len(found["google_service_account.node"]["account_id"]) <= 30
    assert found["google_sql_user.node"]["password"] is None


def check_every_kind_of_machine(found: dict[str, dict[str, Any]]) -> None:
    """Each template, group and autoscaler as its machine's series wants it."""
    disks, images = {}, {}
    for key in ("on-demand", "highmem", "arm", "gpu", "gpu-spot"):
        template = found[f'google_compute_instance_template.app["{key}"]']
        disks[key] = [disk["disk_type"] for disk in template["disk"]]
        images[key] = template["disk"][0]["source_image"].rpartition("/")[2]
    assert disks == {
        "on-demand": ["pd-balanced", "hyperdisk-balanced"],
        "highmem": ["pd-balanced", "pd-ssd"],
        "arm": ["hyperdisk-balanced", "hyperdisk-balanced"],
        "gpu": ["pd-balanced", "pd-ssd"],
        "gpu-spot": ["pd-balanced", "pd-ssd"],
    }
    assert {key for key, image in images.items() if image == "debian-12-arm64"} == {"arm"}
    gpu = found['google_compute_instance_template.app["gpu"]']
    assert gpu["machine_type"] == "g2-standard-8"
    assert gpu["guest_accelerator"] == []  # the machine brings its L4
    assert gpu["scheduling"][0]["on_host_maintenance"] == "TERMINATE"
    assert gpu["scheduling"][0]["automatic_restart"] is True
    assert gpu["shielded_instance_config"][0]["enable_secure_boot"] is False
    manager = "google_compute_region_instance_group_manager.app"
    for key, shape in (("on-demand", "BALANCED"), ("spot", "ANY"), ("arm-spot", "ANY")):
        placed = found[f'{manager}["{key}"]']
        assert placed["distribution_policy_target_shape"] == shape
        assert placed["update_policy"][0]["instance_redistribution_type"] == "NONE"
    scaler = found['google_compute_region_autoscaler.app["gpu"]']["autoscaling_policy"][0]
    assert scaler["cpu_utilization"] == []
    assert scaler["metric"][0]["name"] == "agent.googleapis.com/gpu/utilization"
    assert scaler["metric"][0]["target"] == 62
    assert scaler["cooldown_period"] == 650


def check_what_is_bought_once(found: dict[str, dict[str, Any]]) -> None:
    """Commitments, cache, NAT's tier."""
    year = found['google_compute_region_commitment.general["1y"]']
    assert (year["plan"], year["type"]) == ("TWELVE_MONTH", "COMPUTE_OPTIMIZED_C3")
    assert [(each["type"], each["amount"]) for each in year["resources"]] == [
        ("VCPU", "12"),
        ("MEMORY", "49152"),
    ]
    three = found['google_compute_region_commitment.general["3y"]']
    assert three["plan"] == "THIRTY_SIX_MONTH"
    cache = found["google_redis_instance.cache"]
    assert (cache["tier"], cache["memory_size_gb"]) == ("STANDARD_HA", 6)
    assert len(cache["name"]) <= 40
    assert cache["connect_mode"] == "PRIVATE_SERVICE_ACCESS"
    assert found["google_compute_router_nat.main[0]"]["auto_network_tier"] == "STANDARD"


def test_everything_off(quick_terraform, module) -> None:
    plan = example_plan(
        name="x",
        zones=("us-central1-f",),
        compute=example_compute(group("e2-standard-2", 1, 1)),
        storage=StoragePlan(disk_type="pd-standard", disk_gib=10),
        network=NetworkPlan(peak_gbps=0, has_nat=False, subnet_cidr="192.168.0.0/29"),
        database=DatabasePlan(
            tier="db-f1-micro",
            has_ha=False,
            read_replicas=0,
            disk_gib=10,
            database_version="MYSQL_8_0",
        ),
        costs=(),
        reasons=(),
    )
    found = full_circle(quick_terraform, module(plan))
    kinds = {address.split(".")[0] for address in found}
    assert not kinds & {
        "google_compute_router",
        "google_compute_router_nat",
        "google_storage_bucket",
        "google_redis_instance",
        "google_compute_region_commitment",
        "google_compute_security_policy",
        "google_compute_target_https_proxy",
    }
    primary = found["google_sql_database_instance.primary"]["settings"][0]
    assert primary["availability_type"] == "ZONAL"
    assert primary["backup_configuration"][0]["binary_log_enabled"] is True
    assert [flag["name"] for flag in primary["database_flags"]] == ["cloudsql_iam_authentication"]
    assert list(found['google_compute_instance_template.app["on-demand"]']["metadata"]) == [
        "block-project-ssh-keys",
        "enable-oslogin",
    ]


def test_spot_only_in_another_region_with_hyperdisk_machines(quick_terraform, module) -> None:
    plan = example_plan(
        region="europe-west4",
        zones=("europe-west4-a", "europe-west4-b"),
        compute=example_compute(group("n4a-standard-4", 2, 200, is_spot=True)),
        storage=StoragePlan(disk_type="hyperdisk-balanced", disk_gib=64),
        database=DatabasePlan(
            tier="db-perf-optimized-N-8", has_ha=True, read_replicas=3, disk_gib=500
        ),
    )
    found = full_circle(quick_terraform, module(plan))
    template = found['google_compute_instance_template.app["spot"]']
    assert template["disk"][0]["disk_type"] == "hyperdisk-balanced"
    assert template["disk"][0]["source_image"].endswith("debian-12-arm64")
    assert 'google_compute_instance_template.app["on-demand"]' not in found
    settings = found["google_sql_database_instance.primary"]["settings"][0]
    assert settings["edition"] == "ENTERPRISE_PLUS"


def test_the_readmes_commands_and_outputs(terraform, module) -> None:
    folder = module(example_plan())
    example = (folder / "terraform.tfvars.example").read_text()
    (folder / "terraform.tfvars").write_text(example)
    terraform.ok(folder, "validate")
    terraform.ok(folder, "plan", "-out=plan.bin")
    terraform.ok(folder, "apply", "plan.bin")
    outputs = terraform.output(folder)
    assert outputs["url"] == f"http://{outputs['load_balancer_address']}:80/"
    assert outputs["bucket_names"]["assets"] == "my-project-id-shop-assets"
    assert outputs["database_connection_name"] == "my-project-id:us-central1:shop-db"
    assert outputs["database_user"] == "shop-node@my-project-id.iam"
    assert len(outputs["database_replica_connection_names"]) == 2
    assert set(outputs["instance_groups"]) == {"on-demand", "spot"}

    # Protected until the reader says otherwise, as README.md tells.
    refused = terraform.run(folder, "destroy", "-auto-approve", "-no-color")
    assert refused.returncode == 1
    assert "deletion_protection is true" in refused.stderr


def test_a_changed_size_changes_only_what_it_must(quick_terraform, module) -> None:
    terraform = quick_terraform
    folder = module(example_plan())
    terraform.ok(folder, "apply", "-auto-approve", *PROJECT)
    changed = (*PROJECT, "-var", "boot_disk_gib=30", "-var", "target_cpu_utilisation=0.5")
    terraform.ok(folder, "plan", "-out=plan.bin", *changed)
    planned = json.loads(terraform.ok(folder, "show", "-json", "plan.bin"))["resource_changes"]
    actions = {
        each["address"]: each["change"]["actions"]
        for each in planned
        if each["change"]["actions"] != ["no-op"]
    }
    replace, update = ["create", "delete"], ["update"]
    assert actions == {
        'google_compute_instance_template.app["on-demand"]': replace,
        'google_compute_instance_template.app["spot"]': replace,
        'google_compute_region_instance_group_manager.app["on-demand"]': update,
        'google_compute_region_instance_group_manager.app["spot"]': update,
        'google_compute_region_autoscaler.app["on-demand"]': update,
        'google_compute_region_autoscaler.app["spot"]': update,
    }
    terraform.ok(folder, "apply", "plan.bin")
    assert terraform.run(folder, "plan", "-detailed-exitcode", *changed).returncode == 0
