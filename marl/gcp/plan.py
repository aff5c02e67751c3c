"""The decision in Google Cloud's words: what to provision, for which demand, and why.

Made from a policy by `marl.gcp.planning`, written as HCL by `marl.gcp.terraform`. Plain data; what
no Google Cloud could ever be is refused here, with the reason.
"""

import ipaddress
from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from marl.frozen import Frozen

_COLDER = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")
DiskType = Literal["pd-standard", "pd-balanced", "pd-ssd", "hyperdisk-balanced"]


class DiskPlan(Frozen):
    """A disk of each replica."""

    disk_type: DiskType
    disk_gib: int = Field(ge=10)
    provisioned_iops: int | None = Field(default=None, ge=1)  # hyperdisk only

    @model_validator(mode="after")
    def _iops_need_hyperdisk(self) -> Self:
        if self.provisioned_iops is not None and not self.disk_type.startswith("hyperdisk-"):
            raise ValueError(f"{self.disk_type} takes no provisioned_iops; only hyperdisk does")
        return self


class GroupPlan(Frozen):
    """A managed instance group: one kind of machine, bought one way.

    Attributes:
        kind: what the machine is for.
        machine_type: e.g. "n2-standard-4".
        is_spot: bought as spot VMs.
        min_replicas: the autoscaler's range. At least 1: an empty group has no load to measure and
            would stay empty for ever.
        max_replicas: the same.
        data_disk: where the machine takes another than the plan's.
    """

    kind: Literal["general", "highmem", "arm", "gpu"] = "general"
    machine_type: str = Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)+$")
    is_spot: bool = False
    min_replicas: int = Field(ge=1)
    max_replicas: int = Field(ge=1)
    data_disk: DiskPlan | None = None

    @property
    def key(self) -> str:
        """Name of the group within the plan, at most 10 characters."""
        if self.kind == "general":
            return "spot" if self.is_spot else "on-demand"
        short = "mem" if self.kind == "highmem" else self.kind
        return f"{short}-spot" if self.is_spot else self.kind

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas {self.min_replicas} is above max_replicas {self.max_replicas}"
            )
        return self


class CommitmentPlan(Frozen):
    """VMs that the policy would run all the time: a contract, bought only where asked for."""

    years: Literal[1, 3]
    machine_type: str
    commitment_type: str = Field(pattern=r"^[A-Z0-9_]+$")  # e.g. "GENERAL_PURPOSE_N2"
    vms: int = Field(ge=1)
    vcpu: int = Field(ge=1)
    memory_mib: int = Field(ge=256, multiple_of=256)


class ComputePlan(Frozen):
    """Regional managed instance groups behind autoscalers, and what could be committed."""

    groups: tuple[GroupPlan, ...] = Field(min_length=1)
    target_cpu_utilisation: float = Field(gt=0, le=1)
    initialization_period_s: int = Field(default=60, ge=0, le=3600)
    gpu_initialization_period_s: int = Field(default=900, ge=0, le=3600)
    scale_in_window_s: int = Field(default=600, ge=0, le=3600)
    boot_disk_gib: int = Field(default=20, ge=10)
    # Of the groups on demand over zones; spot groups go where there is capacity.
    target_shape: Literal["EVEN", "BALANCED", "ANY"] = "EVEN"
    commitments: tuple[CommitmentPlan, ...] = ()

    @property
    def min_replicas(self) -> int:
        """Replicas of all groups together, at least."""
        return sum(group.min_replicas for group in self.groups)

    @property
    def max_replicas(self) -> int:
        """Replicas of all groups together, at most."""
        return sum(group.max_replicas for group in self.groups)

    @model_validator(mode="after")
    def _are_told_apart(self) -> Self:
        keys = [group.key for group in self.groups]
        if len(set(keys)) < len(keys):
            raise ValueError(f"two groups of the same kind and purchase: {keys}")
        if all(group.kind == "gpu" for group in self.groups):
            raise ValueError("GPU groups do not serve the web: name another group beside them")
        years = [each.years for each in self.commitments]
        if len(set(years)) < len(years):
            raise ValueError(f"two commitments of the same term: {years}")
        return self


