"""Checks of group `terraform`: a plan that adds up, HCL that is whole and holds no secret."""

import re
from pathlib import Path
from typing import Any, Final

from assets.quality.checks import fact_check
from assets.terraform.assets import MODULE

_SECRET: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|AIza[0-9A-Za-z_-]{35}|ya29\.[0-9A-Za-z_-]+|"
    r'(?:password|secret|token)\s*=\s*"[^"$]+"',
    re.IGNORECASE,
)


def plan_adds_up(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """The plan is valid, costs something, and gives a reason for each of the four services."""
    from pydantic import ValidationError

    from marl.gcp.plan import ProvisioningPlan

    try:
        plan = ProvisioningPlan.model_validate_json((folder / "plan.json").read_text("utf-8"))
    except ValidationError as error:
        return False, f"not a plan: {error}", {}
    total = sum(line.monthly_usd for line in plan.costs)
    wrong = []
    if plan.compute.min_replicas > plan.compute.max_replicas:
        wrong.append(
            f"{plan.compute.min_replicas} replicas at least, {plan.compute.max_replicas} at most"
        )
    if not total > 0:
        wrong.append("the estimate is 0 USD")
    if len(plan.reasons) < 4:
        wrong.append(f"only {len(plan.reasons)} reasons")
    return not wrong, "; ".join(wrong) or "the plan adds up", {"monthly_usd": total}


def module_is_safe(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """The module has its files, braces balance, and nothing in it looks like a credential."""
    module = folder / MODULE
    files = sorted(module.glob("*.tf"))
    wrong = [
        f"missing: {n}"
        for n in ("versions.tf", "variables.tf", "outputs.tf", "README.md")
        if not (module / n).is_file()
    ]
    for path in files:
        text = path.read_text(encoding="utf-8")
        if text.count("{") != text.count("}"):
            wrong.append(f"{path.name}: braces do not balance")
        if found := _SECRET.search(text):
            wrong.append(f"{path.name}: looks like a credential at character {found.start()}")
    return not wrong, "; ".join(wrong) or f"{len(files)} files", {"files": len(files)}


CHECKS: Final = [
    fact_check(
        "provisioning_plan",
        "plan_adds_up",
        plan_adds_up,
        description="Valid, with a cost and a reason for each service.",
    ),
    fact_check(
        "terraform_artifacts",
        "module_is_safe",
        module_is_safe,
        description="The module is whole and holds no credential. Terraform itself judges it in "
        "the tests.",
    ),
]
