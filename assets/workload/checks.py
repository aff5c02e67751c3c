"""Checks of group `workload`: sane tables, a model that makes demand, a fit not absurd."""

from pathlib import Path
from typing import Any, Final

import polars as pl

from assets.quality.checks import fact_check, suite_check
from assets.workload.suites import SUITES

# Below this share of passed goodness-of-fit figures the generators no longer resemble the trace.
LEAST_PASSED: Final = 0.5


def rows(folder: Path) -> pl.LazyFrame:
    """The table of a workload asset."""
    return pl.scan_parquet(folder / "rows" / "*.parquet")


def model_makes_demand(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """The stored model loads and every generator gives finite demand, not zero everywhere."""
    import numpy as np

    from marl.workload.generators import KINDS, make_generator
    from marl.workload.model import WorkloadModel

    model = WorkloadModel.load(folder)
    wrong, means = [], {}
    for kind in KINDS:
        generator = make_generator(model, kind, "train", is_wrapped=True)
        batch = generator.sample(4, 24, np.random.default_rng(0))  # refuses what is not finite
        means[f"mean vCPU, {kind}"] = float(batch.values[..., 1].sum(-1).mean())
        if not means[f"mean vCPU, {kind}"] > 0:
            wrong.append(f"{kind}: no CPU demand at all")
    return not wrong, "; ".join(wrong) or "every generator makes demand", means


def fit_resembles_trace(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """At least half of the goodness-of-fit figures on the held-out stretch pass."""
    import json

    document = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    checks = [
        (f"{one['workload_class']} {one['quantity']}: {check['name']}", check["is_passed"])
        for one in document["goodness"]["comparisons"]
        for check in one["checks"]
    ]
    failed = [name for name, is_passed in checks if not is_passed]
    passed = len(checks) - len(failed)
    sentence = f"{passed} of {len(checks)} goodness-of-fit figures pass; not: {'; '.join(failed)}"
    share = passed / len(checks) if checks else 0.0
    return share >= LEAST_PASSED, sentence, {"passed": passed, "figures": len(checks)}


CHECKS: Final = [
    *(suite_check(table, suite, rows) for table, suite in SUITES.items()),
    fact_check(
        "workload_model",
        "model_makes_demand",
        model_makes_demand,
        description="The model loads and every generator gives finite demand that is not zero.",
    ),
    fact_check(
        "workload_report",
        "fit_resembles_trace",
        fit_resembles_trace,
        description="Half or more of the goodness-of-fit figures on held-out data pass.",
        blocking=False,
    ),
]
