"""One operation of every kind, with sizes that Google sells."""

from marl.gcp.compute_operations import (
    AutoscalingPolicy,
    BuyCommitment,
    FleetPolicy,
    ResizeGroup,
    SetAutoscaler,
    SetFleetPolicy,
)
from marl.gcp.database_operations import (
    DatabasePolicy,
    ResizeDatabase,
    ResizeDatabaseDisk,
    SetAvailability,
    SetDatabasePolicy,
    Tier,
)
from marl.gcp.replica_operations import (
    CreateRedis,
    CreateReplica,
    DeleteRedis,
    DeleteReplica,
    ResizeRedis,
)
from marl.gcp.storage_operations import (
    CreateHyperdisk,
    DeleteHyperdisk,
    DiskPolicy,
    LifecyclePolicy,
    ResizeDisk,
    SetDiskPolicy,
    SetLifecycle,
    SetProvisionedIops,
)
from marl.gcp.traffic_operations import (
    ResizeProxies,
    SetNetworkTierSplit,
    SetProxyAutoscaler,
    SetTrafficSplit,
    TrafficSplit,
)

ZONE, REGION = "us-central1-a", "us-central1"
SCALING = AutoscalingPolicy(min_replicas=3, max_replicas=30, target=0.6, window_s=600)
BUSIER = SCALING.model_copy(update={"target": 0.75})
MIX = FleetPolicy(
    spot_bp=3000,
    arm_bp=0,
    highmem_bp=0,
    gpu_bp=0,
    zone_spread_bp=10_000,
    fallback_bp=10_000,
    commitment_bp=2000,
    three_year_bp=0,
)
DISK = DiskPolicy(target_bp=6000, floor_bp=0, free_bp=2000, provisioned_bp=0)
AGES = LifecyclePolicy(nearline_days=30, coldline_days=90, archive_days=300)
DATABASE = DatabasePolicy(
    target_bp=6000, floor_bp=0, window_s=600, replicas=1, ha=1, cache_bp=0, free_bp=2000
)
SMALL, LARGE = Tier(vcpu=4, memory_mib=16_384), Tier(vcpu=8, memory_mib=32_768)
EXAMPLES = (
    ResizeGroup(
        zone=ZONE, purchase="spot", machine="arm", machine_type="c4a-standard-4", was=2, to=5
    ),
    SetAutoscaler(zone=ZONE, was=SCALING, to=BUSIER),
    SetFleetPolicy(zone=ZONE, was=MIX, to=MIX.model_copy(update={"spot_bp": 5000})),
    BuyCommitment(
        region=REGION,
        number=4,
        plan="TWELVE_MONTH",
        machine_type="n2-standard-4",
        vcpu=8,
        memory_mib=32_768,
    ),
    SetProxyAutoscaler(region=REGION, proxy_gbps=0.15, was=SCALING, to=BUSIER),
    ResizeProxies(region=REGION, was=10, to=12),
    SetTrafficSplit(
        was=TrafficSplit(cdn_weight=0, zonal_weight=0),
        to=TrafficSplit(cdn_weight=500, zonal_weight=250),
    ),
    SetNetworkTierSplit(was=1.0, to=0.25),
    SetDiskPolicy(zone=ZONE, was=DISK, to=DISK.model_copy(update={"floor_bp": 15_000})),
    ResizeDisk(zone=ZONE, was_gib=100, to_gib=110),
    CreateHyperdisk(zone=ZONE, size_gib=100, iops=4000),
    SetProvisionedIops(zone=ZONE, size_gib=100, was=4000, to=2000),
    DeleteHyperdisk(zone=ZONE, size_gib=100, iops=2000),
    SetLifecycle(was=AGES, to=LifecyclePolicy(nearline_days=7, coldline_days=21, archive_days=70)),
    SetDatabasePolicy(was=DATABASE, to=DATABASE.model_copy(update={"replicas": 2})),
    ResizeDatabase(was=SMALL, to=LARGE),
    ResizeDatabaseDisk(was_gib=100, to_gib=150),
    SetAvailability(was="ZONAL", to="REGIONAL"),
    CreateReplica(region=REGION, number=1, tier=SMALL),
    DeleteReplica(region=REGION, number=1, tier=SMALL),
    CreateRedis(region=REGION, gib=5),
    ResizeRedis(region=REGION, was=5, to=6),
    DeleteRedis(region=REGION, gib=6),
)
