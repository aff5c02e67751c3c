"""The query engine of the BigQuery double: GoogleSQL through sqlglot on DuckDB.

Knows tables, statements and bytes; nothing of HTTP or jobs.
"""

import hashlib
import threading

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp

from tests.doubles.bigquery_double.farm import farm_fingerprint
from tests.doubles.bigquery_double.schemas import TABLES, size_bytes, to_arrow

MIB = 1 << 20


class QueryError(Exception):
    """An error as the API reports it."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message

    def payload(self) -> dict:
        detail = {"message": self.message, "domain": "global", "reason": self.reason}
        return {"error": {"code": self.code, "message": self.message, "errors": [detail]}}


class Engine:
    """Tables by (project, dataset, name), and statements over them."""

    def __init__(self) -> None:
        self._connection = duckdb.connect()
        self._connection.create_function(
            "farm_fingerprint", farm_fingerprint, ["VARCHAR"], "BIGINT"
        )
        self._lock = threading.Lock()
        self._tables: dict[tuple[str, str, str], str] = {}
        self._bytes: dict[str, dict[str, int]] = {}
        self.scale = 1  # counts every byte this often: small tables that cost like large ones

    def load(self, project: str, dataset: str, name: str, rows: list[dict] | pa.Table) -> None:
        """Create or replace a 2019 table."""
        schema = to_arrow(TABLES[name])
        if not isinstance(rows, pa.Table):
            rows = pa.Table.from_pylist(rows, schema=schema)
        inner = "t_" + hashlib.sha256(f"{project}|{dataset}|{name}".encode()).hexdigest()[:16]
        with self._lock:
            self._connection.register("incoming", rows)
            self._connection.execute(f'CREATE OR REPLACE TABLE "{inner}" AS FROM incoming')
            self._connection.unregister("incoming")
            self._bytes[inner] = {
                column: sum(map(size_bytes, rows[column].to_pylist()))
                for column in rows.column_names
            }
            self._tables[project, dataset, name] = inner

    def describe(self, project: str, dataset: str, name: str) -> dict:
        """The fields, rows and a content tag of a table."""
        inner = self._find(project, dataset, name)
        with self._lock:
            found = self._connection.execute(
                f'SELECT count(*), sum(hash(t)) FROM "{inner}" t'
            ).fetchall()[0]
        return {"fields": TABLES[name], "rows": found[0], "tag": str(found[1])}

    def cost(self, sql: str) -> int:
        """Bytes processed: whole columns, as BigQuery counts them."""
        total = 0
        tree = self._parse(sql)
        named = {column.name for column in tree.find_all(exp.Column)}
        is_all = tree.find(exp.Star) is not None
        for table in tree.find_all(exp.Table):
            sizes = self._bytes[self._find(table.catalog, table.db, table.name)]
            total += sum(size for name, size in sizes.items() if is_all or name in named)
        return total * self.scale

    def run(self, sql: str, parameters: list[dict]) -> pa.Table:
        """Execute a statement with named parameters."""
        tree = self._parse(sql)
        values = {item["name"]: item for item in parameters}

        def bind(node: exp.Expression) -> exp.Expression:
            if isinstance(node, exp.Parameter):
                name = node.this.name if isinstance(node.this, exp.Expression) else node.this
                if name not in values:
                    raise QueryError(400, "invalidQuery", f"Query parameter '{name}' not found")
                return _literal(values[name])
            if isinstance(node, exp.Table):
                inner = self._find(node.catalog, node.db, node.name)
                return exp.to_table(inner)
            return node

        text = tree.transform(bind).sql(dialect="duckdb")
        with self._lock:
            try:
                return self._connection.sql(text).to_arrow_table()
            except duckdb.Error as error:
                raise QueryError(400, "invalidQuery", str(error).splitlines()[0]) from error

    def _parse(self, sql: str) -> exp.Expression:
        try:
            return sqlglot.parse_one(sql, read="bigquery")
        except sqlglot.errors.ParseError as error:
            raise QueryError(400, "invalidQuery", f"Syntax error: {error}") from error

    def _find(self, project: str, dataset: str, name: str) -> str:
        try:
            return self._tables[project, dataset, name]
        except KeyError:
            raise QueryError(
                404,
                "notFound",
                f"Not found: Table {project}:{dataset}.{name} was not found in location US",
            ) from None


def _literal(parameter: dict) -> exp.Expression:
    kind, value = parameter["parameterType"]["type"], parameter["parameterValue"]["value"]
    if kind in {"INT64", "FLOAT64"}:
        return exp.Literal.number(value)
    return exp.Literal.string(value)
