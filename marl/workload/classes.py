"""Which jobs are web, batch or ML, by stated rules on what the trace shows.

A trace names no application. The rules read the operator's intent (tier, scheduling class) and the
shape of the job (tasks, requests, life); each has its reason. Thresholds are in
`config.ClassRules`; what a class demands belongs to `history`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from marl.frozen import Frozen
from marl.traces.selection import sample_position
from marl.workload.config import ClassRules
from marl.workload.demand import CLASSES
from marl.workload.lives import job_lives

# Another salt than a request's seed: a sampled trace holds low positions of that one only.
_DRAW_SALT: Final = 0x5EED_C1A5


class Rule(Frozen):
    """A rule of classing and why it is one."""

    name: str
    workload_class: str | None  # None: whatever the evidence says
    reason: str


# In order: the first that holds decides.
RULES: Final = (
    Rule(
        name="serving_tier",
        workload_class="web",
        reason="production or monitoring tier, and latency-sensitive or long-running: Borg gives "
        "these tiers to services that people or other services wait for",
    ),
    Rule(
        name="latency_sensitive",
        workload_class="web",
        reason="the most latency-sensitive scheduling class, or a latency-sensitive one and "
        "long-running, whatever the tier",
    ),
    Rule(
        name="training_gang",
        workload_class="ml",
        reason="a gang of many equal tasks with large requests that lives long, at a tier below "
        "production: synchronous workers of a training job look like this",
    ),
    Rule(
        name="rest",
        workload_class="batch",
        reason="neither: data processing and other work that runs to its end",
    ),
    Rule(
        name="same_program",
        workload_class=None,
        reason="no task seen, but another run of the same program (logical name) was: its class",
    ),
    Rule(
        name="share_of_peers",
        workload_class=None,
        reason="no task seen: drawn by a hash of its id with the shares that jobs of the same "
        "scheduling class and length have",
    ),
    Rule(
        name="scheduling_class_only",
        workload_class=None,
        reason="no task seen and no peers with tasks: web where the scheduling class is "
        "latency-sensitive, else batch",
    ),
)
_PEERS: Final = ("scheduling_class", "is_long")


def classify(tables: Mapping[str, Path], rules: ClassRules | None = None) -> pl.DataFrame:
    """Class of every job.

    A job's length enters only as whether it exceeds one of two thresholds, so at most the jobs
    submitted within `long_running_s` of the split know anything of the held-out part.

    Args:
        tables: folders by name; `task_profiles`, and `collections` for programs' names.
        rules: thresholds.

    Returns:
        collection_id, workload_class, rule; one row a job, sorted by id. Alloc sets have none.
    """
    rules = rules or ClassRules()
    jobs = job_lives(tables).with_columns(is_long=pl.col("lifetime_s") >= rules.long_running_s)
    decided = _decide(jobs, rules)
    seen = decided.filter(pl.col("tasks").is_not_null())
    unseen = decided.filter(pl.col("tasks").is_null()).drop("workload_class", "rule")
    columns = ("collection_id", "workload_class", "rule")
    return (
        pl.concat([seen.select(columns), _infer(unseen, seen, rules).select(columns)])
        .cast({"workload_class": pl.String, "rule": pl.String})
        .sort("collection_id")
    )


def explain(classes: pl.DataFrame) -> pl.DataFrame:
    """Every rule with its reason, and the jobs it decided, by class.

    Returns:
        rule, workload_class, reason, collections, share; in the order of the rules. A rule that
        decided nothing is a row with 0.
    """
    counted = classes.group_by("rule", "workload_class").agg(
        pl.len().cast(pl.Int64).alias("collections")
    )
    table = pl.DataFrame(
        {
            "order": list(range(len(RULES))),
            "rule": [rule.name for rule in RULES],
            "stated": [rule.workload_class for rule in RULES],
            "reason": [rule.reason for rule in RULES],
        },
        schema_overrides={"stated": pl.String},
    )
    return (
        table.join(counted, on="rule", how="left")
        .with_columns(
            pl.coalesce("workload_class", "stated"),
            pl.col("collections").fill_null(0),
        )
        .with_columns(share=pl.col("collections") / max(classes.height, 1))
        .sort("order", "workload_class")
        .select("rule", "workload_class", "reason", "collections", "share")
    )


def _serves(rules: ClassRules) -> pl.Expr:
    sensitivity = pl.col("scheduling_class").fill_null(0)
    return (sensitivity >= 3) | (
        (sensitivity >= rules.serving_scheduling_class) & pl.col("is_long")
    )


def _decide(jobs: pl.DataFrame, rules: ClassRules) -> pl.DataFrame:
    """The rules for jobs whose tasks were seen."""
    quantile = rules.large_request_quantile
    is_large = pl.any_horizontal(
        (pl.col(name) >= pl.col(name).filter(pl.col(name) > 0).quantile(quantile)).fill_null(False)
        for name in ("cpu_request_ncu", "memory_request_nmu")
    )
    is_serving_tier = pl.col("tier").cast(pl.String).is_in(rules.serving_tiers).fill_null(False)
    sensitivity = pl.col("scheduling_class").fill_null(0)
    equal = pl.col("cpu_request_max_ncu") <= pl.col("cpu_request_ncu") * rules.gang_spread
    tests = {
        "serving_tier": is_serving_tier
        & ((sensitivity >= rules.serving_scheduling_class) | pl.col("is_long")),
        "latency_sensitive": _serves(rules),
        "training_gang": ~is_serving_tier
        & (pl.col("tasks") >= rules.gang_tasks)
        & equal
        & (pl.col("lifetime_s") >= rules.gang_lifetime_s)
        & is_large,
    }
    stated = {rule.name: rule.workload_class for rule in RULES}
    rule = pl.coalesce(
        *(pl.when(test.fill_null(False)).then(pl.lit(name)) for name, test in tests.items()),
        pl.lit("rest"),
    )
    return jobs.with_columns(rule=rule).with_columns(
        workload_class=pl.col("rule").replace_strict(stated, default=None, return_dtype=pl.String)
    )


def _infer(unseen: pl.DataFrame, seen: pl.DataFrame, rules: ClassRules) -> pl.DataFrame:
    """Classes of jobs without task data, from jobs like them."""
    programs = (
        seen.filter(pl.col("logical_name").is_not_null())
        .group_by("logical_name", "workload_class")
        .len()
        .sort("logical_name", "len", "workload_class", descending=[False, True, False])
        .group_by("logical_name", maintain_order=True)
        .agg(pl.col("workload_class").first().alias("of_program"))
    )
    peers = seen.group_by(_PEERS).agg(
        *((pl.col("workload_class") == name).mean().alias(f"share_{name}") for name in CLASSES)
    )
    ids = unseen["collection_id"].to_numpy()
    draw = pl.Series("draw", sample_position(ids, _DRAW_SALT), dtype=pl.Float64)
    edge_web = pl.col("share_web")
    edge_batch = edge_web + pl.col("share_batch")
    of_peers = (
        pl.when(pl.col("draw") < edge_web)
        .then(pl.lit("web"))
        .when(pl.col("draw") < edge_batch)
        .then(pl.lit("batch"))
        .when(edge_batch.is_not_null())
        .then(pl.lit("ml"))
    )
    alone = pl.when(_serves(rules)).then(pl.lit("web")).otherwise(pl.lit("batch"))
    return (
        unseen.with_columns(draw)
        .join(programs, on="logical_name", how="left")
        .join(peers, on=_PEERS, how="left", nulls_equal=True)
        .with_columns(of_peers=of_peers)
        .with_columns(
            workload_class=pl.coalesce("of_program", "of_peers", alone),
            rule=pl.when(pl.col("of_program").is_not_null())
            .then(pl.lit("same_program"))
            .when(pl.col("of_peers").is_not_null())
            .then(pl.lit("share_of_peers"))
            .otherwise(pl.lit("scheduling_class_only")),
        )
    )
