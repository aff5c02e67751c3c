"""Between the knobs agents turn and the settings in which Google Cloud keeps them, both ways.

Every knob has a place in exactly one setting, so two joint actions that differ by more than twice
the `resolution` are different settings, and equal ones are equal. What the automation then does to
machines is `translate`'s.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

from marl.cloud.actions import HIGH, LOW, ROWS, WIDTH, row
from marl.cloud.buckets import LATER
from marl.cloud.catalogue.data import ZONES
from marl.cloud.dynamics import Cloud
from marl.cloud.params import PROXY_GBPS
from marl.cloud.rounding import EXACT
from marl.cloud.types import SERVICES
from marl.frozen import Frozen
from marl.gcp.compute_operations import (
    AutoscalingPolicy,
    FleetPolicy,
    SetAutoscaler,
    SetFleetPolicy,
)
from marl.gcp.database_operations import DatabasePolicy, SetDatabasePolicy
from marl.gcp.operation import Change, Operation
from marl.gcp.storage_operations import DiskPolicy, LifecyclePolicy, SetDiskPolicy, SetLifecycle
from marl.gcp.traffic_operations import (
    MAX_WEIGHT,
    SetNetworkTierSplit,
    SetProxyAutoscaler,
    SetTrafficSplit,
    TrafficSplit,
)

_BP: Final = 10_000
_TOLERANCE: Final = 1e-3  # of a machine: what float32 adds
Values = dict[str, float]  # "agent_knob" to its physical value


class Settings(Frozen):
    """All settings of one cloud; each field is what one kind of operation sets."""

    fleet: tuple[AutoscalingPolicy, ...]  # by zone
    mix: FleetPolicy
    disk: DiskPolicy
    lifecycle: LifecyclePolicy
    proxies: AutoscalingPolicy
    split: TrafficSplit
    premium: float
    database: DatabasePolicy


def zone_names(cloud: Cloud) -> tuple[str, ...]:
    """The zones' names, the home zone first.

    Raises:
        ValueError: more zones than are known of the region.
    """
    config, region = cloud.params.config, cloud.params.catalog.region
    known = ZONES.get(region, ())
    if len(known) < config.zones:
        raise ValueError(
            f"{region} has {len(known)} zones with known names, the cloud {config.zones}: "
            f"set zones to at most {len(known)}, or add the names to marl.cloud.catalogue.data"
        )
    return known[: config.zones]


def _bp(value: float) -> int:
    return round(value * _BP)


def _machines(amount: float, each: float) -> int:
    return max(0, math.ceil(amount / each - _TOLERANCE))


def _vcpu_each(cloud: Cloud) -> float:
    return float(cloud.params.machine.vcpu)


def _even(total: int, parts: int) -> list[int]:
    return [(total + parts - 1 - i) // parts for i in range(parts)]


def settings_from_knobs(knobs: Tensor, cloud: Cloud) -> Settings:
    """The settings that keep a joint action.

    Args:
        knobs: (WIDTH,) physical values, see `marl.cloud.actions.knobs`.
        cloud: whose sizes floors are shares of.

    Raises:
        ValueError: a wrong shape, not-a-number, or a value outside its knob's range.
    """
    value = _checked(knobs)
    params, zones = cloud.params, cloud.params.config.zones
    peak = [float(each) for each in params.peak[:, 0]]
    quota = [float(each) for each in params.quota[:, 0]]
    floor = _machines(value["compute_floor_share"] * peak[0], _vcpu_each(cloud))
    most = max(floor, _machines(quota[0], _vcpu_each(cloud)), zones)
    window_s = round(60 * value["compute_scale_in_window"])
    target = round(value["compute_target_utilisation"], 4)
    proxies = _machines(value["network_floor_share"] * peak[2], PROXY_GBPS)
    days = round(value["storage_nearline_after"])
    coldline, archive = (round(days * times) for times in LATER[1:])
    return Settings(
        fleet=tuple(
            AutoscalingPolicy(min_replicas=low, max_replicas=high, target=target, window_s=window_s)
            for low, high in zip(_even(floor, zones), _even(most, zones), strict=True)
        ),
        mix=FleetPolicy(**{key: _bp(value[name]) for key, name in _MIX.items()}),
        disk=DiskPolicy(**{key: _bp(value[name]) for key, name in _DISK.items()}),
        lifecycle=LifecyclePolicy(nearline_days=days, coldline_days=coldline, archive_days=archive),
        proxies=AutoscalingPolicy(
            min_replicas=proxies,
            max_replicas=max(proxies, _machines(quota[2], PROXY_GBPS), 1),
            target=round(value["network_target_utilisation"], 4),
            window_s=round(60 * value["network_scale_in_window"]),
        ),
        split=TrafficSplit(
            cdn_weight=round(value["network_cdn_share"] * MAX_WEIGHT),
            zonal_weight=round(value["network_zone_locality"] * MAX_WEIGHT),
        ),
        premium=round(value["network_premium_share"], 4),
        database=DatabasePolicy(
            window_s=round(60 * value["database_scale_in_window"]),
            replicas=int(_exact(EXACT.nearest, value["database_read_replicas"])),
            ha=int(_exact(EXACT.is_on, value["database_has_ha"])),
            **{key: _bp(value[name]) for key, name in _DATABASE.items()},
        ),
    )


_MIX: Final = {
    "spot_bp": "compute_spot_share",
    "arm_bp": "compute_arm_share",
    "highmem_bp": "compute_highmem_share",
    "gpu_bp": "compute_gpu_share",
    "zone_spread_bp": "compute_zone_spread",
    "fallback_bp": "compute_fallback_share",
    "commitment_bp": "compute_commitment_share",
    "three_year_bp": "compute_three_year_share",
}
_DISK: Final = {
    "target_bp": "storage_target_utilisation",
    "floor_bp": "storage_floor_share",
    "free_bp": "storage_free_space_share",
    "provisioned_bp": "storage_provisioned_share",
}
_DATABASE: Final = {
    "target_bp": "database_target_utilisation",
    "floor_bp": "database_floor_share",
    "cache_bp": "database_cache_share",
    "free_bp": "database_storage_free_share",
}


def _exact(rule: Callable[[Tensor], Tensor], value: float) -> float:
    return float(rule(torch.tensor(value)))


def _checked(knobs: Tensor) -> Values:
    if knobs.shape != (WIDTH,):
        raise ValueError(f"knobs of one cloud are ({WIDTH},); got {tuple(knobs.shape)}")
    out = {}
    for name, i in ROWS.items():
        value, low, high = (float(each[i]) for each in (knobs, LOW, HIGH))
        slack = 1e-5 * (high - low)  # float32's share of the range
        if not low - slack <= value <= high + slack:  # false for not-a-number too
            raise ValueError(
                f"{name} must be in [{low:g}, {high:g}]; got {value}. Knobs are physical values: "
                "turn actions into them with marl.cloud.dynamics.knobs_from_actions"
            )
        out[name] = min(max(value, low), high)
    return out


def _part_values(part: str, settings: Settings, cloud: Cloud) -> Values:
    """Physical values of the knobs that the setting `part` keeps."""
    peak, proxies, database = cloud.params.peak[:, 0], settings.proxies, settings.database
    vms = sum(zone.min_replicas for zone in settings.fleet)
    match part:
        case "fleet":
            return {
                "compute_target_utilisation": settings.fleet[0].target,
                "compute_floor_share": vms * _vcpu_each(cloud) / float(peak[0]),
                "compute_scale_in_window": settings.fleet[0].window_s / 60,
            }
        case "mix":
            return {name: getattr(settings.mix, key) / _BP for key, name in _MIX.items()}
        case "disk":
            return {name: getattr(settings.disk, key) / _BP for key, name in _DISK.items()}
        case "lifecycle":
            return {"storage_nearline_after": settings.lifecycle.nearline_days}
        case "proxies":
            return {
                "network_target_utilisation": proxies.target,
                "network_floor_share": proxies.min_replicas * PROXY_GBPS / float(peak[2]),
                "network_scale_in_window": proxies.window_s / 60,
            }
        case "split":
            return {
                "network_cdn_share": settings.split.cdn_weight / MAX_WEIGHT,
                "network_zone_locality": settings.split.zonal_weight / MAX_WEIGHT,
            }
        case "premium":
            return {"network_premium_share": settings.premium}
        case _:
            return {name: getattr(database, key) / _BP for key, name in _DATABASE.items()} | {
                "database_scale_in_window": database.window_s / 60,
                "database_read_replicas": database.replicas,
                "database_has_ha": database.ha,
            }


def knobs_from_settings(settings: Settings, cloud: Cloud) -> Tensor:
    """(WIDTH,) float32 physical values that settings stand for, within the knobs' ranges."""
    knobs = torch.zeros(WIDTH)
    for part in Settings.model_fields:
        for name, value in _part_values(part, settings, cloud).items():
            knobs[ROWS[name]] = value
    return knobs.clamp(LOW, HIGH)


