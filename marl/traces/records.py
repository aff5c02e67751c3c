"""Which native table a few records belong to, from their shape alone.

Used by `detect`; reads no file. Google's documents name the columns: `schema.csv` (2011) and
`clusterdata_trace_format_v3.proto` (2019).
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

_SAMPLE_LINES: Final = 100

KAGGLE_REQUIRED: Final = frozenset(
    {
        "time",
        "instance_events_type",
        "collection_id",
        "scheduling_class",
        "collection_type",
        "priority",
        "alloc_collection_id",
        "instance_index",
        "machine_id",
        "resource_request",
        "collections_events_type",
        "user",
        "start_time",
        "end_time",
        "average_usage",
        "maximum_usage",
    }
)

_INTEGER = re.compile(r"-?\d{1,19}")
_NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|-?inf|nan", re.IGNORECASE)


def _event(last: int) -> Callable[[str], bool]:
    return lambda text: text.isdecimal() and len(text) < 3 and int(text) <= last


def _integer(text: str) -> bool:
    return _INTEGER.fullmatch(text) is not None


def _maybe_integer(text: str) -> bool:
    return text == "" or _integer(text)


def _maybe_number(text: str) -> bool:
    return text == "" or _NUMBER.fullmatch(text) is not None


def _flag(text: str) -> bool:
    return text.lower() in {"", "0", "1", "true", "false"}


def _words(text: str) -> bool:
    """A hash or name. In 2011 hashes are base64; a bare number here means another table."""
    return _NUMBER.fullmatch(text) is None


def _anything(_text: str) -> bool:
    return True


_I, _MI, _MN, _W, _A = _integer, _maybe_integer, _maybe_number, _words, _anything
# Field types by table, in the order of schema.csv. Two tables have six fields; their types differ.
_CSV_2011: Final[dict[str, tuple[Callable[[str], bool], ...]]] = {
    "job_events": (_I, _MI, _I, _event(8), _W, _MI, _W, _W),
    "task_events": (_I, _MI, _I, _I, _MI, _event(8), _W, _MI, _I, _MN, _MN, _MN, _flag),
    "machine_events": (_I, _I, _event(2), _W, _MN, _MN),
    "machine_attributes": (_I, _I, _W, _A, _flag),
    "task_constraints": (_I, _I, _I, _event(7), _W, _A),
    "task_usage": (_I, _I, _I, _I, _MI, *(_MN,) * 13, _flag, _MN),
}


def csv_2011_kind(lines: Sequence[str]) -> tuple[str | None, str]:
    """The 2011 table most of these lines fit.

    Args:
        lines: the first lines of a headerless CSV file; at most 100 are looked at.

    Returns:
        (native table name, "") or (None, why not). More than half of the lines must fit.
    """
    votes: Counter[str] = Counter()
    widths: Counter[int] = Counter()
    sample = lines[:_SAMPLE_LINES]
    for line in sample:
        fields = _fields(line)
        widths[len(fields)] += 1
        for kind, types in _CSV_2011.items():
            if len(fields) == len(types) and _fit(types, fields):
                votes[kind] += 1
    if votes:
        kind, count = votes.most_common(1)[0]
        if 2 * count > len(sample):
            return kind, ""
        return None, (
            f"text of mixed content: only {count} of the first {len(sample)} lines fit the 2011 "
            f"table {kind}"
        )
    width = widths.most_common(1)[0][0]
    named = sorted(kind for kind, types in _CSV_2011.items() if len(types) == width)
    if named:
        return None, (
            f"{width} fields a line as in the 2011 table {' or '.join(named)}, "
            "but their types do not fit it"
        )
    return None, (
        f"text with {width} comma-separated fields a line; the 2011 tables have "
        "8 (job), 13 (task), 6 (machine events) or 20 (task usage), and no Kaggle header was found"
    )


def _fit(types: Iterable[Callable[[str], bool]], fields: Sequence[str]) -> bool:
    return all(fits(field) for fits, field in zip(types, fields, strict=True))


def _fields(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def json_lines_kind(lines: Sequence[str]) -> tuple[str | None, str]:
    """The 2019 table most of these JSON lines belong to; in and out as `csv_2011_kind`."""
    votes: Counter[str] = Counter()
    sample = lines[:_SAMPLE_LINES]
    broken = 0
    keys: Counter[str] = Counter()
    for line in sample:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            broken += 1
            continue
        if isinstance(record, dict):
            keys.update(list(record))
            if (kind := _kind_of(frozenset(record))) is not None:
                votes[kind] += 1
    if votes:
        kind, count = votes.most_common(1)[0]
        if 2 * count > len(sample):
            return kind, ""
        return None, (
            f"JSON lines of mixed content: only {count} of the first {len(sample)} fit the 2019 "
            f"table {kind}"
        )
    if not keys:
        return None, f"not JSON lines: {broken} of the first {len(sample)} lines do not parse"
    return None, f"JSON records of no 2019 table; their keys are {_some(keys)}"


def parquet_kind(names: frozenset[str]) -> tuple[str | None, str]:
    """The 2019 table of a Parquet file with these columns; result as `csv_2011_kind`."""
    kind = _kind_of(names)
    if kind is not None:
        return kind, ""
    return None, f"Parquet of no 2019 table; its columns are {_some(sorted(names))}"


_USAGE_KEYS: Final = frozenset({"average_usage", "maximum_usage", "assigned_memory", "sample_rate"})


def _kind_of(names: frozenset[str]) -> str | None:
    """The table with these keys. JSON export leaves nulls out, so only sure ones are asked for."""
    if {"start_time", "end_time", "collection_id"} <= names:
        return "instance_usage" if names & _USAGE_KEYS and "type" not in names else None
    if {"collection_id", "type"} <= names:
        return "instance_events" if "instance_index" in names else "collection_events"
    if "machine_id" in names and "collection_id" not in names:
        if "type" in names:
            return "machine_events"
        if "name" in names and names & {"value", "deleted"}:
            return "machine_attributes"
    return None


def is_bigquery_schema(text: str) -> bool:
    """Whether this is a list of columns as `bq show --schema` prints it."""
    try:
        columns = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(columns, list)
        and bool(columns)
        and all(isinstance(column, dict) and {"name", "type"} <= set(column) for column in columns)
    )


def header_names(line: str) -> frozenset[str]:
    """Column names of a CSV header line."""
    return frozenset(name.strip() for name in _fields(line))


def _some(names: Iterable[str], most: int = 8) -> str:
    """The first few names, quoted (they come from data)."""
    listed = list(names)
    text = ", ".join(repr(name[:40]) for name in listed[:most])
    return text + (f" and {len(listed) - most} more" if len(listed) > most else "")
