"""Checks of group `features`: sane columns, totals that reconcile, a cache that answers."""

from pathlib import Path
from typing import Any, Final

import polars as pl

from assets.features.suites import SUITES
from assets.quality.checks import fact_check, suite_check


def rows(folder: Path) -> pl.LazyFrame:
    """The table of a feature asset."""
    return pl.scan_parquet(folder / "rows" / "*.parquet")


def arrivals_reconcile(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """Every submission of the canonical tables is in exactly one window; nothing was dropped."""
    from marl.traces.canonical import read_table

    windows = rows(folder).select("collection_arrivals", "instance_arrivals").sum().collect()
    wrong, counts = [], {}
    for table, column in (
        ("collections", "collection_arrivals"),
        ("instances", "instance_arrivals"),
    ):
        submits = (
            read_table(folder.parent / table)
            .filter(pl.col("event") == "SUBMIT", ~pl.col("is_snapshot"))
            .select(pl.len())
            .collect()
            .item()
        )
        counts[column] = int(windows[column][0] or 0)
        if counts[column] != submits:
            wrong.append(f"{column} sums to {counts[column]}, {table} has {submits} submissions")
    return not wrong, "; ".join(wrong) or "all submissions are in a window", counts


def cache_answers(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """Every view of cache.duckdb can be read and shows the rows the summary names."""
    import json

    from marl.features.cache import connect

    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    wrong = []
    with connect(folder.parent / "cache.duckdb") as connection:
        for view, expected in summary["rows"].items():
            found = connection.view(view).count("*").fetchall()[0][0]
            if found != expected:
                wrong.append(f"{view}: {found} rows, expected {expected}")
    return not wrong, "; ".join(wrong) or "every view answers", {"views": len(summary["rows"])}


CHECKS: Final = [
    *(suite_check(table, suite, rows) for table, suite in SUITES.items()),
    fact_check(
        "demand_windows",
        "arrivals_reconcile",
        arrivals_reconcile,
        description="Arrivals over all windows equal the submissions in the canonical tables.",
    ),
    fact_check(
        "trace_cache",
        "cache_answers",
        cache_answers,
        description="Every view of cache.duckdb can be read.",
    ),
]
