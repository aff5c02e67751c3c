"""Puts a few hand-made rows under the views and asks: the answer of a statement on known tables."""

import polars as pl

from marl.features.cache import build_cache, connect, query
from marl.features.questions import questions
from tests.unit.marl.features.rows import table_frame, write_parts


def ask(data, sql, **tables):
    """Write tables (rows as dicts) under `data`, build the cache, run SQL or a question by name."""
    for name, rows in tables.items():
        write_parts(data / name, table_frame(name, rows), None)
    build_cache(data, data / "cache.duckdb")
    known = questions().get(sql)
    with connect(data / "cache.duckdb") as connection:
        return query(connection, known.sql if known else sql)


def window(minute, **columns):
    """A row of demand_windows; production unless said otherwise."""
    return {"window_us": minute * 60_000_000, "tier": "production", "scheduling_class": 2} | columns


def job(number, **columns):
    """A row of task_profiles; a production job of user u unless said otherwise."""
    row = {"collection_id": number, "collection_type": "job", "tier": "production", "user": "u"}
    return row | columns


def only(answer: pl.DataFrame, **where):
    """The one row with these values, as a dict."""
    found = answer.filter(pl.col(key).eq_missing(pl.lit(value)) for key, value in where.items())
    assert found.height == 1, answer
    return found.row(0, named=True)
