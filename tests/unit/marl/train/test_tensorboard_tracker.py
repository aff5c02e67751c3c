"""TensorBoard's files, read back by TensorBoard's own reader."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from marl.train.loop import train
from marl.train.tensorboard_tracker import TensorBoardTracker
from tests.unit.marl.train.conftest import BASELINE, make_env, small_config
from tests.unit.marl.train.test_divergence import poison_once

REPO = Path(__file__).resolve().parents[4]


def scalars(folder):
    """Name → [(step, value)] of the only run below `folder`."""
    (run,) = folder.iterdir()
    reader = EventAccumulator(str(run), size_guidance={"scalars": 0, "tensors": 0})
    reader.Reload()
    figures = {
        name: [(one.step, one.value) for one in reader.Scalars(name)]
        for name in reader.Tags()["scalars"]
    }
    return run.name, figures, reader.Tags()["tensors"]


def test_a_run_is_there_figure_by_figure(tmp_path):
    tracker = TensorBoardTracker(tmp_path / "tensorboard")
    result = train(small_config(), make_env, BASELINE, tmp_path / "runs", tracker=tracker)
    name, figures, texts = scalars(tmp_path / "tensorboard")
    assert name == result.policy_path.parent.name
    every = [200 * epoch for epoch in range(1, 7)]
    for figure in (
        "reward",
        "reward/controller_0",
        "exploration/sigma",
        "speed/env_steps_per_s",
        "speed/updates_per_s",
        "resources/cpu_s",
        "resources/peak_rss_mib",
    ):
        assert [step for step, _ in figures[figure]] == every
    learning = every[1:]
    for figure in ("critic_loss", "actor_grad_norm", "actor_grad_norm/controller_1"):
        assert [step for step, _ in figures[figure]] == learning
    gains = [value for _, value in figures["held_in/gain"]]
    assert gains == pytest.approx([point.gain for point in result.summary.curve[1:]], rel=1e-6)
    assert texts == ["settings/text_summary"]


KILLED = """
import os, signal, sys
from pathlib import Path
from marl.train import loop, trainer
from marl.train.tensorboard_tracker import TensorBoardTracker
from tests.unit.marl.train.conftest import BASELINE, make_env, small_config
root = Path(sys.argv[1])
run = trainer.Trainer.run_epoch
def run_epoch(self):
    if self.epoch == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(self)
trainer.Trainer.run_epoch = run_epoch
tracker = TensorBoardTracker(root / "tensorboard")
loop.train(small_config(), make_env, BASELINE, root / "runs", tracker=tracker)
"""


def test_a_resumed_run_appends_and_doubles_nothing(tmp_path):
    """Killed in the sixth epoch, continued from the fourth: the fifth is told twice."""
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stderr=subprocess.PIPE,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    before = scalars(tmp_path / "tensorboard")[1]["reward"]
    assert [step for step, _ in before] == [200, 400, 600, 800, 1000]
    tracker = TensorBoardTracker(tmp_path / "tensorboard")
    train(small_config(), make_env, BASELINE, tmp_path / "runs", tracker=tracker)
    rewards = scalars(tmp_path / "tensorboard")[1]["reward"]
    assert [step for step, _ in rewards] == [200 * epoch for epoch in range(1, 7)]
    assert rewards[:5] == before


def test_a_run_that_went_back_shows_what_counted(tmp_path, monkeypatch):
    poison_once(monkeypatch, 5)
    tracker = TensorBoardTracker(tmp_path / "tensorboard")
    train(small_config(), make_env, BASELINE, tmp_path / "runs", tracker=tracker)
    _, figures, texts = scalars(tmp_path / "tensorboard")
    assert [step for step, _ in figures["reward"]] == [200 * epoch for epoch in range(1, 7)]
    assert "divergence_1/text_summary" in texts
