"""Operations on a Cloud SQL instance: policy, tier, disk, standby.

Google's rules are checked where an operation is made. Limits are those of the Cloud SQL page
"instance settings" (2026). Replicas and the cache are in `replica_operations`.
"""

from typing import Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from marl.gcp.operation import (
    PREFIX,
    Change,
    LabelPolicy,
    Name,
    Operation,
    Policy,
    Verb,
    WindowSeconds,
)
from marl.gcp.storage_operations import Growth

MAX_REPLICAS: Final = 10
PRIMARY: Final = f"{PREFIX}-db"


class DatabasePolicy(LabelPolicy):
    """By what the automation sizes the database and its cache."""

    target_bp: int = Field(ge=1, le=10_000)
    floor_bp: int = Field(ge=0)
    window_s: WindowSeconds
    replicas: int = Field(ge=0, le=MAX_REPLICAS)
    ha: int = Field(ge=0, le=1)
    cache_bp: int = Field(ge=0, le=10_000)
    free_bp: int = Field(ge=0)


class _Sql(Operation):
    """A call on one Cloud SQL instance, which runs one operation at a time."""

    api_method: ClassVar[str] = "sqladmin.instances.patch"
    terraform_resource: ClassVar[str] = "google_sql_database_instance"

    instance: Name = PRIMARY

    def parameters(self, project: str) -> dict[str, str | int]:
        """The instance."""
        return {"project": project, "instance": self.instance}


class SetDatabasePolicy(_Sql, Change):
    """The database's policy, kept as labels of the primary."""

    kind: Literal["set_database_policy"] = "set_database_policy"
    to: DatabasePolicy
    was: DatabasePolicy

    def body(self) -> dict[str, Any]:
        """A `DatabaseInstance`."""
        return {"settings": {"userLabels": self.to.labels()}}

    def describe(self) -> str:
        """One readable line."""
        return f"database policy: {self.to.described(self.was)}"


class Tier(Policy):
    """A custom machine of Cloud SQL."""

    vcpu: int = Field(ge=1, le=96)
    memory_mib: int = Field(ge=3840, multiple_of=256)

    @model_validator(mode="after")
    def _is_sold(self) -> Self:
        if self.vcpu > 1 and self.vcpu % 2:
            raise ValueError(f"Cloud SQL sells 1 or an even number of vCPUs; got {self.vcpu}")
        gib_each = self.memory_mib / 1024 / self.vcpu
        if not 0.9 <= gib_each <= 6.5:
            raise ValueError(f"Cloud SQL sells 0.9 to 6.5 GiB a vCPU; got {gib_each:g}")
        return self

    @property
    def name(self) -> str:
        """As the API writes it."""
        return f"db-custom-{self.vcpu}-{self.memory_mib}"


class ResizeDatabase(_Sql, Change):
    """Another tier for one instance; it restarts."""

    verb: ClassVar[Verb] = "resize"

    kind: Literal["resize_database"] = "resize_database"
    to: Tier
    was: Tier

    def body(self) -> dict[str, Any]:
        """A `DatabaseInstance`."""
        return {"settings": {"tier": self.to.name}}

    def describe(self) -> str:
        """One readable line."""
        return f"{self.instance}: {self.was.name} → {self.to.name}"


class ResizeDatabaseDisk(_Sql, Growth):
    """A larger disk for the database; its IOPS follow its size."""

    kind: Literal["resize_database_disk"] = "resize_database_disk"

    def body(self) -> dict[str, Any]:
        """A `DatabaseInstance`; int64 is text."""
        return {"settings": {"dataDiskSizeGb": str(self.to_gib)}}

    def describe(self) -> str:
        """One readable line."""
        return f"{self.instance}: disk {self.was_gib:,} → {self.to_gib:,} GiB"


class SetAvailability(_Sql, Change):
    """With or without a standby in another zone."""

    kind: Literal["set_availability"] = "set_availability"
    to: Literal["REGIONAL", "ZONAL"]
    was: Literal["REGIONAL", "ZONAL"]

    def body(self) -> dict[str, Any]:
        """A `DatabaseInstance`."""
        return {"settings": {"availabilityType": self.to}}

    def describe(self) -> str:
        """One readable line."""
        return f"{self.instance}: {self.was} → {self.to}"
