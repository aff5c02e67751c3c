"""From a policy that really played in the simulated cloud to a module Terraform accepts."""

from types import SimpleNamespace

import polars as pl
import pytest
import torch

from marl.cloud.config import CloudConfig
from marl.evaluate.policies import ConstantPolicy
from marl.evaluate.rollout import trajectory
from marl.evaluate.world import ProvisioningWorld
from marl.gcp.planning import Setting, plan_from_trajectory
from marl.workload.demand import DemandGenerator
from marl.workload.toy import ToyGenerator

pytestmark = pytest.mark.terraform


class ToyWorld(ProvisioningWorld):
    """The simulated cloud under a demand known in closed form."""

    def generator(self, scenario: str, split: str) -> DemandGenerator:
        return ToyGenerator(mean_vcpu=48.0)


@pytest.fixture(scope="module")
def world() -> ToyWorld:
    torch.set_num_threads(1)
    return ToyWorld(SimpleNamespace(is_synthetic=True), episode_steps=72)


def test_a_played_policy_becomes_a_module_terraform_accepts(quick_terraform, module, world) -> None:
    action = {"compute": (0.0,) * 4, "storage": (0.0,) * 3, "network": (0.0,) * 3}
    policy = ConstantPolicy("reactive", action | {"database": (0.0,) * 4})
    steps = pl.concat(
        [trajectory(policy, episode=episode, seed=3, world=world) for episode in range(2)]
    )
    setting = Setting(CloudConfig(), world.catalog, world.reference, world.is_synthetic)
    plan = plan_from_trajectory(steps, setting, name="toy")

    held = steps["capacity_compute"] / 4
    assert plan.compute.min_replicas <= held.mean() <= plan.compute.max_replicas
    assert plan.compute.max_replicas == pytest.approx(1.25 * held.max(), abs=1)
    assert plan.compute.target_cpu_utilisation == 0.62  # the middle of 0.3 to 0.95, rounded
    assert plan.database.read_replicas == 2
    assert sum(line.monthly_usd for line in plan.costs) > 0
    assert plan == plan_from_trajectory(steps, setting, name="toy")

    folder = module(plan)
    quick_terraform.ok(folder, "fmt", "-check")
    quick_terraform.ok(folder, "validate")
    assert "Synthetic data" in (folder / "README.md").read_text()


def test_the_simulators_bill_and_the_estimate_agree_on_compute(world) -> None:
    """Two ways to one figure: the simulator's bill by the step, the estimate by the month."""
    action = {"compute": (0.0, -1.0, -1.0, 0.0), "storage": (0.0,) * 3, "network": (0.0,) * 3}
    policy = ConstantPolicy("reactive", action | {"database": (0.0,) * 4})
    steps = trajectory(policy, seed=3, world=world)
    setting = Setting(CloudConfig(), world.catalog, world.reference, is_synthetic=True)
    plan = plan_from_trajectory(steps, setting)
    estimated = sum(x.monthly_usd for x in plan.costs if x.resource.startswith("n2-standard-4"))
    billed = steps["cost_compute_usd"].sum() / (steps.height * 300 / 3600) * 730
    # The bill holds a committed share (20 % of the peak's VMs at the one-year price); the estimate
    # is at list price, so it lies above, by at most that discount.
    assert billed <= estimated <= billed / (1 - 0.4)
