"""The checks can fail: each way of being wrong is put into good HCL and must be refused."""

import re
import shutil
from pathlib import Path

import pytest

from marl.gcp.terraform import write_terraform
from tests.doubles.terraform_provider import mirror
from tests.integration.terraform.conftest import PROJECT
from tests.unit.marl.gcp.example_plans import full_plan

pytestmark = pytest.mark.terraform

# what it shows: (file, good text, wrong text, what Terraform must say)
MUTATIONS = {
    "unknown argument": (
        "network.tf",
        "auto_create_subnetworks = false",
        "auto_create_subnets = false",
        'argument named "auto_create_subnets" is not expected here',
    ),
    "unknown argument deep inside": (
        "database.tf",
        "query_insights_enabled  = true",
        "query_insight_enabled   = true",
        'argument named "query_insight_enabled" is not expected here',
    ),
    "wrong type": (
        "compute.tf",
        "check_interval_sec  = 10",
        'check_interval_sec  = "ten"',
        "a number is required",
    ),
    "list for a string": (
        "network.tf",
        'routing_mode            = "REGIONAL"',
        'routing_mode            = ["REGIONAL"]',
        "string required",
    ),
    "missing argument": (
        "compute.tf",
        "  machine_type = each.value.machine_type\n",
        "",
        'argument "machine_type" is required',
    ),
    "missing block": (
        "compute.tf",
        "version {\n    instance_template = "
        "google_compute_instance_template.app[each.key].self_link_unique\n  }",
        "",
        'At least 1 "version" blocks are required',
    ),
    "block once too often": (
        "network.tf",
        "  log_config {\n    aggregation",
        "  log_config {\n  }\n  log_config {\n    aggregation",
        'No more than 1 "log_config" blocks are allowed',
    ),
    "unknown block": (
        "storage.tf",
        "  versioning {",
        "  version_control {",
        'Blocks of type "version_control" are not expected here',
    ),
    "argument written as a block": (
        "compute.tf",
        "labels       = local.labels",
        "labels {}",
        "not expected here. Did you mean to define argument",
    ),
    "block written as an argument": (
        "storage.tf",
        "versioning {\n    enabled = true\n  }",
        "versioning = { enabled = true }",
        "Did you mean to define a block",
    ),
    "reference to no such resource": (
        "load_balancer.tf",
        "default_service = google_compute_backend_service.app.id",
        "default_service = google_compute_backend_service.web.id",
        "has not been declared in the root module",
    ),
    "reference to no such attribute": (
        "network.tf",
        "network                  = google_compute_network.main.id",
        "network                  = google_compute_network.main.link",
        'no argument, nested block, or exported attribute named "link"',
    ),
    "unknown kind of resource": (
        "storage.tf",
        'resource "google_storage_bucket" "data"',
        'resource "google_storage_buckets" "data"',
        "does not support resource type",
    ),
    "value outside the documented ones": (
        "load_balancer.tf",
        'load_balancing_scheme           = "EXTERNAL_MANAGED"',
        'load_balancing_scheme           = "GLOBAL"',
        "expected load_balancing_scheme to be one of",
    ),
    "a tier Redis does not have": (
        "database.tf",
        '"STANDARD_HA"',
        '"REGIONAL"',
        "expected tier to be one of",
    ),
    "a term commitments do not have": (
        "compute.tf",
        "plan       = each.value.plan",
        'plan       = "TWO_YEARS"',
        "expected plan to be one of",
    ),
    "a commitment without resources of a known shape": (
        "compute.tf",
        "amount = tostring(each.value.vcpu)",
        "count = each.value.vcpu",
        'argument named "count" is not expected here',
    ),
    "a network tier NAT does not have": (
        "network.tf",
        "= var.nat_network_tier",
        '= "FAST"',
        "expected auto_network_tier to be one of",
    ),
    "undeclared variable": (
        "compute.tf",
        "= var.boot_disk_gib",
        "= var.boot_disk",
        'An input variable with the name "boot_disk" has not been declared',
    ),
    "setting an attribute only Google sets": (
        "network.tf",
        'name                    = "${var.name}-vpc"',
        'name                    = "${var.name}-vpc"\n  self_link = "x"',
        'Can\'t configure a value for "self_link"',
    ),
}


