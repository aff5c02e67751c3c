"""Schedules; they tick while a daemon runs: `make dev`."""

from typing import Final

import dagster as dg

from pipelines.jobs import retrain

nightly_retraining = dg.ScheduleDefinition(
    name="nightly_retraining",
    job=retrain,
    cron_schedule="0 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night at 03:00 UTC: train on the workload as it now is, evaluate, promote "
    "the new policy only where it is shown to be better, plan for the one in service.",
)

SCHEDULES: Final = [nightly_retraining]
