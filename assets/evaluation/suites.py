"""What the episodes table must satisfy, as data."""

from typing import Final

from assets.quality.gx import expect

SUITES: Final = {
    "evaluation_episodes": (
        *(
            expect("ColumnValuesToNotBeNull", column=name)
            for name in ("policy", "scenario", "episode", "reward", "cost_usd", "slo_attainment")
        ),
        expect(
            "CompoundColumnsToBeUnique",
            column_list=["policy", "scenario", "training_seed", "episode"],
        ),
        expect("ColumnValuesToBeInSet", column="is_held_out", value_set=[True]),
        expect("ColumnValuesToBeBetween", column="slo_attainment", min_value=0, max_value=1),
        expect("ColumnValuesToBeBetween", column="waste", min_value=0, max_value=1),
        *(
            expect("ColumnValuesToBeBetween", column=name, min_value=0)
            for name in ("cost_usd", "latency_p95_ms", "carbon_gco2", "dropped", "changes")
        ),
    ),
}
