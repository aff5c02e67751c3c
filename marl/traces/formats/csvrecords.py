"""CSV with a header, quoted fields over several lines, and Python values inside (Kaggle).

Records are told apart by how their lines begin: a number starts one, a space continues it (numpy
breaks long arrays so). One broken quote therefore spoils one record, not the rest of the file.
Values such as `{'cpus': 0.1, 'memory': None}` and `[0. 0.1]` are read by pattern, never evaluated.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from marl.traces.formats.csvlines import is_utf8
from marl.traces.formats.lines import LineBlock, LineFile
from marl.traces.formats.spec import ROW, Field, NativeTable, TraceFormatError
from marl.traces.formats.unparsed import Rejects, split_unparsed

_COMMA: Final = 44
_QUOTE: Final = 34
_INTEGER_FLOAT: Final = r"^(-?\d+)\.0$"  # how pandas writes an integer column that has nulls
_RECORD: Final = r"^\{.*\}$"
_ARRAY: Final = r"^\[[-+0-9.eE,\s]*\]$"
_NOTHING: Final = ("None", "nan", "")


class RecordFile:
    """A CSV file with a header. Attributes: `names` (its columns, once read), `notes`."""

    def __init__(self, path: Path) -> None:
        """Prepare; nothing is read yet."""
        self.path = path
        self.names: tuple[str, ...] = ()
        self._file = LineFile(path, may_continue=True)

    @property
    def notes(self) -> list[str]:
        """What was found on the way."""
        return self._file.notes

    def blocks(self) -> Iterator[LineBlock]:
        """The records below the header, numbered from 1.

        Raises:
            TraceFormatError: the first line is no header; also as `LineFile.blocks`.
        """
        for block in self._file.blocks():
            if self.names:
                yield LineBlock(block.data, block.first_row - 1, block.is_cut, may_continue=True)
                continue
            header = block.record(1)
            self.names = tuple(next(csv.reader([header.decode("utf-8", "replace")]), []))
            if block.is_cut or "time" not in self.names:
                raise TraceFormatError(
                    f"{self.path}: the first line is not the header of the Kaggle layout"
                )
            if len(rest := block.data[len(header) + 1 :]):
                yield LineBlock(rest, 1, may_continue=True)


def parse(
    block: LineBlock, native: NativeTable, names: Sequence[str]
) -> tuple[pl.DataFrame, Rejects]:
    """Parse a block of records under a header with these `names`; returns as `csvlines.parse`.

    Raises:
        TraceFormatError: the header lacks a column of the table.
    """
    if block.is_cut:
        return native.empty(), [(block.first_row, "cut_record")]
    sources = {field.source.split(".")[0] for field in native.fields}
    if missing := sorted(sources - set(names)):
        raise TraceFormatError(f"the Kaggle header lacks the columns {', '.join(missing)}")
    flat = block.data.replace(b"\n ", b"  ")  # every record on one line, offsets unchanged
    good, rejects = _whole_records(block, flat, len(names))
    if not len(good):
        return native.empty(), rejects
    ends = block.ends
    starts = np.concatenate(([0], ends[:-1]))
    if len(good) < len(ends):
        flat = b"".join(
            flat[starts[row - block.first_row] : ends[row - block.first_row]] for row in good
        )
    cells = _cells(flat, names, sorted(sources), len(good))
    texts = cells.select(_text(field).alias(field.name) for field in native.fields)
    frame = texts.select(_typed(field) for field in native.fields).with_columns(
        pl.Series(ROW, good, dtype=pl.Int64)
    )
    fields = [field for field in native.fields if field.kind != "text"]
    frame, unparsed = split_unparsed(frame, texts.select(pl.all().is_not_null()), fields)
    return frame, sorted(rejects + unparsed)


def _whole_records(block: LineBlock, flat: bytes, width: int) -> tuple[np.ndarray, Rejects]:
    """Tell records with balanced quotes and exactly `width` fields from the others."""
    data = np.frombuffer(flat, np.uint8)
    ends = block.ends
    quotes = np.flatnonzero(data == _QUOTE)
    commas = np.flatnonzero(data == _COMMA)
    quotes_until = np.searchsorted(quotes, ends)
    quotes_before = np.concatenate(([0], quotes_until[:-1]))
    owner = np.searchsorted(ends, commas, side="right")
    is_outside = (np.searchsorted(quotes, commas) - quotes_before[owner]) % 2 == 0
    counts = np.bincount(owner[is_outside], minlength=len(ends))
    is_open = (quotes_until - quotes_before) % 2 == 1
    bad = is_open | (counts != width - 1)
    if not is_utf8(flat):
        bad |= np.array([not is_utf8(block.record(block.first_row + i)) for i in range(len(ends))])
    rejects: Rejects = []
    for index in np.flatnonzero(bad).tolist():
        record = block.record(block.first_row + index)
        if not record.strip():
            reason = "blank_line"
        elif not is_utf8(record):
            reason = "bad_encoding"
        else:
            reason = "bad_quotes" if is_open[index] else "bad_width"
        rejects.append((block.first_row + index, reason))
    return np.flatnonzero(~bad) + block.first_row, rejects


def _cells(flat: bytes, names: Sequence[str], wanted: Sequence[str], records: int) -> pl.DataFrame:
    """The wanted columns as text; nothing is null but an empty field."""
    places = {name: place for place, name in reversed(list(enumerate(names)))}
    try:
        frame = pl.read_csv(
            flat,
            has_header=False,
            schema={f"c{place}": pl.String() for place in range(len(names))},
            columns=sorted(places[name] for name in wanted),
        )
    except pl.exceptions.PolarsError:
        frame = pl.DataFrame()
    if frame.height == records:
        return frame.select(pl.col(f"c{places[name]}").alias(name) for name in wanted)
    # Quotes inside a field: Python's reader accepts what Polars refuses, one line at a time.
    rows = [next(csv.reader([line])) for line in flat.decode("utf-8").split("\n")[:-1]]
    return pl.DataFrame(
        {
            name: [row[places[name]] if places[name] < len(row) else "" for row in rows]
            for name in wanted
        },
        schema=dict.fromkeys(wanted, pl.String()),
    )


def _text(field: Field) -> pl.Expr:
    """A field's own text, null where the source has no value."""
    column, _, key = field.source.partition(".")
    text = pl.col(column).str.strip_chars()
    if key:
        value = text.str.extract(rf"['\"]{key}['\"]:\s*([^,}}\s]*)")
        other = pl.concat_str(pl.lit("no record: "), text)  # never parses, whatever it holds
        text = pl.when(text.str.contains(_RECORD)).then(value).otherwise(other)
    if field.kind == "floats":
        text = pl.when(text.str.contains(r"^\[\s*\]$")).then(None).otherwise(text)
    if field.kind == "int":
        text = text.str.replace(_INTEGER_FLOAT, "$1")
    return text if field.kind == "text" else pl.when(~text.is_in(_NOTHING)).then(text)


def _typed(field: Field) -> pl.Expr:
    text = pl.col(field.name)
    if field.kind == "int":
        return text.cast(pl.Int64, strict=False)
    if field.kind == "float":
        return text.cast(pl.Float64, strict=False)
    if field.kind == "text":
        return text
    values = (
        text.str.strip_chars("[]")
        .str.extract_all(r"[^\s,]+")
        .list.eval(pl.element().cast(pl.Float32, strict=False))
    )
    is_whole = text.str.contains(_ARRAY) & ~values.list.eval(pl.element().is_null()).list.any()
    return pl.when(is_whole).then(values).alias(field.name)