GROUP = (
    'machine_type="n2-standard-4",architecture="x86_64",is_spot=false,'
    'boot_disk_type="pd-balanced",min_replicas=3,'
)
DISK = 'data_disk={type="pd-ssd",size_gib=10}'
IOPS = 'data_disk={type="pd-ssd",size_gib=10,provisioned_iops=9}'


@pytest.fixture(scope="module")
def good(terraform, tmp_path_factory) -> Path:
    """A module that validates, so that what fails below fails for its mutation."""
    folder = tmp_path_factory.mktemp("good") / "module"
    write_terraform(full_plan(), folder)
    terraform.ok(folder, "init")
    terraform.ok(folder, "validate")
    return folder


def flat(text: str) -> str:
    """Terraform's message without its frame and line breaks."""
    return re.sub(r"[\s│╷╵]+", " ", text)


@pytest.mark.parametrize("what", MUTATIONS)
def test_wrong_hcl_is_refused(what: str, quick_terraform, good, tmp_path) -> None:
    name, right, wrong, message = MUTATIONS[what]
    folder = tmp_path / "module"
    shutil.copytree(good, folder, symlinks=True)
    text = (folder / name).read_text()
    assert right in text
    (folder / name).write_text(text.replace(right, wrong, 1))
    done = quick_terraform.run(folder, "validate", "-no-color")
    assert done.returncode == 1
    assert message in flat(done.stderr)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (("-var", "project_id=Nonsense!"), "A project id has 6 to 30"),
        ((*PROJECT, "-var", "name=Shop"), "The name has 1 to 42"),
        ((*PROJECT, "-var", "zones=[]"), "Name at least one zone"),
        ((*PROJECT, "-var", "target_cpu_utilisation=1.5"), "The target is a fraction above 0"),
        ((*PROJECT, "-var", "subnet_cidr=10.0.0.0"), "The subnet's range is an IPv4 CIDR"),
        ((*PROJECT, "-var", "database_version=SQLSERVER_2022"), "reads like POSTGRES_16"),
        ((*PROJECT, "-var", 'labels={Team="x"}'), "Labels are lowercase letters"),
        (
            (*PROJECT, "-var", f"instance_groups={{a={{{GROUP}max_replicas=2,{DISK}}}}}"),
            "Each group needs 0 <= min_replicas <= max_replicas",
        ),
        (
            (*PROJECT, "-var", f"instance_groups={{a={{{GROUP}max_replicas=3,{IOPS}}}}}"),
            "Only Hyperdisk takes provisioned_iops",
        ),
        (
            (
                *PROJECT,
                "-var",
                f"instance_groups={{a={{has_gpu=true,{GROUP}max_replicas=3,{DISK}}}}}",
            ),
            "at least one instance group without GPUs",
        ),
        ((), 'input variable "project_id" is not set'),
    ],
)
def test_wrong_values_are_refused(variables, message, quick_terraform, good) -> None:
    done = quick_terraform.run(good, "plan", "-no-color", *variables)
    assert done.returncode == 1
    assert message in flat(done.stderr) or message in flat(done.stdout)


def test_layout_that_is_not_canonical_is_refused(terraform, good, tmp_path) -> None:
    folder = tmp_path / "module"
    shutil.copytree(good, folder, symlinks=True)
    path = folder / "network.tf"
    path.write_text(path.read_text().replace("  name ", " name", 1))
    assert terraform.run(folder, "fmt", "-check").returncode == 3


def test_a_project_nobody_named_is_refused(quick_terraform, good, tmp_path) -> None:
    folder = tmp_path / "module"
    shutil.copytree(good, folder, symlinks=True)
    path = folder / "versions.tf"
    path.write_text(path.read_text().replace("  project = var.project_id\n", ""))
    done = quick_terraform.run(folder, "plan", "-no-color", *PROJECT)
    assert done.returncode == 1
    assert "project: required field is not set" in flat(done.stderr)


def test_without_terraform_the_message_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"terraform program is not on PATH; install"):
        mirror.install(tmp_path / "root")
