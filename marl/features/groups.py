"""Which tier and scheduling class a collection has, wherever the source wrote it down.

In 2011 only tasks carry a priority (hence a tier), in 2019 usage rows carry neither tier nor class.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from marl.features.tables import parts, scan_files
from marl.traces.schema import TABLES

GROUP: Final = ("tier", "scheduling_class")
_KNOWN = ("known_tier", "known_scheduling_class")


def collection_groups(tables: Mapping[str, Path]) -> pl.DataFrame:
    """Tier and scheduling class of every collection that has one.

    The collection's own events speak first, then its instances'; in each the earliest value counts.

    Returns:
        collection_id, tier, scheduling_class; one row a collection, sorted by it.
    """
    schema = {"collection_id": pl.Int64, **{name: TABLES["instances"][name] for name in GROUP}}
    known = pl.DataFrame(schema=schema)
    for table in ("collections", "instances"):
        for file in parts(tables.get(table)):
            found = (
                scan_files([file], TABLES[table])
                .filter(pl.any_horizontal(pl.col(name).is_not_null() for name in GROUP))
                .select("time_us", *schema)
                .group_by(list(schema))  # few distinct rows remain, and only these are sorted
                .agg(pl.col("time_us").min())
                .sort("time_us", "collection_id", *GROUP)
                .select(*schema)
                .collect()
            )
            known = _first_known(pl.concat([known, found]))
    return known.sort("collection_id")


def _first_known(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("collection_id", maintain_order=True).agg(
        pl.col(name).drop_nulls().first() for name in GROUP
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
