"""Writes a provisioning plan as a Terraform module for Google Cloud.

`write_terraform` is all there is to call. The HCL lives in `templates/`, the escaping in `hcl`;
what to provision was decided before, in the plan.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from marl import files
from marl.frozen import Frozen
from marl.gcp import groups, hcl
from marl.gcp.plan import BucketPlan, GroupPlan, ProvisioningPlan

TEMPLATES: Final = (
    "README.md",
    "apis.tf",
    "compute.tf",
    "database.tf",
    "load_balancer.tf",
    "locals.tf",
    "network.tf",
    "outputs.tf",
    "storage.tf",
    "terraform.tfvars.example",
    "variables.tf",
    "versions.tf",
)
_TERMS: Final = {1: "TWELVE_MONTH", 3: "THIRTY_SIX_MONTH"}
_RESOURCE = re.compile(r'^resource "(\w+)" "(\w+)"', re.M)


class WrittenFile(Frozen):
    """One file of the module."""

    name: str
    sha256: str
    size_bytes: int


class TerraformSummary(Frozen):
    """What was written, for a report. The same plan gives the same summary.

    Attributes:
        files: every file of the module, by name.
        resources: addresses of the resource blocks (`type.name`), sorted.
        instance_groups: replicas (minimum, maximum) by group.
        monthly_usd: the plan's estimate, summed.
    """

    files: tuple[WrittenFile, ...]
    resources: tuple[str, ...]
    instance_groups: dict[str, tuple[int, int]]
    monthly_usd: float


def write_terraform(plan: ProvisioningPlan, into: Path) -> TerraformSummary:
    """Write `plan` as a Terraform module into the folder `into`.

    The folder is replaced as a whole once every file is complete; until then an older module stays
    untouched. A folder that holds anything else than such a module (a state file, say) is refused.
    Terraform itself is not needed. The same plan gives the same bytes.

    Args:
        plan: what to provision.
        into: folder of the module; made if absent.

    Returns:
        What was written.

    Raises:
        ValueError: the plan contradicts itself (a disk its machines cannot attach, text Terraform
            cannot hold).
        FileExistsError: `into` holds files that this function did not write.
    """
    texts = render(plan)
    _refuse_strangers(into)
    with files.staged(into) as aside:
        aside.mkdir()
        for name, text in texts.items():
            (aside / name).write_bytes(text.encode())
    return _summary(plan, texts)


def render(plan: ProvisioningPlan) -> dict[str, str]:
    """The module's files as text, by name. Raises like `write_terraform`."""
    groups.check_disks(plan.compute, plan.storage)
    environment = _environment()
    values = _values(plan)
    return {name: environment.get_template(f"{name}.j2").render(values) for name in TEMPLATES}


def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - the output is HCL and Markdown, escaped by filters
        loader=PackageLoader("marl.gcp"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_refuse_none,
    )
    environment.filters["hcl"] = hcl.literal
    environment.filters["md"] = markdown
    return environment


def _refuse_none(value: Any) -> Any:
    if value is None:
        raise ValueError("a template wrote a missing value without the hcl filter")
    return value


def _values(plan: ProvisioningPlan) -> dict[str, Any]:
    used = sorted({groups.architecture(group.machine_type) for group in plan.compute.groups})
    return {
        "plan": plan,
        "groups": {group.key: _group(group, plan) for group in plan.compute.groups},
        "source_images": {each: groups.source_image(each) for each in used},
        "has_gpu": any(group.kind == "gpu" for group in plan.compute.groups),
        "commitments": {
            f"{each.years}y": {
                "plan": _TERMS[each.years],
                "type": each.commitment_type,
                "vcpu": each.vcpu,
                "memory_mib": each.memory_mib,
            }
            for each in plan.compute.commitments
        },
        "buckets": {bucket.name_suffix: _bucket(bucket) for bucket in plan.storage.buckets},
        "total_usd": sum(line.monthly_usd for line in plan.costs),
    }


def _group(group: GroupPlan, plan: ProvisioningPlan) -> dict[str, Any]:
    data = groups.data_disk(group, plan.storage)
    return {
        "machine_type": group.machine_type,
        "architecture": groups.architecture(group.machine_type),
        "is_spot": group.is_spot,
        "has_gpu": group.kind == "gpu",
        "min_replicas": group.min_replicas,
        "max_replicas": group.max_replicas,
        "boot_disk_type": groups.boot_disk_type(group.machine_type),
        "data_disk": {
            "type": data.disk_type,
            "size_gib": data.disk_gib,
            "provisioned_iops": data.provisioned_iops,
        },
    }


def _bucket(bucket: BucketPlan) -> Mapping[str, Any]:
    transitions = [{"age_days": age, "storage_class": kind} for age, kind in bucket.lifecycle]
    return {
        "storage_class": bucket.storage_class,
        "transitions": transitions,
        "delete_after_days": bucket.delete_after_days,
    }


def markdown(text: str) -> str:
    """`text` on one line of Markdown, in a table or not, where nothing in it is markup."""
    one_line = " ".join(text.split())
    escaped = re.sub(r"([\\`*_\[\]<>|~$])", r"\\\1", one_line)
    escaped = re.sub(r"^(#|[-+](?=\s|$)|=)", r"\\\1", escaped)
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", escaped).replace("&", "&amp;")


def _refuse_strangers(into: Path) -> None:
    if not into.exists():
        return
    if not into.is_dir():
        raise FileExistsError(f"{into} is a file; name a folder for the Terraform module")
    strangers = sorted(each.name for each in into.iterdir() if each.name not in TEMPLATES)
    if strangers:
        raise FileExistsError(
            f"{into} holds {', '.join(strangers[:5])} beside the module (Terraform's state?); "
            "run Terraform in a copy of the folder, or name another one"
        )


def _summary(plan: ProvisioningPlan, texts: Mapping[str, str]) -> TerraformSummary:
    written = tuple(
        WrittenFile(
            name=name,
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            size_bytes=len(text.encode()),
        )
        for name, text in texts.items()
    )
    found = _RESOURCE.findall("\n".join(texts.values()))
    return TerraformSummary(
        files=written,
        resources=tuple(sorted(f"{kind}.{name}" for kind, name in found)),
        instance_groups={
            each.key: (each.min_replicas, each.max_replicas) for each in plan.compute.groups
        },
        monthly_usd=sum(line.monthly_usd for line in plan.costs),
    )
