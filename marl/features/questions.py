"""The ready questions in `sql/analyses`: what each asks, answers, and rests on.

Running them from a terminal belongs to `ask`.
"""

import re
from functools import cache
from typing import Final

from marl.frozen import Frozen
from marl.sqlfiles import list_sql, load_sql

FOLDER: Final = "analyses"
_HEADER: Final = re.compile(r"^-- (Question|Columns|Source): (.*(?:\n--   .*)*)", re.MULTILINE)


class Question(Frozen):
    """One ready question: a SELECT over the cache's views and the head of its file.

    Attributes:
        name: the file's name, and what is typed to ask it.
        question: one line.
        columns: what the answer's columns are.
        source: where the definition comes from.
        sql: the statement.
    """

    name: str
    question: str
    columns: str
    source: str
    sql: str


@cache
def questions() -> dict[str, Question]:
    """All ready questions by name, sorted.

    Raises:
        ValueError: a file lacks a part of its head.
    """
    return {name: _read(name) for name in list_sql(FOLDER)}


def _read(name: str) -> Question:
    sql = load_sql(FOLDER, name)
    parts = {key.lower(): re.sub(r"\n--   ", " ", text) for key, text in _HEADER.findall(sql)}
    missing = {"question", "columns", "source"} - parts.keys()
    if missing:
        raise ValueError(f"sql/{FOLDER}/{name}.sql: no line {sorted(missing)} in its head")
    return Question(name=name, sql=sql, **parts)
