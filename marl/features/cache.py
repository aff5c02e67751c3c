"""`cache.duckdb`: views and macros over the Parquet truth, for SQL.

The file holds no rows, so building it takes a moment and building it again is how a new table gets
its view. Statements are in `sql/duckdb`; questions and their command in `questions` and `ask`.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from string import Template
from typing import Final

import duckdb
import polars as pl

from marl.features import demand_windows, task_profiles
from marl.features.dictionary import COLUMNS, LATER_COLUMNS
from marl.features.summary import silent
from marl.files import staged
from marl.frozen import Frozen
from marl.sqlfiles import list_sql, load_sql
from marl.traces.quarantine import QUARANTINE
from marl.traces.schema import TABLES

FOLDER: Final = "duckdb"
_VIEW, _MACRO = "create_view_", "create_macro_"
_STORAGE_VERSION: Final = "v1.5.0"  # other DuckDB clients can read it
_ACCOUNTING: Final = {
    "table": "VARCHAR",
    "rows_in": "BIGINT",
    "rows_kept": "BIGINT",
    "quarantined": "MAP(VARCHAR, BIGINT)",
    "filtered": "MAP(VARCHAR, BIGINT)",
    "is_missing": "BOOLEAN",
    "is_synthetic": "BOOLEAN",
    "snapshot_rows": "BIGINT",
    "first_us": "BIGINT",
    "last_us": "BIGINT",
    "bytes": "BIGINT",
    "sha256": "VARCHAR",
    "notes": "VARCHAR[]",
}
_SCHEMAS: Final[Mapping[str, pl.Schema]] = {
    **TABLES,
    "demand_windows": demand_windows.SCHEMA,
    "task_profiles": task_profiles.SCHEMA,
    "quarantine": QUARANTINE,
}
_DERIVED: Final = ("capacity",)  # views over other views
_SQL_TYPES: Final = {
    pl.Int8: "TINYINT",
    pl.Int32: "INTEGER",
    pl.Int64: "BIGINT",
    pl.Float64: "DOUBLE",
    pl.Boolean: "BOOLEAN",
    pl.String: "VARCHAR",
    pl.Enum: "VARCHAR",
    pl.List: "FLOAT[]",
}


class CacheSummary(Frozen):
    """What the cache shows.

    Attributes:
        rows: rows of each view; 0 where the table is empty or not made yet.
        left_out: views whose table is not made yet and whose columns only its maker knows.
        macros: names of the macros.
    """

    rows: dict[str, int]
    left_out: tuple[str, ...]
    macros: tuple[str, ...]


def build_cache(
    data: Path, target: Path, progress: Callable[[str], None] | None = None
) -> CacheSummary:
    """Build the cache aside and put it in place of the old one; readers keep what they opened.

    Args:
        data: the folder that holds the tables, each in `<name>/rows/*.parquet`.
        target: the database file to write.
        progress: told in words what is being done.

    Returns:
        The views with their rows, and what was left out.

    Raises:
        duckdb.Error: a table's file is not readable Parquet, or lacks a column a view names.
    """
    say = progress or silent
    data = data.resolve()
    names = list_sql(FOLDER)
    macros = [name.removeprefix(_MACRO) for name in names if name.startswith(_MACRO)]
    views = [name.removeprefix(_VIEW) for name in names if name.startswith(_VIEW)]
    views.sort(key=lambda view: view in _DERIVED)  # those come after what they read
    rows: dict[str, int] = {}
    left_out = []
    with staged(target) as aside:
        with duckdb.connect(
            str(aside), config={"storage_compatibility_version": _STORAGE_VERSION}
        ) as connection:
            for macro in macros:
                connection.execute(load_sql(FOLDER, _MACRO + macro))
            for view in views:
                source = "" if view in _DERIVED else source_of(view, data)
                if source is None:
                    left_out.append(view)
                    continue
                statement = Template(load_sql(FOLDER, _VIEW + view)).substitute(rows=source)
                connection.execute(statement)
                _describe(connection, view)
                count = connection.execute(f"SELECT count(*) FROM {view}").fetchall()  # noqa: S608
                rows[view] = count[0][0]
        aside.with_name(aside.name + ".wal").unlink(missing_ok=True)
    say(f"cache: {len(rows)} views, {len(macros)} macros in {target.name}")
    return CacheSummary(rows=rows, left_out=tuple(left_out), macros=tuple(macros))


def source_of(view: str, data: Path) -> str | None:
    """The SQL that a view's `$rows` stands for: a table function over its files.

    A table of known columns without files is an empty relation with those columns, so that
    questions run and answer "nothing"; None means the columns are not known either.
    """
    if view == "accounting":
        files = [data / table / "accounting.json" for table in TABLES]
        there = [file for file in files if file.is_file()]
        if not there:
            return _nothing(_ACCOUNTING)
        columns = ", ".join(f"{quote(name)}: {quote(kind)}" for name, kind in _ACCOUNTING.items())
        return f"read_json({_list(there)}, columns = {{{columns}}})"
    if view == "quarantine":
        folders = [data / table / "quarantine" for table in TABLES]
    else:
        folders = [data / view / "rows"]
    globs = [folder for folder in folders if any(folder.glob("*.parquet"))]
    if globs:
        return f"read_parquet({_list(globs, '/*.parquet')})"
    if view not in _SCHEMAS:
        return None
    return _nothing({name: _SQL_TYPES[kind.base_type()] for name, kind in _SCHEMAS[view].items()})


def connect(cache: Path) -> duckdb.DuckDBPyConnection:
    """Open a cache to read it: no change to the file, no file outside its folder, no settings.

    Raises:
        FileNotFoundError: there is no cache; the message names the command that makes it.
    """
    if not cache.is_file():
        raise FileNotFoundError(
            f"no cache at {cache}: make it with\n"
            "    dagster asset materialize --select '*trace_cache'\n"
            "or set STRATOFORM_DATA to the folder that holds cache.duckdb"
        )
    connection = duckdb.connect(str(cache), read_only=True)
    folder = cache.resolve().parent
    allowed = _list([folder], literal=True) + " || " + _list([folder])
    for setting in (
        f"SET allowed_directories = {allowed}",
        "SET enable_external_access = false",  # nor does SQL see the caller's Python variables
        "SET lock_configuration = true",
    ):
        connection.execute(setting)
    return connection


def query(connection: duckdb.DuckDBPyConnection, sql: str) -> pl.DataFrame:
    """Run one SELECT and return its rows.

    Raises:
        ValueError: it is not exactly one statement, or one that does more than read.
        duckdb.Error: the statement is wrong; the message says where.
    """
    statements = duckdb.extract_statements(sql)
    if len(statements) != 1:
        raise ValueError(f"one statement at a time; got {len(statements)}")
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = str(statements[0].type).rsplit(".", 1)[-1]
        raise ValueError(f"only SELECT reads without changing anything; this is {kind}")
    return connection.sql(sql).pl()


def quote(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def _list(paths: Iterable[Path], suffix: str = "", literal: bool = False) -> str:
    """A SQL list of paths; characters that DuckDB would take for a pattern stand for themselves."""
    texts = (str(path) for path in paths)
    if not literal:
        texts = ("".join(f"[{c}]" if c in "[*?" else c for c in text) for text in texts)
    return "[" + ", ".join(quote(text + suffix) for text in texts) + "]"


def _nothing(columns: Mapping[str, str]) -> str:
    """An empty relation with these columns."""
    nulls = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in columns.items())
    return f"(SELECT {nulls} WHERE false)"


def _describe(connection: duckdb.DuckDBPyConnection, view: str) -> None:
    """Put the dictionary's words on the columns, for `duckdb_columns()`."""
    there = {name for (name, *_) in connection.execute(f"DESCRIBE {view}").fetchall()}
    for column, meaning in (COLUMNS | LATER_COLUMNS).get(view, {}).items():
        if column in there:
            connection.execute(f'COMMENT ON COLUMN {view}."{column}" IS {quote(meaning)}')
