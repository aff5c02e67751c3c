"""Operations on storage: disks, Hyperdisk and the bucket.

Google's rules are checked where an operation is made. Limits are those of the Persistent Disk and
Hyperdisk Extreme documentation (2026).
"""

from typing import Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from marl.gcp.operation import (
    PREFIX,
    Change,
    LabelPolicy,
    Operation,
    Policy,
    Verb,
)

MAX_DISK_GIB: Final = 65_536
DISK: Final = f"{PREFIX}-data"
HYPERDISK: Final = f"{PREFIX}-iops"
CLASSES: Final = ("NEARLINE", "COLDLINE", "ARCHIVE")


class DiskPolicy(LabelPolicy):
    """By what the automation sizes disks."""

    target_bp: int = Field(ge=1, le=10_000)
    floor_bp: int = Field(ge=0)
    free_bp: int = Field(ge=0)
    provisioned_bp: int = Field(ge=0, le=10_000)


class Growth(Operation):
    """A disk that becomes larger; Google never makes one smaller, so there is no way back."""

    verb: ClassVar[Verb] = "resize"

    to_gib: int = Field(ge=10, le=MAX_DISK_GIB)
    was_gib: int = Field(ge=10, le=MAX_DISK_GIB)

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.to_gib <= self.was_gib:
            raise ValueError(
                f"disks only grow: {self.was_gib} GiB cannot become {self.to_gib} GiB; "
                "copy the data to a new, smaller disk instead"
            )
        return self


class SetDiskPolicy(Change):
    """The disks' policy, kept as labels of the data disk."""

    api_method: ClassVar[str] = "compute.disks.setLabels"
    terraform_resource: ClassVar[str] = "google_compute_disk"

    kind: Literal["set_disk_policy"] = "set_disk_policy"
    zone: str
    to: DiskPolicy
    was: DiskPolicy

    def parameters(self, project: str) -> dict[str, str | int]:
        """The data disk."""
        return {"project": project, "zone": self.zone, "resource": DISK}

    def body(self) -> dict[str, Any]:
        """A `ZoneSetLabelsRequest`, but for the fingerprint, which the caller reads."""
        return {"labels": self.to.labels()}

    def describe(self) -> str:
        """One readable line."""
        return f"disk policy: {self.to.described(self.was)}"


class ResizeDisk(Growth):
    """A larger data disk; its IOPS follow its size."""

    api_method: ClassVar[str] = "compute.disks.resize"
    terraform_resource: ClassVar[str] = "google_compute_disk"

    kind: Literal["resize_disk"] = "resize_disk"
    zone: str

    def parameters(self, project: str) -> dict[str, str | int]:
        """The data disk."""
        return {"project": project, "zone": self.zone, "disk": DISK}

    def body(self) -> dict[str, Any]:
        """A `DisksResizeRequest`; int64 is text."""
        return {"sizeGb": str(self.to_gib)}

    def describe(self) -> str:
        """One readable line."""
        return f"data disk in {self.zone}: {self.was_gib:,} → {self.to_gib:,} GiB"


class _Hyperdisk(Operation):
    """A Hyperdisk Extreme volume and the IOPS bought for it."""

    terraform_resource: ClassVar[str] = "google_compute_disk"

    zone: str
    size_gib: int = Field(ge=64, le=MAX_DISK_GIB)

    def check_iops(self, iops: int) -> int:
        """`iops` where Google sells that many for a volume of this size."""
        low, high = max(128, 2 * self.size_gib), min(350_000, 1200 * self.size_gib)
        if not low <= iops <= high:
            raise ValueError(
                f"a Hyperdisk Extreme volume of {self.size_gib} GiB takes {low:,} to {high:,} "
                f"IOPS; got {iops:,}"
            )
        return iops


