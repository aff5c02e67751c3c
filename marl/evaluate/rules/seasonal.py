"""Predictive autoscaling as the managed instance group does it: capacity for the forecast to come.

The group's autoscaler forecasts the load from its history (daily and weekly cycles) and holds what
the forecast asks for over the coming start-up time, or what the load asks for now if that is more
(https://docs.cloud.google.com/compute/docs/autoscaler/predictive-autoscaling). The forecast here is
the one that every agent sees: the usual day, corrected by the last error (`marl.cloud.foresight`).
"""

import torch
from torch import Tensor

from marl.cloud.foresight import AHEAD
from marl.cloud.types import SERVICES
from marl.evaluate.baselines import Parameter
from marl.evaluate.rules.rule import MARGINS, Memory, Rule, Sight, with_floors


class Seasonal(Rule):
    """Margin times the largest load forecast within the hour."""

    kind = "seasonal"
    parameters = (
        *MARGINS,
        # Of the distance from the forecast for now to its largest: the start-up time may be short.
        Parameter(name="ahead", low=0.0, high=1.0, start=1.0),
    )

    def act(self, now: Sight) -> tuple[Tensor, Memory]:
        """Floors raised; nothing is remembered."""
        shares = {}
        for service in SERVICES:
            first, *later = (now.fields[service](f"forecast_{service}_{h}") for h in AHEAD)
            rise = (torch.stack(later).amax(0) - first).clamp_min(0.0)
            shares[service] = now.values[f"margin_{service}"] * (first + now.values["ahead"] * rise)
        return with_floors(now.actions, shares), {}
