"""Small clouds and policies the cloud's tests share."""

import torch

from marl.cloud.actions import WIDTH, column, encode, knobs
from marl.cloud.catalogue import default_catalog
from marl.cloud.dynamics import Cloud, build_cloud
from marl.cloud.params import CloudConfig, Reference, build_params
from marl.cloud.types import SERVICES

ENGINEER = {
    "target_utilisation": 0.7,
    "floor_share": 0.0,
    "spot_share": 0.3,
    "scale_in_window": 15.0,
    "free_space_share": 0.2,
    "read_replicas": 1.0,
}
REFERENCE = Reference(
    peak=(200.0, 6000.0, 8.0, 30.0), stored_gib=9000.0, web_gbps=2.0, all_gbps=6.0
)


def small_cloud(region="us-central1", **overrides) -> Cloud:
    config = CloudConfig(**overrides)
    catalog = default_catalog(region)
    return build_cloud(build_params(config, catalog, REFERENCE, torch.device("cpu"), 300.0))


def engineer_actions(batch, **changes):
    """Agent to (B, A): the engineer's autoscaler; `changes` are knob names for all services."""
    values = ENGINEER | changes
    return {
        agent: encode(agent, {k.name: values[k.name] for k in knobs(agent)}).expand(batch, -1)
        for agent in SERVICES
    }


def knob_row(**changes):
    """(1, 14) physical values; keys are `service__knob` or a knob's name for all services."""
    row = torch.zeros(1, WIDTH)
    for agent in SERVICES:
        for knob in knobs(agent):
            value = changes.get(f"{agent}__{knob.name}", changes.get(knob.name))
            row[0, column(agent, knob.name)] = ENGINEER[knob.name] if value is None else value
    return row
