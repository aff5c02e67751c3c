"""What a user may change about the simulated cloud, every default sourced or a stated assumption.

Plain settings. Their resolution to numbers on a device belongs to `params`.
"""

import math
from typing import Final, Self

from pydantic import Field, model_validator

from marl.cloud.types import OBJECTIVES, SERVICES
from marl.frozen import Frozen

WEIGHT_RANGES: Final = {
    "cost": (0.20, 0.30),
    "performance": (0.30, 0.40),
    "reliability": (0.15, 0.20),
    "sustainability": (0.10, 0.15),
}


class Weights(Frozen):
    """Weights of the four objectives; they sum to 1 and lie in the mission's ranges."""

    cost: float = Field(default=0.25, ge=0, le=1)
    performance: float = Field(default=0.40, ge=0, le=1)
    reliability: float = Field(default=0.20, ge=0, le=1)
    sustainability: float = Field(default=0.15, ge=0, le=1)
    is_free: bool = False  # True: any weights that sum to 1, e.g. for a Pareto front

    @model_validator(mode="after")
    def _is_allowed(self) -> Self:
        values = {name: getattr(self, name) for name in OBJECTIVES}
        if not math.isclose(sum(values.values()), 1.0, abs_tol=1e-6):
            raise ValueError(f"weights must sum to 1; got {values}")
        for name, (low, high) in WEIGHT_RANGES.items():
            if not self.is_free and not low - 1e-9 <= values[name] <= high + 1e-9:
                raise ValueError(
                    f"weight of {name} must be in [{low}, {high}]; got {values[name]} "
                    "(is_free=True lifts the ranges)"
                )
        return self

    def values(self) -> tuple[float, ...]:
        """In the order of OBJECTIVES."""
        return tuple(getattr(self, name) for name in OBJECTIVES)


