"""Mixes of workload classes: factors by class on their demand."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from marl.workload.demand import CLASSES


def mix_weights(mix: Mapping[str, float] | None) -> NDArray[np.float32]:
    """(C,) factors of a mix.

    Raises:
        ValueError: an unknown class, or a factor that is negative or not finite.
    """
    chosen = dict.fromkeys(CLASSES, 1.0) if mix is None else dict(mix)
    if unknown := sorted(set(chosen) - set(CLASSES)):
        raise ValueError(f"unknown classes in the mix: {unknown}; known: {', '.join(CLASSES)}")
    weights = np.array([chosen.get(name, 0.0) for name in CLASSES], np.float32)
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(f"factors of the mix must be finite and >= 0; got {chosen}")
    return weights