def resolution(cloud: Cloud) -> Tensor:
    """(WIDTH,) how far a knob may come back from where it was: Google's fields are whole numbers.

    Floors: one machine; windows: half a second; routes: half a thousandth; the lifecycle: half a
    day; replicas and the standby: the simulator rounds them too; all else half a basis point.
    """
    steps = torch.full((WIDTH,), 0.5 / _BP)
    peak = cloud.params.peak[:, 0]
    steps[row("compute", "floor_share")] = _vcpu_each(cloud) / peak[0]
    steps[row("network", "floor_share")] = PROXY_GBPS / peak[2]
    for service in ("compute", "network", "database"):
        steps[row(service, "scale_in_window")] = 0.5 / 60
    for name in ("cdn_share", "zone_locality"):
        steps[row("network", name)] = 0.5 / MAX_WEIGHT
    for service, name in (
        ("storage", "nearline_after"),
        ("database", "read_replicas"),
        ("database", "has_ha"),
    ):
        steps[row(service, name)] = 0.5
    return steps + 2e-6 * (HIGH - LOW)  # and float32's own


def changed_settings(was: Settings, to: Settings, cloud: Cloud) -> tuple[Change, ...]:
    """The operations that turn settings into others; none where they are equal."""
    region, zones = cloud.params.catalog.region, zone_names(cloud)
    home = zones[0]
    made: list[Change] = [
        SetAutoscaler(zone=zone, was=a, to=b)
        for zone, a, b in zip(zones, was.fleet, to.fleet, strict=True)
    ]
    made += [
        SetFleetPolicy(zone=home, was=was.mix, to=to.mix),
        SetDiskPolicy(zone=home, was=was.disk, to=to.disk),
        SetLifecycle(was=was.lifecycle, to=to.lifecycle),
        SetProxyAutoscaler(region=region, proxy_gbps=PROXY_GBPS, was=was.proxies, to=to.proxies),
        SetTrafficSplit(was=was.split, to=to.split),
        SetNetworkTierSplit(was=was.premium, to=to.premium),
        SetDatabasePolicy(was=was.database, to=to.database),
    ]
    return tuple(each for each in made if each.was != each.to)


