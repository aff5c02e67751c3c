"""Small clouds, weather and policies the cloud's tests share."""

import dataclasses

import torch

from marl.cloud.actions import ROWS, WIDTH, encode, knobs, row
from marl.cloud.catalogue import default_catalog
from marl.cloud.config import CloudConfig
from marl.cloud.dynamics import Cloud, build_cloud
from marl.cloud.params import Reference, build_params
from marl.cloud.rounding import EXACT
from marl.cloud.scaling import provision
from marl.cloud.types import KINDS, LOADS, POOLS, PURCHASES, SERVICES, WeatherStep

# A plain autoscaler with every extra switched off; keys are knobs' names for all agents.
ENGINEER = {
    "target_utilisation": 0.7,
    "floor_share": 0.0,
    "scale_in_window": 15.0,
    "spot_share": 0.3,
    "arm_share": 0.0,
    "highmem_share": 0.0,
    "gpu_share": 0.0,
    "zone_spread": 1.0,
    "fallback_share": 1.0,
    "commitment_share": 0.0,
    "three_year_share": 0.0,
    "free_space_share": 0.2,
    "provisioned_share": 0.0,
    "nearline_after": 180.0,
    "cdn_share": 0.0,
    "premium_share": 1.0,
    "zone_locality": 0.0,
    "read_replicas": 1.0,
    "has_ha": 1.0,
    "cache_share": 0.0,
    "storage_free_share": 0.2,
}
REFERENCE = Reference(
    peak=(200.0, 6000.0, 8.0, 30.0),
    memory_gib=800.0,
    ml_vcpu=60.0,
    requests_per_s=5000.0,
    stored_gib=9000.0,
    web_gbps=2.0,
    all_gbps=6.0,
)


def small_cloud(region="us-central1", **overrides) -> Cloud:
    config = CloudConfig(**overrides)
    catalog = default_catalog(region)
    return build_cloud(build_params(config, catalog, REFERENCE, torch.device("cpu"), 300.0))


def engineer_actions(batch, **changes):
    """Agent to (B, A): the engineer's autoscaler; `changes` are knob names for all agents."""
    values = ENGINEER | changes
    return {
        agent: encode(agent, {k.name: values[k.name] for k in knobs(agent)}).expand(batch, -1)
        for agent in SERVICES
    }


def knob_column(batch=1, **changes):
    """(WIDTH, B) physical values of the engineer.

    Keys of `changes` are `agent__knob` or a knob's name for all agents, values numbers.
    """
    known = set(ROWS) | set(ENGINEER)
    if unknown := {key.replace("__", "_") for key in changes} - known:
        raise ValueError(f"no knob {unknown}")
    column = torch.zeros(WIDTH, batch)
    for agent in SERVICES:
        for knob in knobs(agent):
            value = changes.get(f"{agent}__{knob.name}", changes.get(knob.name))
            column[row(agent, knob.name)] = ENGINEER[knob.name] if value is None else value
    return column


def quiet_weather(zones=3, **changes) -> WeatherStep:
    """One cloud's ordinary step: orders come in the next one, Cloud SQL's in the third.

    100 vCPU (40 web, 40 batch, 20 ML), 3000 IOPS, 3 Gbps, 10 database vCPU, 300 GiB of memory,
    2000 requests a second; 6000 GiB stored.
    """
    share = torch.tensor([0.4, 0.4, 0.2])
    work = share[:, None] * torch.tensor([100.0, 3000.0, 3.0, 10.0, 300.0, 0.0])
    work[0, 5] = 2000.0
    plain = {
        "work": work[..., None],
        "stored_gib": torch.tensor([6000.0]),
        "due": torch.zeros(2, 1),
        "due_now": torch.zeros(2, 1),
        "spot_ratio": torch.full((len(KINDS), 1), 0.4),
        "is_shocked": torch.zeros(zones, 1),
        "is_sold_out": torch.zeros(len(KINDS) * zones, 1),
        "is_up": torch.ones(zones, 1),
        "quota": torch.ones(1),
        "delay": torch.tensor([[1.0], [2.0], [3.0], [2.0]]),
        "failover": torch.zeros(1),
        "disk_speed": torch.ones(1),
        "loss_draw": torch.full((1,), 0.5),
        "is_new_hour": torch.zeros(1),
        "is_review": torch.zeros(1),
    }
    return dataclasses.replace(WeatherStep(**plain), **changes)


def cell(purchase, kind, zone, zones=3):
    """Row of a cell of VMs."""
    return (PURCHASES.index(purchase) * len(KINDS) + KINDS.index(kind)) * zones + zone


def pool(name):
    """Row of a pool beside the VMs."""
    return POOLS.index(name)


def with_loads(state, **loads):
    """The state with each measured load constant over the last hour."""
    changed = state.loads.clone()
    for name, value in loads.items():
        changed[:, LOADS.index(name)] = value
    return dataclasses.replace(state, loads=changed)


def provision_once(state, knobs, weather, cloud):
    """What there is after provisioning, and a state to go on from (loads as they were)."""
    now = provision(state, knobs, weather, EXACT, cloud.params)
    after = dataclasses.replace(
        state,
        vms=now.fleet.vms,
        pending_vms=now.fleet.pending,
        pools=now.pools,
        pending_pools=now.pending_pools,
        committed=now.committed,
        has_ha=now.has_ha,
        hyperdisk_wait=now.hyperdisk_wait,
    )
    return now, after
