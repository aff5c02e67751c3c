"""From a policy that really played in the simulated cloud to a module Terraform accepts."""

import pytest

from marl.gcp.planning import plan_from_trajectory
from tests.integration.terraform.conftest import PROJECT
from tests.unit.marl.gcp.played import play

pytestmark = pytest.mark.terraform


@pytest.mark.parametrize(
    ("name", "overrides", "resources"),
    [
        # plain: one group, no cache, no commitment; rich: everything that can be bought
        ("plain", {"committed_share": 0.0}, {"google_redis_instance": 0}),
        (
            "rich",
            {"machine_type": "c3-standard-4", "disk_type": "pd-balanced"},
            {"google_redis_instance": 1, "google_compute_region_autoscaler": 8},
        ),
    ],
)
def test_a_played_policy_becomes_a_module_terraform_accepts(
    quick_terraform, module, name, overrides, resources
) -> None:
    plan = plan_from_trajectory(*play(name, **overrides), name="toy")
    folder = module(plan)
    quick_terraform.ok(folder, "fmt", "-check", "-diff")
    quick_terraform.ok(folder, "validate")
    planned = quick_terraform.ok(folder, "plan", "-no-color", *PROJECT)
    for kind, count in resources.items():
        assert planned.count(f'resource "{kind}" ') == count, kind
    assert "google_compute_region_commitment" not in planned  # nobody asked to buy
    assert "Synthetic data" in (folder / "README.md").read_text()
