"""Policies are found by name, bounded, and refuse other worlds."""

import json
from typing import ClassVar

import pytest
import torch

from marl.algos.maddpg import MaddpgConfig
from marl.evaluate.baselines import BaselineSet, TunedBaseline, TuningBudget
from marl.evaluate.policies import (
    BASELINES_FILE,
    TRAINED_FOLDER,
    ConstantPolicy,
    LearnedPolicy,
    RandomPolicy,
    load_policy,
    trained_policy_name,
)
from marl.nets.actor import TeamActor
from marl.nets.config import NetConfig
from marl.train.config import TrainConfig
from marl.train.env import team_spec
from marl.train.loop import train
from marl.train.policy_file import (
    PolicyCard,
    PolicyFileError,
    StoredPolicy,
    load_policy_file,
)
from tests.learning.lq_team import LqTeam
from tests.learning.network_tasks import Cue
from tests.unit.marl.evaluate.worlds import KEEP


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder as the lineage leaves it: one tuned baseline, two runs of one learner."""
    root = tmp_path_factory.mktemp("data")
    tuned = TunedBaseline(name="reactive", action=KEEP, reward=0.0, trials=())
    baselines = BaselineSet(budget=TuningBudget(), seed=0, tuned=(tuned,))
    (root / BASELINES_FILE).parent.mkdir()
    (root / BASELINES_FILE).write_text(baselines.model_dump_json())
    (root / TRAINED_FOLDER).mkdir()
    for seed in (2, 10):
        config = TrainConfig(
            learner=MaddpgConfig(name="matd3", net=NetConfig(hidden=(8,))), seed=seed, epochs=2,
            epoch_steps=25, num_envs=4, evaluate_envs=4, hold_steps=5, critic_horizon=0,
            batch_size=16, n_step=1,
        )  # fmt: skip
        made = train(config, lambda n, s: LqTeam(n, s), KEEP, root / "runs")
        target = root / TRAINED_FOLDER / trained_policy_name("matd3", seed)
        target.write_bytes(made.policy_path.read_bytes())
    return root


def test_by_name_by_seed_and_by_path(data):
    assert isinstance(load_policy("random", data=data), RandomPolicy)
    assert isinstance(load_policy("reactive", data=data), ConstantPolicy)
    # 2 before 10: seeds are numbers, not text.
    assert load_policy("matd3", data=data).training_seed == 2
    assert load_policy("matd3", data=data, training_seed=10).training_seed == 10
    path = data / TRAINED_FOLDER / trained_policy_name("matd3", 10)
    assert load_policy(path).training_seed == 10
    assert load_policy(str(path)).name == "matd3"


def test_default_data_folder_is_the_environments(data, monkeypatch):
    monkeypatch.setenv("STRATOFORM_DATA", str(data))
    assert load_policy("reactive").name == "reactive"


def test_an_unknown_name_lists_what_there_is_and_what_makes_more(data, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there are: random, reactive, matd3\. `dagster"):
        load_policy("mapp0", data=data)
    with pytest.raises(FileNotFoundError, match="there are: random"):
        load_policy("maddpg", data=tmp_path)
    with pytest.raises(FileNotFoundError, match="no policy file at"):
        load_policy(tmp_path / "absent.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(PolicyFileError):
        load_policy(tmp_path / "text.safetensors")


def test_actions_are_bounded_and_each_clouds_own(data):
    env = LqTeam(6, 0)
    for policy in (load_policy(name, data=data) for name in ("random", "reactive", "matd3")):
        obs = env.reset(3)
        policy.begin(env, 1)
        actions = policy.act(obs)
        assert {a: tuple(v.shape) for a, v in actions.items()} == {
            "controller_0": (6, 1),
            "controller_1": (6, 2),
        }
        assert all((v.abs() <= 1).all() for v in actions.values())
    learned = load_policy("matd3", data=data)
    learned.begin(LqTeam(1, 0), 1)
    alone = {agent: value[:1] for agent, value in obs.items()}
    for agent, value in learned.act(alone).items():
        assert torch.allclose(value, actions[agent][:1], atol=1e-6)


def test_a_policy_refuses_an_environment_it_was_not_made_for(data):
    class Renamed(LqTeam):
        observation_names: ClassVar = {"controller_0": ("load",), "controller_1": ("load", "hour")}

    learned = load_policy("matd3", data=data)
    with pytest.raises(ValueError, match=r"trained with observation_names .*train it again"):
        learned.begin(Renamed(2, 0), 0)
    with pytest.raises(ValueError, match="made for observation fields"):
        learned.begin(LqTeam(2, 0, agents=3), 0)


def test_baselines_file_from_another_version_is_refused(data, tmp_path):
    document = json.loads((data / BASELINES_FILE).read_text())
    (tmp_path / BASELINES_FILE).parent.mkdir()
    (tmp_path / BASELINES_FILE).write_text(json.dumps({**document, "surprise": 1}))
    with pytest.raises(ValueError, match="surprise"):
        load_policy("reactive", data=tmp_path)


def test_name_in_tables_can_be_chosen(data):
    stored = load_policy_file(data / TRAINED_FOLDER / trained_policy_name("matd3", 2))
    assert LearnedPolicy(stored, name="champion").name == "champion"


def test_a_memory_lasts_from_begin_to_begin_and_belongs_to_decisions():
    env = Cue(4, 0)
    spec = team_spec(env, 0)
    actor = TeamActor(
        spec.obs_sizes, torch.zeros((2, 1)), bound=1.0, last_scale=1.0,
        net=NetConfig(kind="gru", hidden=(8,), memory=8),
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    card = PolicyCard(
        learner="apg", agents=spec.agents, observation_fields=env.observation_names,
        knobs={agent: ("level",) for agent in spec.agents},
        baseline=dict.fromkeys(spec.agents, (0.0,)), residual_bound=1.0, hold_steps=2,
        net=actor.net.config, training={}, training_seed=0, env_steps=0, fingerprint="",
        versions={},
    )  # fmt: skip
    policy, obs = LearnedPolicy(StoredPolicy(card, actor)), env.obs()
    policy.begin(env, 0)
    first, held, third = (policy.act(obs)["clerk"] for _ in range(3))
    assert torch.equal(held, first)
    assert (third - first).abs().max() > 1e-4
    policy.begin(env, 0)
    assert torch.equal(policy.act(obs)["clerk"], first)
