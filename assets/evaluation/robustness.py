"""workload_model, price_catalog, trained_policies, baseline_policies → robustness_episodes."""

from functools import partial
from pathlib import Path
from typing import Final

import dagster as dg

from assets.progress import reporter
from assets.resources import Profile
from assets.store import Store
from marl.side_by_side import side_by_side

SUMMARY: Final = "summary.parquet"
ROWS: Final = "part-000000.parquet"
# Every kind of demand in turn.
SCENARIO: Final = "mixed"


@dg.asset(
    description="Policies in a world that is not as it was: every perturbation at every severity, "
    "in the same held-out episodes for every policy; degradation, worst case and recovery."
)
def robustness_episodes(
    context: dg.AssetExecutionContext,
    workload_model: Path,
    price_catalog: Path,
    trained_policies: Path,
    baseline_policies: Path,
    profile: Profile,
    store: Store,
) -> Path:
    """Play the first training run of each learner and the best rules under every perturbation.

    `rows/part-000000.parquet`: `perturbation` ("none" for the unperturbed world), `severity`, the
    columns of `evaluation_episodes`, `recovery_steps`, `is_recovered`. `summary.parquet`: one row
    per perturbation × severity × policy, the columns of `marl.evaluate.robustness.frame.SCHEMA`
    (`robustness_frame` says what each means). Both are empty where the profile asks for none.
    """
    from dataclasses import replace

    import polars as pl

    from marl.evaluate.robustness.cells import cells_of, with_recovery
    from marl.evaluate.robustness.frame import SCHEMA, best_baseline, robustness_frame
    from marl.evaluate.robustness.study import Asked, default_policies, finish_cell

    into = store.staging("robustness_episodes")
    (into / "rows").mkdir()
    if not profile.robustness_episodes:
        nothing = {"perturbation": pl.String, "severity": pl.Float64, "policy": pl.String}
        pl.DataFrame(schema=nothing).write_parquet(into / "rows" / ROWS)
        pl.DataFrame(schema=SCHEMA).write_parquet(into / SUMMARY)
        return into
    asked = Asked(
        workload_model=workload_model,
        price_catalog=price_catalog,
        trained_policies=trained_policies,
        baseline_policies=baseline_policies,
        policies=(),
        scenario=SCENARIO,
        episode_steps=profile.episode_steps,
        episodes=profile.robustness_episodes,
        seed=profile.seed,
    )
    say = reporter(context)
    asked = replace(asked, policies=default_policies(asked, say))
    perturbed = asked.rows()
    work = partial(finish_cell, asked)
    frames = side_by_side(work, cells_of(perturbed), say, profile.processes)
    episodes = with_recovery(pl.concat(frames), perturbed, profile.episode_steps)
    summary = robustness_frame(episodes, perturbed, seed=profile.seed)
    episodes.write_parquet(into / "rows" / ROWS, compression="zstd")
    summary.write_parquet(into / SUMMARY, compression="zstd")
    best = best_baseline(episodes)
    worse = summary.filter("is_significant", pl.col("difference") < 0, pl.col("severity") > 0)
    context.add_output_metadata(
        {
            "best baseline": best,
            **{
                f"cells in which {name} is significantly worse": worse.filter(
                    pl.col("policy") == name
                ).height
                for name in asked.policies
                if name != best
            },
        }
    )
    return into
