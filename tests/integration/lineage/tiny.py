"""The whole lineage at its smallest, for tests: real everywhere, minutes made seconds.

Also runnable, so that a test can kill it: `python -m tests.integration.lineage.tiny <data folder>`.
"""

import sys
from pathlib import Path

import dagster as dg

from assets.resources import Profile, TraceSettings, TrainingPlan
from assets.store import Store
from pipelines.build import build_defs

TINY = Profile(
    name="quick",
    embedded_days=2.0,
    embedded_jobs_per_hour=30.0,
    embedded_machines=12,
    episode_steps=24,
    training={"maddpg": TrainingPlan(steps=24 * 1024 * 3)},
    processes=1,
    training_seeds=1,
    tuning_candidates=8,
    tuning_generations=2,
    tuning_continued=1,
    mode="eager",
    frontier_generations=1,
    clairvoyant_rounds=1,
    mpc_iterations=1,
    tuning_episodes=4,
    evaluation_episodes=8,
    robustness_episodes=4,
    scenarios=["replay", "mixed_burst"],
)


def run(data: Path, trace: TraceSettings | None = None) -> dg.ExecuteInProcessResult:
    """Materialise everything below `data`."""
    data.mkdir(parents=True, exist_ok=True)
    defs = build_defs({}, profile=TINY, trace=trace or TraceSettings(), store=Store(root=str(data)))
    job = defs.resolve_job_def("lineage")
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(instance=instance, raise_on_error=False)


if __name__ == "__main__":
    sys.exit(0 if run(Path(sys.argv[1])).success else 1)
