"""From typed native columns to a canonical table: codes, tiers, plausible ranges, rejects.

A rule is an expression; the first that applies names the reason a row is quarantined. Parsing
belongs to `formats`, the window and the sample to `selection`.
"""

from typing import Final

import polars as pl

from marl.traces.formats.spec import ROW, NativeTable
from marl.traces.schema import (
    AFTER_END_US,
    COLLECTION_TYPES,
    SNAPSHOT_US,
    TABLES,
    TIERS,
    TIME_COLUMN,
    CollectionType,
    Tier,
)

REASON: Final = "_reason"
MAX_MACHINES: Final = 10.0  # a fraction of the largest machine; real data reach 1.3
MAX_TRACE_US: Final = 366 * 86_400_000_000  # published traces last 29 to 31 days
MAX_WINDOW_US: Final = 86_400_000_000  # of a usage row; Google's last at most 300 s
MAX_INDEX: Final = 2**31 - 1
MAX_SCHEDULING_CLASS: Final = 3
MAX_PRIORITY: Final = 10_000  # 2019 documents up to about 450

_IDS: Final = {
    "machines": ("machine_id",),
    "collections": ("collection_id",),
    "instances": ("collection_id", "instance_index"),
    "usage": ("collection_id", "instance_index"),
}
_FRACTIONS: Final = ("_ncu", "_nmu")
_NO_ID: Final = ("alloc_collection_id", "parent_collection_id")  # 0 or -1 means none


