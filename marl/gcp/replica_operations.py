"""Operations that create and delete what a database is helped by: read replicas and the cache."""

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from marl.gcp.database_operations import MAX_REPLICAS, PRIMARY, Tier
from marl.gcp.operation import PREFIX, Change, Operation, Verb

MAX_REDIS_GIB: Final = 300  # Memorystore for Redis, basic tier (documentation, 2026)
REDIS: Final = f"{PREFIX}-cache"
Gib = Annotated[int, Field(ge=1, le=MAX_REDIS_GIB)]


class _Replica(Operation):
    """One read replica of the primary."""

    terraform_resource: ClassVar[str] = "google_sql_database_instance"

    region: str
    number: int = Field(ge=1, le=MAX_REPLICAS)
    tier: Tier

    @property
    def name(self) -> str:
        """Of the instance."""
        return replica_name(self.number)


def replica_name(number: int) -> str:
    """Name of the `number`-th read replica, from 1."""
    return f"{PRIMARY}-replica-{number}"


class CreateReplica(_Replica):
    """One more read replica, of the primary's size."""

    verb: ClassVar[Verb] = "create"
    api_method: ClassVar[str] = "sqladmin.instances.insert"

    kind: Literal["create_replica"] = "create_replica"

    def parameters(self, project: str) -> dict[str, str | int]:
        """The project alone."""
        return {"project": project}

    def body(self) -> dict[str, Any]:
        """A `DatabaseInstance`."""
        return {
            "name": self.name,
            "region": self.region,
            "instanceType": "READ_REPLICA_INSTANCE",
            "masterInstanceName": PRIMARY,
            "settings": {"tier": self.tier.name},
        }

    def reverse(self) -> "DeleteReplica":
        """Delete it."""
        return DeleteReplica(region=self.region, number=self.number, tier=self.tier)

    def describe(self) -> str:
        """One readable line."""
        return f"create {self.name}, {self.tier.name}"


class DeleteReplica(_Replica):
    """One read replica less."""

    verb: ClassVar[Verb] = "delete"
    api_method: ClassVar[str] = "sqladmin.instances.delete"

    kind: Literal["delete_replica"] = "delete_replica"

    def parameters(self, project: str) -> dict[str, str | int]:
        """The instance."""
        return {"project": project, "instance": self.name}

    def body(self) -> None:
        """None: the method takes no body."""

    def reverse(self) -> CreateReplica:
        """Create it again."""
        return CreateReplica(region=self.region, number=self.number, tier=self.tier)

    def describe(self) -> str:
        """One readable line."""
        return f"delete {self.name}"


class _Redis(Operation):
    """The cache in front of the database."""

    terraform_resource: ClassVar[str] = "google_redis_instance"

    region: str

    def _parent(self, project: str) -> str:
        return f"projects/{project}/locations/{self.region}"

    def parameters(self, project: str) -> dict[str, str | int]:
        """The instance."""
        return {"name": f"{self._parent(project)}/instances/{REDIS}"}


class CreateRedis(_Redis):
    """The cache's beginning."""

    verb: ClassVar[Verb] = "create"
    api_method: ClassVar[str] = "redis.projects.locations.instances.create"

    kind: Literal["create_redis"] = "create_redis"
    gib: Gib

    def parameters(self, project: str) -> dict[str, str | int]:
        """Where, and under which name."""
        return {"parent": self._parent(project), "instanceId": REDIS}

    def body(self) -> dict[str, Any]:
        """An `Instance`."""
        return {"tier": "BASIC", "memorySizeGb": self.gib}

    def reverse(self) -> "DeleteRedis":
        """Delete it."""
        return DeleteRedis(region=self.region, gib=self.gib)

    def describe(self) -> str:
        """One readable line."""
        return f"create the cache: {self.gib} GiB"


class ResizeRedis(_Redis, Change):
    """A larger or smaller cache."""

    verb: ClassVar[Verb] = "resize"
    api_method: ClassVar[str] = "redis.projects.locations.instances.patch"

    kind: Literal["resize_redis"] = "resize_redis"
    to: Gib
    was: Gib

    def parameters(self, project: str) -> dict[str, str | int]:
        """Only the size is written."""
        return super().parameters(project) | {"updateMask": "memorySizeGb"}

    def body(self) -> dict[str, Any]:
        """An `Instance`."""
        return {"memorySizeGb": self.to}

    def describe(self) -> str:
        """One readable line."""
        return f"cache: {self.was} → {self.to} GiB"


class DeleteRedis(_Redis):
    """The cache's end."""

    verb: ClassVar[Verb] = "delete"
    api_method: ClassVar[str] = "redis.projects.locations.instances.delete"

    kind: Literal["delete_redis"] = "delete_redis"
    gib: Gib

    def body(self) -> None:
        """None: the method takes no body."""

    def reverse(self) -> CreateRedis:
        """Create it again, cold."""
        return CreateRedis(region=self.region, gib=self.gib)

    def describe(self) -> str:
        """One readable line."""
        return f"delete the cache ({self.gib} GiB)"
