"""Nights of the real graph: who is in service, what MLflow says, and what the plan follows."""

import json
import shutil

import dagster as dg
import polars as pl
import pytest

from assets.provenance import Provenance
from assets.resources import TraceSettings
from assets.store import Store
from marl.evaluate.promotion.champion import Kept, read_decision, stored
from marl.evaluate.promotion.record import Contender
from marl.files import sha256_file, write_json
from marl.train.policy_file import load_policy_file, save_policy
from marl.train.tracking import mlflow_client, model_name
from pipelines.build import build_defs
from tests.integration.lineage.tiny import TINY

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lineage")]


def again(data, *names, config=None):
    """Materialise some assets of the graph once more."""
    defs = build_defs({}, profile=TINY, trace=TraceSettings(), store=Store(root=str(data)))
    chosen = {key.to_user_string(): key for key in defs.resolve_all_asset_keys()}
    job = defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={chosen[name] for name in names}
    )
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={"ops": {"champion_policy": {"config": config}}} if config else None,
        )


def champion_alias(data):
    models = mlflow_client(data / "mlflow").search_registered_models()
    return {m.name: int(m.aliases["champion"]) for m in models if "champion" in m.aliases}


@pytest.fixture
def data(first, tmp_path):
    """A copy of the lineage's folders that a night may change."""
    kept = ("workload_model", "price_catalog", "trained_policies", "baseline_policies",
            "evaluation_episodes", "champion_policy", "mlflow")  # fmt: skip
    for name in kept:
        shutil.copytree(first[0] / name, tmp_path / name)
    return tmp_path


def crown(data, path, name, seed, **changes):
    """Make a policy file the stored champion, as if an earlier night had promoted it."""
    folder = data / "champion_policy"
    contender = Contender(name=name, training_seed=seed, sha256=sha256_file(path), **changes)
    document = json.loads((folder / "decision.json").read_text())
    document["winner"] = contender.model_dump(mode="json")
    document["promoted_by"] = "better than reactive, once."
    write_json(folder / "decision.json", document)
    kept = Kept(contender, path)
    shutil.rmtree(folder / "champion")
    kept.save(folder / "champion")
    return contender


def other_policy(data, path):
    """A policy of the same world that the run did not make: the trained one, nudged."""
    (file,) = (data / "trained_policies").glob("*.safetensors")
    found = load_policy_file(file)
    state = found.network.state_dict()
    nudged = {name: 1.5 * x if name.startswith("net.") else x for name, x in state.items()}
    assert nudged.keys() == state.keys() > {"baseline"}
    found.network.load_state_dict(nudged)
    card = found.card.model_copy(update={"learner": "yesterday", "training_seed": 4})
    save_policy(path, found.network, card)
    return path


def test_the_first_night_is_held_against_the_tuned_rule_and_the_plan_follows(first):
    data, _ = first
    decision = read_decision(data / "champion_policy")
    assert decision.champion.name == "reactive"
    assert decision.challenger.name == "maddpg"
    assert decision.challenger.version == 1
    assert decision.episodes == 8
    assert {one.against for one in decision.rivals} >= {"predictive"}
    # Eight episodes promote nobody, whatever they show.
    assert decision.verdict == "KEEP"
    assert "8 paired episodes are fewer than 20." in decision.reasons
    assert decision.provenance["trained_policies"] == (
        Provenance.load(data / "trained_policies").sha256
    )
    assert champion_alias(data) == {}, "training crowns nobody"
    version = mlflow_client(data / "mlflow").get_model_version_by_alias(
        model_name("maddpg"), "candidate"
    )
    assert version.tags["policy_sha256"] == decision.challenger.sha256
    choice = (data / "provisioning_plan" / "choice.md").read_text()
    assert choice.startswith("reactive is the champion (KEEP): ")
    steps = pl.read_parquet(data / "provisioning_plan" / "trajectory.parquet")
    assert steps["policy"].unique().to_list() == ["reactive"]


def test_a_champion_of_tonights_policies_is_nothing_new_and_twice_the_same(data):
    (file,) = (data / "trained_policies").glob("*.safetensors")
    crown(data, file, "maddpg", TINY.seed)
    assert again(data, "champion_policy", "provisioning_plan").success
    once = read_decision(data / "champion_policy")
    assert once.verdict == "KEEP"
    assert once.reasons[0].startswith("Nothing new")
    assert once.promoted_by == "better than reactive, once."
    assert champion_alias(data) == {model_name("maddpg"): 1}
    assert not (data / "champion_policy" / "champion_episodes.parquet").exists()
    steps = pl.read_parquet(data / "provisioning_plan" / "trajectory.parquet")
    assert steps["policy"].unique().to_list() == ["maddpg"]
    before = Provenance.load(data / "champion_policy").sha256
    assert again(data, "champion_policy").success
    assert Provenance.load(data / "champion_policy").sha256 == before


def test_another_nights_champion_is_replayed_and_rolled_back(data):
    path = other_policy(data, data / "yesterday.safetensors")
    contender = crown(data, path, "yesterday", 4)
    assert again(data, "champion_policy").success
    decision = read_decision(data / "champion_policy")
    assert decision.champion.sha256 == contender.sha256
    assert any("no version in MLflow" in one for one in decision.warnings)
    replayed = pl.read_parquet(data / "champion_policy" / "champion_episodes.parquet")
    assert replayed.height == TINY.evaluation_episodes * len(TINY.scenarios)
    rows = pl.read_parquet(data / "evaluation_episodes" / "rows" / "*.parquet")
    mine = rows.filter(pl.col("policy") == "maddpg")
    keys = ["scenario", "episode"]
    assert replayed.sort(keys)["requests"].to_list() == pytest.approx(
        mine.sort(keys)["requests"].to_list()
    )
    result = again(data, "champion_policy", "provisioning_plan", config={"roll_back": True})
    assert result.success
    found = stored(data / "champion_policy")
    assert (found.decision.verdict, found.champion.contender.name) == ("ROLL BACK", "reactive")
    assert found.decision.barred == (contender.sha256,)
    assert champion_alias(data) == {}
    choice = (data / "provisioning_plan" / "choice.md").read_text()
    assert choice.startswith("reactive is the champion (ROLL BACK): ")


def test_episodes_of_other_policies_decide_nothing(data):
    record = json.loads((data / "trained_policies" / "provenance.json").read_text())
    write_json(data / "trained_policies" / "provenance.json", record | {"sha256": "0" * 64})
    before = Provenance.load(data / "champion_policy")
    result = again(data, "champion_policy")
    assert not result.success
    (failure,) = [e for e in result.all_events if e.is_step_failure]
    said = failure.step_failure_data.error.to_string()
    assert "evaluation_episodes was made from other trained_policies" in said
    assert "--select 'evaluation_episodes,champion_policy'" in said
    assert Provenance.load(data / "champion_policy") == before


def test_a_plan_is_not_made_from_a_champion_that_was_changed(data):
    rule = data / "champion_policy" / "champion" / "rule.json"
    rule.write_text(rule.read_text().replace("reactive", "unreactive"))
    result = again(data, "provisioning_plan")
    assert not result.success
    (failure,) = [e for e in result.all_events if e.is_step_failure]
    assert "was changed" in failure.step_failure_data.error.to_string()
