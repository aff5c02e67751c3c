"""Columns of the episodes table that follow from others: the metrics an operator asks for.

Each is an expression of columns that `episode_sums` made; a world that lacks the sources of one
(the toys of tests) has no such column. docs/sql.md says what each means.
"""

from typing import Final

import polars as pl

_c = pl.col
_CLASSES: Final = ("web", "batch", "ml")
_RESOURCES: Final = ("compute", "storage", "network", "database", "memory")


def _share(part: pl.Expr, whole: pl.Expr, empty: float) -> pl.Expr:
    return pl.when(whole > 0).then(part / whole).otherwise(empty)


def _fairness() -> pl.Expr:
    """J = (Σ x)² / (n Σ x²) over the classes with work due (Jain, Chiu and Hawe 1984, eq. 1).

    1 where all are served alike, 1/n where one gets everything; 1 where none gets anything.
    """
    levels = [pl.when(_c(f"due_{name}") > 0).then(_c(f"service_level_{name}")) for name in _CLASSES]
    total = pl.sum_horizontal(levels)
    squares = pl.sum_horizontal([level**2 for level in levels])
    count = pl.sum_horizontal([(_c(f"due_{name}") > 0).cast(pl.Float64) for name in _CLASSES])
    return _share(total**2, count * squares, 1.0).clip(0.0, 1.0)


def _slack(resource: str) -> pl.Expr:
    """Relative slack, 1 − Σ used / Σ bought (Rzadca et al., Autopilot, EuroSys 2020)."""
    bought = _c(f"capacity_{resource}") * _c("steps")
    # Clipped here and below: by float32's rounding a hair more than everything may be used.
    return (1.0 - _share(_c(f"used_{resource}"), bought, 1.0)).clip(0.0, 1.0)


# In order: later ones may use earlier ones. `hours` is the episode's length.
DERIVED: Final[dict[str, pl.Expr]] = {
    # By purchase: capacity of every service at list price; with spot, committed and traffic it
    # adds up to cost_usd.
    "cost_on_demand_usd": _c("cost_capacity_usd") - _c("cost_spot_usd") - _c("cost_committed_usd"),
    "slack": _share(_c("slack_usd"), _c("cost_capacity_usd"), 0.0),
    **{f"slack_{resource}": _slack(resource) for resource in _RESOURCES},
    "slack_vcpu_h": _c("capacity_compute") * _c("hours")
    - _c("used_compute") * _c("hours") / _c("steps"),
    "availability": _share(_c("requests_served"), _c("requests_served") + _c("dropped"), 1.0),
    "up_share": _c("steps_up") / _c("steps"),
    "requests_per_s": _c("requests_served") / (_c("hours") * 3600.0),
    "done_batch_vcpu_h": _c("work_done_batch") * _c("hours") / _c("steps"),
    "done_ml_vcpu_h": _c("work_done_ml") * _c("hours") / _c("steps"),
    **{
        f"service_level_{name}": (1.0 - _share(_c(f"late_{name}"), _c(f"due_{name}"), 0.0)).clip(
            0.0, 1.0
        )
        for name in _CLASSES
    },
    "deadline_miss_share": _share(
        _c("late_batch") + _c("late_ml"), _c("due_batch") + _c("due_ml"), 0.0
    ),
    "fairness": _fairness(),
    "preemption_survival": _share(_c("preemptions_survived"), _c("preemptions"), 1.0),
    "changes_per_h": _c("changes") / _c("hours"),
    "violation_share": _c("steps_in_violation") / _c("steps"),
    "over_budget_share": _c("steps_over_budget") / _c("steps"),
}


def with_derived(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with every column of `DERIVED` whose sources it has.

    Args:
        rows: one row an episode, as `episode_sums` tells it, with `hours` where steps have a
            length.
    """
    for name, formula in DERIVED.items():
        if set(formula.meta.root_names()) <= set(rows.columns):
            rows = rows.with_columns(formula.alias(name))
    return rows
