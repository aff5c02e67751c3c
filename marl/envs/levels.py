"""Levels of the cloud's own knobs, around a centre such as the tuned rule.

The tables and what moves do are `marl.levels`; episodes and spaces belong to `discrete` and
`single_cloud`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from marl.cloud.actions import SIZES, WIDTH, knobs
from marl.cloud.types import SERVICES
from marl.levels import Levels, level_tables


def build_levels(count: int = 5, centre: Mapping[str, Sequence[float]] | None = None) -> Levels:
    """Tables for `count` levels a knob, over the whole range.

    Args:
        count: L, odd so that the centre is a level; at least 3.
        centre: agent to (A,) action in [-1, 1] of the middle level, such as a tuned rule's; the
            middle of the range by default. Levels coincide where it is an end of the range.

    Raises:
        ValueError: an even or too small count, or a centre of wrong agents, shape or range.
    """
    return level_tables(SIZES, count, _joined(centre))


def _joined(centre: Mapping[str, Sequence[float]] | None) -> NDArray[np.float64]:
    """(WIDTH,) the agents' centres side by side."""
    if centre is None:
        return np.zeros(WIDTH)
    if centre.keys() != set(SERVICES):
        raise ValueError(f"centre needs {SERVICES}; got {sorted(centre)}")
    parts = []
    for agent, size in zip(SERVICES, SIZES, strict=True):
        part = np.asarray(centre[agent], np.float64)
        if part.shape != (size,):
            names = ", ".join(knob.name for knob in knobs(agent))
            raise ValueError(f"centre of {agent!r} must be ({size},) [{names}]; got {part.shape}")
        if not (np.abs(part) <= 1.0).all():
            raise ValueError(f"centre of {agent!r} must lie in [-1, 1]; got {part}")
        parts.append(part)
    return np.concatenate(parts)
