"""The curve keeps the best policy; a run without a new best for long ends early."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from marl.train.curriculum import CurriculumConfig
from marl.train.held_in import DivergenceError
from marl.train.loop import train
from marl.train.record import Record
from tests.unit.marl.train.conftest import BASELINE, make_env, small_config


class Told:
    """A trainer whose evaluations are told beforehand."""

    def __init__(self, rewards):
        self.rewards, self.epoch, self.env_steps = list(rewards), 0, 0
        self.actor = nn.Linear(1, 1)
        self.learner = SimpleNamespace(policy=lambda: self.actor)

    def held_in_rewards(self, *, is_baseline=False):
        if is_baseline:
            return torch.tensor([-1.0, -2.0])
        self.actor.weight.data.fill_(float(self.epoch))
        self.epoch += 1
        return self.rewards[self.epoch - 1] + torch.tensor([0.1, -0.1])


def test_the_best_is_kept_and_evaluations_since_are_counted():
    trainer = Told([-1.5, -1.2, -1.3, -1.25, -1.1, -1.4])
    record = Record(trainer)
    stale = []
    for _ in range(6):
        record.evaluate(trainer)
        stale.append(record.stale)
    assert stale == [0, 0, 1, 2, 0, 1]
    assert record.curve[record.best].epoch == 5
    assert float(record.best_actor["weight"]) == 4.0
    # By hand: gains -1.4 + 1 and -1.6 + 2, mean 0, deviation .4 √2.
    assert record.curve[0].gain == pytest.approx(0.0, abs=1e-6)
    assert record.curve[0].gain_se == pytest.approx(0.4, rel=1e-5)
    other = Record(trainer)
    other.load_state_dict(record.state_dict())
    assert other.state_dict() == record.state_dict()


def test_evaluations_that_do_not_count_lose_no_patience():
    trainer = Told([-1.0, -1.5, -1.5])
    record = Record(trainer)
    record.evaluate(trainer)
    record.evaluate(trainer, is_counted=False)
    assert record.stale == 0
    record.evaluate(trainer)
    assert record.stale == 1


def test_what_is_not_a_number_is_no_point():
    trainer = Told([float("nan")])
    with pytest.raises(DivergenceError, match="held-in gain, held-in reward"):
        Record(trainer).evaluate(trainer)


def test_a_run_ends_when_its_patience_does_and_resumes_as_it_was(tmp_path):
    """Actors that do not move never bring a new best after the first."""
    frozen = small_config().learner.model_copy(update={"actor_warmup": 10**6})
    config = small_config(learner=frozen, patience=2, evaluate_every=1, is_relative=False)
    lines = []
    result = train(config, make_env, BASELINE, tmp_path, progress=lines.append)
    summary = result.summary
    assert summary.is_stopped_early
    assert len(summary.curve) - 1 - summary.curve.index(summary.best) == 2
    assert summary.curve[-1].epoch < config.epochs
    assert summary.env_steps == 200 * summary.curve[-1].epoch
    assert "no new best in 2 evaluations, ended early" in lines[-1]
    endless = train(
        config.model_copy(update={"patience": None}), make_env, BASELINE, tmp_path
    ).summary
    assert not endless.is_stopped_early
    assert endless.curve[: len(summary.curve)] == summary.curve
    assert endless.curve[-1].epoch == 6


def test_while_a_curriculum_climbs_patience_is_not_lost(tmp_path):
    frozen = small_config().learner.model_copy(update={"actor_warmup": 10**6})
    climb = CurriculumConfig(least_gain=10.0, max_epochs=3, replayed=1)  # never passed: 3 + 3
    config = small_config(
        learner=frozen, patience=1, evaluate_every=1, curriculum=climb, epochs=12, is_relative=False
    )
    stages = {"one": make_env, "two": lambda n, seed: make_env(n, seed)}
    summary = train(config, make_env, BASELINE, tmp_path, stages=stages).summary
    assert summary.is_stopped_early
    assert summary.curve[-1].epoch >= 7
