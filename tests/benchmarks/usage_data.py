"""Usage-shaped Parquet for benchmarks: what an hour of instance_usage 2019 looks like, made up.

Deterministic. Heavy-tailed collections, two thirds of the rows whole five-minute windows, the rest
cut in two, eleven-element histograms; sorted, one file an hour, as the canonical writer leaves it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from marl.traces.schema import COLLECTIONS, TIERS, USAGE, WINDOW_US

ROWS_PER_GIB = 22_500_000  # of zstd Parquet, measured on this generator
ROWS_PER_HOUR = 2_000_000  # of a Google cell of about ten thousand machines
ROW_GROUP = 1 << 18  # as the canonical writer
_COLLECTIONS = 40_000
_CUT_SHARE = 1 / 6  # of instances, each giving two rows: a third of rows are short
_WINDOWS_PER_HOUR = 12


def write_tables(root: Path, gib: float, seed: int = 0) -> dict[str, Path]:
    """Write `usage` and `collections` folders of about `gib` GiB. Returns them by name."""
    rng = np.random.default_rng(seed)
    rows = round(gib * ROWS_PER_GIB)
    hours = max(1, round(rows / ROWS_PER_HOUR))
    instances = max(1, round(rows / hours / _WINDOWS_PER_HOUR / (1 + _CUT_SHARE)))
    weight = rng.pareto(0.7, _COLLECTIONS) + 1
    owner = np.sort(rng.choice(_COLLECTIONS, size=instances, p=weight / weight.sum()))
    index = np.arange(instances) - np.searchsorted(owner, owner)
    ids = 330_000_000_000 + np.arange(_COLLECTIONS) * 977
    level = rng.lognormal(-4.5, 1.2, instances)
    tables = {name: root / name for name in ("usage", "collections")}
    for folder in tables.values():
        (folder / "rows").mkdir(parents=True)
    for hour in range(hours):
        windows = (
            _window((hour * _WINDOWS_PER_HOUR + place) * WINDOW_US, ids[owner], index, level, rng)
            for place in range(_WINDOWS_PER_HOUR)
        )
        path = tables["usage"] / "rows" / f"part-{hour:06d}.parquet"
        pl.concat(windows).write_parquet(path, compression="zstd", row_group_size=ROW_GROUP)
    collections = {
        "time_us": np.zeros(_COLLECTIONS, np.int64),
        "collection_id": ids,
        "event": ["SUBMIT"] * _COLLECTIONS,
        "tier": np.array(TIERS)[rng.integers(0, len(TIERS), _COLLECTIONS)],
        "scheduling_class": rng.integers(0, 4, _COLLECTIONS),
        "is_snapshot": np.ones(_COLLECTIONS, bool),
    }
    complete(collections, COLLECTIONS).write_parquet(
        tables["collections"] / "rows" / "part-000000.parquet"
    )
    return tables


def complete(columns: dict[str, Any], schema: pl.Schema) -> pl.DataFrame:
    """A frame of `schema`: the given columns, null in the others."""
    frame = pl.DataFrame(columns)
    return frame.select(
        (pl.col(name) if name in columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in schema.items()
    )


def _window(
    start_us: int,
    collection: np.ndarray,
    index: np.ndarray,
    level: np.ndarray,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Usage rows of one five-minute window."""
    instances = len(index)
    is_cut = rng.random(instances) < _CUT_SHARE
    cut_us = start_us + rng.integers(1, 300, instances) * 1_000_000
    who = np.concatenate([np.arange(instances), np.flatnonzero(is_cut)])
    begin = np.concatenate([np.full(instances, start_us), cut_us[is_cut]])
    end = np.concatenate(
        [
            np.where(is_cut, cut_us, start_us + WINDOW_US),
            np.full(is_cut.sum(), start_us + WINDOW_US),
        ]
    )
    mean = np.round(level[who] * rng.lognormal(0, 0.3, len(who)), 6)
    spread = 0.2 + 1.6 * np.sort(rng.random((len(who), 11), dtype=np.float32), axis=1)
    histogram = np.round(mean[:, None] * spread, 5).astype(np.float32)
    frame = complete(
        {
            "start_us": begin,
            "end_us": end,
            "collection_id": collection[who],
            "instance_index": index[who],
            "machine_id": who * 7919 % 10_000,
            "collection_type": ["job"] * len(who),
            "cpu_usage_ncu": mean,
            "cpu_usage_max_ncu": histogram[:, -1].astype(np.float64),
            "memory_usage_nmu": np.round(mean * 0.7, 6),
            "memory_usage_max_nmu": np.round(mean * 0.9, 6),
            "memory_assigned_nmu": np.round(level[who] * 0.9, 6),
            "cpu_usage_histogram_ncu": pl.Series(histogram).arr.to_list(),
        },
        USAGE,
    )
    return frame.sort("start_us", "collection_id", "instance_index", "end_us")
