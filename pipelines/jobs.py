"""Jobs: named selections of the graph (https://docs.dagster.io/guides/build/jobs)."""

from typing import Final

import dagster as dg

lineage = dg.define_asset_job(
    "lineage",
    selection=dg.AssetSelection.all(),
    description="Everything: trace, features, workload, training, evaluation, Terraform.",
)
retrain = dg.define_asset_job(
    "retrain",
    selection=dg.AssetSelection.assets("workload_model").downstream(),
    description="Fit, train and evaluate again from the tables already in the store; promote the "
    "new policy where it is shown to be better than the champion; plan for the one in service.",
)
evaluate = dg.define_asset_job(
    "evaluate",
    selection=dg.AssetSelection.assets("evaluation_episodes", "eval_report", "episode_viewer"),
    description="Evaluate the trained policies again; write the report and the episode viewer.",
)

JOBS: Final = [lineage, retrain, evaluate]
