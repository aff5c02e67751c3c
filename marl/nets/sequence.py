"""Lists within flat observations: where they stand, and how they are normalised.

A list of up to R entries of K fields stands in the columns `<name><slot>_<field>`, with
`<name><slot>_is_open` 1 where the slot holds an entry: observations stay flat vectors, and their
names tell the layout. What reads the list is in `transformer`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from marl.nets.norm import RunningNorm

OPEN: Final = "is_open"
_COLUMN: Final = re.compile(r"([a-z_]*[a-z])(\d{1,6})_([a-z]\w*)")


@dataclass(frozen=True)
class SequenceLayout:
    """Where one agent's observation holds a list.

    Attributes:
        name: of an entry ("request").
        fields: (K,) names of an entry's fields.
        columns: (R, K) column of each field of each slot.
        is_open: (R,) column that is 1 where the slot holds an entry.
    """

    name: str
    fields: tuple[str, ...]
    columns: tuple[tuple[int, ...], ...]
    is_open: tuple[int, ...]

    @property
    def slots(self) -> tuple[str, ...]:
        """(R,) names of the slots."""
        return tuple(f"{self.name}{slot}" for slot in range(len(self.columns)))

    def rest(self, width: int) -> tuple[int, ...]:
        """The columns of an observation of `width` fields that are not the list's."""
        mine = {column for row in self.columns for column in row} | set(self.is_open)
        return tuple(column for column in range(width) if column not in mine)


def find_sequence(names: Sequence[str]) -> SequenceLayout | None:
    """The list within an observation of these fields; None where there is none.

    Raises:
        ValueError: two lists, slots that are not 0, 1, 2 …, or slots of different fields.
    """
    found: dict[str, dict[int, dict[str, int]]] = {}
    for column, name in enumerate(names):
        match = _COLUMN.fullmatch(name)
        if match:
            slots = found.setdefault(match[1], {})
            slots.setdefault(int(match[2]), {})[match[3]] = column
    lists = {
        name: slots for name, slots in found.items() if any(OPEN in one for one in slots.values())
    }
    if not lists:
        return None
    if len(lists) > 1:
        raise ValueError(f"an observation with more than one list: {', '.join(sorted(lists))}")
    ((name, slots),) = lists.items()
    if sorted(slots) != list(range(len(slots))):
        raise ValueError(f"slots of {name} must be 0 .. {len(slots) - 1}; got {sorted(slots)}")
    fields = tuple(field for field in slots[0] if field != OPEN)
    for slot, one in slots.items():
        if set(one) != {*fields, OPEN} or not fields:
            raise ValueError(f"{name}{slot} has the fields {sorted(one)}, {name}0 {sorted(fields)}")
    ordered = [slots[slot] for slot in range(len(slots))]
    return SequenceLayout(
        name=name,
        fields=fields,
        columns=tuple(tuple(one[field] for field in fields) for one in ordered),
        is_open=tuple(one[OPEN] for one in ordered),
    )


class SequenceNorm(RunningNorm):
    """A RunningNorm of observations whose lists are normalised alike in every slot.

    The statistics of a list's field are taken over all open slots of all agents, so that an entry
    means the same wherever it stands; whether a slot is open passes unchanged.

    Args:
        obs_sizes: (N,) observation width of each agent.
        layouts: (N,) each agent's list; those there are have the same fields.
    """

    kind: Tensor

    def __init__(self, obs_sizes: Sequence[int], layouts: Sequence[SequenceLayout | None]) -> None:
        super().__init__((len(obs_sizes), max(obs_sizes)))
        fields = next(len(layout.fields) for layout in layouts if layout)
        self.tokens = RunningNorm((fields,))
        # Per column: which field of the list, K for "is open", K + 1 for all others.
        kind = [[fields + 1] * max(obs_sizes) for _ in obs_sizes]
        for row, layout in zip(kind, layouts, strict=True):
            for slot, one in enumerate(layout.columns if layout else ()):
                for field, column in enumerate(one):
                    row[column] = field
                row[layout.is_open[slot]] = fields  # type: ignore[union-attr]
        self.register_buffer("kind", torch.tensor(kind), persistent=False)
        self.layouts = tuple(layouts)

    @torch.no_grad()
    def update(self, rows: Tensor) -> None:
        """Take in (..., N, F) observations."""
        super().update(rows)
        for agent, layout in enumerate(self.layouts):
            if layout is not None:
                mine = rows[..., agent, :]
                is_open = mine[..., list(layout.is_open)] > 0.5
                entries = mine[..., [list(one) for one in layout.columns]][is_open]
                if len(entries):
                    self.tokens.update(entries)

    def forward(self, rows: Tensor) -> Tensor:
        """Centre and scale (..., N, F), then clip; float32."""
        shared = torch.cat((self.tokens.mean, self.tokens.mean.new_tensor([0.0, 0.0])))
        scales = torch.cat((self.tokens.std, self.tokens.std.new_tensor([1.0, 1.0])))
        is_own = self.kind == len(shared) - 1
        mean = torch.where(is_own, self.mean, shared[self.kind]).to(torch.float32)
        std = torch.where(is_own, self.std, scales[self.kind]).to(torch.float32)
        return ((rows - mean) / std).clamp(-self.clip, self.clip)
