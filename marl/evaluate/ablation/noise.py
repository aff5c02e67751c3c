"""How much runs of one configuration differ by their training seeds alone, pooled over a base.

Two seeds of one configuration tell little; those of all configurations of a base together tell how
large chance is, if it is alike for all of them: the error mean square of a one-way analysis of
variance (R. A. Fisher, "Statistical Methods for Research Workers", 1925, chapter VII).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marl.evaluate.statistics import Interval


@dataclass(frozen=True)
class TrainingNoise:
    """Of a base's runs.

    Attributes:
        variance: of a run's mean objective between training seeds.
        df: degrees of freedom that it was estimated with.
    """

    variance: float
    df: int


def training_noise(runs: Sequence[NDArray[np.float64]]) -> TrainingNoise | None:
    """Σ_c Σ_s (x_cs − x̄_c)² / Σ_c (S_c − 1) over configurations c and their seeds s.

    Args:
        runs: (S_c,) mean objective of each seed, a configuration each.

    Returns:
        None where no configuration has two seeds.
    """
    df = sum(len(means) - 1 for means in runs)
    if df < 1:
        return None
    squares = sum(float(((means - means.mean()) ** 2).sum()) for means in runs)
    return TrainingNoise(squares / df, df)


def widened(
    within: Interval,
    seeds: int,
    run: TrainingNoise,
    reference: TrainingNoise | None = None,
    level: float = 0.95,
) -> Interval:
    """An interval within given runs, widened by what training by chance adds.

    The half-width is the root of the sum of squares of the one within and of t · se, where
    se² = (v_run + v_reference) / S. Runs of two bases have Welch's degrees of freedom (B. L. Welch,
    "The generalization of 'Student's' problem", Biometrika 34, 1947). That runs of the same seed
    share their weather and their first weights would make the interval narrower; it is left out.

    Args:
        within: of the difference, for the runs at hand.
        seeds: S, of each side.
        run: noise of the run's base.
        reference: of the reference's, where that is another one.
        level: confidence level.
    """
    from scipy.stats import t

    if reference is None:
        variance, df = 2.0 * run.variance / seeds, float(run.df)
    else:
        a, b = run.variance / seeds, reference.variance / seeds
        variance = a + b
        spread = a**2 / run.df + b**2 / reference.df
        df = variance**2 / spread if spread else float(run.df)
    half = float(t.ppf(0.5 * (1 + level), df)) * math.sqrt(variance)
    below, above = within.estimate - within.lo, within.hi - within.estimate
    return Interval(
        estimate=within.estimate,
        lo=within.estimate - math.hypot(half, below),
        hi=within.estimate + math.hypot(half, above),
    )
