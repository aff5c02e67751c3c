"""Parquet in the native columns of Google 2019 (the bucket's export, or a query's result).

Types come from the file and are cast to ours; a value that the cast would lose is rejected. Nested
records may be structs or flattened with a dot (`capacity.cpus`).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from marl.traces.formats.spec import DTYPES, ROW, Field, NativeTable, TraceFormatError
from marl.traces.formats.unparsed import Rejects, split_unparsed

BATCH_ROWS: Final = 1 << 17
_REQUIRED: Final = frozenset(
    {"time", "start_time", "end_time", "type", "collection_id", "instance_index"}
)


@dataclass(frozen=True)
class RowBlock:
    """Consecutive rows of a Parquet file, with their native columns.

    Attributes:
        data: the rows.
        first_row: number of the first, counted from 1 in the file.
    """

    data: pl.DataFrame
    first_row: int

    def __len__(self) -> int:
        """Number of rows."""
        return self.data.height

    def raw(self, rows: list[int]) -> list[str]:
        """These rows as JSON."""
        taken = self.data[[row - self.first_row for row in rows]]
        return [json.dumps(row, default=str) for row in taken.iter_rows(named=True)]


class RowFile:
    """A Parquet file, read once from start to end. `notes` is for people."""

    def __init__(self, path: Path, native: NativeTable) -> None:
        """Prepare; nothing is read yet."""
        self.path = path
        self.notes: list[str] = []
        self._native = native

    def blocks(self) -> Iterator[RowBlock]:
        """The rows in order, only the columns that are needed.

        Raises:
            TraceFormatError: the file is damaged or lacks a column one cannot do without.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        row = 1
        try:
            with pq.ParquetFile(self.path) as file:
                names = file.schema_arrow.names
                self._check(names)
                self._check_records(file.schema_arrow)
                keys = {field.source.split(".")[0] for field in self._native.fields}
                wanted = [name for name in names if name.split(".")[0] in keys]
                for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=wanted):
                    frame = pl.DataFrame(pl.from_arrow(batch))
                    yield RowBlock(frame, row)
                    row += frame.height
        except (pa.ArrowException, OSError) as error:
            raise TraceFormatError(
                f"{self.path}: damaged Parquet ({error}); rows from {row:,} on cannot be read. "
                "Fetch the file again"
            ) from error

    def _check(self, names: list[str]) -> None:
        native = self._native
        required = {field.source for field in native.fields} & _REQUIRED
        if native.table == "machines":
            required.add("machine_id")
        if missing := sorted(required - set(names)):
            raise TraceFormatError(
                f"{self.path}: no {native.name} table, it lacks the columns {', '.join(missing)} "
                f"(it has {', '.join(names)})"
            )
        keys = {name.split(".")[0] for name in names}
        absent = {field.source.split(".")[0] for field in native.fields} - keys
        if absent:
            self.notes.append(
                f"{self.path.name} lacks the columns {', '.join(sorted(absent))}: null in every row"
            )

    def _check_records(self, schema: Any) -> None:
        import pyarrow as pa

        nested = {f.source.split(".")[0] for f in self._native.fields if "." in f.source}
        for name in sorted(nested & set(schema.names)):
            if not pa.types.is_struct(schema.field(name).type):
                raise TraceFormatError(
                    f"{self.path}: the column {name} is {schema.field(name).type}, "
                    f"a record is needed as in Google's {self._native.name}"
                )


def parse(block: RowBlock, native: NativeTable) -> tuple[pl.DataFrame, Rejects]:
    """Cast a block; returns as `csvlines.parse`."""
    values = {field.name: _value(block.data, field) for field in native.fields}
    typed = {
        field.name: _cast(values[field.name], field).alias(field.name) for field in native.fields
    }
    last = block.first_row + len(block)
    frame = pl.DataFrame(
        [*typed.values(), pl.int_range(block.first_row, last, eager=True).alias(ROW)]
    )
    has_value = pl.DataFrame([value.is_not_null().alias(name) for name, value in values.items()])
    return split_unparsed(frame, has_value, native.fields)


def _value(data: pl.DataFrame, field: Field) -> pl.Series:
    """A field's native values; nulls where the file lacks it."""
    key, _, leaf = field.source.partition(".")
    if field.source in data.columns:
        value = data[field.source]
    elif leaf and key in data.columns and isinstance(data.schema[key], pl.Struct):
        has_leaf = leaf in data[key].struct.fields
        value = data[key].struct.field(leaf) if has_leaf else _nulls(data, field)
    else:
        value = _nulls(data, field)
    return _list_of(value) if field.kind == "floats" else value


def _nulls(data: pl.DataFrame, field: Field) -> pl.Series:
    return pl.Series(field.name, [None] * data.height, dtype=DTYPES[field.kind])


def _list_of(value: pl.Series) -> pl.Series:
    """Unwrap `list<element>` structs as some writers nest repeated fields; empty becomes null."""
    if isinstance(value.dtype, pl.Struct) and len(value.dtype.fields) == 1:
        value = value.struct.field(value.dtype.fields[0].name)
    if isinstance(value.dtype, pl.List) and isinstance(value.dtype.inner, pl.Struct):
        inner = value.dtype.inner.fields[0].name
        value = value.list.eval(pl.element().struct.field(inner))
    if isinstance(value.dtype, pl.List):
        frame = value.to_frame("v")
        return frame.select(pl.when(pl.col("v").list.len() > 0).then(pl.col("v")))["v"]
    return value


def _cast(value: pl.Series, field: Field) -> pl.Series:
    target: Any = DTYPES[field.kind]
    if value.dtype == target:
        return value
    if field.kind == "floats" and not isinstance(value.dtype, pl.List):
        return pl.Series(field.name, [None] * len(value), dtype=target)
    result = value.cast(target, strict=False)
    if field.kind == "int" and value.dtype.is_float():  # a fraction would be cut off silently
        frame = pl.DataFrame({"v": value, "r": result})
        return frame.select(pl.when(pl.col("v") == pl.col("r")).then(pl.col("r")))["r"]
    return result
