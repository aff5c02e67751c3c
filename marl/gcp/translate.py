"""From a step of the clouds to what an engineer's automation would call, in order.

First settings that an action changes (`policies`), then what the rules behind them do in this step:
resize groups, buy, create, delete. Which VMs fail or are preempted is nobody's operation.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Final, Literal, TypeVar, cast

import torch
from torch import Tensor

from marl.cloud.actions import WIDTH
from marl.cloud.dynamics import Cloud
from marl.cloud.observation import action_masks
from marl.cloud.params import DISK_STEP_GIB, HYPERDISK_STEP_GIB, HYPERDISK_STEP_IOPS, TIER_STEP_VCPU
from marl.cloud.rounding import EXACT, Exact
from marl.cloud.scaling import Provisioned, provision
from marl.cloud.types import KINDS, POOLS, PURCHASES, SERVICES, CloudState, WeatherStep
from marl.gcp.compute_operations import BuyCommitment, ResizeGroup
from marl.gcp.database_operations import (
    PRIMARY,
    ResizeDatabase,
    ResizeDatabaseDisk,
    SetAvailability,
    Tier,
)
from marl.gcp.operation import Operation
from marl.gcp.policies import changed_settings, settings_from_knobs, zone_names
from marl.gcp.replica_operations import (
    CreateRedis,
    CreateReplica,
    DeleteRedis,
    DeleteReplica,
    ResizeRedis,
    replica_name,
)
from marl.gcp.storage_operations import (
    CreateHyperdisk,
    DeleteHyperdisk,
    ResizeDisk,
    SetProvisionedIops,
)
from marl.gcp.traffic_operations import ResizeProxies

_MIN_TIER_MIB, _TIER_STEP_MIB, _MIN_HYPERDISK_GIB = 3840, 256, 64
_PLANS: Final = ("TWELVE_MONTH", "THIRTY_SIX_MONTH")
_Fields = TypeVar("_Fields", CloudState, WeatherStep)


@dataclass(frozen=True)
class _NothingLost(Exact):
    """Exact, but for failures and preemption: shows what was ordered and removed on purpose."""

    def lose(self, counts: Tensor, chance: Tensor, draw: Tensor) -> Tensor:
        """Nothing."""
        return torch.zeros_like(counts)


def effective_knobs(
    before: CloudState, weather: WeatherStep, knobs_before: Tensor, knobs_after: Tensor
) -> Tensor:
    """(WIDTH, B) `knobs_after`, but `knobs_before` where a knob is masked in the coming step."""
    masks = action_masks(before, weather.is_review)
    is_free = torch.cat([masks[agent].t() for agent in SERVICES]).bool()
    return torch.where(is_free, knobs_after, knobs_before)


def operations(
    before: CloudState,
    weather: WeatherStep,
    knobs_before: Tensor,
    knobs_after: Tensor,
    cloud: Cloud,
    *,
    env: int = 0,
) -> tuple[Operation, ...]:
    """What the automation of one cloud calls in one step.

    Args:
        before: the clouds before the step.
        weather: of the step: what is delivered, refused, and whether commitments may be bought. The
            state after the step would not do: it does not tell a VM removed from one lost.
        knobs_before: (WIDTH, B) physical values in force, see `effective_knobs`.
        knobs_after: (WIDTH, B) physical values of the joint action.
        cloud: what stays fixed.
        env: which cloud of the batch.

    Returns:
        Settings first, then what they cause. A masked knob sets nothing; nothing where nothing
        changes.

    Raises:
        ValueError: wrong shapes, values out of range, no such cloud, or an operation that Google
            would refuse (the message says which limit).
    """
    batch = before.elapsed.shape[-1]
    if not 0 <= env < batch:
        raise ValueError(f"env must be 0 .. {batch - 1}; got {env}")
    for name, knobs in (("knobs_before", knobs_before), ("knobs_after", knobs_after)):
        if knobs.shape != (WIDTH, batch):
            raise ValueError(f"{name} must be ({WIDTH}, {batch}); got {tuple(knobs.shape)}")
    state, sky = _one(before, env), _one(weather, env)
    was, to = knobs_before[:, env : env + 1], knobs_after[:, env : env + 1]
    in_force = effective_knobs(state, sky, was, to)
    settings = changed_settings(
        settings_from_knobs(was[:, 0], cloud), settings_from_knobs(in_force[:, 0], cloud), cloud
    )
    now = provision(state, to, sky, _NothingLost(), cloud.params)
    return (
        *settings,
        *_groups(state, now, cloud),
        *_commitments(state, now, cloud),
        *_pools(state, now, cloud),
    )


def _one(batch: _Fields, env: int) -> _Fields:
    """Cloud `env` alone, as a batch of one."""
    columns = {each.name: getattr(batch, each.name)[..., env : env + 1] for each in fields(batch)}
    return replace(batch, **columns)


def _groups(state: CloudState, now: Provisioned, cloud: Cloud) -> Iterator[Operation]:
    """Wanted sizes of all groups: VMs in service and ordered."""
    was = _whole((state.vms + state.pending_vms.sum(0))[:, 0])
    to = _whole((now.fleet.vms + now.fleet.pending.sum(0))[:, 0])
    names = [
        (purchase, kind, zone)
        for purchase in PURCHASES
        for kind in range(len(KINDS))
        for zone in zone_names(cloud)
    ]
    for (purchase, kind, zone), old, new in zip(names, was, to, strict=True):
        if old != new:
            yield ResizeGroup(
                zone=zone,
                purchase=cast("Literal['on_demand', 'spot']", purchase),
                machine=KINDS[kind],
                machine_type=cloud.params.machines[kind].name,
                was=old,
                to=new,
            )


def _commitments(state: CloudState, now: Provisioned, cloud: Cloud) -> Iterator[Operation]:
    machine = cloud.params.machine
    was, to = _whole(state.committed[:, 0]), _whole(now.committed[:, 0])
    for plan, old, new in zip(_PLANS, was, to, strict=True):
        if new > old:
            yield BuyCommitment(
                region=cloud.params.catalog.region,
                number=old,
                plan=cast("Literal['TWELVE_MONTH', 'THIRTY_SIX_MONTH']", plan),
                machine_type=machine.name,
                vcpu=round((new - old) * machine.vcpu),
                memory_mib=round((new - old) * machine.memory_gib * 1024),
            )


def _pools(state: CloudState, now: Provisioned, cloud: Cloud) -> Iterator[Operation]:
    """Everything beside the VMs, in service and ordered."""
    was = dict(zip(POOLS, _whole((state.pools + state.pending_pools.sum(0))[:, 0]), strict=True))
    to = dict(zip(POOLS, _whole((now.pools + now.pending_pools.sum(0))[:, 0]), strict=True))
    region, home = cloud.params.catalog.region, zone_names(cloud)[0]
    gib = round(DISK_STEP_GIB)
    if to["disk"] != was["disk"]:
        yield ResizeDisk(zone=home, was_gib=was["disk"] * gib, to_gib=to["disk"] * gib)
    yield from _hyperdisk(was["hyperdisk"], to["hyperdisk"], home, cloud)
    if to["proxy"] != was["proxy"]:
        yield ResizeProxies(region=region, was=was["proxy"], to=to["proxy"])
    yield from _database(was, to, cloud)
    if state.has_ha[0] != now.has_ha[0]:
        is_on = bool(now.has_ha[0] > 0)
        yield SetAvailability(
            was="ZONAL" if is_on else "REGIONAL", to="REGIONAL" if is_on else "ZONAL"
        )
    if to["db_disk"] != was["db_disk"]:
        yield ResizeDatabaseDisk(was_gib=was["db_disk"] * gib, to_gib=to["db_disk"] * gib)
    old, new = was["redis"], to["redis"]
    if old == 0 < new:
        yield CreateRedis(region=region, gib=new)
    elif new == 0 < old:
        yield DeleteRedis(region=region, gib=old)
    elif old != new:
        yield ResizeRedis(region=region, was=old, to=new)


def _hyperdisk(old: int, new: int, zone: str, cloud: Cloud) -> Iterator[Operation]:
    """The volume is made as large as its IOPS under the whole quota need: it never shrinks."""
    iops = round(HYPERDISK_STEP_IOPS)
    units = float(cloud.params.quota[1, 0]) / HYPERDISK_STEP_IOPS
    size = max(_MIN_HYPERDISK_GIB, math.ceil(units * HYPERDISK_STEP_GIB))
    size = min(size, iops // 2)  # Google: at least 2 IOPS a GiB, even for the smallest step
    if old == 0 < new:
        yield CreateHyperdisk(zone=zone, size_gib=size, iops=new * iops)
    elif new == 0 < old:
        yield DeleteHyperdisk(zone=zone, size_gib=size, iops=old * iops)
    elif old != new:
        yield SetProvisionedIops(zone=zone, size_gib=size, was=old * iops, to=new * iops)


def _database(was: dict[str, int], to: dict[str, int], cloud: Cloud) -> Iterator[Operation]:
    region = cloud.params.catalog.region
    old, new = tier_of(was["tier"], cloud), tier_of(to["tier"], cloud)
    first, last = was["replica"], to["replica"]
    for number in range(first, last, -1):
        yield DeleteReplica(region=region, number=number, tier=old)
    if old != new:
        kept = range(1, min(first, last) + 1)
        for instance in (PRIMARY, *map(replica_name, kept)):
            yield ResizeDatabase(instance=instance, was=old, to=new)
    for number in range(first + 1, last + 1):
        yield CreateReplica(region=region, number=number, tier=new)


def tier_of(units: int, cloud: Cloud) -> Tier:
    """The Cloud SQL machine of so many tier steps."""
    vcpu = round(units * TIER_STEP_VCPU)
    mib = vcpu * cloud.params.config.database_gib_per_vcpu * 1024
    stepped = math.ceil(mib / _TIER_STEP_MIB) * _TIER_STEP_MIB
    return Tier(vcpu=vcpu, memory_mib=max(_MIN_TIER_MIB, stepped))


def _whole(units: Tensor) -> list[int]:
    return [round(each) for each in EXACT.nearest(units).tolist()]
