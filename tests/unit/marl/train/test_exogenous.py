"""No actor's input depends on the exogenous future; a central critic's does, where it is asked to.

Every learner there is trains in two worlds that are the same in all that can be seen up to each
decision, and differ in the weather afterwards. Actions are read where they enter the environment.
"""

import copy
import dataclasses

import pytest
import torch

from marl.algos.first_order import FirstOrderConfig
from marl.cloud.weather import draw_weather
from marl.envs import make
from marl.envs.batched import BatchedEnv
from marl.evaluate.families import family
from marl.train.config import TrainConfig, learner_named, learner_names
from marl.train.discrete import DiscreteTrainer
from marl.train.smooth_rollout import CloudRollout
from marl.train.trainers import build_trainer

EPISODE, HOLD, HORIZON = 8, 2, 3
LAST = EPISODE - HOLD  # the step of the last decision
SCENARIO = "mixed"
START = family("reactive").start


class Episode:
    """What an environment was told and what it showed, in order."""

    def __init__(self):
        self.played, self.seen, self.foreseen = [], [], []
        self.smooth = []  # what the clouds with gradients were told, window by window

    @property
    def decided(self):
        """Everything that was decided, if the episode was played to its end."""
        return next((told for told in (self.played, self.smooth) if len(told) == EPISODE), None)


class Changed(BatchedEnv):
    """Weather as ever before step `since`; from there on that of another seed."""

    since = EPISODE

    def __init__(self, *args):
        super().__init__(*args)
        self.episodes = []

    @property
    def whole(self):
        """The last episode that was played to its end."""
        return [one for one in self.episodes if one.decided][-1]

    def _begin(self):
        super()._begin()
        ours = self._weather
        theirs = draw_weather(
            self.generator, self.num_envs, self.episode_steps, self._seed + 1, self._episode,
            self.cloud.params,
        )  # fmt: skip
        config, since = self.cloud.params.config, self.since
        due = theirs.due.clone()
        # Work that has arrived is known until its deadline, a column for each class of work.
        for i, lag in enumerate((config.batch_deadline_steps, config.ml_deadline_steps)):
            due[: since + lag, i] = ours.due[: since + lag, i]
        self._weather = dataclasses.replace(
            ours,
            packed=torch.cat((ours.packed[:since], theirs.packed[since:])),
            told=torch.cat((ours.told[: since + 1], theirs.told[since + 1 :])),
            due=due,
            outlook=torch.cat((ours.outlook[:since], theirs.outlook[since:])),
        )
        self.episodes.append(Episode())

    def twin(self):
        other = super().twin()
        other.episodes = [Episode()]
        return other

    def step(self, actions):
        now = self.episodes[-1]
        now.played.append({agent: value.clone() for agent, value in actions.items()})
        now.seen.append(self._features.clone())
        return super().step(actions)

    def future(self, horizon):
        shown = super().future(horizon)
        self.episodes[-1].foreseen.append(shown)
        return shown

    def differentiable(self):
        return Recording(self)


class Recording(CloudRollout):
    """The smooth cloud in the same weather, told of in the environment's episode."""

    def __init__(self, env):
        super().__init__(env.cloud, env.weather, env.cloud_state, env.step_index)
        self.episode = env.episodes[-1]

    def advance(self, actions, steps):
        told = {agent: value.detach().clone() for agent, value in actions.items()}
        self.episode.smooth += [told] * steps
        return super().advance(actions, steps)

    def future(self, horizon):
        shown = super().future(horizon)
        self.episode.foreseen.append(shown)
        return shown

    def fork(self):
        other = super().fork()
        other.episode = Episode()
        return other


@pytest.fixture(scope="module")
def reference():
    return make(num_envs=1, seed=0, scenario=SCENARIO, episode_steps=EPISODE).reference


def world(since, reference):
    """Environments whose weather changes at step `since`."""

    def make_env(num_envs, seed):
        env = make(
            num_envs=num_envs, seed=seed, scenario=SCENARIO, episode_steps=EPISODE,
            reference=reference,
        )  # fmt: skip
        changed = Changed(env.cloud, env.generator, num_envs, EPISODE, seed)
        changed.since = since
        return changed

    return make_env


def config_of(name, horizon=HORIZON):
    learner = learner_named(name)
    if isinstance(learner, FirstOrderConfig):
        learner = learner.model_copy(update={"window": 2})
    return TrainConfig(
        epochs=4, epoch_steps=EPISODE, hold_steps=HOLD, num_envs=4, evaluate_envs=4,
        updates_per_step=2, batch_size=8, critic_horizon=horizon,
    ).model_copy(update={"learner": learner})  # fmt: skip


def both(name, since, reference, call, state=None):
    """What `call(trainer)` returns in the world as ever and in the changed one; the trainers."""
    kept, trainers = [], []
    for when in (EPISODE, since):
        trainer = build_trainer(config_of(name), world(when, reference), START)
        if state is not None:
            trainer.load_state_dict(copy.deepcopy(state))
        kept.append(call(trainer))
        trainers.append(trainer)
    return kept, trainers


def is_same(ours, theirs):
    return all(torch.equal(ours[agent], theirs[agent]) for agent in ours)


@pytest.mark.parametrize("name", learner_names())
def test_what_comes_after_the_last_decision_changes_no_action_but_what_critics_see(name, reference):
    """The first epoch, exploration included: all decisions come before the worlds part."""

    def epoch(trainer):
        trainer.run_epoch()
        return trainer.env.whole

    (ours, theirs), (one, two) = both(name, LAST + 1, reference, epoch)
    assert all(is_same(a, b) for a, b in zip(ours.decided, theirs.decided, strict=True))
    for key, value in one.learner.policy().norm.state_dict().items():
        assert torch.equal(value, two.learner.policy().norm.state_dict()[key]), key
    small = build_trainer(config_of(name, 0), world(EPISODE, reference), START)
    has_central_critic = small.spec.state_size > 0
    assert one.spec.state_size - small.spec.state_size == 5 * HORIZON * has_central_critic
    assert one.spec.obs_sizes == small.spec.obs_sizes
    if has_central_critic:
        assert not is_same(*(dict(enumerate(one.foreseen)) for one in (ours, theirs)))
        norms = [trainer.learner.state_norm.mean for trainer in (one, two)]
        assert not torch.equal(*norms)


@pytest.mark.parametrize("name", learner_names())
def test_a_trained_policy_decides_by_the_present_alone(name, reference):
    trainer = build_trainer(config_of(name), world(EPISODE, reference), START)
    for _ in range(3):
        trainer.run_epoch()
    since = HOLD + 1  # within the second decision

    def judge(trainer):
        trainer.held_in_rewards()
        return trainer.held_in_env.whole

    (ours, theirs), _ = both(name, since, reference, judge, trainer.state_dict())
    for t in range(EPISODE):
        # Once they see another world, actors of continuous knobs decide otherwise; a best choice
        # among moves may well stay the best.
        if t < 2 * HOLD or not isinstance(trainer, DiscreteTrainer):
            assert is_same(ours.played[t], theirs.played[t]) == (t < 2 * HOLD), t
        assert torch.equal(ours.seen[t], theirs.seen[t]) == (t <= since), t
