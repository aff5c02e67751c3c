"""Finds values that were lost in parsing: null in the typed column, though something was there.

Every reader proves with this that a null of the result is a null of the source.
"""

from collections.abc import Sequence

import polars as pl

from marl.traces.formats.spec import ROW, Field

Rejects = list[tuple[int, str]]  # (record number, reason)


def split_unparsed(
    frame: pl.DataFrame, has_value: pl.DataFrame, fields: Sequence[Field]
) -> tuple[pl.DataFrame, Rejects]:
    """Take out the rows where a value was there and did not parse.

    Args:
        frame: typed rows with their numbers (`ROW`).
        has_value: for each field a Boolean column: whether the source has a value in this row.
        fields: the fields to look at; the first bad one names the reason.

    Returns:
        The other rows, and (record number, `bad_<column>`) of those taken out.
    """
    lost = [
        pl.when(frame[field.name].is_null() & has_value[field.name]).then(
            pl.lit(f"bad_{field.name}")
        )
        for field in fields
    ]
    if not lost or not len(frame):
        return frame, []
    reasons = pl.select(pl.coalesce(lost)).to_series()
    if reasons.null_count() == len(reasons):
        return frame, []
    rejected = frame.select(ROW, reasons.alias("reason")).filter(reasons.is_not_null())
    return frame.filter(reasons.is_null()), list(rejected.iter_rows())
