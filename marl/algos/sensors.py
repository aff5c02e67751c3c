"""Metrics that are read wrongly while actors learn, so that they do not depend on single readings.

Domain randomisation (Tobin et al. 2017, arXiv:1703.06907) of observations. How wrong metrics are
when policies are judged is `marl.evaluate.robustness`'s.
"""
# ruff: noqa: N803 - dimension letters as suffixes, legend in marl/algos/base.py

from typing import Final

import torch
from torch import Tensor

_MISSING: Final = 0.25  # readings of 0 as a share of the noise: .1 where that is .4


class Sensors:
    """Errors of what B clouds read, each cloud's as large as it is drawn for an episode.

    Half of the clouds read everything right, so that nothing is lost where metrics are good.

    Args:
        largest: standard deviation of a reading's error over its value, in the worst cloud; 0 for
            none.
        generator: of all draws.
    """

    def __init__(self, largest: float, generator: torch.Generator) -> None:
        self.largest, self.generator = largest, generator
        self._sigma_B1: Tensor | None = None

    def begin(self, rows: int) -> None:
        """Draw how wrong the metrics of `rows` clouds are in the coming episode."""
        self._sigma_B1 = None
        if self.largest:
            drawn = torch.rand((rows, 1), generator=self.generator) * 2 - 1
            self._sigma_B1 = drawn.clamp_min(0) * self.largest

    def read(self, obs_BNF: Tensor) -> Tensor:
        """(B, N, F) what is read instead of `obs_BNF`; gradients pass."""
        if self._sigma_B1 is None:
            return obs_BNF
        sigma = self._sigma_B1[..., None]
        noise = 1.0 + sigma * torch.randn(obs_BNF.shape, generator=self.generator)
        is_there = torch.rand(obs_BNF.shape, generator=self.generator) >= _MISSING * sigma
        return obs_BNF * (noise * is_there).to(obs_BNF.device)
