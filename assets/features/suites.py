"""What each feature table must satisfy, as data."""

from typing import Final

from assets.quality.gx import Expect, expect
from assets.traces.suites import MAX_TIME_US
from marl.traces.schema import TIERS


def _counts(*columns: str) -> list[Expect]:
    return [expect("ColumnValuesToBeBetween", column=name, min_value=0) for name in columns]


SUITES: Final = {
    "demand_windows": (
        expect("ColumnValuesToNotBeNull", column="window_us"),
        expect("ColumnValuesToBeBetween", column="window_us", min_value=0, max_value=MAX_TIME_US),
        expect("ColumnValuesToBeInSet", column="tier", value_set=list(TIERS)),
        expect("ColumnValuesToBeBetween", column="scheduling_class", min_value=0, max_value=3),
        expect("CompoundColumnsToBeUnique", column_list=["window_us", "tier", "scheduling_class"]),
        *_counts(
            "collection_arrivals",
            "instance_arrivals",
            "evictions",
            "running_instances",
            "running_cpu_request_ncu",
            "running_memory_request_nmu",
            "cpu_usage_ncu",
            "memory_usage_nmu",
            "queueing_delay_p50_s",
            "queueing_delay_p95_s",
            "usage_rows",
        ),
    ),
    "task_profiles": (
        expect("ColumnValuesToNotBeNull", column="collection_id"),
        expect("ColumnValuesToBeUnique", column="collection_id"),
        expect("ColumnValuesToBeInSet", column="tier", value_set=list(TIERS)),
        expect("ColumnValuesToBeBetween", column="scheduling_class", min_value=0, max_value=3),
        expect(
            "ColumnPairValuesAToBeGreaterThanB",
            column_A="last_us",
            column_B="first_us",
            or_equal=True,
        ),
        *_counts("instances", "evictions", "ncu_hours", "nmu_hours"),
    ),
}
