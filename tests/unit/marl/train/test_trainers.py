"""Every learner goes the whole way: by name, through the loop, to a policy file that plays."""

import pytest

from marl.envs import make
from marl.evaluate.families import provisioning_families
from marl.evaluate.policies import load_policy
from marl.evaluate.rollout import Labels, play_episodes
from marl.train import loop
from marl.train.config import TrainConfig, learner_named

STEPS = 24
SOFT = ("sac", "masac", "isac", "sac_gru", "masac_gru", "isac_gru")


def make_env(num_envs, seed):
    return make(num_envs=num_envs, seed=seed, scenario="mixed_cyclical", episode_steps=STEPS)


NAMES = ("maddpg", "matd3", "mappo", "ippo", "ppo", *SOFT, "apg", "shac", "qmix", "vdn")


@pytest.mark.parametrize("name", NAMES)
def test_a_learner_trains_on_the_cloud_and_its_policy_plays(name, tmp_path):
    learner = learner_named(name)
    if name in SOFT:
        learner = learner.model_copy(update={"actor_warmup": 1})
    if name in ("apg", "shac"):
        learner = learner.model_copy(update={"window": 1})
    config = TrainConfig(
        learner=learner,
        epochs=2,
        epoch_steps=STEPS,
        hold_steps=12,
        num_envs=8,
        evaluate_envs=4,
        updates_per_step=2,
        batch_size=8,
        warmup_epochs=1,
        evaluate_every=1,
    )
    baseline = provisioning_families()[1].start
    result = loop.train(config, make_env, baseline, tmp_path)
    assert result.summary.learner == name
    assert result.summary.updates > 0
    assert [point.epoch for point in result.summary.curve] == [0, 1, 2]
    assert result.summary.curve[0].gain == pytest.approx(0.0, abs=0.02)  # it starts at the rule
    policy = load_policy(result.policy_path)
    assert policy.card.is_joint == (name in ("sac", "sac_gru", "ppo"))
    rows = play_episodes(policy, make_env, 2, 0, Labels("mixed_cyclical", False, True))
    assert rows["reward"].is_finite().all()
    again = loop.train(config, make_env, baseline, tmp_path)
    assert again.is_from_store


def test_a_learner_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(ValueError, match=r"'dqn'.*'maddpg'.*'mappo'.*'shac'"):
        learner_named("dqn")
