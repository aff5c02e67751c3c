"""A curriculum in a run: promoted, nothing forgotten, resumed to the bit, whatever the trainer."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from marl.algos.first_order import FirstOrderConfig
from marl.algos.maddpg import MaddpgConfig
from marl.algos.mappo import MappoConfig
from marl.envs import make
from marl.evaluate.families import family
from marl.nets.config import NetConfig
from marl.train.climb import Climb
from marl.train.config import TrainConfig
from marl.train.curriculum import CurriculumConfig
from marl.train.held_in import HELD_IN_SEED
from marl.train.loop import train
from marl.train.policy_file import load_policy_file
from tests.unit.marl.train.conftest import Log
from tests.unit.marl.train.signs import BASELINE, MINUS, PLUS, REACH, STEPS

REPO = Path(__file__).resolve().parents[4]
STAGES = {"plus": PLUS, "minus": MINUS}
LEARNERS = {
    "apg": FirstOrderConfig(
        window=4, net=NetConfig(hidden=(16,)), actor_lr=3e-2, residual_bound=1.0
    ),
    "maddpg": MaddpgConfig(net=NetConfig(hidden=(16,)), actor_warmup=10, actor_lr=1e-3),
    "mappo": MappoConfig(net=NetConfig(hidden=(16,)), passes=2, minibatches=2),
}


def small_config(name="apg", curriculum=None, **settings):
    defaults = {
        "epochs": 8, "epoch_steps": STEPS, "hold_steps": 1, "num_envs": 20, "batch_size": 32,
        "updates_per_step": 2, "critic_horizon": 2, "evaluate_every": 1, "evaluate_envs": 16,
        "checkpoint_every": 2, "curriculum": curriculum,
    }  # fmt: skip
    return TrainConfig(**{**defaults, **settings}).model_copy(update={"learner": LEARNERS[name]})


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_any_trainer_climbs(tmp_path, name):
    curriculum = CurriculumConfig(evaluations=2, max_epochs=3, replayed=1)
    log, lines = Log(), []
    result = train(
        small_config(name, curriculum), MINUS, BASELINE, tmp_path,
        stages=STAGES, tracker=log, progress=lines.append,
    )  # fmt: skip
    assert result.summary.stage == "minus"
    places = [figures["curriculum/stage"] for _, figures in log.metrics]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (1, 2)
    assert 2 <= places.index(2) <= 3  # not before two evaluations, not after three epochs
    told = [line for line in lines if "stage 1 of 2, plus" in line]
    assert ", passed" in told[-1] or ", left" in told[-1]
    assert "curriculum/gain/plus" in log.metrics[-1][1]  # still judged, in turn
    assert result.summary.curve[-1].epoch == 8


def trained_by_apg(folder, curriculum, target):
    config = small_config("apg", curriculum, epochs=40, num_envs=64, checkpoint_every=100)
    stages = None if curriculum is None else STAGES
    result = train(config, target, BASELINE, folder, stages=stages)
    return load_policy_file(result.policy_path)


def miss(stored, make_env):
    """Mean squared miss per agent of a policy in one situation; REACH² = .09 for doing nothing."""
    env = make_env(256, 77)
    spec = stored.card.spec()
    with torch.no_grad():
        action = stored.actor.action(stored.actor(spec.pack_obs(env.obs())))
    return float(torch.stack(env.misses(spec.unpack_actions(action))).mean())


def test_what_was_learned_first_is_not_forgotten(tmp_path):
    curriculum = CurriculumConfig(least_gain=0.1, max_epochs=20, replayed=1)
    both = trained_by_apg(tmp_path / "both", curriculum, MINUS)
    assert miss(both, PLUS) < 0.2 * REACH**2
    assert miss(both, MINUS) < 0.2 * REACH**2
    # Who has seen the last stage alone does worse than nothing in the first.
    alone = trained_by_apg(tmp_path / "alone", None, MINUS)
    assert miss(alone, MINUS) < 0.2 * REACH**2
    assert miss(alone, PLUS) > REACH**2


KILLED = """
import os, signal, sys
from pathlib import Path
from marl.train import loop, run
from marl.train.curriculum import CurriculumConfig
from tests.unit.marl.train.test_climb import BASELINE, MINUS, STAGES, small_config
epoch = run.Run.epoch
def killing(self):
    if self.trainer.epoch == 5:
        self.trainer.run_epoch()
        os.kill(os.getpid(), signal.SIGKILL)
    return epoch(self)
