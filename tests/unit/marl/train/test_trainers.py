"""Every learner goes the whole way: by name, through the loop, to a policy file that plays."""

import pytest

from marl.cloud.types import OBJECTIVES, SERVICES
from marl.envs import make
from marl.evaluate.families import family
from marl.evaluate.policies import load_policy
from marl.evaluate.rollout import Labels, play_episodes
from marl.train import loop
from marl.train.config import TrainConfig, learner_named, learner_names
from tests.unit.marl.train.conftest import Log

STEPS = 24
SOFT = ("sac", "masac", "isac", "sac_gru", "masac_gru", "isac_gru")


def make_env(num_envs, seed):
    return make(num_envs=num_envs, seed=seed, scenario="mixed_cyclical", episode_steps=STEPS)


@pytest.mark.parametrize("name", learner_names())
def test_a_learner_trains_on_the_cloud_and_its_policy_plays(name, tmp_path):
    learner = learner_named(name)
    if name in SOFT:
        learner = learner.model_copy(update={"actor_warmup": 1})
    if name in ("apg", "shac", "hindsight"):
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
    baseline = family("reactive").start
    log = Log()
    result = loop.train(config, make_env, baseline, tmp_path, tracker=log)
    assert result.summary.learner == name
    _tells_what_there_is_to_know(log.metrics[-1][1])
    assert result.summary.updates > 0
    assert [point.epoch for point in result.summary.curve] == [0, 1, 2]
    assert result.summary.curve[0].gain == pytest.approx(0.0, abs=0.02)  # it starts at the rule
    policy = load_policy(result.policy_path)
    assert policy.card.is_joint == (name in ("sac", "sac_gru", "ppo"))
    rows = play_episodes(policy, make_env, 2, 0, Labels("mixed_cyclical", False, True))
    assert rows["reward"].is_finite().all()
    again = loop.train(config, make_env, baseline, tmp_path)
    assert again.is_from_store


def _tells_what_there_is_to_know(figures):
    """Of an epoch that learned: losses, gradients, exploration, what rewards are made of, speed."""
    assert {f"reward_{term}" for term in (*OBJECTIVES, "penalty", "team")} <= set(figures)
    assert {f"reward_local_{agent}" for agent in SERVICES} <= set(figures)
    assert figures["reward_team"] == pytest.approx(
        0.25 * figures["reward_cost"]
        + 0.4 * figures["reward_performance"]
        + 0.2 * figures["reward_reliability"]
        + 0.15 * figures["reward_sustainability"]
        + figures["reward_penalty"],
        rel=1e-3,
    )
    assert any(name in figures for name in ("exploration/sigma", "exploration/epsilon"))
    assert any("loss" in name for name in figures)
    assert any("grad_norm" in name for name in figures)
    assert figures["speed/env_steps_per_s"] > 0
    assert figures["resources/peak_rss_mib"] > 1


def test_a_learner_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(ValueError, match=r"'dqn'.*'maddpg'.*'mappo'.*'shac'"):
        learner_named("dqn")
