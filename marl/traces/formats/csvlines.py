"""Headerless CSV (Google 2011): one line is one record, fields by position, no quoting.

The fast way parses a block into typed columns and proves by counting that no field was lost: every
line has the right number of separators, and every null stands where the text is empty. Only a block
that fails the proof is looked at line by line.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl

from marl.traces.formats.lines import LineBlock
from marl.traces.formats.spec import DTYPES, ROW, Field, Kind, NativeTable
from marl.traces.formats.unparsed import Rejects, split_unparsed

_COMMA: Final = 44
_LAST: Final = "_last"


def parse(block: LineBlock, native: NativeTable) -> tuple[pl.DataFrame, Rejects]:
    """Parse a block.

    Returns:
        The typed fields of the good records with their numbers (`ROW`), and the others as (record
        number, reason): `cut_record`, `blank_line`, `bad_encoding`, `bad_width`, `bad_<column>`.
    """
    if block.is_cut:
        return native.empty(), [(block.first_row, "cut_record")]
    frame, data = _fast(block, native), block.data
    rejects: Rejects = []
    rows = pl.int_range(block.first_row, block.first_row + len(block), dtype=pl.Int64)
    if frame is None:
        good, rejects = whole_lines(block, native.width)
        if not len(good):
            return native.empty(), rejects
        data = b"".join(block.record(int(row)) + b"\n" for row in good)
        frame = _read(data, native, native.fields)
        rows = pl.lit(pl.Series(good, dtype=pl.Int64))
    has_value, frame = _cast_sparse(frame.with_columns(rows.alias(ROW)), native)
    numbers = [field for field in native.fields if field.kind != "text"]
    holes = [f for f in numbers if not f.is_sparse and frame[f.name].null_count()]
    if holes:
        texts = _read(data, native, [replace(field, is_sparse=True) for field in holes])
        has_value = has_value.hstack(texts.select(pl.all().is_not_null()))
    checked = [field for field in numbers if field.name in has_value.columns]
    frame, unparsed = split_unparsed(frame, has_value, checked)
    return frame, sorted(rejects + unparsed)


def _cast_sparse(frame: pl.DataFrame, native: NativeTable) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Which sparse fields have a text, and the frame with those texts cast."""
    sparse = [field for field in native.fields if field.is_sparse]
    return (
        frame.select(pl.col(field.name).is_not_null() for field in sparse),
        frame.with_columns(
            pl.col(field.name).cast(DTYPES[field.kind], strict=False) for field in sparse
        ),
    )


def whole_lines(block: LineBlock, width: int) -> tuple[np.ndarray, Rejects]:
    """Tell lines with exactly `width` fields of valid UTF-8 from the others.

    Returns:
        Numbers of the good records, and (record number, reason) of the others.
    """
    commas = np.flatnonzero(np.frombuffer(block.data, np.uint8) == _COMMA)
    ends = block.ends
    counts = np.diff(np.searchsorted(commas, ends), prepend=0)
    rejects: Rejects = []
    bad = counts != width - 1
    if not is_utf8(block.data):
        bad |= np.array([not is_utf8(block.record(block.first_row + i)) for i in range(len(ends))])
    for index in np.flatnonzero(bad).tolist():
        row = block.first_row + index
        record = block.record(row)
        if not record.strip():
            reason = "blank_line"
        elif not is_utf8(record):
            reason = "bad_encoding"
        else:
            reason = "bad_width"
        rejects.append((row, reason))
    return np.flatnonzero(~bad) + block.first_row, rejects


def _fast(block: LineBlock, native: NativeTable) -> pl.DataFrame | None:
    """The block's typed fields; None when some line may not have exactly `width` fields.

    The count of separators is right in total, and no line lacks its last field: then no line has
    too few, hence none too many. Where last fields are empty, lines are counted one by one.
    """
    lines = len(block)
    commas = np.count_nonzero(np.frombuffer(block.data, np.uint8) == _COMMA)
    if commas != (native.width - 1) * lines:
        return None
    last = Field(_LAST, "", "text", native.width - 1)
    try:
        frame = _read(block.data, native, (*native.fields, last))
    except pl.exceptions.PolarsError:
        return None
    if frame.height != lines:
        return None
    if frame[_LAST].null_count() and len(whole_lines(block, native.width)[1]):
        return None
    if not block.data.isascii() and not is_utf8(block.data):
        return None
    return frame.drop(_LAST)


def _read(data: bytes, native: NativeTable, fields: Sequence[Field]) -> pl.DataFrame:
    """Typed columns by position, sparse ones as text; what does not parse becomes null."""
    kinds: dict[int | None, Kind] = {
        field.position: "text" if field.is_sparse else field.kind for field in reversed(fields)
    }
    frame = pl.read_csv(
        data,
        has_header=False,
        schema={f"c{place}": DTYPES[kinds.get(place, "text")] for place in range(native.width)},
        columns=sorted(place for place in kinds if place is not None),
        quote_char=None,
        ignore_errors=True,
        truncate_ragged_lines=True,
    )
    return frame.select(pl.col(f"c{field.position}").alias(field.name) for field in fields)


def is_utf8(data: bytes) -> bool:
    """Whether these bytes are valid UTF-8."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
