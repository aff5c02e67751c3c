"""What became of every record of a table: kept, quarantined with a reason, or filtered.

Written as `accounting.json` beside the table. Counting is done in `canonical`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self

from pydantic import Field, model_validator

from marl.files import write_json
from marl.frozen import Frozen

NAME: Final = "accounting.json"


class Counts(Frozen):
    """Records in = kept + quarantined + filtered.

    Attributes:
        rows_in: records found in the source.
        rows_kept: rows of the canonical table.
        quarantined: reason → records that could not be used; each is in the quarantine table.
        filtered: reason → good rows the request did not ask for (`outside_window`, `not_sampled`).
    """

    rows_in: int = 0
    rows_kept: int = 0
    quarantined: dict[str, int] = Field(default_factory=dict)
    filtered: dict[str, int] = Field(default_factory=dict)

    @property
    def rows_quarantined(self) -> int:
        """Quarantined records, all reasons."""
        return sum(self.quarantined.values())

    @property
    def rows_filtered(self) -> int:
        """Filtered rows, all reasons."""
        return sum(self.filtered.values())

    @model_validator(mode="after")
    def _every_record_is_somewhere(self) -> Self:
        found = self.rows_kept + self.rows_quarantined + self.rows_filtered
        if found != self.rows_in:
            raise ValueError(
                f"{self.rows_in} records in, but {self.rows_kept} kept + {self.rows_quarantined} "
                f"quarantined + {self.rows_filtered} filtered = {found}"
            )
        return self


class FileCounts(Counts):
    """The counts of one source file. `notes` tells what was found in it, for people."""

    source_file: str
    notes: tuple[str, ...] = ()


class Part(Frozen):
    """One Parquet file of the table. Times are null where it is empty."""

    name: str  # relative to the table's folder
    rows: int
    bytes: int
    sha256: str
    first_us: int | None = None
    last_us: int | None = None


class TableAccounting(Counts):
    """The account of one canonical table.

    Attributes:
        table: its name.
        is_missing: the source has no such table; `notes` says what that costs.
        is_synthetic: the rows were generated, not measured.
        files: counts by source file, in the manifest's order.
        parts: the row files, in order of time.
        quarantine_parts: the quarantine's files.
        first_us: earliest time, snapshot rows apart; null without rows.
        last_us: latest time.
        snapshot_rows: kept rows that only say what already ran at time 0.
        bytes: size of the row files.
        sha256: hash over the row files' hashes.
        notes: for people.
    """

    table: str
    is_missing: bool = False
    is_synthetic: bool = False
    files: tuple[FileCounts, ...] = ()
    parts: tuple[Part, ...] = ()
    quarantine_parts: tuple[Part, ...] = ()
    first_us: int | None = None
    last_us: int | None = None
    snapshot_rows: int = 0
    bytes: int = 0
    sha256: str = ""
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _files_add_up(self) -> Self:
        for name in ("rows_in", "rows_kept", "rows_quarantined", "rows_filtered"):
            total = sum(getattr(file, name) for file in self.files)
            if total != getattr(self, name):
                raise ValueError(f"{name}: {getattr(self, name)}, but its files sum to {total}")
        return self

    def save(self, folder: Path) -> None:
        """Write `accounting.json` in the table's folder, atomically."""
        write_json(folder / NAME, self.model_dump(mode="json"))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `accounting.json` of a table's folder."""
        return cls.model_validate_json((folder / NAME).read_text(encoding="utf-8"))


class Tally:
    """Counts of one file while it is being read."""

    def __init__(self, source_file: str) -> None:
        """Start at zero."""
        self.source_file = source_file
        self.rows_in = 0
        self.quarantined: dict[str, int] = {}
        self.filtered: dict[str, int] = {}
        self.notes: list[str] = []

    def quarantine(self, reasons: Iterable[str]) -> None:
        """Count records that were quarantined, one reason each."""
        for reason in reasons:
            self.quarantined[reason] = self.quarantined.get(reason, 0) + 1

    def filter(self, dropped: dict[str, int]) -> None:
        """Count rows that were filtered, by reason."""
        for reason, count in dropped.items():
            self.filtered[reason] = self.filtered.get(reason, 0) + count

    def counts(self, rows_kept: int) -> FileCounts:
        """The account, proven: `rows_kept` is counted in the written table, not derived.

        Raises:
            ValueError: the numbers do not add up.
        """
        return FileCounts(
            source_file=self.source_file,
            rows_in=self.rows_in,
            rows_kept=rows_kept,
            quarantined=dict(sorted(self.quarantined.items())),
            filtered=dict(sorted(self.filtered.items())),
            notes=tuple(self.notes),
        )
