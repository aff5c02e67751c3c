"""Starting from another learner's policy: to the bit, and only where it fits."""

import pytest
import torch

from marl.algos.first_order import FirstOrderConfig
from marl.algos.maddpg import MaddpgConfig
from marl.algos.mappo import MappoConfig
from marl.nets.config import NetConfig
from marl.train.config import TrainConfig
from marl.train.loop import train
from marl.train.policy_file import load_policy_file
from marl.train.trainers import build_trainer
from marl.train.warm_start import actor_settings, start_from
from tests.unit.marl.train.signs import AGENTS, BASELINE, MINUS, PLUS, STEPS, Signs

TEACHER = FirstOrderConfig(window=4, net=NetConfig(hidden=(16,)), actor_lr=3e-2, residual_bound=0.8)
PUPILS = {
    "maddpg": MaddpgConfig(net=NetConfig(hidden=(16,)), residual_bound=0.8),
    "matd3": MaddpgConfig(name="matd3", net=NetConfig(hidden=(16,)), residual_bound=0.8),
    "mappo": MappoConfig(net=NetConfig(hidden=(16,)), residual_bound=0.8),
    "apg": FirstOrderConfig(window=2, net=NetConfig(hidden=(16,)), residual_bound=0.8),
}


def config_of(learner, **settings):
    defaults = {
        "epochs": 2, "epoch_steps": STEPS, "hold_steps": 1, "num_envs": 16, "batch_size": 32,
        "updates_per_step": 2, "critic_horizon": 2, "evaluate_every": 1, "evaluate_envs": 16,
    }  # fmt: skip
    return TrainConfig(**{**defaults, **settings}).model_copy(update={"learner": learner})


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    return train(config_of(TEACHER, epochs=12, num_envs=64), PLUS, BASELINE, folder)


@pytest.mark.parametrize("name", sorted(PUPILS))
def test_the_first_policy_is_the_teachers_to_the_bit(teacher, tmp_path, name):
    assert teacher.summary.best.gain > 0.01  # there is something to take over
    config = config_of(PUPILS[name], warm_start="apg")
    trainer = build_trainer(config, PLUS, BASELINE)
    start_from(trainer, BASELINE, teacher.policy_path)
    taught = load_policy_file(teacher.policy_path).actor.state_dict()
    mine = trainer.learner.policy().state_dict()
    assert mine.keys() == taught.keys()
    assert all(torch.equal(mine[key], value) for key, value in taught.items())
    if hasattr(trainer.learner, "target_actor"):
        for key, value in trainer.learner.target_actor.state_dict().items():
            assert torch.equal(value, taught[f"net.{key}"])
    result = train(config, PLUS, BASELINE, tmp_path, teacher=teacher.policy_path)
    first = result.summary.curve[0]
    assert (first.reward, first.gain) == (teacher.summary.best.reward, teacher.summary.best.gain)
    # It is trained on: the policy moves.
    assert trainer.learner.updates == 0 < result.summary.updates


def test_its_name_says_where_it_comes_from_unless_it_has_one(teacher, tmp_path):
    config = config_of(PUPILS["maddpg"], warm_start="apg")
    assert config.policy_name == "apg_maddpg"
    assert config.model_copy(update={"name": "pupil"}).policy_name == "pupil"
    assert config_of(PUPILS["maddpg"]).policy_name == "maddpg"
    with pytest.raises(ValueError, match="name"):
        TrainConfig(name="../up")
    result = train(config, PLUS, BASELINE, tmp_path, teacher=teacher.policy_path)
    card = load_policy_file(result.policy_path).card
    assert (card.learner, card.training["learner"]["name"]) == ("apg_maddpg", "maddpg")
    assert result.policy_path.parent.name.startswith("apg_maddpg-seed0-")


def test_another_teacher_is_another_run(teacher, tmp_path):
    config = config_of(PUPILS["apg"], warm_start="apg")
    one = train(config, PLUS, BASELINE, tmp_path, teacher=teacher.policy_path)
    again = train(config, PLUS, BASELINE, tmp_path, teacher=teacher.policy_path)
    assert again.is_from_store
    two = train(config, PLUS, BASELINE, tmp_path, teacher=one.policy_path)
    assert not two.is_from_store
    assert two.summary.fingerprint != one.summary.fingerprint


def wide(num_envs, seed):
    return Signs(num_envs, seed, width=3)


@pytest.mark.parametrize(
    ("learner", "settings", "make_env", "message"),
    [
        (PUPILS["maddpg"].model_copy(update={"residual_bound": 0.4}), {}, PLUS,
         r"residual_bound is 0\.8 there and 0\.4 here"),
        (PUPILS["maddpg"].model_copy(update={"net": NetConfig(hidden=(8, 8))}), {}, PLUS,
         r"net is .*hidden=\(16,\).* there and .*hidden=\(8, 8\).* here"),
        (PUPILS["maddpg"], {"hold_steps": 2}, PLUS, "hold_steps is 1 there and 2 here"),
        (PUPILS["maddpg"], {}, wide, "observation_fields is .*'more'.* here"),
    ],
)  # fmt: skip
def test_a_teacher_that_does_not_fit_is_refused(
    teacher, tmp_path, learner, settings, make_env, message
):
    config = config_of(learner, warm_start="apg", **settings)
    with pytest.raises(ValueError, match=rf"apg_maddpg cannot start from .* \(apg\): {message}"):
        train(config, make_env, BASELINE, tmp_path, teacher=teacher.policy_path)


def test_another_baseline_is_refused(teacher, tmp_path):
    config = config_of(PUPILS["maddpg"], warm_start="apg")
    with pytest.raises(ValueError, match="baseline is"):
        train(config, PLUS, {a: [0.5] for a in AGENTS}, tmp_path, teacher=teacher.policy_path)


def test_a_learner_without_such_actors_is_refused(teacher):
    config = config_of(PUPILS["maddpg"], warm_start="apg")
    trainer = build_trainer(config, MINUS, BASELINE)
    trainer.learner = object()
    with pytest.raises(ValueError, match="maddpg cannot start from another learner's actors"):
        start_from(trainer, BASELINE, teacher.policy_path)


def test_teacher_and_setting_belong_together(teacher, tmp_path):
    with pytest.raises(ValueError, match="both or neither"):
        train(config_of(PUPILS["apg"]), PLUS, BASELINE, tmp_path, teacher=teacher.policy_path)
    with pytest.raises(ValueError, match="warm_start is 'apg' and the teacher's policy file None"):
        train(config_of(PUPILS["apg"], warm_start="apg"), PLUS, BASELINE, tmp_path)


def test_what_an_actor_is_stands_in_both_settings_and_card():
    assert actor_settings(TEACHER) == {
        "net": NetConfig(hidden=(16,)),
        "residual_bound": 0.8,
    }
