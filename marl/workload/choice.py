"""Choosing among candidate models by the likelihood of data they were not fitted to.

The candidates belong to `arrivals`, `requests` and `lifetimes`.
"""

from collections.abc import Mapping
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from marl.frozen import Frozen

FLOOR: Final = -50.0  # nats; keeps one impossible observation from deciding alone
LEAST_GAIN: Final = 0.002  # nats an observation: less is no reason for another parameter

Name = TypeVar("Name", bound=str)


class Score(Frozen):
    """Mean log-likelihood per observation, in nats.

    Attributes:
        validation: on the last stretch of the training part, by a fit to the stretch before it.
        held_out: on the held-out part, by a fit to the whole training part; for the report only.
    """

    validation: float | None = None
    held_out: float | None = None


def mean_score(log_likelihoods: NDArray[np.float64]) -> float | None:
    """Mean of log-likelihoods (n,), each no lower than `FLOOR`; None of none."""
    return None if len(log_likelihoods) == 0 else float(np.maximum(log_likelihoods, FLOOR).mean())


def choose(log_likelihoods: Mapping[Name, NDArray[np.float64]]) -> Name:
    """The simplest candidate within one standard error of the best.

    The one-standard-error rule (Hastie, Tibshirani, Friedman, The Elements of Statistical Learning,
    2nd ed., 2009, sec. 7.10) on paired differences: a richer family must earn its
    parameters, and by at least `LEAST_GAIN`.

    Args:
        log_likelihoods: (n,) validation log-likelihoods by candidate, simplest first, the same
            observations for all.
    """
    floored = {name: np.maximum(values, FLOOR) for name, values in log_likelihoods.items()}
    first = next(iter(floored))
    if len(floored[first]) == 0:
        return first
    best = max(floored, key=lambda name: floored[name].mean())
    for name, values in floored.items():
        gap = floored[best] - values
        error = gap.std(ddof=1) / np.sqrt(len(gap)) if len(gap) > 1 else 0.0
        if gap.mean() <= max(error, LEAST_GAIN):
            return name
    return best
