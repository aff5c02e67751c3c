"""Soft actor-critics in training: stored sequences, memories in collection, runs that continue."""

import copy

import pytest
import torch

from marl.algos.sac_config import SacConfig
from marl.evaluate.policies import LearnedPolicy
from marl.nets.config import NetConfig
from marl.replay.hindsight import HindsightConfig
from marl.replay.prioritised import PriorityConfig
from marl.train.loop import train
from marl.train.policy_file import load_policy_file
from marl.train.trainer import Trainer
from tests.learning.lq_team import LqStep, LqTeam
from tests.unit.marl.train.conftest import BASELINE, make_env, small_config


def soft(name="masac_gru", learner=None, **settings):
    kind = {"kind": "gru", "memory": 8} if name.endswith("_gru") else {}
    sac = SacConfig(
        name=name, net=NetConfig(hidden=(8,), **kind), actor_warmup=5, actor_lr=1e-3,
        **{"sequence": 10, "burn_in": 3, **(learner or {})},
    )  # fmt: skip
    return small_config(learner=sac, **settings)


class EndsEarly(LqTeam):
    """Cloud 1 ends for good after every 10th step."""

    def step(self, actions):
        self.played = getattr(self, "played", 0) + 1
        step = super().step(actions)
        terminated = torch.zeros(self.num_envs, dtype=torch.bool)
        terminated[1] = self.played % 10 == 0
        return LqStep(step.obs, step.reward, terminated, step.truncated, step.info)


def test_an_epoch_is_stored_as_one_sequence_per_cloud_with_its_beginnings():
    trainer = Trainer(soft(is_relative=False), lambda n, s: EndsEarly(n, s), BASELINE)
    trainer.run_epoch()
    assert len(trainer.experience.replay) == 8
    (draw,) = trainer.experience.draws(1, 0.0)
    assert draw.fields["obs"].shape == (10, 3, 4)  # 32 // 10 sequences of ten steps
    stored = trainer.experience.replay.state_dict()["ring"]["fields"]["steps"]
    rows = stored.view(8, 25, -1)
    begin = rows[..., -1]
    assert begin[0].nonzero()[:, 0].tolist() == [0]
    assert begin[1].nonzero()[:, 0].tolist() == [0, 10, 20]


def test_actors_forget_where_episodes_end():
    trainer = Trainer(soft(is_relative=False), lambda n, s: EndsEarly(n, s), BASELINE)
    shown = []
    explore = trainer.learner.explore

    def spy(obs, memory):
        shown.append(memory)
        return explore(obs, memory)

    trainer.learner.explore = spy
    trainer.run_epoch()
    norms = torch.stack(shown).abs().sum((1, 3))  # (T, B)
    assert (norms[:, 1] == 0).nonzero()[:, 0].tolist() == [0, 10, 20]
    assert (norms[:, 0] == 0).nonzero()[:, 0].tolist() == [0]


def test_whole_epochs_need_no_burn_in():
    trainer = Trainer(soft(learner={"sequence": 80, "burn_in": 40}), make_env, BASELINE)
    assert (trainer.experience.window, trainer.experience.burn_in) == (25, 0)
    trainer = Trainer(soft(), make_env, BASELINE)
    assert (trainer.experience.window, trainer.experience.burn_in) == (10, 3)


@pytest.mark.parametrize("name", ["sac", "isac", "sac_gru", "masac_gru"])
def test_continues_with_the_same_bits_from_a_saved_state(name, tmp_path):
    one, two = (Trainer(soft(name), make_env, BASELINE) for _ in range(2))
    for _ in range(3):
        one.run_epoch()
    torch.save(one.state_dict(), tmp_path / "state.pt")
    two.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert one.run_epoch() == two.run_epoch()
    for a, b in zip(
        one.learner.policy().state_dict().values(),
        two.learner.policy().state_dict().values(),
        strict=True,
    ):
        assert torch.equal(a, b)
    assert torch.equal(one.held_in_rewards(), two.held_in_rewards())


@pytest.mark.parametrize("name", ["sac", "sac_gru", "masac_gru"])
def test_a_stored_policy_plays_as_it_was_judged(name, tmp_path):
    config = soft(name, epochs=3, evaluate_every=1)
    result = train(config, make_env, BASELINE, tmp_path)
    again = train(config, make_env, BASELINE, tmp_path / "again")
    assert again.policy_path.read_bytes() == result.policy_path.read_bytes()
    stored = load_policy_file(result.policy_path)
    assert stored.card.is_joint == (name != "masac_gru")
    assert stored.card.agents == ("controller_0", "controller_1")
    policy = LearnedPolicy(stored)
    from marl.train.held_in import HELD_IN_SEED

    env = make_env(config.evaluate_envs, 0)
    for _ in range(2):  # a memory begins anew with every episode
        obs = env.reset(HELD_IN_SEED)
        policy.begin(env, 0)
        total = 0.0
        for _ in range(25):
            step = env.step(policy.act(obs))
            total += float(step.reward["controller_0"].mean())
            obs = step.obs
        assert total / 25 == pytest.approx(result.summary.best.reward, rel=1e-5)


def test_actors_of_another_run_can_be_started_from():
    one, two = (Trainer(soft(seed=seed), make_env, BASELINE) for seed in (0, 1))
    one.run_epoch()
    two.learner.load_actor(copy.deepcopy(one.learner.policy().state_dict()))
    assert torch.equal(one.held_in_rewards(), two.held_in_rewards())
    other = Trainer(soft(seed=1), make_env, {**BASELINE, "controller_0": [0.3]})
    with pytest.raises(ValueError, match="another baseline"):
        other.learner.load_actor(one.learner.policy().state_dict())


def test_what_sequences_or_one_controller_cannot_serve_is_refused():
    with pytest.raises(ValueError, match="masac_gru draws sequences"):
        Trainer(soft(priority=PriorityConfig()), make_env, BASELINE)
    with pytest.raises(ValueError, match="not sac's"):
        Trainer(soft("sac", hindsight=HindsightConfig(), is_relative=False), make_env, BASELINE)
    with pytest.raises(ValueError, match="holds no epoch of 25 decisions of 8 clouds"):
        Trainer(soft(capacity=199), make_env, BASELINE)
    trainer = Trainer(soft(), make_env, BASELINE)
    obs = trainer.spec.pack_obs(trainer.env.reset(0))
    trainer.memory = trainer.learner.actor.begin(8)
    trainer._collect(obs, 0.0, is_last=False)
    with pytest.raises(RuntimeError, match="stored at its end"):
        trainer.state_dict()
