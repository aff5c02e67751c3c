"""Recovery: how long after a disturbance the service is again what it would have been.

Every episode has a twin: the same policy in the same weather without the disturbance. Comparing
with the twin, not with a level, keeps apart what the disturbance did and what the day brought.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

EPSILON: Final = 0.01  # of the service level: so close to the twin counts as recovered
HOLD_STEPS: Final = 6  # for so long: half an hour


def recovery_steps(
    level: NDArray[np.float32],
    twin: NDArray[np.float32],
    end: int,
    *,
    epsilon: float = EPSILON,
    hold: int = HOLD_STEPS,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Steps from the disturbance's end until the level stays at the twin's, episode by episode.

    The first k ≥ 0 so that level ≥ twin − ε in steps end + k … end + k + hold − 1. At the
    episode's end fewer steps are left to hold; at least one must.

    Args:
        level: (E, T) service level of each step.
        twin: (E, T) of the undisturbed twins.
        end: the step after the disturbance's last.
        epsilon: how far below the twin's counts as recovered.
        hold: steps that it must stay.

    Returns:
        (E,) steps, T − end where the episode ended before (censored), and (E,) whether it
        recovered.

    Raises:
        ValueError: shapes differ, or nothing is left after the disturbance.
    """
    if level.shape != twin.shape or level.ndim != 2:
        raise ValueError(f"level and twin must be (E, T) alike; got {level.shape}, {twin.shape}")
    left = level.shape[1] - end
    if not 0 <= end < level.shape[1] or hold < 1:
        raise ValueError(f"a disturbance that ends at {end} leaves nothing of {level.shape[1]}")
    is_back = level[:, end:] >= twin[:, end:] - epsilon
    padded = np.pad(is_back, ((0, 0), (0, hold - 1)), constant_values=True)
    held = np.lib.stride_tricks.sliding_window_view(padded, hold, axis=1)
    stays = np.asarray(np.all(held, axis=-1), np.bool_)
    has_recovered: NDArray[np.bool_] = np.any(stays, axis=1)
    first = np.where(has_recovered, stays.argmax(1), left)
    return first.astype(np.int64), has_recovered