class CloudConfig(Frozen):
    """What may be changed about the simulated cloud, with its unit in the name.

    Figures without a source beside them are assumptions, chosen to be ordinary.
    """

    # What is bought.
    machine_type: str = "n2-standard-4"  # the general kind; spot and commitments are of it too
    highmem_type: str = "n2-highmem-4"
    arm_type: str = "c4a-standard-4"
    gpu_type: str = "g2-standard-8"
    disk_type: str = "pd-standard"
    zones: int = Field(default=3, ge=1, le=6)
    committed_share: float = Field(default=0.2, ge=0, le=1)  # of the peak's VMs, 1-year, at start
    commitment_review_h: float = Field(default=6.0, gt=0)  # how often commitments may be bought
    initial_utilisation: float = Field(default=0.6, gt=0, le=1)
    memory_target: float = Field(default=0.9, gt=0, le=1)  # of a VM's memory, as schedulers fill it
    budget_share: float = Field(default=1.2, gt=0)  # of the static plan's bill

    # ML on GPUs: part of ML work that has a GPU version, vCPUs that one GPU VM replaces.
    gpu_fit_share: float = Field(default=0.6, ge=0, le=1)
    gpu_vcpu: float = Field(default=24.0, gt=0)

    # Availability.
    quota_share: float = Field(default=3.0, gt=0)  # capacity allowed, of the reference peak
    quota_cut_per_day: float = Field(default=0.02, ge=0)
    quota_cut_hours: float = Field(default=4.0, gt=0)
    quota_cut_share: float = Field(default=0.3, gt=0, le=1)  # of the quota that is left
    # No public frequency of stock-outs was found (CLOUD_FACTS D7): per zone and kind of machine.
    stock_out_time_share: float = Field(default=0.01, ge=0, lt=1)
    stock_out_hours: float = Field(default=1.0, gt=0)
    zone_outage_per_day: float = Field(default=0.002, ge=0)  # of each zone
    zone_outage_hours: float = Field(default=2.0, gt=0)
    vm_failure_per_h: float = Field(default=1e-5, ge=0)
    refusal_memory: float = Field(default=0.8, ge=0, lt=1)  # kept of it from step to step

    # Delays: CLOUD_FACTS D5 fits, medians in seconds and sigmas of the logarithm.
    vm_boot_median_s: float = Field(default=20.0, gt=0)
    vm_boot_sigma: float = Field(default=0.52, ge=0)  # p95 47 s
    vm_warm_up_s: tuple[float, float] = (5.0, 40.0)
    gpu_warm_up_s: tuple[float, float] = (180.0, 600.0)  # driver, image of several GB, model
    database_median_s: float = Field(default=660.0, gt=0)
    database_sigma: float = Field(default=0.4, ge=0)
    redis_median_s: float = Field(default=263.0, gt=0)  # one apply log: 4m23
    redis_sigma: float = Field(default=0.3, ge=0)

    # Spot: hazard per hour by age (first clock hour, second, third, later), from the Kaplan-Meier
    # estimate over 1,442 VMs with user stops censored; half of it comes in zone-wide shocks.
    spot_hazard_per_h: tuple[float, float, float, float] = (0.161, 0.051, 0.051, 0.012)
    spot_hazard_factor: float = Field(default=1.0, ge=0)
    spot_shock_share: float = Field(default=0.5, ge=0, le=1)
    # Shocks: a zone out of spot capacity, 2.3 % of the time for an hour on average (skypilot
    # spot-traces, 45.6 h of two zones: 0.02 % and 4.6 %).
    spot_shock_time_share: float = Field(default=0.023, gt=0, lt=1)
    spot_shock_hours: float = Field(default=1.0, gt=0)
    spot_price_sigma_per_day: float = Field(default=0.05, ge=0)
    price_shock_per_day: float = Field(default=0.02, ge=0)
    price_shock_hours: float = Field(default=12.0, gt=0)
    price_shock_factor: float = Field(default=1.5, ge=1)  # never above the on-demand price

    # Storage.
    object_share: float = Field(default=0.6, ge=0, le=1)  # of the data that lies in buckets
    object_age_days: float = Field(default=60.0, gt=0)  # mean age; exponential
    object_read_age_days: float = Field(default=15.0, gt=0)  # mean age of what is read
    object_reads_per_day: float = Field(default=0.05, ge=0)  # of the bytes stored
    object_gib: float = Field(default=0.01, gt=0)  # mean size, for charges per operation
    lifecycle_days: float = Field(default=1.0, gt=0)  # until a rule has moved what it should
    io_kib: float = Field(default=16.0, gt=0)  # of one disk operation
    disk_slow_per_day: float = Field(default=0.05, ge=0)
    disk_slow_hours: float = Field(default=1.0, gt=0)
    disk_slow_factor: float = Field(default=3.0, ge=1)
    hyperdisk_hours: float = Field(default=4.0, ge=0)  # between two changes of its IOPS

    # Database: Cloud SQL and Redis.
    qps_per_vcpu: float = Field(default=500.0, gt=0)
    read_share: float = Field(default=0.8, ge=0, le=1)
    database_gib_per_vcpu: float = Field(default=4.0, gt=0)
    database_stored_share: float = Field(default=0.05, ge=0)  # of the data on disks
    database_iops_per_vcpu: float = Field(default=50.0, ge=0)  # of load, after its buffer pool
    failover_per_step: float = Field(default=1e-3, ge=0, le=1)  # one in 3.5 days
    failover_s: float = Field(default=120.0, ge=0)  # 60 s of missed heartbeats, 60 s of switching
    recovery_s: float = Field(default=600.0, ge=0)  # restart without a standby
    resize_downtime_s: float = Field(default=30.0, ge=0)
    redis_hit_share: float = Field(default=0.9, ge=0, le=1)  # of reads, with everything hot cached
    redis_hot_share: float = Field(default=0.05, gt=0)  # of the database's data that is hot

    # Traffic: which part of the served bytes is charged how.
    internet_share: float = Field(default=0.1, ge=0, le=1)  # of web traffic; the rest is internal
    inter_zone_share: float = Field(default=0.1, ge=0, le=1)  # of all traffic, zones used evenly
    nat_share: float = Field(default=0.02, ge=0, le=1)  # of background traffic
    cacheable_share: float = Field(default=0.4, ge=0, le=1)  # of web requests
    cdn_warm_up_steps: float = Field(default=3.0, ge=1)
    standard_tier_ms: float = Field(default=15.0, ge=0)  # added by the standard network tier
    cross_zone_ms: float = Field(default=1.0, ge=0)  # added by a hop to another zone
    locality_cost: float = Field(default=0.5, ge=0, le=1)  # of a zone's imbalance, not spilled over

    # A web request: mean service time at each station, its squared coefficient of variation.
    propagation_ms: float = Field(default=20.0, ge=0)
    compute_ms: float = Field(default=20.0, gt=0)
    storage_ms: float = Field(default=4.0, gt=0)
    network_ms: float = Field(default=2.0, gt=0)
    database_ms: float = Field(default=8.0, gt=0)
    arrival_scv: float = Field(default=1.0, ge=0)
    service_scv: float = Field(default=1.0, gt=0)
    storage_channels: float = Field(default=8.0, ge=1)
    network_channels: float = Field(default=4.0, ge=1)
    slo_ms: float = Field(default=150.0, gt=0)
    web_timeout_s: float = Field(default=30.0, gt=0)  # the load balancer's default backend timeout
    retry_share: float = Field(default=0.5, ge=0, lt=1)  # of lost requests that come again
    batch_deadline_steps: int = Field(default=24, ge=1)
    ml_deadline_steps: int = Field(default=72, ge=1)
    interference: float = Field(default=0.8, ge=0, le=1)  # of background work on web latency
    blocking: float = Field(default=0.5, ge=0)  # extra CPU of retries when the database starves

    # Observation.
    request_agents: tuple[str, ...] = ()  # agents whose observation ends with the request list
    # True: the fields `forecast_*` of what agents see hold the demand that will come instead of a
    # forecast. Nobody has that; it shows what a perfect forecast would be worth.
    is_oracle_forecast: bool = False

    # Reward.
    weights: Weights = Weights()
    local_share: float = Field(default=0.2, ge=0, le=1)
    violation_scale: float = Field(default=0.01, gt=0)  # share of late work that begins to hurt
    failure_scale: float = Field(default=0.005, gt=0)  # share of lost work that does
    budget_penalty: float = Field(default=0.05, ge=0)  # per share of the budget overspent
    dependency_penalty: float = Field(default=0.02, ge=0)  # per share of capacity others starve

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.slo_ms <= self.propagation_ms + self.standard_tier_ms + self.cross_zone_ms:
            raise ValueError(
                f"slo_ms {self.slo_ms} must exceed propagation_ms + standard_tier_ms + "
                "cross_zone_ms"
            )
        for name in ("vm_warm_up_s", "gpu_warm_up_s"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} must be (low, high); got {(low, high)}")
        if min(self.spot_hazard_per_h) < 0:
            raise ValueError(f"spot_hazard_per_h must be >= 0; got {self.spot_hazard_per_h}")
        unknown = sorted(set(self.request_agents) - set(SERVICES))
        if unknown or len(set(self.request_agents)) < len(self.request_agents):
            raise ValueError(
                f"request_agents must be some of {', '.join(SERVICES)}; got {self.request_agents}"
            )
        if self.object_read_age_days > self.object_age_days:
            raise ValueError("object_read_age_days must not exceed object_age_days")
        return self
