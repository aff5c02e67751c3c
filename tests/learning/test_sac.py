"""Soft actor-critics reach known optima: a linear-quadratic team, and a cue that must be kept."""

from dataclasses import replace

import pytest
import torch

from marl.algos.mappo import MappoConfig
from marl.algos.sac_config import SacConfig
from marl.nets.config import NetConfig
from marl.train.config import TrainConfig
from marl.train.trainer import Trainer
from marl.train.trainers import build_trainer
from tests.learning.lq_team import NOTHING, LqTeam, check_optimum
from tests.learning.network_tasks import Cue

SEEDS = pytest.mark.parametrize("seed", [0, 1, 2])


@pytest.mark.slow
@SEEDS
@pytest.mark.parametrize("name", ["sac", "isac", "ppo"])
def test_reaches_the_optimum(name, seed):
    torch.set_num_threads(1)
    if name == "ppo":
        learner = MappoConfig(
            name=name, residual_bound=1.0, actor_lr=2e-3, critic_lr=2e-3, passes=5, sigma=0.3,
            clip=0.4, value_clip=0,
        )  # fmt: skip
        settings = {"epochs": 60, "num_envs": 128}
    else:
        learner = SacConfig(
            name=name, residual_bound=1.0, actor_lr=2e-3, critic_lr=3e-3, tau=0.03,
            actor_warmup=200, action_gain=1.0, sigma=0.3, alpha=0.01, lr_end=0.02,
        )  # fmt: skip
        # Only what is recent is replayed: an independent learner takes the others for the world.
        settings = {"epochs": 90, "num_envs": 64, "batch_size": 256, "capacity": 8000}
    config = TrainConfig(
        learner=learner, seed=seed, epoch_steps=25, warmup_epochs=2, gamma=0.95, hold_steps=1,
        critic_horizon=0, updates_per_step=1, is_relative=False, evaluate_envs=16, **settings,
    )  # fmt: skip
    trainer = build_trainer(config, lambda n, s: LqTeam(n, s), NOTHING)
    for _ in range(config.epochs):
        trainer.run_epoch()
    check_optimum(trainer.spec, trainer.learner.policy())


class JudgedCue(Cue):
    """The same, and an episode is over for good when the answer is judged.

    Critics see what agents see, so that they must remember as well.
    """

    def state(self):
        return torch.cat(list(self.obs().values()), 1)

    def step(self, actions):
        step = super().step(actions)
        return replace(step, terminated=step.truncated, truncated=torch.zeros_like(step.truncated))


@pytest.mark.slow
@SEEDS
@pytest.mark.parametrize("name", ["sac_gru", "masac_gru", "sac"])
def test_only_a_memory_acts_on_a_cue_that_is_gone(name, seed):
    torch.set_num_threads(1)
    has_memory = name.endswith("_gru")
    # Two episodes an epoch and sequences of eight steps: most begin within an episode, so that
    # the warming up matters.
    learner = SacConfig(
        name=name, net=NetConfig(kind="gru" if has_memory else "mlp", hidden=(16,), memory=16),
        residual_bound=1.0, actor_lr=5e-3, critic_lr=1e-2, lr_end=0.02, tau=0.05, actor_warmup=50,
        action_gain=1.0, sigma=0.3, sigma_hidden=(), alpha=0.01, sequence=8, burn_in=3,
    )  # fmt: skip
    config = TrainConfig(
        learner=learner, seed=seed, epochs=70, epoch_steps=2 * Cue.steps, num_envs=128,
        batch_size=1024, gamma=0.95, hold_steps=1, critic_horizon=0, updates_per_step=1,
        is_relative=False, evaluate_envs=2000,
    )  # fmt: skip
    trainer = Trainer(config, JudgedCue, {"clerk": [0.0], "idle": [0.0]})
    for _ in range(config.epochs):
        trainer.run_epoch()
    reward = float(trainer.held_in_rewards().mean())
    if has_memory:
        assert reward > 0.2 * Cue.nothing  # the best is 0
    else:  # chance is the best that can be done
        assert reward < 0.95 * Cue.nothing
