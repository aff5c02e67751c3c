"""Checks of group `evaluation`: baselines tuned, episodes paired, a report that is whole."""

import json
from pathlib import Path
from typing import Any, Final

import polars as pl

from assets.evaluation.bill_checks import BILL_CHECKS
from assets.evaluation.promotion_checks import PROMOTION_CHECKS
from assets.evaluation.robustness_checks import ROBUSTNESS_CHECKS
from assets.evaluation.suites import SUITES
from assets.evaluation.viewer_checks import VIEWER_CHECKS
from assets.quality.checks import fact_check, suite_check

MAX_REPORT_BYTES: Final = 10_000_000
_FORMS: Final = ("report.html", "report.md", "report.json")


def rows(folder: Path) -> pl.LazyFrame:
    """The episodes."""
    return pl.scan_parquet(folder / "rows" / "*.parquet")


def tuned_beats_its_start(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """Tuning was no worse than the careful engineer's setting it began from, with equal budgets."""
    from marl.evaluate.baselines import BaselineSet
    from marl.evaluate.policies import BASELINES_FILE

    tuned = BaselineSet.model_validate_json(
        (folder / BASELINES_FILE.name).read_text(encoding="utf-8")
    ).tuned
    wrong = [
        f"{one.name}: best {one.reward:.4f} is below its start {one.trials[0].reward:.4f}"
        for one in tuned
        if one.reward < one.trials[0].reward
    ]
    budgets = {one.name: one.trial_count for one in tuned}
    if len(set(budgets.values())) > 1:
        wrong.append(f"budgets differ: {budgets}")
    if not tuned:
        wrong.append("no baseline was tuned")
    return not wrong, "; ".join(wrong) or "tuned with equal budgets", budgets


def episodes_pair(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """Every policy has the same episodes, and the same weather in them: demand does not differ."""
    frame = rows(folder).select("scenario", "policy", "episode", "requests").collect()
    wrong = []
    for (scenario,), part in frame.group_by("scenario", maintain_order=True):
        counts = part.group_by("policy").agg(pl.col("episode").unique().sort()).sort("policy")
        if counts["episode"].n_unique() > 1:
            wrong.append(f"{scenario}: policies have different episodes")
        spread = part.group_by("episode").agg(
            (pl.col("requests").max() - pl.col("requests").min())
            / pl.col("requests").max().clip(lower_bound=1e-9)
        )
        if spread["requests"].max() > 1e-6:  # type: ignore[operator]
            wrong.append(f"{scenario}: policies met different demand in the same episode")
    policies = frame["policy"].n_unique()
    if policies < 2:
        wrong.append(f"only {policies} policy was played")
    return not wrong, "; ".join(wrong) or "all episodes pair", {"policies": policies}


def report_is_complete(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """All three forms exist, the page is under 10 MB and needs no network, synthetic is marked."""
    missing = [name for name in _FORMS if not (folder / name).is_file()]
    if missing:
        return False, f"missing: {', '.join(missing)}", {}
    page = (folder / "report.html").read_text(encoding="utf-8")
    content = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    wrong = []
    if len(page.encode()) > MAX_REPORT_BYTES:
        wrong.append(f"report.html has {len(page.encode())} bytes")
    if "<script" in page or 'src="http' in page or "@import" in page:
        wrong.append("report.html fetches or runs something")
    if content["is_synthetic"] and "Synthetic trace" not in page:
        wrong.append("the page does not say that the trace is synthetic")
    if not content["verdict"]:
        wrong.append("the report has no verdict")
    return not wrong, "; ".join(wrong) or "complete and self-contained", {"bytes": len(page)}


CHECKS: Final = [
    fact_check(
        "baseline_policies",
        "tuned_beats_its_start",
        tuned_beats_its_start,
        description="No baseline is worse than where its tuning began; budgets are equal.",
    ),
    *(suite_check(table, suite, rows) for table, suite in SUITES.items()),
    fact_check(
        "evaluation_episodes",
        "episodes_pair",
        episodes_pair,
        description="Every policy met the same demand in the same episodes.",
    ),
    *BILL_CHECKS,
    fact_check(
        "eval_report",
        "report_is_complete",
        report_is_complete,
        description="HTML, Markdown and JSON; offline; marked when synthetic.",
    ),
    *PROMOTION_CHECKS,
    *ROBUSTNESS_CHECKS,
    *VIEWER_CHECKS,
]
