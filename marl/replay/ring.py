"""Replay: the last steps of many clouds, in one set of tensors.

Steps are stored once, in time order, in blocks of `lanes` rows (one row per cloud); the step of the
same cloud k steps later lies k × lanes rows further. Windows for n-step returns are therefore found
at sampling time, and next observations are not stored twice. What the fields mean and how returns
are made of them belong to the learner (`marl.algos.returns`).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class RingReplay:
    """A ring buffer with uniform sampling.

    Args:
        capacity: most rows kept; rounded down to a multiple of `lanes`.
        fields: name → width of each field; all are stored as float32.
        lanes: rows added per step, i.e. the number of clouds.
        device: where the tensors live.
    """

    def __init__(
        self,
        capacity: int,
        fields: Mapping[str, int],
        lanes: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        if capacity < lanes:
            raise ValueError(f"capacity {capacity} is below one step of {lanes} clouds")
        self.lanes = lanes
        self.capacity = capacity - capacity % lanes
        self.fields = {
            name: torch.zeros((self.capacity, width), device=device)
            for name, width in fields.items()
        }
        self._cursor = 0  # where the next row goes
        self._size = 0

    def __len__(self) -> int:
        """Rows stored."""
        return self._size

    def add(self, block: Mapping[str, Tensor]) -> None:
        """Append a block of rows in time order, overwriting the oldest.

        Args:
            block: field → (rows, width), rows a multiple of `lanes` and at most `capacity`.

        Raises:
            ValueError: a field is missing or unknown, or the number of rows does not fit.
        """
        if block.keys() != self.fields.keys():
            raise ValueError(f"expected the fields {sorted(self.fields)}; got {sorted(block)}")
        sizes = {len(rows) for rows in block.values()}
        rows_new = sizes.pop()
        if sizes or rows_new % self.lanes or not 0 < rows_new <= self.capacity:
            raise ValueError(
                f"a block must hold the same number of rows in each field, a multiple of "
                f"{self.lanes} and at most {self.capacity}; got {sorted({rows_new, *sizes})}"
            )
        until_end = min(rows_new, self.capacity - self._cursor)
        for name, rows in block.items():
            stored = self.fields[name]
            stored[self._cursor : self._cursor + until_end] = rows[:until_end]
            if until_end < rows_new:
                stored[: rows_new - until_end] = rows[until_end:]
        self._cursor = (self._cursor + rows_new) % self.capacity
        self._size = min(self._size + rows_new, self.capacity)

    def sample(self, count: int, generator: torch.Generator, ahead: int = 0) -> Tensor:
        """Indices (count,) drawn uniformly, with replacement.

        Args:
            count: how many.
            generator: the caller's random state.
            ahead: only rows whose cloud has this many later steps stored.

        Raises:
            ValueError: too few steps are stored.
        """
        eligible = self._size - ahead * self.lanes
        if eligible <= 0:
            raise ValueError(
                f"{self._size} rows stored; a window of {ahead} steps ahead needs more than "
                f"{ahead * self.lanes}"
            )
        drawn = torch.randint(eligible, (count,), generator=generator)
        oldest = (self._cursor - self._size) % self.capacity
        return ((drawn + oldest) % self.capacity).to(next(iter(self.fields.values())).device)

    def later(self, index: Tensor, steps: int | Tensor) -> Tensor:
        """Index of the same cloud `steps` steps after each of `index`."""
        return (index + steps * self.lanes) % self.capacity

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue: the rows in use, the cursor, the size."""
        used = self.capacity if self._size == self.capacity else self._cursor
        return {
            "cursor": self._cursor,
            "size": self._size,
            "fields": {name: rows[:used] for name, rows in self.fields.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()` of a ring of the same capacity, lanes and fields."""
        if state["fields"].keys() != self.fields.keys():
            raise ValueError(f"expected {sorted(self.fields)}; got {sorted(state['fields'])}")
        for name, rows in state["fields"].items():
            self.fields[name][: len(rows)] = rows
        self._cursor, self._size = int(state["cursor"]), int(state["size"])
