"""The graph itself: names, groups, dependencies, jobs, schedule: the public interface."""

import dagster as dg
import pytest

from assets.registry import GROUPS, load_assets, load_checks
from pipelines.build import build_defs

LINEAGE = {
    "raw_trace": ("traces", ""),
    "machines": ("traces", "raw_trace"),
    "collections": ("traces", "raw_trace"),
    "instances": ("traces", "raw_trace"),
    "usage": ("traces", "raw_trace"),
    "demand_windows": ("features", "collections instances usage"),
    "task_profiles": ("features", "collections instances usage"),
    "trace_cache": ("features", "demand_windows machines task_profiles"),
    "workload_classes": ("workload", "collections task_profiles trace_cache"),
    "class_demand": (
        "workload",
        "collections demand_windows instances task_profiles usage workload_classes",
    ),
    "workload_model": ("workload", "class_demand"),
    "workload_report": ("workload", "workload_classes workload_model"),
    "price_catalog": ("training", ""),
    "trained_policies": ("training", "baseline_policies price_catalog workload_model"),
    "baseline_policies": ("evaluation", "price_catalog workload_model"),
    "evaluation_episodes": (
        "evaluation",
        "baseline_policies price_catalog trained_policies workload_model",
    ),
    "eval_report": (
        "evaluation",
        "baseline_policies champion_policy evaluation_episodes robustness_episodes "
        "trained_policies workload_model workload_report",
    ),
    "episode_viewer": (
        "evaluation",
        "baseline_policies eval_report price_catalog trained_policies workload_model",
    ),
    "robustness_episodes": (
        "evaluation",
        "baseline_policies price_catalog trained_policies workload_model",
    ),
    "champion_policy": (
        "evaluation",
        "baseline_policies evaluation_episodes price_catalog trained_policies workload_model",
    ),
    "provisioning_plan": ("terraform", "champion_policy price_catalog workload_model"),
    "terraform_artifacts": ("terraform", "provisioning_plan"),
}


def test_lineage_is_as_published():
    found = {
        key.to_user_string(): (
            definition.group_names_by_key[key],
            " ".join(sorted(dep.to_user_string() for dep in definition.asset_deps[key])),
        )
        for definition in load_assets()
        for key in definition.keys
    }
    assert found == LINEAGE


def test_every_asset_is_described_and_checked():
    specs = [spec for definition in load_assets() for spec in definition.specs]
    assert all(spec.description and len(spec.description) > 20 for spec in specs)
    checked = {
        key.asset_key.to_user_string() for check in load_checks() for key in check.check_keys
    }
    assert checked == set(LINEAGE)


@pytest.mark.parametrize("name", ["lineage", "retrain", "evaluate"])
def test_jobs_select_what_they_say(name):
    job = build_defs({}).resolve_job_def(name)
    selected = {key.to_user_string() for key in job.asset_layer.selected_asset_keys}
    if name == "lineage":
        assert selected == set(LINEAGE)
    elif name == "evaluate":
        assert selected == {"evaluation_episodes", "eval_report", "episode_viewer"}
    else:
        made = {"trained_policies", "eval_report", "champion_policy", "terraform_artifacts"}
        assert made <= selected
        assert "raw_trace" not in selected


def test_nightly_retraining_runs_by_default():
    (schedule,) = build_defs({}).schedules
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert schedule.cron_schedule == "0 3 * * *"
    assert set(GROUPS) == {group for group, _ in LINEAGE.values()}
