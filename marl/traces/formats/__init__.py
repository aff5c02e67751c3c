"""Readers of raw trace files: bytes to typed native columns, record by record accounted for.

One module describes each layout (`google2011`, `google2019`, `kaggle2019`), one reads each encoding
(`csvlines`, `csvrecords`, `jsonlines`, `parquetrows`). Codes, ranges and the canonical columns
belong to `marl.traces.rules`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from marl.traces.formats import (
    csvlines,
    csvrecords,
    google2011,
    google2019,
    jsonlines,
    kaggle2019,
    parquetrows,
)
from marl.traces.formats.lines import LineFile
from marl.traces.formats.spec import NativeTable, TraceFormatError
from marl.traces.formats.unparsed import Rejects
from marl.traces.manifest import Layout, RawFile

_TABLES = {
    "google2011": google2011.TABLES,
    "google2019": google2019.TABLES,
    "kaggle2019": kaggle2019.TABLES,
}


class Block(Protocol):
    """Consecutive records of a file."""

    first_row: int

    def __len__(self) -> int:
        """Number of records."""
        ...

    def raw(self, rows: list[int]) -> list[str]:
        """The original text of these records (by number in the file)."""
        ...


class Reader:
    """A file being read.

    Attributes:
        parse: turns a block into the typed native columns of its good records, and (record number,
            reason) of the others. May run in another thread than `blocks`.
    """

    def __init__(self, source: Any, parse: Callable[[Any], tuple[pl.DataFrame, Rejects]]) -> None:
        """Join a file's blocks with the parser of its encoding."""
        self._source = source
        self.parse = parse

    @property
    def notes(self) -> list[str]:
        """What was found on the way, for people; complete when `blocks` is exhausted."""
        return list(self._source.notes)

    def blocks(self) -> Iterator[Block]:
        """The records in order."""
        return self._source.blocks()


def native_table(layout: Layout, table: str) -> NativeTable | None:
    """The description of a canonical table in a layout; None where it has nothing for it."""
    return _TABLES[layout].get(table)


def open_reader(file: RawFile, path: Path, native: NativeTable) -> Reader:
    """The reader of a file.

    Raises:
        TraceFormatError: the layout does not exist in this encoding.
    """
    kind = (file.layout, file.encoding.removesuffix(".gz"))
    if kind == ("google2011", "csv"):
        return Reader(LineFile(path), lambda block: csvlines.parse(block, native))
    if kind == ("google2019", "json"):
        return Reader(LineFile(path), lambda block: jsonlines.parse(block, native))
    if kind == ("google2019", "parquet"):
        rows = parquetrows.RowFile(path, native)
        return Reader(rows, lambda block: parquetrows.parse(block, native))
    if kind == ("kaggle2019", "csv"):
        records = csvrecords.RecordFile(path)
        return Reader(records, lambda block: csvrecords.parse(block, native, records.names))
    raise TraceFormatError(f"{path}: the layout {file.layout} is not read from {file.encoding}")
