"""What the workload's tables must satisfy, as data."""

from typing import Final

from assets.quality.gx import expect
from assets.traces.suites import MAX_TIME_US
from marl.workload.demand import CLASSES

SUITES: Final = {
    "workload_classes": (
        expect("ColumnValuesToNotBeNull", column="collection_id"),
        expect("ColumnValuesToBeUnique", column="collection_id"),
        expect("ColumnValuesToNotBeNull", column="workload_class"),
        expect("ColumnValuesToBeInSet", column="workload_class", value_set=list(CLASSES)),
        expect("ColumnValuesToNotBeNull", column="rule"),
    ),
    "class_demand": (
        expect("TableRowCountToBeBetween", min_value=2 * len(CLASSES)),
        expect("ColumnValuesToNotBeNull", column="window_us"),
        expect("ColumnValuesToBeBetween", column="window_us", min_value=0, max_value=MAX_TIME_US),
        expect("ColumnValuesToBeInSet", column="workload_class", value_set=list(CLASSES)),
        expect("CompoundColumnsToBeUnique", column_list=["window_us", "workload_class"]),
        *(
            expect("ColumnValuesToBeBetween", column=name, min_value=0)
            for name in ("collection_arrivals", "running_tasks", "cpu_ncu", "memory_nmu")
        ),
        *(expect("ColumnValuesToNotBeNull", column=name) for name in ("cpu_ncu", "memory_nmu")),
    ),
}
