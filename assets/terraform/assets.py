"""champion_policy → provisioning_plan → terraform_artifacts. HCL is `marl.gcp`'s."""

import shutil
from pathlib import Path

import dagster as dg

from assets.clouds import CloudInputs
from assets.resources import Profile
from assets.store import Store

MODULE = "module"  # folder of the HCL inside terraform_artifacts


@dg.asset(
    description="What the policy in service would provision for the busiest held-out day: sizes, "
    "estimate and reasons."
)
def provisioning_plan(
    context: dg.AssetExecutionContext,
    workload_model: Path,
    price_catalog: Path,
    champion_policy: Path,
    profile: Profile,
    store: Store,
) -> Path:
    """Size every resource from what the policy held."""
    from marl.cloud.config import CloudConfig
    from marl.evaluate.promotion.champion import load_champion
    from marl.evaluate.rollout import trajectory
    from marl.evaluate.study import busiest_episode
    from marl.files import write_json
    from marl.gcp.planning import Setting, plan_from_trajectory

    world = CloudInputs(workload_model, price_catalog, profile.episode_steps).world()
    policy, decision = load_champion(champion_policy)
    scenario, why = decision.main_scenario, decision.choice
    episode = busiest_episode(policy, world, scenario, profile.evaluation_episodes, profile.seed)
    steps = trajectory(policy, scenario, "held_out", episode, profile.seed, world=world)
    setting = Setting(
        config=CloudConfig(**world.overrides),
        catalog=world.catalog,
        reference=world.reference,
        is_synthetic=world.is_synthetic,
    )
    plan = plan_from_trajectory(steps, setting)
    into = store.staging("provisioning_plan")
    write_json(into / "plan.json", plan.model_dump(mode="json"))
    steps.write_parquet(into / "trajectory.parquet")
    (into / "choice.md").write_text(why + "\n", encoding="utf-8")
    context.add_output_metadata(
        {
            "chosen": dg.MetadataValue.md(why),
            "demand": plan.demand,
            "monthly_usd": sum(line.monthly_usd for line in plan.costs),
            "reasons": dg.MetadataValue.md(
                "\n".join(f"- **{reason.resource}**: {reason.text}" for reason in plan.reasons)
            ),
        }
    )
    return into


@dg.asset(
    description="The plan as a Terraform module, with a README that has estimate and reasons."
)
def terraform_artifacts(
    context: dg.AssetExecutionContext, provisioning_plan: Path, store: Store
) -> Path:
    """Write HCL; what a user added to the module (state, tfvars, backend) is carried over."""
    from marl.gcp.plan import ProvisioningPlan
    from marl.gcp.terraform import write_terraform

    plan = ProvisioningPlan.model_validate_json((provisioning_plan / "plan.json").read_text())
    into = store.staging("terraform_artifacts")
    summary = write_terraform(plan, into / MODULE)
    kept = _carry_over(store.folder("terraform_artifacts") / MODULE, into / MODULE)
    context.add_output_metadata(
        {
            "resources": len(summary.resources),
            "monthly_usd": summary.monthly_usd,
            "module": dg.MetadataValue.path(str(store.folder("terraform_artifacts") / MODULE)),
            "carried over": ", ".join(kept) or "nothing",
        }
    )
    return into


def _carry_over(old: Path, new: Path) -> list[str]:
    """Copy what is in the old module and not in the new one: losing a state file loses a cloud."""
    kept = []
    written = {path.name for path in new.iterdir()}
    for path in sorted(old.iterdir()) if old.is_dir() else []:
        if path.name not in written:
            copy = shutil.copytree if path.is_dir() else shutil.copy2
            copy(path, new / path.name)
            kept.append(path.name)
    return kept