def canonical(frame: pl.DataFrame, native: NativeTable) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Apply the rules to rows that parsed.

    Args:
        frame: the native table's typed fields and `ROW`.
        native: its description.

    Returns:
        Kept rows in the canonical columns and types, followed by `ROW`; and the rejected rows as
        (`ROW`, `REASON`).
    """
    frame = _without_placeholders(frame, native)
    rules = _rules(frame, native)
    is_bad = frame.select(
        pl.any_horizontal(list(rules.values())).fill_null(value=False)
    ).to_series()
    if is_bad.any():
        reason = pl.coalesce(pl.when(rule).then(pl.lit(name)) for name, rule in rules.items())
        rejected = frame.filter(is_bad).select(ROW, reason.alias(REASON))
        frame = frame.filter(~is_bad)
    else:
        rejected = pl.DataFrame(schema={ROW: pl.Int64, REASON: pl.String})
    return frame.select(*_columns(native), ROW), rejected


def _without_placeholders(frame: pl.DataFrame, native: NativeTable) -> pl.DataFrame:
    """Ids that mean "none" become null: no machine (0), a dedicated one (-1), no alloc set (0)."""
    names: list[str] = [name for name in _NO_ID if name in frame.columns]
    if native.table in ("instances", "usage"):
        names.append("machine_id")
    none = [pl.when(~pl.col(name).is_in((0, -1))).then(pl.col(name)).alias(name) for name in names]
    return frame.with_columns(none)


def _rules(frame: pl.DataFrame, native: NativeTable) -> dict[str, pl.Expr]:
    """Reason → expression that is true where it applies, in order of precedence."""
    time = TIME_COLUMN[native.table]
    rules: dict[str, pl.Expr] = {}
    for name in (time, *_IDS[native.table]):
        rules[f"missing_{name}"] = pl.col(name).is_null()
    rules["after_trace_end"] = pl.col(time) == AFTER_END_US
    rules[f"negative_{time}"] = pl.col(time) < 0
    rules[f"absurd_{time}"] = pl.col(time) > MAX_TRACE_US
    for name in sorted({*_IDS[native.table], "machine_id", *_NO_ID} & set(frame.columns)):
        rules[f"negative_{name}"] = pl.col(name) < 0
    if native.table == "machines":
        rules["missing_machine_id"] |= pl.col("machine_id").is_in((0, -1))
    if "instance_index" in frame.columns:
        rules["absurd_instance_index"] = pl.col("instance_index") > MAX_INDEX
    if native.events:
        rules["missing_event"] = pl.col("event_code").is_null()
        rules["unknown_event"] = ~pl.col("event_code").is_in(sorted(native.events))
    if "collection_type_code" in frame.columns:
        codes = pl.col("collection_type_code")
        rules["unknown_collection_type"] = ~codes.is_between(0, len(COLLECTION_TYPES) - 1)
    if "scheduling_class" in frame.columns:
        within = pl.col("scheduling_class").is_between(0, MAX_SCHEDULING_CLASS)
        rules["unknown_scheduling_class"] = ~within
    if "priority" in frame.columns:
        rules["negative_priority"] = pl.col("priority") < 0
        highest = MAX_PRIORITY if native.max_priority is None else native.max_priority
        rules["unknown_priority"] = pl.col("priority") > highest
    if native.table == "usage":
        span = pl.col("end_us") - pl.col("start_us")
        rules["missing_end_us"] = pl.col("end_us").is_null()
        rules["end_before_start"] = pl.col("end_us") < pl.col("start_us")
        rules["empty_window"] = pl.col("end_us") == pl.col("start_us")
        rules["absurd_end_us"] = span > MAX_WINDOW_US
    return rules | _range_rules(frame)


def _range_rules(frame: pl.DataFrame) -> dict[str, pl.Expr]:
    """Numbers must be finite and not negative; fractions of a machine must not be absurd."""
    rules: dict[str, pl.Expr] = {}
    for name, dtype in frame.schema.items():
        value = pl.col(name)
        limit = MAX_MACHINES if name.endswith(_FRACTIONS) else None
        if dtype == pl.Float64:
            rules[f"bad_{name}"] = ~value.is_finite()
            rules[f"negative_{name}"] = value < 0
            if limit is not None:
                rules[f"absurd_{name}"] = value > limit
        elif isinstance(dtype, pl.List):
            rules[f"bad_{name}"] = ~value.list.eval(pl.element().is_finite()).list.all()
            rules[f"negative_{name}"] = value.list.min() < 0
            rules[f"absurd_{name}"] = value.list.max() > MAX_MACHINES
    return rules


def _columns(native: NativeTable) -> list[pl.Expr]:
    """The canonical columns, in order and type; those the layout lacks are null."""
    fields = {field.name for field in native.fields}
    schema = TABLES[native.table]
    made: dict[str, pl.Expr] = {}
    if native.events:
        made["event"] = _event(native)
    if native.has_only_jobs:
        made["collection_type"] = pl.lit(COLLECTION_TYPES[0], dtype=CollectionType)
    elif "collection_type_code" in fields:
        made["collection_type"] = (
            pl.col("collection_type_code").cast(pl.UInt8).cat.to(CollectionType)
        )
    if native.tier_starts:
        made["tier"] = tier(pl.col("priority"), native.tier_starts)
    if native.table != "usage":
        made["is_snapshot"] = pl.col(TIME_COLUMN[native.table]) == SNAPSHOT_US
    columns = []
    for name, dtype in schema.items():
        column = pl.col(name) if name in fields else pl.lit(None)
        columns.append(made.get(name, column.cast(dtype)).alias(name))
    return columns


def _event(native: NativeTable) -> pl.Expr:
    dtype = TABLES[native.table]["event"]
    names = dtype.categories.to_list()  # type: ignore[attr-defined]
    places = {code: names.index(event) for code, event in native.events.items()}
    return pl.col("event_code").replace_strict(places, return_dtype=pl.UInt8).cat.to(dtype)


def tier(priority: pl.Expr, starts: tuple[tuple[int, str], ...]) -> pl.Expr:
    """The tier of a priority; null for a null.

    Args:
        priority: integer priorities.
        starts: (lowest priority, tier), ascending.
    """
    places = [TIERS.index(name) for _, name in starts]
    place = pl.lit(places[0], dtype=pl.UInt8)
    for (start, _), index in zip(starts[1:], places[1:], strict=True):
        place = pl.when(priority >= start).then(pl.lit(index, dtype=pl.UInt8)).otherwise(place)
    return pl.when(priority.is_not_null()).then(place).cat.to(Tier)
