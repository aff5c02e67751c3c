"""Slices show what the network computes, over the inputs that move it most, at stored values."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch

from marl.evaluate.policies import ConstantPolicy
from marl.evaluate.slices import (
    OBSERVATION_FILE,
    _knob,
    reference_observation,
    slices_of,
    stored_slices,
)
from marl.nets.actor import TeamActor
from marl.nets.config import NetConfig
from marl.train.loop import train
from marl.train.policy_file import StoredPolicy, load_policy_file
from tests.unit.marl.evaluate.worlds import KEEP, LqWorld
from tests.unit.marl.train.conftest import BASELINE, make_env, small_config


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    result = train(small_config(), make_env, BASELINE, folder)
    into = tmp_path_factory.mktemp("asset")
    (into / "snapshots").mkdir()
    (into / "maddpg-seed0.safetensors").write_bytes(result.policy_path.read_bytes())
    for path in (result.policy_path.parent / "snapshots").iterdir():
        (into / "snapshots" / f"maddpg-{path.name}").write_bytes(path.read_bytes())
    return into


@pytest.fixture(scope="module")
def seen():
    return reference_observation(LqWorld(), ConstantPolicy("keep", KEEP), "mixed", 0, clouds=16)


def test_reference_observation_is_the_median_of_what_was_seen(seen):
    env = LqWorld().make_env("mixed", "held_out")(16, 0)
    policy = ConstantPolicy("keep", KEEP)
    obs = env.reset(seed=0)
    policy.begin(env, 0)
    rows = []
    for _ in range(12):  # steps of an episode of that world
        rows.append(obs["controller_0"])
        obs = env.step(policy.act(obs)).obs
    slow = np.median(torch.cat(rows).numpy().astype(float), axis=0)
    own = seen.filter(pl.col("agent") == "controller_0")
    assert own["median"].to_numpy() == pytest.approx(slow, abs=1e-12)
    assert (own["lo"] <= own["median"]).all()
    assert (own["median"] <= own["hi"]).all()
    again = reference_observation(LqWorld(), policy, "mixed", 0, clouds=16)
    assert again.equals(seen)


def test_a_slice_holds_what_the_policy_decides_there(trained, seen):
    stored = load_policy_file(trained / "maddpg-seed0.safetensors")
    for one in slices_of({"end": stored}, seen):
        own = seen.filter(pl.col("agent") == one.agent)
        fields = own["field"].to_list()
        row = own["median"].to_numpy().copy()
        row[fields.index(one.x_field)] = one.x[3]
        row[fields.index(one.y_field)] = one.y[5]
        obs = {
            agent: torch.tensor(
                row if agent == one.agent
                else seen.filter(pl.col("agent") == agent)["median"].to_numpy(),
                dtype=torch.float32,
            )[None]
            for agent in stored.card.agents
        }  # fmt: skip
        player, spec = stored.player(), stored.card.spec()
        player.begin(1)
        action = player.decide(obs, spec.action_mask()[None])[one.agent][0]
        index = stored.card.knobs[one.agent].index(one.knob)
        assert one.stages["end"][5, 3] == pytest.approx(float(action[index]), abs=1e-6)
        assert one.rule == pytest.approx(BASELINE[one.agent][index])
        assert one.unit == "action"


def test_the_inputs_shown_are_those_that_move_the_knob_most(trained, seen, monkeypatch):
    """A network that adds 3 × its last input and 1 × its first shows just these, in this order."""
    stored = load_policy_file(trained / "maddpg-seed0.safetensors")

    class Player:
        def begin(self, clouds):
            pass

        def decide(self, obs, mask):
            sums = {
                agent: values[:, -1:] * 0.03 + values[:, :1] * 0.01 for agent, values in obs.items()
            }
            sizes = {agent: len(knobs) for agent, knobs in stored.card.knobs.items()}
            return {agent: sums[agent].expand(-1, sizes[agent]) for agent in sums}

    monkeypatch.setattr(type(stored), "player", lambda self: Player())
    even = seen.with_columns(lo=pl.lit(-1.0), median=pl.lit(0.0), hi=pl.lit(1.0))
    for one in slices_of({"end": stored}, even):
        fields = list(stored.card.observation_fields[one.agent])
        if len(fields) > 1:
            assert (one.x_field, one.y_field) == (fields[-1], fields[0])
            assert dict(one.inputs)[fields[-1]] == pytest.approx(0.06, abs=1e-6)
            assert one.stages["end"].max() == pytest.approx(0.04, abs=1e-6)


def test_stored_slices_go_through_the_snapshots_and_need_the_observation(trained, seen, tmp_path):
    path = tmp_path / OBSERVATION_FILE
    assert stored_slices(trained, path, "maddpg") == []
    seen.write_parquet(path)
    slices = stored_slices(trained, path, "maddpg")
    assert list(slices[0].stages) == ["start", "25%", "50%", "end"]
    # The first policy is the rule itself, up to its near-zero last layer.
    assert slices[0].stages["start"] == pytest.approx(slices[0].rule, abs=0.01)
    with pytest.raises(FileNotFoundError, match="no policy 'nobody'"):
        stored_slices(trained, path, "nobody")


def test_other_inputs_and_no_policy_are_refused(trained, seen):
    stored = load_policy_file(trained / "maddpg-seed0.safetensors")
    with pytest.raises(ValueError, match="make both again"):
        slices_of({"end": stored}, seen.with_columns(field=pl.lit("other")))
    with pytest.raises(ValueError, match="a slice needs a policy"):
        slices_of({}, seen)


@pytest.mark.parametrize("kind", ["mlp", "gru"])
def test_a_memory_is_brought_to_rest(trained, seen, kind):
    card = load_policy_file(trained / "maddpg-seed0.safetensors").card
    net = NetConfig(kind=kind, hidden=(8,))
    card, spec = card.model_copy(update={"net": net}), card.spec()
    actor = TeamActor(
        spec.obs_sizes, spec.pack_vector(card.baseline), bound=1.0, net=net,
        generator=torch.Generator().manual_seed(0), layouts=spec.layouts, last_scale=1.0,
    )  # fmt: skip
    one = slices_of({"end": StoredPolicy(card, actor.eval().requires_grad_(False))}, seen)[0]
    assert np.isfinite(one.stages["end"]).all()
    assert np.ptp(one.stages["end"]) > 0


def test_knobs_of_the_cloud_are_told_in_their_unit():
    stored = SimpleNamespace(card=SimpleNamespace(knobs={"compute": ("target_utilisation",)}))
    assert _knob(stored, "compute", 0) == ("target_utilisation", "of capacity", 0.3, 0.95)
