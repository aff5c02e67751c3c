"""Policy files: round trip, and everything that must be refused."""

import json
import os
import pickle

import pytest
import torch
from safetensors.torch import load_file, safe_open, save_file

from marl.nets.actor import TeamActor
from marl.nets.config import NetConfig
from marl.train.env import team_spec
from marl.train.loop import train
from marl.train.policy_file import PolicyCard, PolicyFileError, load_policy_file, save_policy
from tests.learning.network_tasks import UrgentList
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
            "policy format 99; this version reads 3.*train it again",
        ),
        (lambda c: c.update(surprise=1), None, "surprise"),
        (lambda c: c["net"].update(hidden=[5]), None, "do not fit together"),
        (lambda c: c["baseline"].update(controller_0=[7.0]), None, r"\[-1, 1\]"),
        (lambda c: c["baseline"].pop("controller_0"), None, "do not fit together"),
        (lambda c: c["net"].update(hidden=[10**9, 10**9]), None, r"(?s)card is damaged.*hidden"),
        (None, lambda t: t.pop("baseline"), "do not fit together"),
        (None, lambda t: t["norm.mean"].fill_(float("nan")), "not finite: norm.mean"),
    ],
)
def test_cards_and_weights_that_do_not_fit_are_refused(policy, card, tensors, message):
    rewrite(policy, card, tensors)
    with pytest.raises(PolicyFileError, match=message):
        load_policy_file(policy)


KINDS = {
    "attention": NetConfig(kind="attention", hidden=(8,), token=4, heads=2),
    "transformer": NetConfig(kind="transformer", hidden=(8,), token=4, heads=2),
    "gru": NetConfig(kind="gru", hidden=(8,), memory=4),
}


@pytest.fixture(params=KINDS)
def kept(request, tmp_path):
    """A policy file of each kind of network, for the clerk of a list."""
    spec = team_spec(UrgentList(1, 0), 0)
    names = UrgentList.observation_names
    card = PolicyCard(
        learner="apg", agents=spec.agents, observation_fields=names,
        knobs={agent: ("level",) for agent in spec.agents},
        baseline=dict.fromkeys(spec.agents, (0.0,)), residual_bound=1.0, hold_steps=1,
        net=KINDS[request.param], training={}, training_seed=0, env_steps=0, fingerprint="",
        versions={},
    )  # fmt: skip
    actor = TeamActor(
        spec.obs_sizes, torch.zeros((2, 1)), bound=1.0, net=card.net,
        generator=torch.Generator().manual_seed(1), layouts=spec.layouts, last_scale=1.0,
    )  # fmt: skip
    env = UrgentList(50, 3)
    actor.norm.update(spec.pack_obs(env.obs()))
    path = tmp_path / "policy.safetensors"
    save_policy(path, actor, card)
    return path, actor, env.obs()


def test_every_kind_of_network_travels(kept):
    path, actor, obs = kept
    stored = load_policy_file(path)
    packed = stored.card.spec().pack_obs(obs)
    found, wanted = (x.step(packed, x.begin(50)) for x in (stored.actor, actor))
    assert torch.equal(found[0], wanted[0])


def test_attention_is_read_out_by_name(kept):
    path, _, obs = kept
    stored = load_policy_file(path)
    kind = stored.card.net.kind
    if kind == "gru":
        with pytest.raises(TypeError, match="no attention to read out"):
            stored.attention(obs)
        return
    told = stored.attention(obs)
    fields = stored.card.observation_fields
    names = {"clerk": tuple(f"request{slot}" for slot in range(6)), "idle": ()}
    assert {agent: tuple(one) for agent, one in told.items()} == (
        names if kind == "transformer" else fields
    )
    total = torch.stack(list(told["clerk"].values())).sum(0)
    torch.testing.assert_close(total, torch.ones(50))
    if kind == "transformer":
        for slot, weight in enumerate(told["clerk"].values()):
            is_open = obs["clerk"][:, fields["clerk"].index(f"request{slot}_is_open")] > 0
            assert torch.equal(weight > 0, is_open)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["net"].update(token=1024, memory=8192), "in the file; by its card it is"),
        (lambda c: c["net"].update(hidden=[8192] * 16), "in the file; by its card it is"),
        (lambda c: c["net"].update(depth=10**9), r"(?s)card is damaged.*depth"),
        (lambda c: c["net"].update(kind="mlp"), "in the file; by its card it is"),
        (lambda c: c["net"].update(kind="lstm"), r"(?s)card is damaged.*kind"),
        (lambda c: c["net"].update(heads=3, kind="transformer"), "not a multiple of heads"),
        (lambda c: c["observation_fields"]["clerk"].append("more"), "by its card it is"),
    ],
)
def test_networks_of_other_sizes_are_refused_before_they_are_made(kept, change, message):
    path, _, _ = kept
    rewrite(path, change)
    with pytest.raises(PolicyFileError, match=message):
        load_policy_file(path)


def test_a_list_that_is_none_is_refused(kept):
    path, actor, _ = kept
    if actor.net.config.kind == "transformer":
        rewrite(path, lambda c: c["observation_fields"]["clerk"].__setitem__(2, "request0_shut"))
        with pytest.raises(PolicyFileError, match="request0 has the fields"):
            load_policy_file(path)


def test_a_file_of_the_first_format_is_refused_with_the_remedy(policy):
    def first(card):
        net = card.pop("net")
        card.update(format=1, hidden=net["hidden"], has_layer_norm=net["has_layer_norm"])

    rewrite(policy, first)
    with pytest.raises(PolicyFileError, match="policy format 1; this version reads 3: train it"):
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
