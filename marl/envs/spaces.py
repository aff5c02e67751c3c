"""The one space Gymnasium lacks: a box whose samples respect an action mask."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray


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
