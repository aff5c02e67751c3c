"""What each canonical table must satisfy, as data. Limits stated where they are not plain types."""

from typing import Final

from assets.quality.gx import Expect, expect
from marl.traces.schema import EVENTS, MACHINE_EVENTS, TABLES, TIERS

# One machine is 1; nothing can ask for or use more than a few of the largest machines.
MAX_MACHINES: Final = 10.0
# The longest published trace (2011) is 29 days, 2019's 31; the snapshot is at 0.
MAX_TIME_US: Final = 62 * 86_400 * 1_000_000


def _columns(table: str) -> Expect:
    return expect("TableColumnsToMatchOrderedList", column_list=list(TABLES[table]))


def _time(column: str) -> list[Expect]:
    return [
        expect("ColumnValuesToNotBeNull", column=column),
        expect("ColumnValuesToBeBetween", column=column, min_value=0, max_value=MAX_TIME_US),
    ]


def _share(column: str) -> Expect:
    return expect("ColumnValuesToBeBetween", column=column, min_value=0, max_value=MAX_MACHINES)


SUITES: Final = {
    "machines": (
        _columns("machines"),
        *_time("time_us"),
        expect("ColumnValuesToNotBeNull", column="machine_id"),
        expect("ColumnValuesToNotBeNull", column="event"),
        expect("ColumnValuesToBeInSet", column="event", value_set=list(MACHINE_EVENTS)),
        expect("ColumnValuesToBeBetween", column="cpu_capacity_ncu", min_value=0, max_value=1),
        expect("ColumnValuesToBeBetween", column="memory_capacity_nmu", min_value=0, max_value=1),
    ),
    "collections": (
        _columns("collections"),
        *_time("time_us"),
        expect("ColumnValuesToNotBeNull", column="collection_id"),
        expect("ColumnValuesToNotBeNull", column="event"),
        expect("ColumnValuesToBeInSet", column="event", value_set=list(EVENTS)),
        expect("ColumnValuesToBeInSet", column="tier", value_set=list(TIERS)),
        expect("ColumnValuesToBeBetween", column="scheduling_class", min_value=0, max_value=3),
        expect("ColumnValuesToNotBeNull", severity="warning", column="user", mostly=0.5),
    ),
    "instances": (
        _columns("instances"),
        *_time("time_us"),
        expect("ColumnValuesToNotBeNull", column="collection_id"),
        expect("ColumnValuesToNotBeNull", column="event"),
        expect("ColumnValuesToBeInSet", column="event", value_set=list(EVENTS)),
        expect("ColumnValuesToBeInSet", column="tier", value_set=list(TIERS)),
        expect("ColumnValuesToBeBetween", column="instance_index", min_value=0),
        expect("ColumnValuesToBeBetween", column="scheduling_class", min_value=0, max_value=3),
        _share("cpu_request_ncu"),
        _share("memory_request_nmu"),
        expect("ColumnValuesToNotBeNull", severity="warning", column="cpu_request_ncu", mostly=0.9),
    ),
    "usage": (
        _columns("usage"),
        *_time("start_us"),
        *_time("end_us"),
        expect("ColumnPairValuesAToBeGreaterThanB", column_A="end_us", column_B="start_us"),
        expect("ColumnValuesToNotBeNull", column="collection_id"),
        _share("cpu_usage_ncu"),
        _share("cpu_usage_max_ncu"),
        _share("memory_usage_nmu"),
        _share("memory_usage_max_nmu"),
        expect("ColumnValuesToNotBeNull", severity="warning", column="cpu_usage_ncu", mostly=0.9),
    ),
}
