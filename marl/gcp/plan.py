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


class ComputePlan(Frozen):
    """A regional managed instance group behind an autoscaler, with an optional spot group."""

    machine_type: str = Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)+$")  # e.g. "n2-standard-4"
    min_replicas: int = Field(ge=0)
    max_replicas: int = Field(ge=1)
    target_cpu_utilisation: float = Field(gt=0, le=1)
    spot_share: float = Field(ge=0, le=1)  # of replicas
    initialization_period_s: int = Field(default=60, ge=0, le=3600)
    scale_in_window_s: int = Field(default=600, ge=0, le=3600)
    boot_disk_gib: int = Field(default=20, ge=10)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas {self.min_replicas} is above max_replicas {self.max_replicas}"
            )
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


class StoragePlan(Frozen):
    """The data disk of each replica, and buckets."""

    disk_type: Literal["pd-standard", "pd-balanced", "pd-ssd", "hyperdisk-balanced"]
    disk_gib: int = Field(ge=10)
    provisioned_iops: int | None = Field(default=None, ge=1)  # hyperdisk only
    buckets: tuple[BucketPlan, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.provisioned_iops is not None and self.disk_type != "hyperdisk-balanced":
            raise ValueError(f"{self.disk_type} takes no provisioned_iops, only Hyperdisk does")
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
    costs: tuple[CostLine, ...]
    reasons: tuple[Reason, ...]

    @model_validator(mode="after")
    def _zones_in_region(self) -> Self:
        for zone in self.zones:
            if zone.rpartition("-")[0] != self.region or not zone.rpartition("-")[2].isalpha():
                raise ValueError(f"zone {zone!r} is not in region {self.region!r}")
        if len(set(self.zones)) < len(self.zones):
            raise ValueError(f"a zone is named twice: {self.zones}")
        return self