class CreateHyperdisk(_Hyperdisk):
    """Begin to buy IOPS."""

    verb: ClassVar[Verb] = "create"
    api_method: ClassVar[str] = "compute.disks.insert"

    kind: Literal["create_hyperdisk"] = "create_hyperdisk"
    iops: int

    @model_validator(mode="after")
    def _is_sold(self) -> Self:
        self.check_iops(self.iops)
        return self

    def parameters(self, project: str) -> dict[str, str | int]:
        """Its zone."""
        return {"project": project, "zone": self.zone}

    def body(self) -> dict[str, Any]:
        """A `Disk`."""
        return {
            "name": HYPERDISK,
            "type": f"zones/{self.zone}/diskTypes/hyperdisk-extreme",
            "sizeGb": str(self.size_gib),
            "provisionedIops": str(self.iops),
        }

    def reverse(self) -> "DeleteHyperdisk":
        """Delete it; its data go too."""
        return DeleteHyperdisk(zone=self.zone, size_gib=self.size_gib, iops=self.iops)

    def describe(self) -> str:
        """One readable line."""
        return f"create a Hyperdisk in {self.zone}: {self.size_gib} GiB, {self.iops:,} IOPS"


class DeleteHyperdisk(_Hyperdisk):
    """Buy no IOPS any more."""

    verb: ClassVar[Verb] = "delete"
    api_method: ClassVar[str] = "compute.disks.delete"

    kind: Literal["delete_hyperdisk"] = "delete_hyperdisk"
    iops: int

    def parameters(self, project: str) -> dict[str, str | int]:
        """The volume."""
        return {"project": project, "zone": self.zone, "disk": HYPERDISK}

    def body(self) -> None:
        """None: the method takes no body."""

    def reverse(self) -> CreateHyperdisk:
        """Create it again, empty."""
        return CreateHyperdisk(zone=self.zone, size_gib=self.size_gib, iops=self.iops)

    def describe(self) -> str:
        """One readable line."""
        return f"delete the Hyperdisk in {self.zone} ({self.iops:,} IOPS)"


class SetProvisionedIops(_Hyperdisk, Change):
    """Other IOPS for the volume; Google allows it once in four hours."""

    api_method: ClassVar[str] = "compute.disks.update"

    kind: Literal["set_provisioned_iops"] = "set_provisioned_iops"
    to: int
    was: int

    @model_validator(mode="after")
    def _is_sold(self) -> Self:
        self.check_iops(self.to)
        return self

    def parameters(self, project: str) -> dict[str, str | int]:
        """Only the IOPS are written."""
        paths = "provisionedIops"
        return {"project": project, "zone": self.zone, "disk": HYPERDISK, "paths": paths}

    def body(self) -> dict[str, Any]:
        """A `Disk`."""
        return {"name": HYPERDISK, "provisionedIops": str(self.to)}

    def describe(self) -> str:
        """One readable line."""
        return f"Hyperdisk in {self.zone}: {self.was:,} → {self.to:,} IOPS"


class LifecyclePolicy(Policy):
    """Age in whole days at which objects move to each colder class."""

    nearline_days: int = Field(ge=1)
    coldline_days: int = Field(ge=1)
    archive_days: int = Field(ge=1)

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if not self.nearline_days < self.coldline_days < self.archive_days:
            raise ValueError(
                f"colder classes come later: nearline {self.nearline_days}, coldline "
                f"{self.coldline_days}, archive {self.archive_days} days"
            )
        return self


class SetLifecycle(Change):
    """The bucket's rules."""

    api_method: ClassVar[str] = "storage.buckets.patch"
    terraform_resource: ClassVar[str] = "google_storage_bucket"

    kind: Literal["set_lifecycle"] = "set_lifecycle"
    to: LifecyclePolicy
    was: LifecyclePolicy

    def parameters(self, project: str) -> dict[str, str | int]:
        """Buckets' names are global, so this one begins with the project's."""
        return {"bucket": f"{project}-{PREFIX}-data"}

    def body(self) -> dict[str, Any]:
        """A `Bucket`; a patch replaces all rules."""
        days = (self.to.nearline_days, self.to.coldline_days, self.to.archive_days)
        rules = [
            {
                "action": {"type": "SetStorageClass", "storageClass": name},
                "condition": {"age": age},
            }
            for name, age in zip(CLASSES, days, strict=True)
        ]
        return {"lifecycle": {"rule": rules}}

    def describe(self) -> str:
        """One readable line."""
        return f"lifecycle: {self.to.described(self.was)}"
