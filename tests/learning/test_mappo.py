"""MAPPO and IPPO reach a known optimum: a linear-quadratic team, within 5 % on every seed."""

import pytest
import torch

from marl.algos.mappo import MappoConfig
from marl.train.config import TrainConfig
from marl.train.on_policy import OnPolicyTrainer
from tests.learning.lq_team import NOTHING, LqTeam, check_optimum


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", ["mappo", "ippo"])
def test_reaches_the_optimum(name, seed):
    torch.set_num_threads(1)
    learner = MappoConfig(
        name=name, residual_bound=1.0, actor_lr=2e-3, critic_lr=2e-3, passes=5, sigma=0.3
    )
    config = TrainConfig(
        learner=learner, seed=seed, epochs=60, epoch_steps=25, num_envs=128, hold_steps=1,
        critic_horizon=0, gamma=0.95, is_relative=False, evaluate_envs=16,
    )  # fmt: skip
    trainer = OnPolicyTrainer(config, lambda n, s: LqTeam(n, s), NOTHING)
    for _ in range(config.epochs):
        trainer.run_epoch()
    check_optimum(trainer.spec, trainer.learner.policy())
