"""Which tier and scheduling class a collection has, wherever the source wrote it down.

In 2011 only tasks carry a priority (hence a tier), in 2019 usage rows carry neither tier nor class.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from marl.features.tables import parts, scan_files
from marl.traces.schema import TABLES, Tier

GROUP: Final = ("tier", "scheduling_class")
GROUP_SCHEMA: Final[dict[str, Any]] = {"tier": Tier, "scheduling_class": pl.Int8}
_MERGE_EVERY: Final = 100  # files, so that what is held grows with collections, not with files
_KNOWN = ("known_tier", "known_scheduling_class")


def collection_groups(tables: Mapping[str, Path]) -> pl.DataFrame:
    """Tier and scheduling class of every collection that has one.

    The collection's own events speak first, then its instances'; in each the earliest value counts.

    Returns:
        collection_id, tier, scheduling_class; one row a collection, sorted by it.
    """
    schema = {"collection_id": pl.Int64, **GROUP_SCHEMA}
    known = [pl.DataFrame(schema=schema)]
    for table in ("collections", "instances"):
        for file in parts(tables.get(table)):
            known.append(
                scan_files([file], TABLES[table])
                .filter(pl.any_horizontal(pl.col(name).is_not_null() for name in GROUP))
                .select("time_us", *schema)
                .group_by(list(schema))  # few distinct rows remain, and only these are sorted
                .agg(pl.col("time_us").min())
                .sort("time_us", "collection_id", *GROUP)
                .select(*schema)
                .collect()
            )
            if len(known) >= _MERGE_EVERY:
                known = [_first_known(known)]
    return _first_known(known).sort("collection_id")


def _first_known(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """The first value each collection has in frames that are in order of preference."""
    return (
        pl.concat(frames)
        .group_by("collection_id", maintain_order=True)
        .agg(pl.col(name).drop_nulls().first() for name in GROUP)
    )


def with_groups(rows: pl.LazyFrame, groups: pl.DataFrame) -> pl.LazyFrame:
    """Give rows without a tier or class those of their collection; unknown stays null."""
    has = rows.collect_schema().names()
    known = groups.lazy().rename(dict(zip(GROUP, _KNOWN, strict=True)))
    own_first = (
        pl.coalesce(name, other) if name in has else pl.col(other)
        for name, other in zip(GROUP, _KNOWN, strict=True)
    )
    return (
        rows.join(known, on="collection_id", how="left")
        .with_columns(
            expression.alias(name) for name, expression in zip(GROUP, own_first, strict=True)
        )
        .drop(_KNOWN)
    )
