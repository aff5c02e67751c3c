"""Operations on machines: instance groups, their autoscalers and mix, commitments.

Google's rules are checked where an operation is made. Limits are those of the Compute Engine
documentation (2026).
"""

from typing import Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from marl.gcp.groups import family
from marl.gcp.operation import (
    PREFIX,
    Change,
    LabelPolicy,
    Operation,
    Policy,
    Verb,
    WindowSeconds,
)

MAX_GROUP: Final = 1000  # VMs in a zonal managed instance group, by default
# Commitment types of the series that the catalogue may hold (`Commitment.type`).
_COMMITMENT_TYPES: Final = {
    "n1": "GENERAL_PURPOSE",
    **{
        series: f"GENERAL_PURPOSE_{series.upper()}"
        for series in ("c4", "c4a", "c4d", "e2", "n2", "n2d", "n4", "n4a", "n4d", "t2d")
    },
    "c2": "COMPUTE_OPTIMIZED",
    "c2d": "COMPUTE_OPTIMIZED_C2D",
    "c3": "COMPUTE_OPTIMIZED_C3",
    "c3d": "COMPUTE_OPTIMIZED_C3D",
}


def group_name(purchase: str, machine: str, zone: str) -> str:
    """Name of the managed instance group that holds a cell of the fleet."""
    return f"{PREFIX}-{purchase.replace('_', '-')}-{machine}-{zone}"


class ResizeGroup(Change):
    """Wanted number of VMs of one purchase and kind in one zone.

    The groups do not repair (`instanceLifecyclePolicy.defaultActionOnFailure: DO_NOTHING`): a lost
    or refused VM is struck off, and the automation orders again where it sees fit.
    """

    verb: ClassVar[Verb] = "resize"
    api_method: ClassVar[str] = "compute.instanceGroupManagers.resize"
    terraform_resource: ClassVar[str] = "google_compute_instance_group_manager"

    kind: Literal["resize_group"] = "resize_group"
    zone: str
    purchase: Literal["on_demand", "spot"]
    machine: Literal["general", "highmem", "arm", "gpu"]
    machine_type: str
    to: int = Field(ge=0, le=MAX_GROUP)
    was: int = Field(ge=0, le=MAX_GROUP)

    def parameters(self, project: str) -> dict[str, str | int]:
        """The size is a query parameter."""
        name = group_name(self.purchase, self.machine, self.zone)
        return {
            "project": project,
            "zone": self.zone,
            "instanceGroupManager": name,
            "size": self.to,
        }

    def body(self) -> None:
        """None: the method takes no body."""

    def describe(self) -> str:
        """One readable line."""
        return (
            f"{self.purchase.replace('_', '-')} {self.machine_type} in {self.zone}: "
            f"{self.was} → {self.to} VMs"
        )


class AutoscalingPolicy(Policy):
    """What an autoscaler is told; it recommends (mode OFF), and `resize_group` carries out."""

    min_replicas: int = Field(ge=0)
    max_replicas: int = Field(ge=1)
    target: float = Field(gt=0, le=1, description="utilisation, four decimals")
    window_s: WindowSeconds

    @model_validator(mode="after")
    def _is_range(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas {self.min_replicas} exceeds max_replicas {self.max_replicas}; "
                "lower the floor or raise the quota"
            )
        return self

    def common(self) -> dict[str, Any]:
        """The part of the body that all metrics share."""
        return {
            "mode": "OFF",
            "minNumReplicas": self.min_replicas,
            "maxNumReplicas": self.max_replicas,
            "scaleInControl": {
                "timeWindowSec": self.window_s,
                "maxScaledInReplicas": {"fixed": 0},  # hold the peak while the window lasts
            },
        }


