"""Trouble at a fixed time, written into drawn weather: a zone outage, a storm of spot reclaims.

Trouble at random times is settings of the cloud (`marl.cloud.config`); demand is `demand`'s.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch

from marl.cloud.weather import Weather, unpack

Kind = Literal["outage", "storm"]


@dataclass(frozen=True)
class Trouble:
    """What happens in zones in steps [`start`, `start` + `steps`).

    Attributes:
        kind: "outage": the zones are down; the database's primary, whose home is the first, fails
            over as the outage begins. "storm": they reclaim spot VMs and give none.
        zones: how many, from the first on; None: all.
        start: at least 1: episodes begin in ordinary times.
        steps: how long.
    """

    kind: Kind
    zones: int | None
    start: int
    steps: int

    def __post_init__(self) -> None:
        """Refuse what would change how an episode begins."""
        if self.start < 1 or self.steps < 1 or self.zones == 0:
            raise ValueError(f"trouble begins at step 1 or later and hits a zone; got {self}")


def with_trouble(weather: Weather, trouble: Trouble) -> Weather:
    """The weather with the trouble in it; the given one stays as it is.

    Raises:
        ValueError: more zones than there are, or the episode ends before the trouble does.
    """
    end = trouble.start + trouble.steps
    zones = weather.zones if trouble.zones is None else trouble.zones
    if zones > weather.zones or end > len(weather):
        raise ValueError(
            f"{trouble} does not fit clouds of {weather.zones} zones and {len(weather)} steps"
        )
    packed = weather.packed.clone()
    was_up = unpack(packed[trouble.start - 1], weather.zones).is_up[0].clone()
    for step in range(trouble.start, end):
        now = unpack(packed[step], weather.zones)  # views: written through
        if trouble.kind == "storm":
            now.is_shocked[:zones] = 1.0
            continue
        now.is_up[:zones] = 0.0
        if step == trouble.start:
            now.failover.copy_(torch.maximum(now.failover, was_up))
    return replace(weather, packed=packed)
