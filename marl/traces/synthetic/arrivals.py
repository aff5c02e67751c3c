"""When jobs arrive: counts per five minutes that are over-dispersed, autocorrelated and daily.

A log-Gaussian Cox process: a daily cycle plus a first-order autoregression in the logarithm of the
rate, Poisson counts on top. Its parameters follow in closed form from the published figures: the
lognormal variance from variance/mean at mean 80, the cycle's share of it from the autocorrelation
at one day (where the autoregression has died out), the coefficient from that at lag 1.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from marl.traces.synthetic import figures

STEP_S: Final = 300
STEPS_PER_DAY: Final = 288
PEAK_HOUR: Final = 14.0  # chosen: early afternoon, for a trace that begins at midnight


@dataclass(frozen=True)
class ArrivalLaw:
    """Parameters of the process.

    Attributes:
        log_variance: variance of the log-rate.
        cycle_share: part of it that is the daily cycle.
        coefficient: of the autoregression, per five minutes.
    """

    log_variance: float
    cycle_share: float
    coefficient: float

    @classmethod
    def published(cls) -> "ArrivalLaw":
        """Solve the moment equations for the figures of [2011]."""
        mean, ratio = figures.ARRIVALS_MEAN, figures.ARRIVALS_VARIANCE_TO_MEAN
        extra = (ratio - 1.0) / mean  # squared coefficient of variation of the rate
        modulated = (ratio - 1.0) / ratio  # share of the counts' variance that is not Poisson
        variance = float(np.log1p(extra))
        # Cov(e^X, e^Y) is proportional to e^cov(X, Y) - 1: correlations of rates to those of logs.
        day, lag1 = (
            float(np.log1p(correlation / modulated * extra)) / variance
            for correlation in (
                figures.ARRIVALS_AUTOCORRELATION_DAY,
                figures.ARRIVALS_AUTOCORRELATION_LAG1,
            )
        )
        return cls(
            log_variance=variance,
            cycle_share=day,
            coefficient=(lag1 - day) / (1.0 - day),
        )


def rates(
    mean_per_step: float, steps: int, rng: np.random.Generator, law: ArrivalLaw | None = None
) -> NDArray[np.float64]:
    """Expected arrivals of each five-minute step, shape (steps,), mean `mean_per_step`."""
    law = law or ArrivalLaw.published()
    hours = np.arange(steps) * STEP_S / 3600.0
    amplitude = np.sqrt(2.0 * law.log_variance * law.cycle_share)
    cycle = amplitude * np.cos(2 * np.pi * (hours - PEAK_HOUR) / 24.0)
    spread = np.sqrt(law.log_variance * (1.0 - law.cycle_share))
    shocks = rng.standard_normal(steps) * spread * np.sqrt(1.0 - law.coefficient**2)
    noise = np.empty(steps)
    level = rng.standard_normal() * spread
    for step in range(steps):
        level = law.coefficient * level + shocks[step]
        noise[step] = level
    # E[exp] of the Gaussian part is exact; of the sinusoid, to second order in its amplitude.
    centre = spread**2 / 2 + np.log(np.i0(amplitude))
    return mean_per_step * np.exp(cycle + noise - centre)


def times_us(
    per_hour: float, days: float, start_us: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Ascending submission times within `days` from `start_us`, at `per_hour` on average."""
    steps = max(1, round(days * STEPS_PER_DAY))
    counts = rng.poisson(rates(per_hour / 12.0, steps, rng))
    step = np.repeat(np.arange(steps, dtype=np.int64), counts)
    within = rng.integers(0, STEP_S * 1_000_000, size=len(step))
    return np.sort(start_us + step * STEP_S * 1_000_000 + within)