class SetAutoscaler(Change):
    """Target, floor and window of one zone's fleet.

    A zone's fleet is many groups. Its on-demand general one carries the autoscaler, in mode OFF:
    Google computes `recommendedSize`, the automation spreads it over purchases and kinds.
    """

    api_method: ClassVar[str] = "compute.autoscalers.patch"
    terraform_resource: ClassVar[str] = "google_compute_autoscaler"

    kind: Literal["set_autoscaler"] = "set_autoscaler"
    zone: str
    to: AutoscalingPolicy
    was: AutoscalingPolicy

    def parameters(self, project: str) -> dict[str, str | int]:
        """Where the autoscaler is."""
        name = f"{PREFIX}-fleet-{self.zone}"
        return {"project": project, "zone": self.zone, "autoscaler": name}

    def body(self) -> dict[str, Any]:
        """An `Autoscaler`."""
        cpu = {"cpuUtilization": {"utilizationTarget": self.to.target}}
        return {"autoscalingPolicy": self.to.common() | cpu}

    def describe(self) -> str:
        """One readable line."""
        return f"fleet of {self.zone}: {self.to.described(self.was)}"


class FleetPolicy(LabelPolicy):
    """How the automation spreads the fleet: mix of purchases, kinds, zones, and commitments."""

    spot_bp: int = Field(ge=0, le=10_000)
    arm_bp: int = Field(ge=0, le=10_000)
    highmem_bp: int = Field(ge=0, le=10_000)
    gpu_bp: int = Field(ge=0, le=10_000)
    zone_spread_bp: int = Field(ge=0, le=10_000)
    fallback_bp: int = Field(ge=0, le=10_000)
    commitment_bp: int = Field(ge=0, le=10_000)
    three_year_bp: int = Field(ge=0, le=10_000)


class SetFleetPolicy(Change):
    """The mix, kept as labels of the home zone's on-demand group, so that bills show it too."""

    api_method: ClassVar[str] = "compute.instanceGroupManagers.patch"
    terraform_resource: ClassVar[str] = "google_compute_instance_group_manager"

    kind: Literal["set_fleet_policy"] = "set_fleet_policy"
    zone: str
    to: FleetPolicy
    was: FleetPolicy

    def parameters(self, project: str) -> dict[str, str | int]:
        """The home zone's on-demand group of the general kind."""
        name = group_name("on_demand", "general", self.zone)
        return {"project": project, "zone": self.zone, "instanceGroupManager": name}

    def body(self) -> dict[str, Any]:
        """An `InstanceGroupManager`."""
        return {"allInstancesConfig": {"properties": {"labels": self.to.labels()}}}

    def describe(self) -> str:
        """One readable line."""
        return f"mix of the fleet: {self.to.described(self.was)}"


class BuyCommitment(Operation):
    """Resources paid for one or three years; there is no way back."""

    verb: ClassVar[Verb] = "buy"
    api_method: ClassVar[str] = "compute.regionCommitments.insert"
    terraform_resource: ClassVar[str] = "google_compute_region_commitment"

    kind: Literal["buy_commitment"] = "buy_commitment"
    region: str
    number: int = Field(ge=0, description="VMs committed before: makes the name unique")
    plan: Literal["TWELVE_MONTH", "THIRTY_SIX_MONTH"]
    machine_type: str
    vcpu: int = Field(ge=1)
    memory_mib: int = Field(ge=256, multiple_of=256)

    @model_validator(mode="after")
    def _is_sold(self) -> Self:
        if family(self.machine_type) not in _COMMITMENT_TYPES:
            raise ValueError(
                f"no resource-based commitment is known for {self.machine_type}; "
                f"series that have one: {', '.join(sorted(_COMMITMENT_TYPES))}"
            )
        return self

    def parameters(self, project: str) -> dict[str, str | int]:
        """Commitments belong to a region."""
        return {"project": project, "region": self.region}

    def body(self) -> dict[str, Any]:
        """A `Commitment`; amounts are int64 and so text, memory in MB."""
        years = "1y" if self.plan == "TWELVE_MONTH" else "3y"
        return {
            "name": f"{PREFIX}-{years}-after-{self.number}",
            "plan": self.plan,
            "type": _COMMITMENT_TYPES[family(self.machine_type)],
            "resources": [
                {"type": "VCPU", "amount": str(self.vcpu)},
                {"type": "MEMORY", "amount": str(self.memory_mib)},
            ],
        }

    def describe(self) -> str:
        """One readable line."""
        gib = self.memory_mib / 1024
        return f"commit to {self.vcpu} vCPU and {gib:g} GiB, {self.plan.lower().replace('_', ' ')}"
