"""Hindsight relabelling: learn from a step as if what came of it had been the goal.

Andrychowicz et al. 2017, arXiv:1707.01495: a step is replayed with the goal replaced by one that
its own episode achieved, and its reward computed anew. Here this is done when rows are drawn, so
nothing is stored twice. Pure choices over stored episodes; what a goal is and where it stands in
observations belong to `marl.train.goals`.
"""
# ruff: noqa: N803 - dimension letters as suffixes, legend in marl/algos/base.py

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from marl.frozen import Frozen

Strategy = Literal["future", "final"]


class HindsightConfig(Frozen):
    """Hyper-parameters, with the paper's values.

    Attributes:
        strategy: "future": what a step drawn uniformly from the row's own to the episode's last
            has achieved; "final": what the episode's last step has achieved.
        ratio: rows with a goal of hindsight for each row with its own (k in the paper, 4; 0 for
            none).
    """

    strategy: Strategy = "future"
    ratio: float = Field(default=4.0, ge=0)


def steps_left(end_TB: Tensor, stored_B: Tensor) -> Tensor:
    """(B,) later steps of the same episode that are stored.

    Args:
        end_TB: nonzero where a step ended its episode, from each row's own step on.
        stored_B: steps of the same cloud stored after each row, whatever episode they belong to.
    """
    is_before_end = (end_TB > 0).to(torch.int64).cumsum(0) == 0
    # An episode that is still running ends with what is stored of it.
    return torch.minimum(is_before_end.sum(0).clamp(max=len(end_TB) - 1), stored_B)


def chosen_later(left_B: Tensor, strategy: Strategy, generator: torch.Generator) -> Tensor:
    """(B,) how many steps after each row lies the one whose achievement becomes the goal.

    Args:
        left_B: later steps of the same episode.
        strategy: see `HindsightConfig`.
        generator: the caller's random state.
    """
    if strategy == "final":
        return left_B
    drawn = torch.rand(len(left_B), dtype=torch.float64, generator=generator).to(left_B.device)
    return (drawn * (left_B + 1)).to(torch.int64)


def is_relabelled(count: int, ratio: float, generator: torch.Generator) -> Tensor:
    """(count,) bool, true with probability ratio / (ratio + 1)."""
    return torch.rand(count, generator=generator) < ratio / (ratio + 1.0)
