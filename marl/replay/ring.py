"""Replay: the last steps of many clouds, in one tensor.

Steps are stored once, in time order, in blocks of `lanes` rows (one row per cloud); the step of the
same cloud k steps later lies k × lanes rows further. Windows for n-step returns are therefore found
at sampling time, and next observations need not be stored twice. A row holds all fields side by
side, because gathering 1,024 rows of one tensor is several times as fast as of five
(`tests/benchmarks/bench_replay.py`). What the fields mean and how returns are made of them belong
to the learner (`marl.algos.returns`).
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

    Attributes:
        widths: name → width, as given.
        fields: name → (capacity, width) view of the rows.
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
        self.widths = dict(fields)
        self._rows = torch.zeros((self.capacity, sum(self.widths.values())), device=device)
        self.fields = self._named(self._rows)
        self._cursor = 0  # where the next row goes
        self._size = 0

    def __len__(self) -> int:
        """Rows stored."""
        return self._size

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self._rows.device

    @property
    def cursor(self) -> int:
        """Index of the row that the next `add` writes first."""
        return self._cursor

    @torch.no_grad()
    def add(self, block: Mapping[str, Tensor]) -> None:
        """Append a block of rows in time order, overwriting the oldest.

        Args:
            block: field → (rows, width), rows a multiple of `lanes` and at most `capacity`.

        Raises:
            ValueError: a field is missing or unknown, or a shape does not fit.
        """
        rows_new = self._checked_rows(block)
        until_end = min(rows_new, self.capacity - self._cursor)
        # In the order of the columns, whatever the block's.
        parts = [block[name].to(self._rows) for name in self.widths]
        head = parts if until_end == rows_new else [part[:until_end] for part in parts]
        torch.cat(head, 1, out=self._rows[self._cursor : self._cursor + until_end])
        if until_end < rows_new:
            tail = [part[until_end:] for part in parts]
            torch.cat(tail, 1, out=self._rows[: rows_new - until_end])
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
        return ((drawn + oldest) % self.capacity).to(self.device)

    def rows(self, index: Tensor) -> dict[str, Tensor]:
        """Field → (*index.shape, width), copied out of the buffer."""
        gathered = self._rows.index_select(0, index.flatten())
        return self._named(gathered.unflatten(0, index.shape))

    def later(self, index: Tensor, steps: int | Tensor) -> Tensor:
        """Index of the same cloud `steps` steps after each of `index`."""
        return (index + steps * self.lanes) % self.capacity

    def steps_after(self, index: Tensor) -> Tensor:
        """How many later steps of the same cloud are stored, for each of `index`."""
        return ((self._cursor - 1 - index) % self.capacity) // self.lanes

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue: the rows in use, the cursor, the size.

        The rows are no copy (on the CPU), and a file of them is no larger than they are.
        """
        used = self._rows[: self.capacity if self._size == self.capacity else self._cursor]
        # A slice of a tensor is saved with all of the tensor; an array's memory is just the slice.
        compact = torch.from_numpy(used.numpy()) if used.device.type == "cpu" else used.cpu()
        return {
            "cursor": self._cursor,
            "size": self._size,
            "fields": self._named(compact),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()` of a ring of the same capacity, lanes and fields."""
        fields, size, cursor = state["fields"], int(state["size"]), int(state["cursor"])
        shapes = {name: tuple(rows.shape) for name, rows in fields.items()}
        expected = {name: (size, width) for name, width in self.widths.items()}
        if shapes != expected:
            raise ValueError(f"expected {expected}; got {shapes}")
        if cursor >= self.capacity or (size != self.capacity and cursor != size):
            raise ValueError(
                f"{size} rows and the next at {cursor} are of a ring of another capacity; this "
                f"one holds {self.capacity}"
            )
        for name, rows in fields.items():
            self.fields[name][:size] = rows
        self._cursor, self._size = cursor, size

    def _checked_rows(self, block: Mapping[str, Tensor]) -> int:
        if block.keys() != self.widths.keys():
            raise ValueError(f"expected the fields {sorted(self.widths)}; got {sorted(block)}")
        sizes = {len(rows) for rows in block.values()}
        rows_new = sizes.pop()
        if sizes or rows_new % self.lanes or not 0 < rows_new <= self.capacity:
            raise ValueError(
                f"a block must hold the same number of rows in each field, a multiple of "
                f"{self.lanes} and at most {self.capacity}; got {sorted({rows_new, *sizes})}"
            )
        for name, rows in block.items():
            if rows.shape != (rows_new, self.widths[name]):
                raise ValueError(
                    f"{name} must be (rows, {self.widths[name]}); got {tuple(rows.shape)}"
                )
        return rows_new

    def _named(self, rows: Tensor) -> dict[str, Tensor]:
        """(..., all widths) cut into its fields, as views."""
        parts = rows.split(list(self.widths.values()), -1)
        return dict(zip(self.widths, parts, strict=True))
