"""The list of queued and scheduled work that agents see: padded, with a mask, for sequence models.

Batch and ML work waits with a deadline; work that falls due within the same stretch of time is one
request. A slot whose work is done is masked, so the list varies in length. Scheduled work of the
coming hour stands at the end.
"""

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from marl.cloud.foresight import FORESIGHT
from marl.cloud.params import CloudParams
from marl.cloud.types import REQUEST_SLOTS, CloudState
from marl.cloud.weather import Weather, known_due

REQUEST_FIELDS: Final = (
    "is_batch",
    "is_ml",
    "is_scheduled",  # not submitted yet; schedules say that it will be, within the hour
    "work",  # vCPU times steps left, over the reference peak's
    "steps_left",  # until it is late, over the class's deadline
    "urgency",  # what must be served a step to be in time, over the reference peak
)
_SCHEDULED: Final = [FORESIGHT.index(f"scheduled_{name}_hour") for name in ("batch", "ml")]
_SLOTS: Final = 2 * REQUEST_SLOTS + len(_SCHEDULED)
HOUR_STEPS: Final = 12.0
LEAST_WORK: Final = 1e-4  # below, there is no request: vCPU times steps over the reference peak


@dataclass(frozen=True)
class Requests:
    """Requests of every cloud, soonest deadline first within a class.

    Attributes:
        values: (B, R, len(REQUEST_FIELDS)) float32; masked rows are 0.
        mask: (B, R) bool, true where there is a request.
    """

    values: Tensor
    mask: Tensor


def queued_requests(
    state: CloudState, weather: Weather, step: int, params: CloudParams
) -> Requests:
    """What waits at the start of step `step`, and what schedules will submit.

    Args:
        state: of the clouds.
        weather: of the episode; only what has arrived by then is read.
        step: 0 .. T.
        params: of the cloud.
    """
    config, peak = params.config, params.reference.peak[0]
    deadlines = (config.batch_deadline_steps, config.ml_deadline_steps)
    due = known_due(weather.due, step, deadlines)
    open_by_date = (due - state.served[:, None]).clamp_min(0.0)
    # Overdue work belongs to the first slot.
    slots = torch.diff(open_by_date, dim=1)
    slots = torch.cat((slots[:, :1] + open_by_date[:, :1], slots[:, 1:]), 1)
    rows = []
    for i, deadline in enumerate(deadlines):
        for k in range(REQUEST_SLOTS):
            left = math.ceil((k + 1) * deadline / REQUEST_SLOTS)
            rows.append(_row(i, 0.0, slots[i, k] / peak, left / deadline, float(left)))
    told = weather.told[step]
    for i, index in enumerate(_SCHEDULED):
        work = told[index] * (HOUR_STEPS / peak)
        rows.append(_row(i, 1.0, work, 1.0, float(deadlines[i])))
    values = torch.stack(rows)  # (R, fields, B)
    mask = values[:, 3] > LEAST_WORK
    return Requests(values=(values * mask[:, None]).permute(2, 0, 1), mask=mask.t())


def request_names() -> tuple[str, ...]:
    """Names of the columns of `flat_requests`, slot by slot; `is_open` is the mask."""
    return tuple(
        f"request{slot}_{field}" for slot in range(_SLOTS) for field in (*REQUEST_FIELDS, "is_open")
    )


def flat_requests(requests: Requests, limit: float) -> Tensor:
    """(B, R · (fields + 1)) the list and its mask as part of an observation in [-limit, limit]."""
    rows = torch.cat((requests.values, requests.mask[..., None]), -1)
    return rows.flatten(1).clamp(-limit, limit)


def _row(kind: int, scheduled: float, work: Tensor, share_left: float, steps: float) -> Tensor:
    one = torch.ones_like(work)
    flags = (one * (kind == 0), one * (kind == 1), one * scheduled)
    return torch.stack((*flags, work, one * share_left, work / steps))
