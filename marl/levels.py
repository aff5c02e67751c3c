"""Levels: knobs' ranges cut into a few settings, and the moves between them.

Pure functions of integer arrays, the same code for numpy (one cloud) and torch (a batch), for any
agents with any knobs. The cloud's own knobs belong to `marl.envs.levels`, episodes and spaces to
the environments, which learner chooses among moves to `marl.algos`.

Letters: W knobs of all agents side by side, L levels, M moves of all agents, S agents.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Values = Any  # a numpy array or a torch tensor; what goes in comes out
MOST_LEVELS = 1001


@dataclass(frozen=True)
class Levels:
    """Tables that turn levels and moves into actions in [-1, 1].

    Moves of all agents together, agent by agent: keep, first knob down, first knob up, second knob
    down ...

    Attributes:
        values: (W, L) action of each level, rising.
        columns: (W,) 0, 1, 2 ...
        is_centre: (L,) whether a level is the middle one.
        knob: (M,) column that a move changes; of "keep" any.
        direction: (M,) -1, 0 or 1.
        changes: (M, W) what a move adds to the levels.
        starts: (S,) first move of each agent.
    """

    values: Values
    columns: Values
    is_centre: Values
    knob: Values
    direction: Values
    changes: Values
    starts: Values

    @property
    def count(self) -> int:
        """L."""
        return int(self.values.shape[1])

    @property
    def middle(self) -> int:
        """The level every knob begins an episode at: the centre."""
        return self.count // 2

    def on(self, device: torch.device) -> "Levels":
        """The same tables as tensors."""
        return Levels(
            **{f.name: torch.as_tensor(getattr(self, f.name), device=device) for f in fields(self)}
        )

    def actions(self, levels: Values) -> Values:
        """(B, W) actions in [-1, 1] of (B, W) levels."""
        return self.values[self.columns, levels]

    def moved(self, levels: Values, moves: Values, free: Values) -> Values:
        """(B, W) levels after one move of each agent.

        A move that would change no action (beyond the end, between levels that coincide, of a knob
        that can do nothing now) keeps everything as it is.

        Args:
            levels: (B, W) before.
            moves: (B, S) each agent's choice.
            free: (B, W) 1 where the knob can do something.
        """
        change = self.changes[moves + self.starts].sum(1) * (free != 0)
        target = (levels + change).clip(0, self.count - 1)
        return levels + (target - levels) * (self.actions(target) != self.actions(levels))

    def move_masks(self, levels: Values, free: Values) -> Values:
        """(B, M) bool: the moves that do something, and "keep"."""
        present = levels[:, self.knob]
        target = (present + self.direction).clip(0, self.count - 1)
        is_change = self.values[self.knob, target] != self.values[self.knob, present]
        return (is_change & (free[:, self.knob] != 0)) | (self.direction == 0)

    def grid_masks(self, free: Values) -> Values:
        """(B, W · L) bool: every level of a free knob, only the centre of one that is not."""
        return ((free != 0)[:, :, None] | self.is_centre).reshape(len(free), -1)


def level_tables(
    sizes: Sequence[int], count: int, centre: NDArray[np.float64], reach: float = 2.0
) -> Levels:
    """Tables for `count` levels a knob.

    Half of the levels lie evenly below the centre and half above, up to `reach` from it or the end
    of the range, so that both ends and the centre itself can always be chosen.

    Args:
        sizes: (S,) knobs of each agent.
        count: L, odd so that the centre is a level; at least 3.
        centre: (W,) action in [-1, 1] of the middle level. Levels coincide where it is an end of
            the range.
        reach: how far from the centre the outermost levels lie, in action units; 2 is everything.

    Raises:
        ValueError: an even or too small count, or a centre or reach out of range.
    """
    if int(count) != count or count % 2 == 0 or not 3 <= count <= MOST_LEVELS:
        raise ValueError(f"levels must be odd and within 3 .. {MOST_LEVELS}; got {count}")
    if centre.shape != (sum(sizes),) or not (np.abs(centre) <= 1.0).all():
        raise ValueError(f"a centre of {sum(sizes)} actions in [-1, 1] is needed; got {centre}")
    if not 0 < reach <= 2:
        raise ValueError(f"levels must reach more than 0 and at most 2 far; got {reach}")
    half = int(count) // 2
    middle = centre[:, None]
    lowest, highest = np.maximum(middle - reach, -1.0), np.minimum(middle + reach, 1.0)
    share = np.arange(half + 1) / half
    below = lowest + (middle - lowest) * share[:-1]
    above = middle + (highest - middle) * share[1:]
    owner = [(a, k, d) for a, size in enumerate(sizes) for k, d in _moves(size)]
    firsts = np.cumsum((0, *sizes[:-1]))
    knob = np.array([firsts[a] + k for a, k, _ in owner])
    direction = np.array([d for _, _, d in owner])
    changes = np.zeros((len(owner), sum(sizes)), np.int64)
    changes[np.arange(len(owner)), knob] = direction
    return Levels(
        values=np.concatenate((below, middle, above), 1).astype(np.float32),
        columns=np.arange(sum(sizes)),
        is_centre=np.arange(2 * half + 1) == half,
        knob=knob,
        direction=direction,
        changes=changes,
        starts=np.cumsum((0, *(1 + 2 * size for size in sizes[:-1]))),
    )


def _moves(size: int) -> list[tuple[int, int]]:
    """(knob, direction) of each move of an agent with `size` knobs."""
    return [(0, 0)] + [(k, d) for k in range(size) for d in (-1, 1)]
