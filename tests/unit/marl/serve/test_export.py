"""An exported policy decides as torch does, and only what is understood is exported."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from marl.nets.actor import TeamActor
from marl.serve import export
from marl.serve.decide import Decider
from marl.serve.export import TOLERANCE, export_policy, largest_difference, onnx_model
from marl.train.policy_file import PolicyFileError, StoredPolicy, save_policy
from tests.conftest import REPO
from tests.unit.marl.serve.policies import AGENTS, OBS, policy

ANY = st.floats(width=32, allow_nan=False, allow_infinity=True)
KINDS = {
    "layer norm": {},
    "plain": {"has_layer_norm": False},
    "no hidden layer": {"hidden": ()},
    "one wide": {"hidden": (70,), "seed": 1},
    "inputs far from zero": {"shift": 1e3, "seed": 2},
    "calibrated": {"is_calibrated": True, "seed": 3},
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    made = {}
    for name, settings_ in KINDS.items():
        stored = policy(**settings_)
        export_policy(stored, folder / f"{name}.onnx")
        made[name] = stored, Decider(folder / f"{name}.onnx")
    return made


def torch_actions(stored, obs):
    spec = stored.card.spec()
    packed = spec.pack_obs({agent: torch.from_numpy(rows) for agent, rows in obs.items()})
    actions = spec.unpack_actions(stored.actor.action(stored.actor(packed)))
    return {agent: rows.numpy() for agent, rows in actions.items()}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_decides_as_torch_does_whatever_is_seen(pairs, kind, data):
    stored, decider = pairs[kind]
    rows = data.draw(st.integers(1, 4))
    obs = {
        agent: data.draw(hnp.arrays(np.float32, (rows, size), elements=ANY))
        for agent, size in zip(AGENTS, OBS, strict=True)
    }
    expected, found = torch_actions(stored, obs), decider.decide(obs)
    for agent in AGENTS:
        assert found[agent].dtype == np.float32
        np.testing.assert_allclose(found[agent], expected[agent], rtol=0, atol=TOLERANCE)
        assert (np.abs(found[agent]) <= 1).all()


def test_an_agents_decision_does_not_depend_on_what_others_see(pairs):
    _, decider = pairs["layer norm"]
    rng = np.random.default_rng(0)
    obs = {agent: rng.normal(size=(3, size)) for agent, size in zip(AGENTS, OBS, strict=True)}
    one = decider.decide(obs)
    other = decider.decide({**obs, "store": obs["store"] * -50})
    np.testing.assert_array_equal(one["web"], other["web"])
    assert np.abs(one["store"] - other["store"]).max() > 0.01


def test_the_same_policy_gives_the_same_bytes_and_keeps_its_card(tmp_path):
    stored = policy()
    export_policy(stored, tmp_path / "a.onnx")
    export_policy(stored, tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert Decider(tmp_path / "a.onnx").card == stored.card


class WithMemory(TeamActor):
    """Stands for actors this version does not write."""


def test_actors_of_another_kind_are_refused():
    stored = policy()
    stored.actor.__class__ = WithMemory
    with pytest.raises(PolicyFileError, match=r"only feed-forward actors.*WithMemory"):
        onnx_model(stored)
    more = policy()
    more.actor.memory = torch.nn.GRUCell(2, 2)
    with pytest.raises(PolicyFileError, match="memory: GRUCell"):
        onnx_model(more)
    for kind in ("attention", "gru"):
        with pytest.raises(PolicyFileError, match=f"net.kind 'mlp' are exported.*{kind!r}"):
            onnx_model(policy(kind=kind))
    joint = replace(policy(), card=policy().card.model_copy(update={"is_joint": True}))
    with pytest.raises(PolicyFileError, match="one controller for all agents"):
        onnx_model(joint)


def test_a_model_that_decides_otherwise_is_not_written(tmp_path, monkeypatch):
    stored, other = policy(), policy(seed=5)
    monkeypatch.setattr(export, "onnx_model", lambda _: onnx_model(other))
    with pytest.raises(PolicyFileError, match="differs from torch by"):
        export_policy(stored, tmp_path / "policy.onnx")
    assert not list(tmp_path.iterdir())


def test_the_difference_found_is_the_difference_there_is(tmp_path):
    stored = policy()
    export_policy(stored, tmp_path / "policy.onnx")
    moved = policy()
    moved.actor.baseline[1, 0] += 0.25
    assert largest_difference(
        StoredPolicy(stored.card, moved.actor), Decider(tmp_path / "policy.onnx")
    ) == pytest.approx(0.25, abs=2e-5)


def test_the_command_line_writes_a_model_and_says_what_is_wrong(tmp_path):
    stored = policy()
    save_policy(tmp_path / "policy.safetensors", stored.actor, stored.card)
    command = [sys.executable, "-m", "marl.serve.export", str(tmp_path / "policy.safetensors")]
    done = subprocess.run(
        [*command, str(tmp_path / "policy.onnx")], cwd=REPO, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "differs from torch by at most" in done.stdout
    onnx.checker.check_model(onnx.load(tmp_path / "policy.onnx"), full_check=True)
    done = subprocess.run(
        [*command[:-1], str(tmp_path / "absent"), "x.onnx"],
        cwd=REPO,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "no policy file at" in done.stderr
    assert "Traceback" not in done.stderr
