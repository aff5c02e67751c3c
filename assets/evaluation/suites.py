"""What the episodes table must satisfy, as data."""

from typing import Final

from assets.quality.gx import expect

_SHARES: Final = (
    "slo_attainment", "waste", "slack", "availability", "up_share", "fairness",
    "preemption_survival", "service_level_web", "service_level_batch", "service_level_ml",
    "over_budget_share", "violation_share",
)  # fmt: skip
_AMOUNTS: Final = (
    "cost_usd", "cost_spot_usd", "cost_committed_usd", "latency_p50_ms", "latency_p95_ms",
    "carbon_gco2", "requests_served", "dropped", "changes", "preemptions", "refusals", "slack_usd",
)  # fmt: skip
# No later quantile is shorter, nothing more survives than was preempted.
_AT_LEAST: Final = (
    ("latency_p95_ms", "latency_p50_ms"),
    ("latency_p99_ms", "latency_p95_ms"),
    ("preemptions", "preemptions_survived"),
    ("cost_capacity_usd", "slack_usd"),
)

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
        *(
            expect("ColumnValuesToBeBetween", column=name, min_value=0, max_value=1)
            for name in _SHARES
        ),
        *(expect("ColumnValuesToBeBetween", column=name, min_value=0) for name in _AMOUNTS),
        *(
            expect("ColumnPairValuesAToBeGreaterThanB", column_A=more, column_B=less, or_equal=True)
            for more, less in _AT_LEAST
        ),
    ),
}
