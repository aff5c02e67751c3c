"""JSON, one object a line (BigQuery's export of Google 2019): fields by name.

BigQuery writes INT64 as text and leaves nulls out; plain numbers are read as well. Scalars are
read as text and cast here, so that a value which does not parse is seen. Nested values of the wrong
shape come back null from the parser; the few rows where that is possible are read again one by one.
"""

import io
import json
from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from marl.traces.formats.lines import LineBlock
from marl.traces.formats.spec import ROW, Field, NativeTable
from marl.traces.formats.unparsed import Rejects, split_unparsed

_LEAF: Final[dict[str, pl.DataType]] = {
    "int": pl.String(),
    "float": pl.String(),
    "text": pl.String(),
    "floats": pl.List(pl.Float32()),
}


def parse(block: LineBlock, native: NativeTable) -> tuple[pl.DataFrame, Rejects]:
    """Parse a block; returns as `csvlines.parse`, with `bad_json` for what is no JSON object."""
    if block.is_cut:
        return native.empty(), [(block.first_row, "cut_record")]
    rejects: Rejects = []
    rows: Sequence[int] = range(block.first_row, block.first_row + len(block))
    raw = _read(block.data, native)
    if raw is None or raw.height != len(rows):
        raw, rows, rejects = _one_by_one(block, native)
    texts = raw.select(_leaf(field) for field in native.fields)
    frame = texts.select(_typed(field) for field in native.fields).with_columns(
        pl.Series(ROW, rows, dtype=pl.Int64)
    )
    has_value = texts.select(pl.all().is_not_null())
    misshapen = _misshapen(block, native, texts, frame[ROW])
    if misshapen:
        taken = frame[ROW].is_in(list(misshapen))
        frame, has_value = frame.filter(~taken), has_value.filter(~taken)
    scalars = [field for field in native.fields if field.kind in ("int", "float")]
    frame, unparsed = split_unparsed(frame, has_value, scalars)
    return frame, sorted(rejects + unparsed + list(misshapen.items()))


def _schema(native: NativeTable) -> dict[str, pl.DataType]:
    nested: dict[str, dict[str, pl.DataType]] = {}
    schema: dict[str, pl.DataType] = {}
    for field in native.fields:
        key, _, leaf = field.source.partition(".")
        if leaf:
            nested.setdefault(key, {})[leaf] = _LEAF[field.kind]
        else:
            schema[key] = _LEAF[field.kind]
    return schema | {key: pl.Struct(leaves) for key, leaves in nested.items()}


def _read(data: bytes, native: NativeTable) -> pl.DataFrame | None:
    """All lines at once; None when one of them is not JSON."""
    if not data.strip():
        return None
    try:
        return pl.read_ndjson(io.BytesIO(data), schema=_schema(native), ignore_errors=True)
    except pl.exceptions.PolarsError:
        return None


def _one_by_one(
    block: LineBlock, native: NativeTable
) -> tuple[pl.DataFrame, Sequence[int], Rejects]:
    """The block without its bad lines: what Python's parser takes, then what Polars takes too."""
    rejects: Rejects = []
    good: list[int] = []
    for row in range(block.first_row, block.first_row + len(block)):
        reason = _fault(block.record(row))
        if reason is None:
            good.append(row)
        else:
            rejects.append((row, reason))
    frames = [pl.DataFrame(schema=_schema(native))]
    kept: list[int] = []
    waiting = [good]  # halved until what Polars refuses and Python takes stands alone
    while waiting:
        rows = waiting.pop()
        frame = _read(b"".join(block.record(row) + b"\n" for row in rows), native)
        if frame is not None and frame.height == len(rows):
            frames.append(frame)
            kept += rows
        elif len(rows) == 1:
            rejects.append((rows[0], "bad_json"))
        elif rows:
            waiting += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
    return pl.concat(frames), kept, rejects


def _fault(record: bytes) -> str | None:
    if not record.strip():
        return "blank_line"
    try:
        text = record.decode("utf-8")
    except UnicodeDecodeError:
        return "bad_encoding"
    try:
        return None if isinstance(json.loads(text), dict) else "bad_json"
    except (ValueError, RecursionError):
        return "bad_json"


def _leaf(field: Field) -> pl.Expr:
    key, _, leaf = field.source.partition(".")
    value = pl.col(key).struct.field(leaf) if leaf else pl.col(key)
    if field.kind == "floats":
        value = pl.when(value.list.len() > 0).then(value)  # an empty histogram is none
    return value.alias(field.name)


def _typed(field: Field) -> pl.Expr:
    value = pl.col(field.name)
    if field.kind == "int":
        return value.cast(pl.Int64, strict=False)
    return value.cast(pl.Float64, strict=False) if field.kind == "float" else value


def _misshapen(
    block: LineBlock, native: NativeTable, texts: pl.DataFrame, rows: pl.Series
) -> dict[int, str]:
    """Records whose nested values, or which themselves, are not of the declared shape.

    The parser turns a wrong shape into null, so only rows with such a null are read again, and of
    those only the ones that mention the key.
    """
    no_time = rows.filter(texts[native.fields[0].name].is_null()).to_list()
    reasons = {
        row: "bad_json" for row in no_time if not block.record(row).lstrip().startswith(b"{")
    }
    keys: dict[str, list[Field]] = {}
    for field in native.fields:
        key, _, leaf = field.source.partition(".")
        if leaf or field.kind == "floats":
            keys.setdefault(key, []).append(field)
    for key, fields in keys.items():
        columns = [texts[field.name] for field in fields]
        suspect = pl.select(pl.all_horizontal(column.is_null() for column in columns)).to_series()
        if fields[0].kind == "floats":
            has_gap = columns[0].list.eval(pl.element().is_null()).list.any()
            suspect = suspect | has_gap.fill_null(value=False)
        mention = f'"{key}"'.encode()
        for row in rows.filter(suspect).to_list():
            record = block.record(row)
            if row in reasons or (mention not in record and b"\\" not in record):
                continue
            if not _fits(json.loads(record).get(key), fields[0].kind):
                reasons.setdefault(row, f"bad_{fields[0].name}")
    return reasons


def _fits(value: Any, kind: str) -> bool:
    if value is None:
        return True
    if kind == "floats":
        return isinstance(value, list) and all(
            isinstance(item, int | float) and not isinstance(item, bool) for item in value
        )
    return isinstance(value, dict)
