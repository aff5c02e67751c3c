"""Replay: stretches of the trace's own history, with the history itself as memory.

Drawn demand belongs to `generators`; the memory of drawn demand to `memory`.
"""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.workload.config import Split
from marl.workload.demand import CHANNELS, CLASSES, HORIZON, DemandBatch, check_size
from marl.workload.memory import DAY_WINDOWS, scheduled_vcpu
from marl.workload.model import WorkloadModel

_WEEK_DAYS: Final = 7


class ReplayGenerator:
    """Stretches of the real history, at offsets drawn evenly from the split.

    An episode longer than the split is refused, or, where `is_wrapped`, continues at the split's
    beginning. `noise` multiplies each class and step by an independent lognormal of mean 1; what is
    remembered is without it.

    What an episode remembers is looked up in what is known: the training part for the training
    split, the whole trace up to that window for the held-out split. Where that does not reach back
    a day (a week), the nearest whole number of days back stands in; in the training split's first
    day the next day where the episode does not reach it; else the training part's mean. What lies
    beyond the split's end (needed only to name the schedules of the `HORIZON` steps after an
    episode) comes from the nearest whole number of days back too, else the mean.
    """

    name = "replay"

    def __init__(
        self,
        model: WorkloadModel,
        split: Split,
        weights: NDArray[np.float32],
        noise: float,
        is_wrapped: bool,
    ) -> None:
        if not (np.isfinite(noise) and noise >= 0):
            raise ValueError(f"replay noise must be finite and >= 0; got {noise}")
        self._windows = split_windows(model, split)
        self._split, self._noise, self._is_wrapped = split, noise, is_wrapped
        split_windows(model, "train")  # what is remembered; refused where there is none
        train = _table(model, "train") * weights[:, None]
        is_train = split == "train"
        part = train if is_train else _table(model, split) * weights[:, None]
        mean = train.mean(0, keepdims=True)
        # One table: what is known, in order, and the mean as its last row.
        self._begin = 0 if is_train else len(train)
        self._known = self._begin + len(part)
        self._rows = np.concatenate([train, mean] if is_train else [train, part, mean])

    def sample(self, episodes: int, steps: int, rng: np.random.Generator) -> DemandBatch:
        """Draw `episodes` stretches of `steps` windows; see `DemandGenerator`.

        Raises:
            ValueError: the split is shorter than an episode and replay is not wrapped.
        """
        check_size(episodes, steps)
        length = len(self._windows)
        if steps > length and not self._is_wrapped:
            raise ValueError(
                f"replay of {steps} steps ({steps / 12:.1f} h) needs as many windows; the "
                f"{self._split} part of the trace has {length} ({length / 12:.1f} h). Use shorter "
                "episodes, a longer trace, or is_wrapped=True"
            )
        choices = length if self._is_wrapped else length - steps + 1
        offset = rng.integers(0, choices, episodes)
        at = self._positions(offset, steps)
        values, day_ago, week_ago = (
            self._rows[self._row(at, days, steps)] for days in (0, 1, _WEEK_DAYS)
        )
        if self._noise > 0:
            draw = rng.standard_normal(values.shape[:3], dtype=np.float32)
            factor = np.exp(np.float32(self._noise) * draw - np.float32(self._noise**2 / 2))
            values = values * factor[..., None]
        return DemandBatch(
            values=values[:, :steps],
            start_us=self._windows[offset],
            day_ago=day_ago,
            week_ago=week_ago,
            announced=np.ones(at.shape, np.float32),
            scheduled=scheduled_vcpu(values, day_ago, rng),
        )

    def _positions(self, offset: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
        """(B, T + H) place of each step in the table; beyond the split's end unless wrapped."""
        index = offset[:, None] + np.arange(steps + HORIZON)
        return self._begin + (index % len(self._windows) if self._is_wrapped else index)

    def _row(self, at: NDArray[np.int64], days: int, steps: int) -> NDArray[np.int64]:
        """Row of the table `days` days before each of the places `at`, or of what stands in."""
        least = np.maximum(-((self._known - 1 - at) // DAY_WINDOWS), min(days, 1))
        most = at // DAY_WINDOWS
        instead = np.full_like(at, self._known)
        if days > 0 and self._split == "train" and steps + HORIZON <= DAY_WINDOWS:
            instead = np.minimum(at + DAY_WINDOWS, self._known)
        back = at - np.clip(days, least, np.maximum(most, least)) * DAY_WINDOWS
        return np.where(least <= most, back, instead)


def split_windows(model: WorkloadModel, split: Split) -> NDArray[np.int64]:
    """Start times of the windows of a part of the trace, rising.

    Raises:
        ValueError: the part has none.
    """
    rows = model.history.filter(pl.col("is_held_out") == (split == "held_out"))
    windows = rows["window_us"].unique().sort().to_numpy()
    if len(windows) == 0:
        raise ValueError(f"the workload's history has no window in its {split} part")
    return windows


def _table(model: WorkloadModel, split: Split) -> NDArray[np.float32]:
    """(N, C, R) the history of a part, in order."""
    columns = []
    for name in CLASSES:
        rows = model.history.filter(
            pl.col("workload_class") == name, pl.col("is_held_out") == (split == "held_out")
        ).sort("window_us")
        columns.append(rows.select(CHANNELS).to_numpy().astype(np.float32))
    return np.stack(columns, axis=1)
