"""How a native table is described: its fields, its codes, its tiers; and the errors of reading one.

The descriptions themselves are in `google2011`, `google2019` and `kaggle2019`; code that applies
them is in the readers (bytes to typed columns) and in `marl.traces.rules` (typed columns to the
canonical table).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import polars as pl

from marl.traces.manifest import Table

Kind = Literal["int", "float", "text", "floats"]
DTYPES: Final[dict[Kind, pl.DataType]] = {
    "int": pl.Int64(),
    "float": pl.Float64(),
    "text": pl.String(),
    "floats": pl.List(pl.Float32()),
}
ROW: Final = "_row"  # 1-based number of a record in its file


class TraceFormatError(ValueError):
    """A trace file cannot be read at all. The message says what was wrong, where, what to do."""


@dataclass(frozen=True)
class Field:
    """One native field.

    Attributes:
        name: canonical column it feeds; names ending in `_code` are mapped by the rules.
        source: its native name; dots lead into nested records.
        kind: how its value is read.
        position: 0-based place in a line of a headerless CSV file.
        is_sparse: often empty in real data. CSV reads such a field as text and casts it, which is
            cheaper than reading the file again to prove that its nulls are empty fields.
    """

    name: str
    source: str
    kind: Kind
    position: int | None = None
    is_sparse: bool = False


@dataclass(frozen=True)
class NativeTable:
    """A table of one layout.

    Attributes:
        name: what the publisher calls it.
        table: canonical table it fills.
        fields: the fields that are read; all others are left out.
        width: number of fields of a CSV line.
        events: native event code → canonical event.
        tier_starts: lowest priority of each tier, in ascending order; empty without priorities.
        max_priority: highest priority that exists; None where there is no limit.
        has_only_jobs: no column tells jobs from alloc sets because there are only jobs.
    """

    name: str
    table: Table
    fields: tuple[Field, ...]
    width: int = 0
    events: Mapping[int, str] = field(default_factory=dict)
    tier_starts: tuple[tuple[int, str], ...] = ()
    max_priority: int | None = None
    has_only_jobs: bool = False

    def empty(self) -> pl.DataFrame:
        """No rows, in the types a reader delivers."""
        columns = {field.name: DTYPES[field.kind] for field in self.fields}
        return pl.DataFrame(schema=columns | {ROW: pl.Int64()})
