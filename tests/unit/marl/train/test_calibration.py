"""Calibration finds what a trained actor's outputs are worth, in weather that candidates share."""

import pytest
import torch
from torch import nn

from marl.algos.qmix import QmixConfig
from marl.nets.actor import TeamActor
from marl.nets.config import NetConfig
from marl.train.calibration import CalibrationConfig, calibrate
from marl.train.config import TrainConfig
from marl.train.env import team_spec
from marl.train.loop import train
from marl.train.policy_file import load_policy_file
from marl.train.trainer import Trainer
from marl.train.warm_start import start_from
from tests.unit.marl.train.conftest import BASELINE, Log, make_env, small_config
from tests.unit.marl.train.signs import AGENTS, REACH, STEPS, Signs

OFFSET = 0.2
SMALL = CalibrationConfig(generations=4, candidates=8, episodes=4)


class Offset(Signs):
    """Every agent should play 0.3 z + 0.2, for whatever number z it sees."""

    def misses(self, actions):
        return [(actions[a][:, 0] - REACH * self.z[self.t] - OFFSET).square() for a in AGENTS]

    def copies(self, count):
        other = Offset(count * self.num_envs, 0)
        weather = self.z.repeat(1, count)

        def again(seed=None):
            other.z, other.t = weather, 0
            return other.obs()

        other.reset = again
        again()
        return other


class Reads(nn.Module):
    """Says the number it sees, so that the residual is its tanh."""

    def begin(self, rows):
        return None

    def step(self, seen, memory):
        return seen[..., 1:2], memory


def reading_actor():
    spec = team_spec(Offset(1, 0), 0)
    actor = TeamActor(
        spec.obs_sizes,
        torch.zeros(2, 1),
        bound=1.0,
        net=NetConfig(hidden=(4,)),
        generator=torch.Generator(),
    )
    actor.net = Reads()
    return actor, spec


def settings(**changes):
    return small_config(epoch_steps=STEPS, **changes)


def run(actor, spec, config, search, make=Offset):
    return list(calibrate(actor, spec, make, config, search, lambda told: None))


def test_finds_the_gain_and_the_shift_that_are_best():
    actor, spec = reading_actor()
    search = CalibrationConfig(generations=60, candidates=24, episodes=48)
    figures = run(actor, spec, settings(), search)
    # argmin_g E (0.3 z - g tanh z)² of a standard normal z, by quadrature.
    z = torch.linspace(-8, 8, 20_001, dtype=torch.float64)
    density = torch.exp(-(z**2) / 2)
    best = REACH * (density * z * z.tanh()).sum() / (density * z.tanh() ** 2).sum()
    assert actor.gain.flatten().tolist() == pytest.approx([float(best)] * 2, abs=0.06)
    assert actor.shift.flatten().tolist() == pytest.approx([OFFSET] * 2, abs=0.03)
    assert figures[-1]["calibration/reward"] > figures[0]["calibration/reward"] / 20


def test_candidates_of_a_generation_meet_the_same_weather():
    actor, spec = reading_actor()
    still = SMALL.model_copy(update={"gain_step": 0.0, "shift_step": 0.0})
    figures = run(actor, spec, settings(), still)
    assert all(one["calibration/spread"] == pytest.approx(0.0, abs=1e-9) for one in figures)
    # ... and each generation weather of its own.
    assert len({one["calibration/reward"] for one in figures}) == len(figures)
    assert actor.gain.eq(1).all()
    assert actor.shift.eq(0).all()


def test_same_seed_same_calibration_and_another_seed_another():
    found = []
    for seed in (0, 0, 1):
        actor, spec = reading_actor()
        run(actor, spec, settings(seed=seed), SMALL)
        found.append(torch.stack((actor.gain, actor.shift)))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_a_world_that_cannot_be_copied_is_refused_by_name():
    actor, spec = reading_actor()
    with pytest.raises(ValueError, match="Signs has none of: give it `copies`"):
        run(actor, spec, settings(), SMALL, Signs)