_PART: Final = {
    "set_fleet_policy": "mix",
    "set_disk_policy": "disk",
    "set_lifecycle": "lifecycle",
    "set_proxy_autoscaler": "proxies",
    "set_traffic_split": "split",
    "set_network_tier_split": "premium",
    "set_database_policy": "database",
}


def knobs_from_operations(
    operations: Sequence[Operation], knobs_before: Tensor, cloud: Cloud
) -> Tensor:
    """(WIDTH,) float32 physical values after the settings among `operations` are applied.

    All come back as Google keeps them, to within `resolution`; those that no operation sets, too.
    Operations that carry settings out (resize, create, buy ...) change no knob.

    Raises:
        ValueError: an operation starts from other settings than `knobs_before` are, or from a zone
            that the cloud has not.
    """
    before = settings_from_knobs(knobs_before, cloud)
    parts: dict[str, object] = {}
    fleet, zones = list(before.fleet), zone_names(cloud)
    for each in operations:
        if isinstance(each, SetAutoscaler):
            if each.zone not in zones:
                raise ValueError(f"{each.kind} is for {each.zone}; the cloud has {zones}")
            place = zones.index(each.zone)
            _follows(each, fleet[place])
            fleet[place] = each.to
            parts["fleet"] = tuple(fleet)
        elif isinstance(each, Change) and each.kind in _PART:
            part = _PART[each.kind]
            _follows(each, parts.get(part, getattr(before, part)))
            parts[part] = each.to
    return knobs_from_settings(before.model_copy(update=parts), cloud)


def _follows(change: Change, present: object) -> None:
    if change.was != present:
        raise ValueError(
            f"{change.kind} starts from {change.was}, but the cloud is at {present}: pass the "
            f"knobs that the operations were made from ({', '.join(SERVICES)} in order)"
        )
