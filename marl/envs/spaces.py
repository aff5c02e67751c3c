"""Spaces of the single-cloud faces: what one agent sees and sets, and samples that respect masks.

Which numbers fill them belongs to `single_cloud`; what a discrete action means to `levels`.
"""

from typing import Any, Final, Literal, get_args

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

ActionFace = Literal["continuous", "grid", "moves"]
ACTION_FACES: Final[tuple[str, ...]] = get_args(ActionFace)


class MaskedBox(spaces.Box):
    """A box; `sample(mask)` puts the middle of the range where the mask is 0.

    A masked knob can do nothing in the coming step, so any value stands there; the middle makes it
    visible that none was chosen.
    """

    def sample(self, mask: Any = None, probability: None = None) -> NDArray[Any]:
        """A uniform sample.

        Args:
            mask: (A,) of 0 and 1, or None for all 1.
            probability: not supported, as in Box.

        Raises:
            ValueError: the mask has another shape than the box.
        """
        drawn = super().sample(probability=probability)
        if mask is None:
            return drawn
        mask = np.asarray(mask)
        if mask.shape != self.shape:
            raise ValueError(f"mask must be {self.shape}; got {mask.shape}")
        return np.where(mask != 0, drawn, (self.low + self.high) / 2).astype(self.dtype)


class MaskedMultiDiscrete(spaces.MultiDiscrete):
    """A MultiDiscrete; `sample(mask)` also takes the flat mask that observations carry.

    Gymnasium's own form is a tuple of one array per choice; the flat form is those side by side.
    """

    def sample(self, mask: Any = None, probability: Any = None) -> NDArray[Any]:
        """A uniform sample of what the mask allows.

        Args:
            mask: (sum of choices,) int8, Gymnasium's tuple, or None for no mask.
            probability: as in MultiDiscrete.

        Raises:
            ValueError: a flat mask of another length.
        """
        if isinstance(mask, np.ndarray):
            if mask.shape != (int(self.nvec.sum()),):
                raise ValueError(f"mask must be ({int(self.nvec.sum())},); got {mask.shape}")
            mask = tuple(np.split(mask.astype(np.int8), np.cumsum(self.nvec)[:-1]))
        return super().sample(mask=mask, probability=probability)


def observation_space(
    limit: float, width: int, mask_size: int, requests: tuple[int, int]
) -> spaces.Dict:
    """The space of {observation, action_mask, requests, request_mask}.

    Args:
        limit: of the observation's numbers.
        width: of the observation.
        mask_size: of the action mask.
        requests: rows and columns of the request list.
    """
    most = float(np.finfo(np.float32).max)  # a backlog has no bound; checkers dislike infinity
    return spaces.Dict(
        {
            "observation": spaces.Box(-limit, limit, (width,), np.float32),
            "action_mask": spaces.Box(0, 1, (mask_size,), np.int8),
            "requests": spaces.Box(0.0, most, requests, np.float32),
            "request_mask": spaces.Box(0, 1, requests[:1], np.int8),
        }
    )


def checked_face(actions: str) -> str:
    """`actions` itself.

    Raises:
        ValueError: not one of `ACTION_FACES`.
    """
    if actions not in ACTION_FACES:
        raise ValueError(f"actions must be one of {', '.join(ACTION_FACES)}; got {actions!r}")
    return actions
