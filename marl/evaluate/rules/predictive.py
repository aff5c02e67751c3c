"""Predictive autoscaling: a floor under each service from all that can be known of the hour ahead.

The richest of the rules: Autopilot's decayed peak (Rzadca et al., "Autopilot: workload
autoscaling at Google", EuroSys 2020, §3.2), the trend, yesterday and last week, the forecast (as
the managed instance group's predictive autoscaling looks ahead over the start-up time), scheduled
and announced work, all weighted by tuning. `autopilot` and `seasonal` are its parts alone.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marl.cloud.features import LAGS
from marl.cloud.foresight import AHEAD
from marl.cloud.types import SERVICES
from marl.evaluate.baselines import Parameter
from marl.evaluate.rules.rule import (
    MARGINS,
    Fields,
    Memory,
    Rule,
    Sight,
    Values,
    own_load,
    with_floors,
)

PARAMETERS: Final = (
    *MARGINS,
    # Kept, per step of age, of a load of the past hour: Autopilot's decay.
    Parameter(name="decay", low=0.7, high=1.0, start=0.95),
    # What the prediction is made of.
    Parameter(name="recent", low=0.0, high=1.0, start=0.5),  # the decayed peak of the hour
    Parameter(name="trend", low=0.0, high=2.0, start=0.0),  # the rise over a quarter of an hour
    Parameter(
        name="past", low=0.0, high=1.0, start=0.0
    ),  # the coming hour, yesterday and last week
    Parameter(name="forecast", low=0.0, high=1.0, start=0.5),  # the forecast's peak
    Parameter(name="ahead", low=0.0, high=1.0, start=0.5),  # of that peak, what lies beyond now
    Parameter(name="scheduled", low=0.0, high=1.0, start=0.0),  # batch and ML to come; compute only
    # Of the calendar's rise, which is web's: its usual half of the load. Training demand announces
    # nothing, so there is nothing to tune it on.
    Parameter(name="announced", low=0.5, high=0.5, start=0.5),
)


def predicted_load(service: str, field: Fields, rule: Values) -> Tensor:
    """(B,) load a service is to be ready for, in shares of its reference peak.

        w_recent · max_i(decay^i · load(t - i)) + w_trend · (load(t) - load(t - 3))
      + w_past · max_h (day_ago(t + h) + week_ago(t + h)) / 2
      + w_forecast · (forecast(t) + w_ahead · max_h (forecast(t + h) - forecast(t)))
      + w_scheduled · work to be submitted within the hour (compute),

    times 1 + w_announced · the calendar's largest rise within the hour; h runs over `AHEAD`.

    Args:
        service: whose.
        field: the fields of its agent's observation, and no other's.
        rule: value of each of `PARAMETERS`, or (B,) values of each.
    """
    load = own_load(service)
    decay = torch.as_tensor(rule["decay"])
    loads = [field(f"{load}_lag{lag}") * decay**lag for lag in range(LAGS)]
    recent = torch.stack([*loads, field(f"{load}_max") * decay**LAGS]).amax(0)
    trend = field(f"{load}_lag0") - field(f"{load}_lag{LAGS - 1}")
    past = torch.stack(
        [field(f"{age}_ago_{service}_{h}") for age in ("day", "week") for h in AHEAD]
    )
    now, *later = (field(f"forecast_{service}_{h}") for h in AHEAD)
    rise = (torch.stack(later) - now).amax(0).clamp_min(0.0)
    load_ahead = (
        rule["recent"] * recent
        + rule["trend"] * trend
        + rule["past"] * past.view(2, len(AHEAD), *past.shape[1:]).mean(0).amax(0)
        + rule["forecast"] * (now + rule["ahead"] * rise)
    )
    if service == "compute":
        coming = field("scheduled_batch_hour") + field("scheduled_ml_hour")
        load_ahead = load_ahead + rule["scheduled"] * coming
    announced = field("announced_hour").clamp_min(0.0)
    return (load_ahead * (1.0 + rule["announced"] * announced)).clamp_min(0.0)


class Predictive(Rule):
    """Margin times the predicted load, held ready under every service."""

    kind = "predictive"
    parameters = PARAMETERS

    def act(self, now: Sight) -> tuple[Tensor, Memory]:
        """Floors raised; nothing is remembered."""
        shares = {
            service: now.values[f"margin_{service}"]
            * predicted_load(service, now.fields[service], now.values)
            for service in SERVICES
        }
        return with_floors(now.actions, shares), {}

    def vary(
        self, one: NDArray[np.float64], column: Mapping[str, int], rng: np.random.Generator
    ) -> None:
        """A random mixture of recent load and forecast whose weights sum to 1."""
        one[column["decay"]] = rng.uniform(0.8, 1.0)
        one[column["recent"]] = rng.uniform()
        one[column["forecast"]] = 1.0 - one[column["recent"]]
        one[column["trend"]] = rng.uniform()
        one[column["ahead"]] = rng.uniform()
