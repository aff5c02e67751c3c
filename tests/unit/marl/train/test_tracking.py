"""Against a real MLflow store in SQLite."""

import pytest

from marl.train.loop import train
from marl.train.policy_file import load_policy_file
from marl.train.tracking import (
    MlflowTracker,
    NullTracker,
    PolicyRegistry,
    Trackers,
    mlflow_client,
    model_name,
    register_policy,
)
from tests.unit.marl.train.conftest import BASELINE, Log, make_env, small_config


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    root = tmp_path_factory.mktemp("tracked")
    tracker = MlflowTracker(root / "mlflow", tags={"profile": "test"})
    result = train(small_config(), make_env, BASELINE, root / "runs", tracker=tracker)
    return root, result


def test_a_run_holds_settings_figures_and_the_policy(tracked):
    root, result = tracked
    client = mlflow_client(root / "mlflow")
    run = client.get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["learner.name"] == "maddpg"
    assert run.data.params["gamma"] == str(small_config().gamma)
    assert run.data.tags["profile"] == "test"
    rewards = client.get_metric_history(result.run_id, "reward")
    assert [point.step for point in rewards] == [200 * epoch for epoch in range(1, 7)]
    assert "held_in/gain" in run.data.metrics
    stored = root / "mlflow" / "artifacts" / result.run_id / "artifacts" / "policy"
    assert (stored / "policy.safetensors").read_bytes() == result.policy_path.read_bytes()


def test_registering_twice_keeps_one_version_and_the_alias_finds_it(tracked, tmp_path):
    import mlflow

    root, result = tracked
    for _ in range(2):
        sha256 = result.summary.policy_sha256
        assert register_policy(root / "mlflow", "maddpg", result.run_id, sha256) == 1
    client = mlflow_client(root / "mlflow")
    version = client.get_model_version_by_alias("stratoform-maddpg", "candidate")
    assert version.run_id == result.run_id
    before = mlflow.get_tracking_uri()
    try:
        mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow' / 'mlflow.db'}")
        folder = mlflow.artifacts.download_artifacts(
            "models:/stratoform-maddpg@candidate", dst_path=str(tmp_path)
        )
    finally:
        mlflow.set_tracking_uri(before)
    load_policy_file(tmp_path / "policy.safetensors")
    assert folder


def test_the_champion_is_one_version_of_one_model(tracked):
    root, _ = tracked
    store = root / "mlflow"
    client = mlflow_client(store)
    for name in ("one", "two"):
        for sha256 in ("a" * 64, "b" * 64):
            tracker = MlflowTracker(store)
            run_id = tracker.start(name, {}, None)
            tracker.finish(is_complete=True)
            register_policy(store, name, run_id, name + sha256)
    registry = PolicyRegistry(store)
    one, two = model_name("one"), model_name("two")
    assert registry.version_of(one, "one" + "a" * 64) == 1
    assert registry.version_of(one, "one" + "b" * 64) == 2
    assert registry.version_of(two, "one" + "b" * 64) is None
    assert registry.version_of("stratoform-none", "a") is None

    def crowned():
        models = client.search_registered_models()
        return {m.name: int(m.aliases["champion"]) for m in models if "champion" in m.aliases}

    def candidates():
        return [int(client.get_model_version_by_alias(m, "candidate").version) for m in (one, two)]

    assert crowned() == {}, "training crowns nobody"
    # What an earlier version of the lineage left: an alias on every model.
    client.set_registered_model_alias(two, "champion", "1")
    client.set_registered_model_alias(one, "champion", "1")
    registry.crown(one, 2)
    assert crowned() == {one: 2}
    registry.crown(one, 1)  # a roll-back within a model
    registry.crown(one, 1)
    assert crowned() == {one: 1}
    registry.crown(two, 2)
    assert crowned() == {two: 2}
    registry.crown(None, None)  # the tuned rule is in service
    assert crowned() == {}
    assert candidates() == [2, 2]


def test_a_registry_that_is_not_there_is_not_made(tmp_path):
    registry = PolicyRegistry(tmp_path / "mlflow")
    assert registry.version_of("stratoform-one", "a") is None
    registry.crown("stratoform-one", 1)
    assert not (tmp_path / "mlflow").exists()


def test_an_interrupted_run_is_opened_again_and_a_forgotten_one_is_replaced(tracked):
    root, _ = tracked
    tracker = MlflowTracker(root / "mlflow")
    first = tracker.start("a", {"x": 1}, None)
    tracker.finish(is_complete=False)
    assert mlflow_client(root / "mlflow").get_run(first).info.status == "FAILED"
    assert tracker.start("a", {"x": 1}, first) == first
    assert tracker.start("a", {"x": 1}, "0" * 32) not in (first, "0" * 32)


def test_what_a_killed_run_had_told_is_not_told_twice_but_what_follows_a_setback_is(tracked):
    root, _ = tracked
    client = mlflow_client(root / "mlflow")

    def history(run_id):
        return [(one.step, one.value) for one in client.get_metric_history(run_id, "reward")]

    first = MlflowTracker(root / "mlflow")
    run_id = first.start("killed", {}, None)
    for step in (200, 400, 600):
        first.log(step, {"reward": float(step)})
    second = MlflowTracker(root / "mlflow")  # as after a kill, from the checkpoint at 400
    assert second.start("killed", {}, run_id, 400) == run_id
    for step in (600, 800):
        second.log(step, {"reward": float(step)})
    assert history(run_id) == [(200, 200.0), (400, 400.0), (600, 600.0), (800, 800.0)]
    second.rewind(600)
    second.note("divergence_1", "went back")
    second.log(800, {"reward": 801.0})
    assert history(run_id)[-2:] == [(800, 800.0), (800, 801.0)]
    assert client.get_run(run_id).data.tags["divergence_1"] == "went back"


def test_several_trackers_are_told_the_same_and_the_first_gives_the_id(tmp_path):
    logs = [Log(), Log()]
    both = Trackers(*logs)
    assert both.start("a", {"x": 1}, None, 3) == "run-1"
    both.log(5, {"y": 2.0})
    both.rewind(4)
    both.note("k", "v")
    both.artifact(tmp_path)
    both.finish(True)
    assert vars(logs[0]) == vars(logs[1])
    assert logs[1].started == [("a", {"x": 1}, None)]
    assert (logs[1].metrics, logs[1].rewound, logs[1].notes) == ([(5, {"y": 2.0})], [4], {"k": "v"})
    assert (logs[1].files, logs[1].finished) == ([tmp_path], [True])


def test_tracking_does_not_change_what_is_learned(tracked, tmp_path):
    _, result = tracked
    plain = train(small_config(), make_env, BASELINE, tmp_path, tracker=NullTracker())
    assert plain.summary == result.summary
