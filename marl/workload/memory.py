"""What a team remembers of its demand and knows of it beforehand, for drawn processes.

Yesterday, last week and the work that schedules submit. A replay remembers the trace itself (see
`replay`); launches on a calendar belong to `events`.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from marl.traces.schema import WINDOW_US
from marl.workload.demand import CHANNELS, CLASSES, DAY_US, SCHEDULED_CLASSES

DAY_WINDOWS: Final = DAY_US // WINDOW_US
SCHEDULED_SHARE: Final = 0.5  # of the batch and ML work that repeats daily: assumed
BANK_DAYS: Final = 128
_SPREAD: Final = 0.5  # of what a step's schedules use, around their share: assumed

Floats = NDArray[np.float32]
Draw = Callable[[NDArray[np.int64], int, np.random.Generator], Floats]


class Bank:
    """Earlier days of a process, drawn once: what an episode remembers is picked among them.

    Days of a fitted process are independent of each other but for their daily cycle, so yesterday
    and last week are each an independent draw at the same time of day. A fresh draw for each would
    triple the cost of generating demand; `BANK_DAYS` days drawn once from the bank's own seed cost
    next to nothing, and do not depend on what was drawn before. An episode's two days always
    differ.

    Args:
        draw: (start_us, steps, rng) → (B, steps, C, R) demand of independent paths.
        seed: of the bank; give training and evaluation different ones.
    """

    def __init__(self, draw: Draw, seed: int) -> None:
        self._draw, self._seed = draw, seed
        self._length = 0
        self._days = np.empty(0, np.float32)

    def recall(
        self, start_us: NDArray[np.int64], steps: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """(B, steps, C, R) each: yesterday and last week at the same times of day.

        Args:
            start_us: (B,) trace times of whole windows.
            steps: from there on.
            rng: picks the days.
        """
        days = self._filled(steps)
        first = rng.integers(0, BANK_DAYS, len(start_us))
        other = (first + rng.integers(1, BANK_DAYS, len(start_us))) % BANK_DAYS
        begin = (start_us % DAY_US) // WINDOW_US
        window = begin[:, None] + np.arange(steps)
        return days[first[:, None], window], days[other[:, None], window]

    def _filled(self, steps: int) -> Floats:
        """(BANK_DAYS, DAY_WINDOWS + steps, C, R) days from midnight on, long enough for any start.

        The bank of a length depends on the length and the seed alone, not on earlier calls.
        """
        if self._length != steps:
            midnight = np.zeros(BANK_DAYS, np.int64)
            rng = np.random.default_rng([self._seed, steps])
            self._days = self._draw(midnight, DAY_WINDOWS + steps, rng)
            self._length = steps
        return self._days


def scheduled_vcpu(values: Floats, day_ago: Floats, rng: np.random.Generator) -> Floats:
    """(B, L, 2) vCPU that schedules submit at each step, of `SCHEDULED_CLASSES`.

    What ran at this time yesterday and runs today is taken as what repeats, and
    `SCHEDULED_SHARE` of it, with an even spread of half to one and a half that share, as what
    schedules submit; the trace does not tell the two apart. So the schedule is a part of the demand
    that really comes (never more than three quarters of it), and does not give the rest away.

    Args:
        values: (B, L, C, R) demand of each step, those beyond the episode included.
        day_ago: the same, 24 h before.
        rng: of the spread.
    """
    classes = [CLASSES.index(name) for name in SCHEDULED_CLASSES]
    vcpu = CHANNELS.index("compute_vcpu")
    repeating = np.minimum(values[:, :, classes, vcpu], day_ago[:, :, classes, vcpu])
    spread = 1 - _SPREAD + 2 * _SPREAD * rng.random(repeating.shape, dtype=np.float32)
    return np.asarray(SCHEDULED_SHARE * spread * repeating, np.float32)
