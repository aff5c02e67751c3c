"""Training: tracked, repeatable, resumed bit for bit after a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from marl.train.checkpoint import CheckpointError
from marl.train.loop import train
from marl.train.policy_file import load_policy_file
from marl.train.result import POLICY_NAME
from marl.train.trainer import Trainer
from tests.learning.lq_team import LqTeam
from tests.unit.marl.train.conftest import BASELINE, Log, is_equal, make_env, small_config

REPO = Path(__file__).resolve().parents[4]


def test_trains_tracks_and_is_not_done_twice(tmp_path, config):
    log, lines = Log(), []
    result = train(config, make_env, BASELINE, tmp_path, tracker=log, progress=lines.append)
    summary = result.summary
    assert summary.env_steps == 6 * 25 * 8
    assert summary.updates == 5 * 25
    assert [point.epoch for point in summary.curve] == [0, 2, 4, 6]
    # The first policy is the baseline, up to the near-zero last layer.
    assert abs(summary.curve[0].gain) < 1e-3
    assert summary.best.reward == max(point.reward for point in summary.curve)
    assert [step for step, _ in log.metrics] == [200 * epoch for epoch in range(1, 7)]
    assert {"reward", "critic_loss", "actor_loss", "reward/controller_1"} <= set(log.metrics[-1][1])
    assert log.started[0][1]["learner.name"] == "maddpg"
    assert (log.finished, log.files) == ([True], [result.policy_path])
    assert any("epoch 6 of 6" in line for line in lines)
    card = load_policy_file(result.policy_path).card
    assert card.env_steps == summary.best.env_steps
    assert card.training["gamma"] == config.gamma

    again = train(config, _no_env, BASELINE, tmp_path, progress=lines.append)
    assert again.is_from_store
    assert again.summary == summary
    assert "finished before" in lines[-1]


def _no_env(num_envs, seed):
    raise AssertionError("a finished training must not be done again")


@pytest.mark.parametrize("change", ["config", "baseline", "inputs", "policy"])
def test_what_changes_the_result_is_trained_again(tmp_path, config, change):
    first = train(config, make_env, BASELINE, tmp_path)
    inputs = ""
    baseline = BASELINE
    if change == "config":
        config = config.model_copy(update={"gamma": 0.9})
    elif change == "baseline":
        baseline = {**BASELINE, "controller_0": [0.2]}
    elif change == "inputs":
        inputs = "another trace"
    else:
        first.policy_path.write_bytes(b"damaged")
    second = train(config, make_env, baseline, tmp_path, inputs_hash=inputs)
    assert not second.is_from_store
    load_policy_file(second.policy_path)


def test_same_seed_same_bytes_and_another_seed_another_policy(tmp_path, config):
    one = train(config, make_env, BASELINE, tmp_path / "one")
    torch.manual_seed(123)  # the global state is nobody's business
    two = train(config, make_env, BASELINE, tmp_path / "two")
    assert one.policy_path.read_bytes() == two.policy_path.read_bytes()
    assert one.summary == two.summary
    other = train(config.model_copy(update={"seed": 1}), make_env, BASELINE, tmp_path)
    assert other.summary.policy_sha256 != one.summary.policy_sha256


KILLED = """
import os, signal, sys
from pathlib import Path
from marl.train import loop, trainer
from tests.unit.marl.train.conftest import BASELINE, make_env, small_config
mode, folder = sys.argv[1], Path(sys.argv[2])
if mode == "epoch":      # in the middle of the fifth epoch, after the second checkpoint
    run = trainer.Trainer.run_epoch
    def run_epoch(self):
        if self.epoch == 4:
            self._learn(0.5)
            os.kill(os.getpid(), signal.SIGKILL)
        return run(self)
    trainer.Trainer.run_epoch = run_epoch
if mode == "checkpoint":  # while the second checkpoint is being written
    import torch
    save, count = torch.save, []
    def killing_save(value, path):
        count.append(1)
        save(value, path)
        if len(count) == 2:
            with open(path, "r+b") as file:
                file.truncate(1000)
            os.kill(os.getpid(), signal.SIGKILL)
    torch.save = killing_save
loop.train(small_config(), make_env, BASELINE, folder)
"""


@pytest.mark.parametrize("mode", ["epoch", "checkpoint"])
def test_killed_training_continues_to_the_same_bits(tmp_path, mode):
    config = small_config()
    whole = train(config, make_env, BASELINE, tmp_path / "whole")
    process = subprocess.run(
        [sys.executable, "-c", KILLED, mode, str(tmp_path / "killed")],
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stderr=subprocess.PIPE,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    assert not list((tmp_path / "killed").glob("*/result.json"))
    lines = []
    log = Log()
    resumed = train(
        config, make_env, BASELINE, tmp_path / "killed", tracker=log, progress=lines.append
    )
    assert f"continues after epoch {4 if mode == 'epoch' else 2} of 6" in lines[0]
    assert resumed.policy_path.read_bytes() == whole.policy_path.read_bytes()
    assert resumed.summary == whole.summary
    left = sorted(path.name for path in resumed.policy_path.parent.iterdir())
    assert left == [POLICY_NAME, "result.json", "snapshots", "tracking.json"]


def test_final_learner_state_is_bit_equal_after_a_resume(config):
    whole = Trainer(config, make_env, BASELINE)
    for _ in range(4):
        whole.run_epoch()
    half = Trainer(config, make_env, BASELINE)
    for _ in range(2):
        half.run_epoch()
    other = Trainer(config, make_env, BASELINE)
    other.load_state_dict(half.state_dict())
    for _ in range(2):
        other.run_epoch()
    assert is_equal(whole.state_dict(), other.state_dict())


@pytest.mark.parametrize("kind", ["damaged", "other"])
def test_a_checkpoint_that_does_not_fit_is_refused_with_the_remedy(tmp_path, kind):
    config = small_config()
    trained = train(config, make_env, BASELINE, tmp_path)
    folder = trained.policy_path.parent
    (folder / "result.json").unlink()
    if kind == "damaged":
        (folder / "checkpoint.pt").write_bytes(b"\x80\x04 not a checkpoint")
    else:
        torch.save({"format": 1, "fingerprint": "x" * 64, "state": {}}, folder / "checkpoint.pt")
    with pytest.raises(CheckpointError, match=r"delete .*checkpoint\.pt"):
        train(config, make_env, BASELINE, tmp_path)


def test_nonsense_settings_are_refused_with_both_numbers():
    with pytest.raises(ValueError, match="capacity 20 holds no window of 3 steps of 8 clouds"):
        small_config(capacity=20)
    with pytest.raises(ValueError, match="hold no window"):
        small_config(epoch_steps=3)
    with pytest.raises(ValueError, match="Extra inputs"):
        small_config(gama=0.9)


def test_threads_are_given_back(tmp_path, config):
    torch.set_num_threads(2)
    train(config, make_env, BASELINE, tmp_path)
    assert torch.get_num_threads() == 2


def test_bar_is_bounded_by_steps_not_by_time(tmp_path, config):
    slow = []

    class Slow(LqTeam):
        def reset(self, seed=None):
            slow.append(seed)
            time.sleep(0.001)
            return super().reset(seed)

    result = train(config, lambda n, seed: Slow(n, seed), BASELINE, tmp_path / "slow")
    quick = train(config, make_env, BASELINE, tmp_path / "quick")
    assert slow
    assert result.summary == quick.summary
