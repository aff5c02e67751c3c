"""Runs that diverge: noticed, set back with smaller steps, ended with a clear error."""

import math
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
from marl.nets.config import NetConfig
from marl.train.held_in import DivergenceError, refuse_divergence
from marl.train.loop import train
from marl.train.run import slowed
from marl.train.trainer import Trainer
from tests.learning.lq_team import LqTeam
from tests.unit.marl.train.conftest import BASELINE, Log, make_env, small_config

REPO = Path(__file__).resolve().parents[4]


class Poisoned(LqTeam):
    """A reward that is not a number: in the training clouds, from the `first`-th reset on."""

    first = 0

    def reset(self, seed=None):
        self.resets = getattr(self, "resets", 0) + 1
        return super().reset(seed)

    def step(self, actions):
        step = super().step(actions)
        if self.t == 20 and self.num_envs == 8 and self.resets >= self.first:
            step.reward["controller_1"] = step.reward["controller_1"] * math.nan
        return step


def test_a_number_that_is_not_finite_ends_the_run_after_its_retries_and_says_where(tmp_path):
    log, lines = Log(), []
    with pytest.raises(DivergenceError, match=r"epoch 1 .*reward/controller_1.*after 2 retries"):
        train(
            small_config(),
            lambda n, seed: Poisoned(n, seed),
            BASELINE,
            tmp_path,
            tracker=log,
            progress=lines.append,
        )
    assert log.finished == [False]
    assert log.rewound == [0, 0]
    assert list(log.notes) == ["divergence_1", "divergence_2"]
    assert "back to epoch 0, step sizes × 0.09" in lines[-1]
    assert not list(tmp_path.glob("*/result.json"))


def test_without_retries_the_first_one_ends_it(tmp_path):
    with pytest.raises(DivergenceError, match=r"epoch 1 .*after 0 retries"):
        train(small_config(retries=0), lambda n, s: Poisoned(n, s), BASELINE, tmp_path)


def test_a_poisoned_evaluation_is_no_result(tmp_path):
    class Everywhere(Poisoned):
        def step(self, actions):
            step = super().step(actions)
            return type(step)(
                step.obs,
                {agent: reward * math.nan for agent, reward in step.reward.items()},
                step.terminated,
                step.truncated,
            )

    with pytest.raises(DivergenceError, match="not finite after epoch 0: held-in gain"):
        train(small_config(), lambda n, seed: Everywhere(n, seed), BASELINE, tmp_path)


def poison_once(monkeypatch, epoch):
    """The learner's weights are lost once, in that epoch, where step sizes are still full."""
    run_epoch = Trainer.run_epoch

    def poisoned(self):
        if self.epoch == epoch and self.config.learner.actor_lr == 1e-3:
            self.learner.actor.net.mlp.weights[0].data[0, 0, 0] = math.nan
        return run_epoch(self)

    monkeypatch.setattr(Trainer, "run_epoch", poisoned)


@pytest.mark.parametrize(("epoch", "back"), [(1, 0), (4, 4), (5, 4)])
def test_a_run_is_set_back_to_its_last_checkpoint_and_ends_well(tmp_path, monkeypatch, epoch, back):
    poison_once(monkeypatch, epoch)
    log, lines = Log(), []
    result = train(small_config(), make_env, BASELINE, tmp_path, tracker=log, progress=lines.append)
    assert result.summary.retries == 1
    assert [point.epoch for point in result.summary.curve] == [0, 2, 4, 6]
    assert log.rewound == [200 * back]
    assert f"back to epoch {back}, step sizes × 0.3" in log.notes["divergence_1"]
    steps = [step for step, _ in log.metrics]
    assert steps == [200 * e for e in (*range(1, epoch + 1), *range(back + 1, 7))]
    assert sum("step sizes" in line for line in lines) == 1
    left = sorted(path.name for path in result.policy_path.parent.iterdir())
    assert left == ["policy.safetensors", "result.json", "snapshots", "tracking.json"]
    # The file says what was configured; that the run went back is in its summary.
    from marl.train.policy_file import load_policy_file

    assert load_policy_file(result.policy_path).card.training["learner"]["actor_lr"] == 1e-3


KILLED = """
import os, signal, sys
from pathlib import Path
import pytest
from marl.train import loop, trainer
from tests.unit.marl.train.conftest import BASELINE, make_env, small_config
from tests.unit.marl.train.test_divergence import poison_once
poison_once(pytest.MonkeyPatch(), 3)
poisoned = trainer.Trainer.run_epoch
def run_epoch(self):
    if self.config.learner.actor_lr < 1e-3:  # it has just been set back
        os.kill(os.getpid(), signal.SIGKILL)
    return poisoned(self)
trainer.Trainer.run_epoch = run_epoch
loop.train(small_config(), make_env, BASELINE, Path(sys.argv[1]))
"""


def test_killed_after_it_was_set_back_a_run_ends_with_the_same_bits(tmp_path, monkeypatch):
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "killed")],
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stderr=subprocess.PIPE,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    # Nothing is poisoned now: had the kill forgotten the retry, the steps would be full again.
    lines = []
    resumed = train(small_config(), make_env, BASELINE, tmp_path / "killed", progress=lines.append)
    assert "continues after epoch 2 of 6" in lines[0]
    poison_once(monkeypatch, 3)
    whole = train(small_config(), make_env, BASELINE, tmp_path / "whole")
    assert resumed.summary == whole.summary
    assert resumed.policy_path.read_bytes() == whole.policy_path.read_bytes()


def test_a_learner_that_explodes_is_tamed_by_smaller_steps(tmp_path):
    """Without layer norm, and with critics that take steps of a thousand."""
    learner = MaddpgConfig(
        net=NetConfig(hidden=(16,), has_layer_norm=False),
        critic_lr=1e3,
        actor_warmup=10,
        grad_limit=1e9,
    )
    config = small_config(learner=learner, epochs=4, retries=2, retry_factor=1e-3)
    lines = []
    result = train(config, make_env, BASELINE, tmp_path, progress=lines.append)
    assert result.summary.retries >= 1
    assert any("exploded in epoch" in line or "not finite in epoch" in line for line in lines)
    assert all(abs(point.reward) < 10 for point in result.summary.curve)


def test_smaller_steps_are_all_the_learners_steps():
    config = small_config(retry_factor=0.5)
    assert slowed(config, 1.0) is config
    half = slowed(config, 0.5).learner
    assert (half.actor_lr, half.critic_lr) == (0.5e-3, 0.5e-3)
    assert half.lr_end == config.learner.lr_end
    for learner in (MappoConfig(), FirstOrderConfig(name="shac")):
        slow = slowed(config.model_copy(update={"learner": learner}), 0.1).learner
        assert slow.actor_lr == pytest.approx(0.1 * learner.actor_lr)
        assert slow.critic_lr == pytest.approx(0.1 * learner.critic_lr)


def test_what_counts_as_exploded():
    learner = Trainer(small_config(), make_env, BASELINE).learner
    refuse_divergence({"critic_loss": 1e7, "reward": -1e12}, learner, 1)  # rewards may be large
    with pytest.raises(DivergenceError, match=r"exploded in epoch 1 .*critic_loss 1\.0e\+09"):
        refuse_divergence({"critic_loss": 1e9}, learner, 1)
    learner.actor.net.mlp.biases[0].data[0] = torch.inf
    with pytest.raises(DivergenceError, match=r"not finite in epoch 1 .*mlp\.biases\.0"):
        refuse_divergence({}, learner, 1)