class BucketPlan(Frozen):
    """A Cloud Storage bucket and the ages (days) at which objects move to colder classes."""

    name_suffix: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$")
    storage_class: Literal["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"] = "STANDARD"
    lifecycle: tuple[tuple[int, Literal["NEARLINE", "COLDLINE", "ARCHIVE"]], ...] = ()
    delete_after_days: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _colder_with_age(self) -> Self:
        ages = [age for age, _ in self.lifecycle]
        warmth = [
            _COLDER.index(kind) for kind in (self.storage_class, *(k for _, k in self.lifecycle))
        ]
        if any(age < 1 for age in ages) or any(a >= b for a, b in pairwise(ages)):
            raise ValueError(f"lifecycle ages must be at least 1 day and increase; got {ages}")
        if any(a >= b for a, b in pairwise(warmth)):
            raise ValueError(
                f"each lifecycle step must move to a colder class; got {self.lifecycle}"
            )
        if self.delete_after_days is not None and ages and self.delete_after_days <= ages[-1]:
            raise ValueError(
                f"objects would be deleted at {self.delete_after_days} days, before the last "
                f"lifecycle step at {ages[-1]}"
            )
        return self


class StoragePlan(DiskPlan):
    """The data disk of each replica, and buckets."""

    buckets: tuple[BucketPlan, ...] = ()

    @model_validator(mode="after")
    def _are_named_apart(self) -> Self:
        suffixes = [bucket.name_suffix for bucket in self.buckets]
        if len(set(suffixes)) < len(suffixes):
            raise ValueError(f"two buckets have the same name_suffix: {sorted(suffixes)}")
        return self


class NetworkPlan(Frozen):
    """VPC, subnet, NAT, firewall and load balancer."""

    subnet_cidr: str = "10.10.0.0/20"
    has_nat: bool = True
    load_balancer_port: int = Field(default=80, ge=1, le=65535)
    backend_port: int = Field(default=8080, ge=1, le=65535)
    health_check_path: str = Field(default="/healthz", pattern=r"^/[^\s\x00-\x1f]*$")
    peak_gbps: float = Field(ge=0)
    is_cdn_enabled: bool = False
    # Of the addresses of Cloud NAT; a global load balancer's is always premium.
    nat_tier: Literal["PREMIUM", "STANDARD"] = "PREMIUM"
    keeps_zone: bool = False  # requests should stay in the zone they came to

    @field_validator("subnet_cidr")
    @classmethod
    def _is_subnet(cls, text: str) -> str:
        network = ipaddress.IPv4Network(text)  # raises ValueError with what is wrong
        if not 8 <= network.prefixlen <= 29:
            raise ValueError(f"a subnet's prefix length is 8 to 29; got {text}")
        return text


class DatabasePlan(Frozen):
    """A Cloud SQL primary with read replicas."""

    tier: str = Field(pattern=r"^db-[a-zA-Z0-9-]+$")  # e.g. "db-custom-4-16384"
    has_ha: bool
    read_replicas: int = Field(ge=0, le=10)
    disk_gib: int = Field(ge=10)
    # Engines whose users can sign in with IAM, so that no password is needed.
    database_version: str = Field(
        default="POSTGRES_16", pattern=r"^(POSTGRES_[0-9]+|MYSQL_8_[0-9]+)$"
    )


class CachePlan(Frozen):
    """A Memorystore for Redis instance with a replica in a second zone."""

    memory_gib: int = Field(ge=1, le=300)


class CostLine(Frozen):
    """One line of the estimate."""

    resource: str
    monthly_usd: float = Field(ge=0)
    basis: str  # quantity × price, with the price's source and date


class Reason(Frozen):
    """Why a resource has the size it has, in a sentence with its numbers."""

    resource: str
    text: str


class ProvisioningPlan(Frozen):
    """Everything `terraform_artifacts` needs, and what a reader needs to trust it."""

    name: str = Field(pattern=r"^[a-z]([-a-z0-9]{0,40}[a-z0-9])?$")  # prefix of every resource
    region: str = Field(pattern=r"^[a-z]+-[a-z]+[0-9]+$")
    zones: tuple[str, ...] = Field(min_length=1)
    policy: str  # which policy decided
    demand: str  # the demand it was decided for, in words with numbers
    is_synthetic: bool  # decided from a synthetic trace
    compute: ComputePlan
    storage: StoragePlan
    network: NetworkPlan
    database: DatabasePlan
    cache: CachePlan | None = None
    costs: tuple[CostLine, ...]
    commitment_costs: tuple[CostLine, ...] = ()  # instead of list prices, if they are bought
    reasons: tuple[Reason, ...]

    @model_validator(mode="after")
    def _zones_in_region(self) -> Self:
        for zone in self.zones:
            if zone.rpartition("-")[0] != self.region or not zone.rpartition("-")[2].isalpha():
                raise ValueError(f"zone {zone!r} is not in region {self.region!r}")
        if len(set(self.zones)) < len(self.zones):
            raise ValueError(f"a zone is named twice: {self.zones}")
        return self
