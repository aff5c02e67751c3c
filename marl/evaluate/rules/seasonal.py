"""Predictive autoscaling as the managed instance group does it: capacity for the forecast to come.

The group's autoscaler forecasts the load from its history (daily and weekly cycles) and holds what
the forecast asks for over the coming start-up time, or what the load asks for now if that is more
(https://docs.cloud.google.com/compute/docs/autoscaler/predictive-autoscaling). The forecast here is
the one that every agent sees: the usual day, corrected by the last error (`marl.cloud.foresight`).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from marl.cloud.foresight import AHEAD
from marl.cloud.types import SERVICES
from marl.evaluate.baselines import Parameter
from marl.evaluate.rules.rule import MARGINS, Fields, Memory, Rule, Values, with_floors


class Seasonal(Rule):
    """Margin times the largest load forecast within the hour."""

    kind = "seasonal"
    parameters = (
        *MARGINS,
        # Of the distance from the forecast for now to its largest: the start-up time may be short.
        Parameter(name="ahead", low=0.0, high=1.0, start=1.0),
    )

    def act(
        self,
        actions: Tensor,
        fields: Mapping[str, Fields],
        values: Values,
        memory: Memory | None,
    ) -> tuple[Tensor, Memory]:
        """Floors raised; nothing is remembered."""
        shares = {}
        for service in SERVICES:
            now, *later = (fields[service](f"forecast_{service}_{h}") for h in AHEAD)
            rise = (torch.stack(later).amax(0) - now).clamp_min(0.0)
            shares[service] = values[f"margin_{service}"] * (now + values["ahead"] * rise)
        return with_floors(actions, shares), {}