@pytest.mark.parametrize(
    "learner",
    [QmixConfig(), {"name": "maddpg", "is_discrete": True}],
    ids=["qmix", "discrete maddpg"],
)
def test_learners_that_choose_have_nothing_to_calibrate(learner):
    with pytest.raises(ValueError, match="leave it out"):
        TrainConfig(learner=learner, calibration=SMALL)


def test_a_run_is_calibrated_at_its_end_and_never_below_what_was_trained(tmp_path):
    log, lines = Log(), []
    # The baseline is not the best constant: there is something to find.
    search = CalibrationConfig(generations=12, candidates=12, episodes=16)
    config = small_config(calibration=search)
    plain = train(small_config(), make_env, BASELINE, tmp_path)
    result = train(config, make_env, BASELINE, tmp_path, tracker=log, progress=lines.append)
    assert result.summary.curve[:-1] == plain.summary.curve
    last = result.summary.curve[-1]
    assert last.env_steps == plain.summary.env_steps + search.env_steps(config.epoch_steps)
    assert last.env_steps == result.summary.env_steps == log.metrics[-1][0]
    assert result.summary.best.reward > plain.summary.best.reward
    assert result.summary.best == last
    actor = load_policy_file(result.policy_path).actor
    assert not actor.shift.eq(0).all()
    assert actor.shift[0, 1] == 0  # the padding of the agent that has one knob
    assert any("calibrated: held-in gain" in line for line in lines)


def test_a_run_that_ends_early_says_so_though_calibration_brings_a_new_best(tmp_path):
    lines = []
    search = CalibrationConfig(generations=12, candidates=12, episodes=16)
    learner = small_config().learner.model_copy(update={"actor_lr": 1e-12})  # learns nothing
    config = small_config(calibration=search, patience=1, epochs=40, learner=learner)
    result = train(config, make_env, BASELINE, tmp_path, progress=lines.append)
    assert result.summary.is_stopped_early
    assert result.summary.best == result.summary.curve[-1]
    assert any("ended early" in line for line in lines)


def test_a_calibration_that_does_harm_is_not_kept(tmp_path):
    # One generation of wild steps: the mean of two random settings.
    wild = CalibrationConfig(
        generations=1, candidates=8, episodes=1, gain_step=0.0, shift_step=20.0, share=1.0
    )
    result = train(small_config(calibration=wild), make_env, BASELINE, tmp_path)
    assert result.summary.curve[-1].reward < result.summary.best.reward
    assert load_policy_file(result.policy_path).actor.shift.eq(0).all()


def test_killed_while_it_calibrates_a_run_ends_in_the_same_bytes(tmp_path, monkeypatch):
    config = small_config(calibration=SMALL)
    whole = train(config, make_env, BASELINE, tmp_path / "whole")
    played = []

    def killed(steps, metrics):
        played.append(metrics)
        if "calibration/reward" in metrics and len(played) > config.epochs + 2:
            raise KeyboardInterrupt

    log = Log()
    monkeypatch.setattr(log, "log", killed)
    with pytest.raises(KeyboardInterrupt):
        train(config, make_env, BASELINE, tmp_path / "killed", tracker=log)
    again = train(config, make_env, BASELINE, tmp_path / "killed")
    assert not again.is_from_store
    assert again.policy_path.read_bytes() == whole.policy_path.read_bytes()
    assert again.summary == whole.summary


def test_a_pupil_begins_as_its_teacher_was_calibrated(tmp_path):
    taught = train(small_config(calibration=SMALL), make_env, BASELINE, tmp_path)
    teacher = load_policy_file(taught.policy_path).actor
    pupil = Trainer(small_config(), make_env, BASELINE)
    start_from(pupil, BASELINE, taught.policy_path)
    assert torch.equal(pupil.learner.actor.shift, teacher.shift)
    assert torch.equal(pupil.learner.actor.gain, teacher.gain)
    assert torch.equal(pupil.held_in_rewards(is_baseline=True), _rule())


def _rule():
    return Trainer(small_config(), make_env, BASELINE).held_in_rewards(is_baseline=True)
