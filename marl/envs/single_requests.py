"""The request list of one cloud in numpy, a few operations a step.

The same numbers as `marl.cloud.requests`, which works on batches and costs hundreds of small
operations a step: what depends on the weather alone is laid out once an episode here.
"""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from marl.cloud.foresight import FORESIGHT
from marl.cloud.params import CloudParams
from marl.cloud.requests import HOUR_STEPS, LEAST_WORK, REQUEST_FIELDS
from marl.cloud.types import REQUEST_SLOTS
from marl.cloud.weather import Weather

Array = NDArray[Any]
_SCHEDULED: Final = [FORESIGHT.index(f"scheduled_{name}_hour") for name in ("batch", "ml")]
_WORK, _URGENCY = REQUEST_FIELDS.index("work"), REQUEST_FIELDS.index("urgency")


class RequestRows:
    """Requests of one cloud at each step of an episode.

    Attributes:
        shape: (R, fields) of the list.
    """

    def __init__(self, params: CloudParams) -> None:
        config = params.config
        self._deadlines = (config.batch_deadline_steps, config.ml_deadline_steps)
        self._peak = np.float32(params.reference.peak[0])
        rows, steps = [], []
        for i, deadline in enumerate(self._deadlines):
            for k in range(1, REQUEST_SLOTS + 1):
                left = math.ceil(k * deadline / REQUEST_SLOTS)
                rows.append((i == 0, i == 1, 0.0, 1.0, left / deadline, 1.0))
                steps.append(left)
        for i, deadline in enumerate(self._deadlines):
            rows.append((i == 0, i == 1, 1.0, 1.0, 1.0, 1.0))
            steps.append(deadline)
        self._pattern = np.array(rows, np.float32)
        self._per_step = 1.0 / np.array(steps, np.float32)
        self.shape = self._pattern.shape
        self._due: Array = np.zeros((0, 2, REQUEST_SLOTS + 1), np.float32)
        self._told: Array = np.zeros((0, 2), np.float32)

    def begin(self, weather: Weather) -> None:
        """Take the weather of an episode, of a batch of one."""
        due = weather.due[:, :, 0].cpu().numpy()
        step = np.arange(len(weather) + 1)[:, None]
        parts = []
        for i, deadline in enumerate(self._deadlines):
            ahead = [math.ceil(k * deadline / REQUEST_SLOTS) for k in range(REQUEST_SLOTS + 1)]
            parts.append(due[np.maximum(step - 1 + np.array(ahead), 0), i])
        self._due = np.stack(parts, 1)
        self._due[0] = 0.0  # nothing has arrived before the first step
        told = weather.told[:, _SCHEDULED, 0].cpu().numpy()
        self._told = told * np.float32(HOUR_STEPS / self._peak)

    def at(self, step: int, served: Array) -> tuple[Array, Array]:
        """(R, fields) float32 and (R,) int8 at the start of a step.

        Args:
            step: 0 .. T - 1.
            served: (2,) batch and ML work served since the episode began.
        """
        is_open = np.maximum(self._due[step] - served[:, None], 0.0)
        # What falls due within each stretch; overdue work belongs to the first.
        slots = is_open[:, 1:] - is_open[:, :-1]
        slots[:, 0] += is_open[:, 0]
        work = np.concatenate((slots.ravel() / self._peak, self._told[step]))
        mask = work > LEAST_WORK
        values = self._pattern.copy()
        values[:, _WORK] = work
        values[:, _URGENCY] = work * self._per_step
        values *= mask[:, None]
        return values, mask.view(np.int8)
