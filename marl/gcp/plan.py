"""The decision in Google Cloud's words: what to provision, for which demand, and why.

Made from a policy by `marl.gcp.planning`, written as HCL by `marl.gcp.terraform`. Plain data.
"""

from typing import Literal

from pydantic import Field

from marl.frozen import Frozen


class ComputePlan(Frozen):
    """A regional managed instance group behind an autoscaler, with an optional spot group."""

    machine_type: str  # e.g. "n2-standard-4"
    min_replicas: int = Field(ge=0)
    max_replicas: int = Field(ge=1)
    target_cpu_utilisation: float = Field(gt=0, le=1)
    spot_share: float = Field(ge=0, le=1)  # of replicas
    initialization_period_s: int = Field(default=60, ge=0)
    scale_in_window_s: int = Field(default=600, ge=0)
    boot_disk_gib: int = Field(default=20, ge=10)


class BucketPlan(Frozen):
    """A Cloud Storage bucket and the ages (days) at which objects move to colder classes."""

    name_suffix: str
    storage_class: Literal["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"] = "STANDARD"
    lifecycle: tuple[tuple[int, Literal["NEARLINE", "COLDLINE", "ARCHIVE"]], ...] = ()
    delete_after_days: int | None = Field(default=None, ge=1)


class StoragePlan(Frozen):
    """The data disk of each replica, and buckets."""

    disk_type: Literal["pd-standard", "pd-balanced", "pd-ssd", "hyperdisk-balanced"]
    disk_gib: int = Field(ge=10)
    provisioned_iops: int | None = Field(default=None, ge=1)  # hyperdisk only
    buckets: tuple[BucketPlan, ...] = ()


class NetworkPlan(Frozen):
    """VPC, subnet, NAT, firewall and load balancer."""

    subnet_cidr: str = "10.10.0.0/20"
    has_nat: bool = True
    load_balancer_port: int = Field(default=80, ge=1, le=65535)
    backend_port: int = Field(default=8080, ge=1, le=65535)
    health_check_path: str = "/healthz"
    peak_gbps: float = Field(ge=0)
    is_cdn_enabled: bool = False


class DatabasePlan(Frozen):
    """A Cloud SQL primary with read replicas."""

    tier: str  # e.g. "db-custom-4-16384"
    has_ha: bool
    read_replicas: int = Field(ge=0)
    disk_gib: int = Field(ge=10)
    database_version: str = "POSTGRES_16"


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
    region: str
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
