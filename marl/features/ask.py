"""`python -m marl.features.ask`: ask the cache a ready question, or one of your own in SQL.

Nothing here can change data. The questions are in `sql/analyses`, opening the cache is `cache`'s.
"""

import argparse
import difflib
import json
import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import duckdb
import polars as pl

from marl.features.cache import connect, query
from marl.features.questions import Question, questions

_SHOWN: Final = 50
_DIGITS: Final = 3  # significant ones of the smallest fraction in a column
_MOST_DECIMALS: Final = 9
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FAILED: Final = 1
_MISUSED: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns its exit status: 0, 1 (no answer) or 2 (wrong arguments)."""
    options = _parser().parse_args(arguments)
    if options.question is None and options.sql is None:
        sys.stdout.write(_list_questions())
        return 0
    data = Path(options.data or os.environ.get("STRATOFORM_DATA") or "data")
    try:
        question = None if options.question is None else _find(options.question)
        with connect(data / "cache.duckdb") as connection:
            answer = query(connection, options.sql if question is None else question.sql)
    except (FileNotFoundError, LookupError, ValueError, duckdb.Error) as error:
        sys.stderr.write(f"{error}\n")
        return _FAILED
    try:
        _show(answer, question, options, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m marl.features.ask",
        description="Ask the cached trace a question. Without arguments: list the ready ones.",
        epilog="Tables and columns: docs/sql.md.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("question", nargs="?", help="name of a ready question")
    what.add_argument("--sql", help="a SELECT of your own")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="all rows as CSV")
    form.add_argument("--json", action="store_true", help="all rows as a JSON array")
    parser.add_argument(
        "--limit",
        type=_count,
        default=None,
        help=f"rows to give, 0 for all (default: {_SHOWN} in a table, all in CSV and JSON)",
    )
    parser.add_argument("--data", help="folder of cache.duckdb (default: $STRATOFORM_DATA or data)")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def _list_questions() -> str:
    """Names and questions, aligned."""
    known = questions()
    width = max(map(len, known))
    lines = [f"{name:<{width}}  {question.question}" for name, question in known.items()]
    return "\n".join(lines) + "\n"


def _find(name: str) -> Question:
    known = questions()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise LookupError(
            f"no question {name!r}: {hint}python -m marl.features.ask  lists all of them"
        )
    return known[name]


def _show(
    answer: pl.DataFrame, question: Question | None, options: argparse.Namespace, out: TextIO
) -> None:
    limit = options.limit
    if options.csv or options.json:
        rows = answer.head(limit) if limit else answer
        if options.csv:
            out.write(_flat(rows).write_csv())
        else:
            finite = pl.selectors.float()  # JSON knows no infinity and no not-a-number
            rows = rows.with_columns(pl.when(finite.is_finite()).then(finite))
            json.dump(rows.to_dicts(), out, indent=1, default=str, ensure_ascii=False)
            out.write("\n")
        return
    limit = _SHOWN if limit is None else limit or answer.height
    if question is not None:
        out.write(f"{question.question}\n")
    with pl.Config(
        tbl_rows=limit,
        tbl_cols=answer.width,
        tbl_width_chars=10_000,  # lines may be long; a terminal or `less -S` folds them
        tbl_formatting="UTF8_BORDERS_ONLY",
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        fmt_str_lengths=60,
    ):
        out.write(f"{_aligned(_printable(_flat(answer.head(limit))))}\n")
    more = answer.height - limit
    if more > 0:
        out.write(f"… {more} more rows: --limit 0 shows all, --csv writes them\n")
    if not answer.height:
        out.write(
            "no rows: the tables behind this question are empty\n" if question else "no rows\n"
        )
    if question is not None:
        out.write(f"Columns: {question.columns}\nSource: {question.source}\n")


def _flat(rows: pl.DataFrame) -> pl.DataFrame:
    """Nested values as JSON text, which CSV and a terminal can hold."""
    nested = [name for name, kind in rows.schema.items() if kind.is_nested()]
    return rows.with_columns(
        pl.Series(name, [_as_json(value) for value in rows[name].to_list()], dtype=pl.String)
        for name in nested
    )


def _as_json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, default=str, ensure_ascii=False)


def _aligned(rows: pl.DataFrame) -> pl.DataFrame:
    """Each column of fractions with as many decimals as its smallest value needs."""
    return rows.with_columns(
        pl.Series(name, _fixed_decimals(rows[name].to_list()), dtype=pl.String)
        for name, kind in rows.schema.items()
        if kind.is_float()
    )


def _fixed_decimals(values: list[float | None]) -> list[str]:
    sizes = [abs(value) for value in values if value is not None and 0 < abs(value) < math.inf]
    smallest = min(sizes, default=1.0)
    decimals = min(_MOST_DECIMALS, max(_DIGITS - 1 - math.floor(math.log10(smallest)), 1))
    texts = ["null" if value is None else f"{value:.{decimals}f}" for value in values]
    width = max(map(len, texts), default=0)
    return [text.rjust(width) for text in texts]


def _printable(rows: pl.DataFrame) -> pl.DataFrame:
    """Text from a trace must not steer the terminal: control characters show as their code."""
    return rows.with_columns(
        pl.col(name).map_elements(
            lambda text: _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text),
            return_dtype=pl.String,
        )
        for name, kind in rows.schema.items()
        if kind == pl.String
    )


if __name__ == "__main__":
    sys.exit(main())