run.Run.epoch = killing
config = small_config(sys.argv[1], CurriculumConfig(evaluations=2, max_epochs=3, replayed=1))
loop.train(config, MINUS, BASELINE, Path(sys.argv[2]), stages=STAGES)
"""


def test_killed_on_its_way_it_ends_with_the_same_bits(tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", KILLED, "maddpg", str(tmp_path / "killed")],
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stderr=subprocess.PIPE,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    config = small_config("maddpg", CurriculumConfig(evaluations=2, max_epochs=3, replayed=1))
    lines = []
    resumed = train(
        config, MINUS, BASELINE, tmp_path / "killed", stages=STAGES, progress=lines.append
    )
    assert "continues after epoch 4 of 8" in lines[0]
    assert not any("stage 1" in line for line in lines[1:])  # it knows where it stood
    whole = train(config, MINUS, BASELINE, tmp_path / "whole", stages=STAGES)
    assert resumed.summary == whole.summary
    assert resumed.policy_path.read_bytes() == whole.policy_path.read_bytes()


def test_held_in_environments_show_the_target_unless_a_stage_is_judged():
    climb = Climb(CurriculumConfig(replayed=1), PLUS, {"minus": MINUS, "plus": PLUS}, 20)
    held_in, training = climb.make_env(6, HELD_IN_SEED), climb.make_env(20, 3)
    assert held_in.reset(seed=HELD_IN_SEED)["one"][:, 0].unique().tolist() == [1]
    assert torch.equal(held_in.state(), PLUS(6, HELD_IN_SEED).state())
    assert training.parts == {"minus": 20}
    climb.curriculum.place = 1
    training.reset(seed=4)
    assert training.parts == {"plus": 14, "minus": 6}
    climb._judged = "minus"
    assert held_in.reset(seed=HELD_IN_SEED)["one"][:, 0].unique().tolist() == [-1]


def test_what_is_missing_or_too_small_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a curriculum needs stages"):
        train(small_config(curriculum=CurriculumConfig()), PLUS, BASELINE, tmp_path)
    with pytest.raises(ValueError, match="stages a curriculum"):
        train(small_config(), PLUS, BASELINE, tmp_path, stages=STAGES)
    with pytest.raises(ValueError, match="8 clouds cannot replay 3 earlier stages with 30%"):
        Climb(CurriculumConfig(), PLUS, STAGES, 8)


def test_the_cloud_itself_is_climbed(tmp_path):
    first = make(num_envs=1, seed=0, scenario="calm", episode_steps=24)

    def scenario(name):
        return lambda n, seed: make(
            num_envs=n, seed=seed, scenario=name, episode_steps=24, reference=first.reference
        )

    stages = {name: scenario(name) for name in ("calm", "batch_steady", "price_shock")}
    config = TrainConfig(
        learner=FirstOrderConfig(window=2),
        epochs=4, epoch_steps=24, num_envs=16, evaluate_envs=8, evaluate_every=1,
        curriculum=CurriculumConfig(least_gain=-1.0, replayed=2, replay_share=0.4),
    )  # fmt: skip
    log = Log()
    result = train(
        config, scenario("mixed"), family("reactive").start, tmp_path,
        stages=stages, tracker=log,
    )  # fmt: skip
    assert result.summary.stage == "price_shock"
    assert [figures["curriculum/stage"] for _, figures in log.metrics] == [1, 2, 3, 3]
    assert all(figures["reward_cost"] < 0 for _, figures in log.metrics)
    load_policy_file(result.policy_path)
