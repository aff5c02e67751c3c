"""Policy files: round trip, and everything that must be refused."""

import json
import os
import pickle

import pytest
import torch
from safetensors.torch import load_file, safe_open, save_file

from marl.train.loop import train
from marl.train.policy_file import PolicyFileError, load_policy_file, save_policy
from tests.unit.marl.train.conftest import BASELINE, make_env


@pytest.fixture
def policy(tmp_path, config):
    return train(config, make_env, BASELINE, tmp_path).policy_path


def test_round_trip_acts_the_same_and_is_the_same_bytes(policy, tmp_path):
    stored = load_policy_file(policy)
    save_policy(tmp_path / "copy.safetensors", stored.actor, stored.card)
    assert (tmp_path / "copy.safetensors").read_bytes() == policy.read_bytes()
    again = load_policy_file(tmp_path / "copy.safetensors")
    obs = torch.randn(6, 2, 2)
    assert torch.equal(stored.actor(obs), again.actor(obs))
    assert again.card.baseline == {agent: tuple(v) for agent, v in BASELINE.items()}
    assert again.card.observation_fields == {"controller_0": ("0",), "controller_1": ("0", "1")}
    assert float(stored.actor.norm.count) > 0  # the normaliser travels with the policy


class Hostile:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (os.mkdir, (str(self.mark),))


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_a_hostile_file_is_refused_and_nothing_in_it_runs(tmp_path, writer):
    mark, path = tmp_path / "executed", tmp_path / "policy.safetensors"
    if writer == "pickle":
        path.write_bytes(pickle.dumps(Hostile(mark)))
    else:
        torch.save({"weights": Hostile(mark)}, path)
    with pytest.raises(PolicyFileError, match=r"not a safetensors file .* could run code"):
        load_policy_file(path)
    assert not mark.exists()


def rewrite(path, change_card=None, change_tensors=None):
    with safe_open(path, framework="pt") as file:
        card = json.loads(file.metadata()["stratoform_policy"])
    tensors = load_file(path)
    if change_card:
        change_card(card)
    if change_tensors:
        change_tensors(tensors)
    save_file(tensors, path, metadata={"stratoform_policy": json.dumps(card)})


@pytest.mark.parametrize(
    ("card", "tensors", "message"),
    [
        (
            lambda c: c.update(format=99),
            None,
            "policy format 99; this version reads 2.*train it again",
        ),
        (lambda c: c.update(surprise=1), None, "surprise"),
        (lambda c: c["net"].update(hidden=[5]), None, "do not fit together"),
        (lambda c: c["baseline"].update(controller_0=[7.0]), None, r"\[-1, 1\]"),
        (lambda c: c["baseline"].pop("controller_0"), None, "do not fit together"),
        (lambda c: c["net"].update(hidden=[10**9, 10**9]), None, "do not fit together"),
        (None, lambda t: t.pop("baseline"), "do not fit together"),
        (None, lambda t: t["norm.mean"].fill_(float("nan")), "not finite: norm.mean"),
    ],
)
def test_cards_and_weights_that_do_not_fit_are_refused(policy, card, tensors, message):
    rewrite(policy, card, tensors)
    with pytest.raises(PolicyFileError, match=message):
        load_policy_file(policy)


def test_truncated_empty_and_foreign_files_are_refused(policy, tmp_path):
    whole = policy.read_bytes()
    for cut in (0, 4, 100, len(whole) - 1):
        policy.write_bytes(whole[:cut])
        with pytest.raises(PolicyFileError):
            load_policy_file(policy)
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(PolicyFileError, match="no policy card"):
        load_policy_file(tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError, match="no policy file"):
        load_policy_file(tmp_path / "absent.safetensors")


def test_weights_that_are_not_finite_are_not_written(policy, tmp_path):
    stored = load_policy_file(policy)
    stored.actor.net.mlp.weights[0].data[0, 0, 0] = float("inf")
    with pytest.raises(PolicyFileError, match=r"not finite: net\.mlp\.weights\.0"):
        save_policy(tmp_path / "bad.safetensors", stored.actor, stored.card)
    assert not (tmp_path / "bad.safetensors").exists()
