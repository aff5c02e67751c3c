"""How a feature table is left on disk, and the account of it. What is in it is its maker's."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from marl.features.tables import Coverage
from marl.files import staged, write_json
from marl.frozen import Frozen


class FeatureSummary(Frozen):
    """The account of a feature table, also written beside it as `summary.json`.

    Attributes:
        rows: rows written.
        input_rows: rows of each canonical table that was read.
        snapshot_rows: of these, rows that describe what ran before the trace began.
        after_end_rows: of these, rows at the sentinel "after the end" (in no window).
        start_us: beginning of the time covered by any table; None when all are empty.
        end_us: its end, exclusive.
        notes: what is missing and what that costs, for people.
    """

    rows: int
    input_rows: dict[str, int]
    snapshot_rows: dict[str, int]
    after_end_rows: dict[str, int]
    start_us: int | None
    end_us: int | None
    notes: tuple[str, ...] = ()


def silent(_: str) -> None:
    """The progress callable of a caller who wants none."""


def write_feature(
    frame: pl.DataFrame,
    into: Path,
    covered: Mapping[str, Coverage | None],
    notes: tuple[str, ...] = (),
) -> FeatureSummary:
    """Write `into/rows/part-000000.parquet` and `into/summary.json`; all or nothing."""
    known = {name: found for name, found in covered.items() if found is not None}
    summary = FeatureSummary(
        rows=frame.height,
        input_rows={name: found.rows for name, found in known.items()},
        snapshot_rows={name: found.snapshot_rows for name, found in known.items()},
        after_end_rows={name: found.after_end_rows for name, found in known.items()},
        start_us=min((found.start_us for found in known.values()), default=None),
        end_us=max((found.end_us for found in known.values()), default=None),
        notes=notes,
    )
    with staged(into) as aside:
        (aside / "rows").mkdir(parents=True)
        frame.write_parquet(aside / "rows" / "part-000000.parquet", compression="zstd")
        write_json(aside / "summary.json", summary.model_dump(mode="json"))
    return summary
