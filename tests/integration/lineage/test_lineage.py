"""The whole graph on the embedded trace: all is made, all is checked, twice the same."""

import json
import subprocess
import sys

import polars as pl
import pytest

from assets.clouds import CloudInputs
from assets.provenance import Provenance
from assets.resources import TrainingPlan
from assets.training.runs import training_runs
from assets.training.work import TrainingInputs, train_all
from marl.evaluate.families import frontier_families, provisioning_families
from pipelines.build import build_defs
from tests.conftest import REPO
from tests.integration.lineage.tiny import TINY, run

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lineage")]


def test_every_asset_is_made_and_every_check_passes(first):
    data, result = first
    assert result.success
    made = {e.asset_key.to_user_string() for e in result.get_asset_materialization_events()}
    assert made == {key.to_user_string() for key in build_defs({}).resolve_all_asset_keys()}
    evaluations = result.get_asset_check_evaluations()
    assert {
        (e.asset_key.to_user_string(), e.check_name) for e in evaluations if not e.passed
    } == set()
    checked = {e.asset_key.to_user_string() for e in evaluations}
    assert checked == made, "every asset has at least one check"
    assert not [path.name for path in data.iterdir() if ".staging-" in path.name]


def test_report_names_what_was_run_and_marks_it_synthetic(first):
    data, _ = first
    content = json.loads((data / "eval_report" / "report.json").read_text())
    assert content["is_synthetic"]
    rules = {family.name for family in provisioning_families()}
    alone = {"mpc", "clairvoyant"}  # they play the main scenario alone
    assert set(content["policies"]) == {"maddpg", "random", *rules, *alone}
    assert content["counts"]["episodes"] == 8
    page = (data / "eval_report" / "report.html").read_text()
    assert "Synthetic trace" in page
    scaling = {family.name for family in frontier_families()}
    assert {row["family"] for row in content["equal_slo"]} == scaling
    shares = {row["policy"] for row in content["gap"]}
    assert shares == {"maddpg", "random", "mpc", *rules} - {"reactive"}
    assert str(data) not in page, "no path of this machine in a page for others"


def test_sql_sees_the_episodes(first):
    data, _ = first
    asked = subprocess.run(
        [sys.executable, "-m", "marl.features.ask", "--json", "--sql",
         "select policy, count(*) as n from evaluation_episodes group by all order by all"],
        cwd=REPO, env={"STRATOFORM_DATA": str(data), "PATH": "/usr/bin"}, text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    rows = {row["policy"]: row["n"] for row in json.loads(asked.stdout)}
    assert len(rows) == len(provisioning_families()) + 4
    assert {name for name, count in rows.items() if count == 8} == {"mpc", "clairvoyant"}
    assert set(rows.values()) == {8, 16}


def test_second_run_elsewhere_is_identical(first, tmp_path):
    data, _ = first
    assert run(tmp_path / "second").success
    hashes = {
        folder: {
            path.parent.name: Provenance.load(path.parent).sha256
            for path in sorted(folder.glob("*/provenance.json"))
        }
        for folder in (data, tmp_path / "second")
    }
    one, two = hashes.values()
    assert one == two


def test_provenance_reaches_from_terraform_to_the_trace(first):
    data, _ = first
    record = Provenance.load(data / "terraform_artifacts")
    assert record.is_synthetic
    assert record.trace["source"] == "embedded"
    plan = Provenance.load(data / "provisioning_plan")
    assert record.inputs == {"provisioning_plan": plan.sha256}
    assert plan.inputs["champion_policy"] == Provenance.load(data / "champion_policy").sha256


def test_only_the_training_part_trains(first):
    data, _ = first
    model = json.loads((data / "workload_model" / "model.json").read_text())
    assert model["start_us"] < model["split_us"] < model["end_us"]
    episodes = pl.read_parquet(data / "evaluation_episodes" / "rows" / "*.parquet")
    assert episodes["is_held_out"].all()


def beside(data, tmp_path):
    """Runs of two seeds, each with a pupil, on the lineage's own assets; tracked in `tmp_path`."""
    short = {"hold_steps": 1, "evaluate_envs": 4, "capacity": 5000}
    plans = {
        "apg": TrainingPlan(steps=1500, clouds=32, settings={**short, "learner": {"window": 12}}),
        "apg_maddpg": TrainingPlan(
            learner="maddpg", steps=1500, clouds=32, warm_start="apg", settings=short
        ),
    }
    configs = training_runs(TINY.model_copy(update={"training": plans, "training_seeds": 2}))
    return configs, TrainingInputs(
        clouds=CloudInputs(data / "workload_model", data / "price_catalog", TINY.episode_steps),
        baseline_policies=data / "baseline_policies",
        profile=TINY.name,
        checkpoints=tmp_path / "checkpoints",
        mlflow=tmp_path / "mlflow",
        tensorboard=tmp_path / "tensorboard",
        inputs_hash="",
    )


def test_runs_side_by_side_give_the_same_policies(first, tmp_path):
    lines = []
    policies = {}
    for count in (1, 2):
        configs, inputs = beside(first[0], tmp_path / str(count))
        results = train_all(inputs, configs, lines.append, count)
        assert [result.summary.learner for result in results] == [
            config.policy_name for config in configs
        ]
        policies[count] = [result.summary.policy_sha256 for result in results]
        assert len({result.run_id for result in results}) == len(configs)
    assert policies[1] == policies[2]
    assert sum("epoch 2 of 2" in line for line in lines) == 2 * len(configs)


def test_the_first_failure_ends_all_and_is_told(first, tmp_path):
    configs, inputs = beside(first[0], tmp_path)
    wrong = [config.model_copy(update={"curriculum": "nonsense"}) for config in configs]
    with pytest.raises(AttributeError, match="'str' object has no attribute"):
        train_all(inputs, [*configs[:1], *wrong[2:3]], lambda line: None, 2)
