"""The daily cycle: a log-linear mean with Fourier terms of the time of day.

Used for counts (by Poisson quasi-likelihood) and for the logarithm of a level (by least squares).
Which noise surrounds the mean belongs to `arrivals` and `levels`.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from marl.traces.schema import WINDOW_US
from marl.workload.demand import DAY_US

_RIDGE: Final = 1.0  # pulls harmonics (not the level) towards 0 by the weight of one window
_MAX_STEPS: Final = 50
_MAX_LOG: Final = 30.0  # exp(30) windows' worth of jobs: beyond it the iteration has diverged

Floats = NDArray[np.float64]


def harmonics_for(windows: int) -> int:
    """Harmonics a stretch of five-minute windows can identify: 0 under a day, 1 under two, 3."""
    days = windows * WINDOW_US / DAY_US
    return 0 if days < 1 else 1 if days < 2 else 3


def design(time_us: NDArray[np.int64], harmonics: int) -> Floats:
    """(..., 2·harmonics) cosine and sine of the middle of the window at `time_us`."""
    angle = 2 * np.pi * ((time_us % DAY_US) + WINDOW_US / 2) / DAY_US
    waves = [f(h * angle) for h in range(1, harmonics + 1) for f in (np.cos, np.sin)]
    return np.stack(waves, axis=-1) if waves else np.zeros((*angle.shape, 0))


def factor(time_us: NDArray[np.int64], coefficients: tuple[float, ...]) -> Floats:
    """exp(daily terms) of the windows that hold the trace times, scaled to a daily mean of 1."""
    return np.asarray(_cycle(coefficients)[time_us % DAY_US // WINDOW_US])


@cache  # asked for by every draw of demand
def _cycle(coefficients: tuple[float, ...]) -> Floats:
    """(windows of a day,) the factors."""
    day = np.arange(0, DAY_US, WINDOW_US)
    beta = np.asarray(coefficients)
    cycle = np.exp(design(day, len(beta) // 2) @ beta)
    return np.asarray(cycle / cycle.mean())


def fit_counts(
    counts: Floats, time_us: NDArray[np.int64], harmonics: int
) -> tuple[float, tuple[float, ...]]:
    """Rate per window (mean over a day) and daily coefficients of counts.

    Poisson quasi-maximum likelihood by iteratively reweighted least squares (McCullagh & Nelder,
    Generalized Linear Models, 1989, ch. 2.5): consistent for the mean whatever the dispersion.
    A stretch without any arrival has rate 0.
    """
    total = counts.mean() if len(counts) else 0.0
    if total == 0 or harmonics == 0:
        return float(total), ()
    x = np.column_stack([np.ones(len(counts)), design(time_us, harmonics)])
    penalty = np.diag([0.0] + [_RIDGE * total] * (2 * harmonics))
    beta = np.zeros(x.shape[1])
    beta[0] = np.log(total)
    for _ in range(_MAX_STEPS):
        mean = np.exp(np.clip(x @ beta, -_MAX_LOG, _MAX_LOG))
        gradient = x.T @ (counts - mean) - penalty @ beta
        step = np.linalg.solve(x.T @ (x * mean[:, None]) + penalty, gradient)
        beta = beta + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-9:
            break
    return _split(beta)


def fit_logs(
    logs: Floats, time_us: NDArray[np.int64], harmonics: int
) -> tuple[float, tuple[float, ...]]:
    """Mean over a day of exp(fitted log), and daily coefficients, by least squares."""
    if len(logs) == 0:
        return 1.0, ()
    x = np.column_stack([np.ones(len(logs)), design(time_us, harmonics)])
    penalty = np.diag([0.0] + [_RIDGE] * (2 * harmonics))
    return _split(np.linalg.solve(x.T @ x + penalty, x.T @ logs))


def _split(beta: Floats) -> tuple[float, tuple[float, ...]]:
    daily = tuple(float(b) for b in beta[1:])
    day = np.arange(0, DAY_US, WINDOW_US)
    mean = np.exp(design(day, len(daily) // 2) @ np.asarray(daily)).mean()
    return float(np.exp(beta[0]) * mean), daily
