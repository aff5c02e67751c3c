"""What a real team can know of the hours ahead, at the start of each step.

The calendar, today's prices, the same hour yesterday and last week, a simple forecast, announced
launches, scheduled batch. Never the demand itself: that is `Weather.outlook`, for critics only —
unless `CloudConfig.is_oracle_forecast` asks what a perfect forecast would be worth.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marl.cloud.params import CloudParams, load_of
from marl.cloud.types import KINDS, SERVICES
from marl.workload.demand import HORIZON, DemandBatch

AHEAD: Final = (0, 5, 11)  # the coming step, half an hour on, an hour on
_DAMPING: Final = 0.97  # of the last forecast error, per step ahead
_DAY_US: Final = 86_400_000_000
_WEEK_US: Final = 7 * _DAY_US
FORESIGHT: Final = (
    "day_sin",
    "day_cos",
    "week_sin",
    "week_cos",
    *(f"spot_ratio_{kind}" for kind in KINDS),
    *(f"day_ago_{service}_{h}" for h in AHEAD for service in SERVICES),
    *(f"week_ago_{service}_{h}" for h in AHEAD for service in SERVICES),
    *(f"forecast_{service}_{h}" for h in AHEAD for service in SERVICES),
    *(f"announced_{h}" for h in AHEAD),
    "announced_hour",
    "scheduled_batch",
    "scheduled_ml",
    "scheduled_batch_hour",
    "scheduled_ml_hour",
)


def foresight(
    demand: DemandBatch, load: Tensor, clock_us: NDArray, spot_ratio: Tensor, params: CloudParams
) -> Tensor:
    """(T + 1, len(FORESIGHT), B) in physical units; 0 where the generator remembers nothing.

    Args:
        demand: of the episodes.
        load: (T, S, B) arriving load of each service.
        clock_us: (B, T + 1) trace time.
        spot_ratio: (T + 1, M, B).
        params: of the cloud.
    """
    steps, _, batch = load.shape
    nothing = torch.zeros((steps + HORIZON, len(SERVICES), batch))

    def past(values: NDArray | None) -> Tensor:
        return nothing if values is None else load_of(values, params.config.qps_per_vcpu)

    day_ago, week_ago = past(demand.day_ago), past(demand.week_ago)
    usual = _usual(demand, day_ago, week_ago)
    announced = _known(demand.announced, steps, 1, batch) - float(demand.announced is not None)
    scheduled = _known(demand.scheduled, steps, 2, batch)
    next_hour = scheduled.cumsum(0)
    next_hour = torch.cat(
        (next_hour[HORIZON - 1 : HORIZON], next_hour[HORIZON:] - next_hour[:-HORIZON])
    )
    rows = [_clock(clock_us), spot_ratio]
    rows += [day_ago[h : h + steps + 1] for h in AHEAD]
    rows += [week_ago[h : h + steps + 1] for h in AHEAD]
    rows += _oracle(load) if params.config.is_oracle_forecast else _forecasts(usual, load)
    rows += [announced[h : h + steps + 1] for h in AHEAD]
    rows += [announced.unfold(0, HORIZON, 1).amax(-1)[: steps + 1]]
    rows += [scheduled[: steps + 1], next_hour[: steps + 1] / HORIZON]
    return torch.cat([each.to(torch.float32) for each in rows], 1)


def _known(values: NDArray | None, steps: int, width: int, batch: int) -> Tensor:
    """(T + HORIZON, width, B) of values (B, T + HORIZON[, width]); 0 for nothing."""
    if values is None:
        return torch.zeros((steps + HORIZON, width, batch))
    return torch.from_numpy(np.moveaxis(values.reshape(batch, -1, width), 0, -1).copy())


def _usual(demand: DemandBatch, day_ago: Tensor, week_ago: Tensor) -> Tensor:
    """What the same hour usually brings: the mean of the pasts that are known."""
    known = (demand.day_ago is not None) + (demand.week_ago is not None)
    return (day_ago + week_ago) / max(1, known)


def _forecasts(usual: Tensor, load: Tensor) -> list[Tensor]:
    """Per horizon h (T + 1, S, B): usual(t + h) + φ^(h+1) · (last load - usual then).

    Seasonal naive with a damped correction of the level (Gardner, "Exponential smoothing: the state
    of the art — Part II", 2006, eq. of the damped level). At the start the first load is taken as
    the last one, as the autoscalers' history does.
    """
    steps = len(load)
    last = torch.cat((load[:1], load))
    before = torch.cat((usual[:1], usual[:steps]))
    error = last - before
    return [(usual[h : h + steps + 1] + _DAMPING ** (h + 1) * error).clamp_min(0.0) for h in AHEAD]


def _oracle(load: Tensor) -> list[Tensor]:
    """Per horizon h (T + 1, S, B): the load of step t + h; the last one beyond the episode."""
    ahead = torch.arange(len(load) + 1)
    return [load[(ahead + h).clamp_max(len(load) - 1)] for h in AHEAD]


def _clock(clock_us: NDArray) -> Tensor:
    """(T + 1, 4, B) sine and cosine of the time of day and of the week."""
    day = 2 * np.pi * ((clock_us % _DAY_US) / _DAY_US).T
    week = 2 * np.pi * ((clock_us % _WEEK_US) / _WEEK_US).T
    features = np.stack([np.sin(day), np.cos(day), np.sin(week), np.cos(week)], axis=1)
    return torch.from_numpy(features.astype(np.float32))
