"""Reads the SQL statements in `sql/`: one statement a file, named by what it does."""

from functools import cache
from pathlib import Path

SQL_ROOT = Path(__file__).resolve().parents[1] / "sql"


@cache
def load_sql(folder: str, name: str) -> str:
    """The text of `sql/<folder>/<name>.sql`.

    Raises:
        FileNotFoundError: no such statement; the message lists those there are.
    """
    path = SQL_ROOT / folder / f"{name}.sql"
    if not path.is_file():
        known = ", ".join(list_sql(folder)) or "none"
        raise FileNotFoundError(f"no statement {name!r} in sql/{folder}; there are: {known}")
    return path.read_text(encoding="utf-8")


def list_sql(folder: str) -> tuple[str, ...]:
    """Names of the statements in `sql/<folder>`, sorted."""
    return tuple(sorted(path.stem for path in (SQL_ROOT / folder).glob("*.sql")))
