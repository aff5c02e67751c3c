"""Levels: the knobs' ranges cut into a few settings, and the moves between them.

Pure functions of integer arrays, the same code for numpy (one cloud) and torch (a batch). Episodes
and spaces belong to `discrete` and `single_cloud`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from marl.cloud.actions import SIZES, WIDTH, knobs
from marl.cloud.types import SERVICES

Values = Any  # a numpy array or a torch tensor; what goes in comes out
MOST_LEVELS = 1001


@dataclass(frozen=True)
class Levels:
    """Tables that turn levels and moves into actions in [-1, 1].

    L is the number of levels, M the number of moves of all agents together, agent by agent: keep,
    first knob down, first knob up, second knob down ...

    Attributes:
        values: (WIDTH, L) action of each level, rising.
        columns: (WIDTH,) 0, 1, 2 ...
        is_centre: (L,) whether a level is the middle one.
        knob: (M,) column that a move changes; of "keep" any.
        direction: (M,) -1, 0 or 1.
        changes: (M, WIDTH) what a move adds to the levels.
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
        """(B, WIDTH) actions in [-1, 1] of (B, WIDTH) levels."""
        return self.values[self.columns, levels]

    def moved(self, levels: Values, moves: Values, free: Values) -> Values:
        """(B, WIDTH) levels after one move of each agent.

        A move beyond the end, or of a knob that can do nothing now, keeps everything as it is.

        Args:
            levels: (B, WIDTH) before.
            moves: (B, S) each agent's choice.
            free: (B, WIDTH) 1 where the knob can do something.
        """
        change = self.changes[moves + self.starts].sum(1) * (free != 0)
        return (levels + change).clip(0, self.count - 1)

    def move_masks(self, levels: Values, free: Values) -> Values:
        """(B, M) bool: the moves that do something, and "keep"."""
        target = levels[:, self.knob] + self.direction
        is_inside = (target >= 0) & (target < self.count)
        return (is_inside & (free[:, self.knob] != 0)) | (self.direction == 0)

    def grid_masks(self, free: Values) -> Values:
        """(B, WIDTH · L) bool: every level of a free knob, only the centre of one that is not."""
        return ((free != 0)[:, :, None] | self.is_centre).reshape(len(free), -1)


def build_levels(count: int = 5, centre: Mapping[str, Sequence[float]] | None = None) -> Levels:
    """Tables for `count` levels a knob.

    Half of the levels lie evenly below the centre and half above, so that the ends of the range and
    the centre itself can always be chosen.

    Args:
        count: L, odd so that the centre is a level; at least 3.
        centre: agent to (A,) action in [-1, 1] of the middle level, such as a tuned rule's; the
            middle of the range by default. Levels coincide where it is an end of the range.

    Raises:
        ValueError: an even or too small count, or a centre of wrong agents, shape or range.
    """
    if int(count) != count or count % 2 == 0 or not 3 <= count <= MOST_LEVELS:
        raise ValueError(f"levels must be odd and within 3 .. {MOST_LEVELS}; got {count}")
    half = int(count) // 2
    middle = _joined(centre)[:, None]
    share = np.arange(half + 1) / half
    below = -1.0 + (middle + 1.0) * share
    above = middle + (1.0 - middle) * share[1:]
    owner = [(a, k, d) for a, size in enumerate(SIZES) for k, d in _moves(size)]
    firsts = np.cumsum((0, *SIZES[:-1]))
    knob = np.array([firsts[a] + k for a, k, _ in owner])
    direction = np.array([d for _, _, d in owner])
    changes = np.zeros((len(owner), WIDTH), np.int64)
    changes[np.arange(len(owner)), knob] = direction
    return Levels(
        values=np.concatenate((below, above), 1).astype(np.float32),
        columns=np.arange(WIDTH),
        is_centre=np.arange(2 * half + 1) == half,
        knob=knob,
        direction=direction,
        changes=changes,
        starts=np.cumsum((0, *(1 + 2 * size for size in SIZES[:-1]))),
    )


def _moves(size: int) -> list[tuple[int, int]]:
    """(knob, direction) of each move of an agent with `size` knobs."""
    return [(0, 0)] + [(k, d) for k in range(size) for d in (-1, 1)]


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
