"""The quarantine: every record that could not be used, with the reason and its original text.

Rows stream to Parquet in parts; nothing is capped.
"""

from pathlib import Path
from typing import Final

import polars as pl

from marl.traces.parts import WrittenPart

QUARANTINE: Final = pl.Schema(
    {
        "table": pl.String,
        "reason": pl.String,
        "source_file": pl.String,
        "row_number": pl.Int64,  # 1-based record in the file (a header is no record)
        "raw": pl.String,
    }
)
FOLDER: Final = "quarantine"
_PART_ROWS: Final = 100_000
_PART_CHARS: Final = 32 << 20


class QuarantineWriter:
    """Writes `quarantine/part-*.parquet` under a table's folder; at least one, maybe empty."""

    def __init__(self, folder: Path, table: str) -> None:
        """Create the folder."""
        self._folder = folder / FOLDER
        self._folder.mkdir(parents=True)
        self._table = table
        self._held: list[tuple[str, str, str, int, str]] = []
        self._chars = 0
        self._parts: list[WrittenPart] = []

    def add(self, source_file: str, rejects: list[tuple[int, str]], raw: list[str]) -> None:
        """Add records of one file: (record number, reason) and, in the same order, their text."""
        for (row, reason), text in zip(rejects, raw, strict=True):
            self._held.append((self._table, reason, source_file, row, text))
            self._chars += len(text)
            if len(self._held) >= _PART_ROWS or self._chars >= _PART_CHARS:
                self._flush()

    def finish(self) -> list[WrittenPart]:
        """Write what is left. Returns the parts."""
        if self._held or not self._parts:
            self._flush()
        return self._parts

    def _flush(self) -> None:
        path = self._folder / f"part-{len(self._parts):06d}.parquet"
        frame = pl.DataFrame(self._held, schema=QUARANTINE, orient="row")
        frame.write_parquet(path, compression="zstd")
        self._parts.append(WrittenPart(path, frame.height))
        self._held = []
        self._chars = 0


def scan_quarantine(folder: Path) -> pl.LazyFrame:
    """The quarantine of a table's folder."""
    return pl.scan_parquet(sorted((folder / FOLDER).glob("part-*.parquet")), glob=False)
