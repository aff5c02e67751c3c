"""A small training run on the linear-quadratic team."""

import pytest
import torch

from marl.algos.maddpg import MaddpgConfig
from marl.nets.config import NetConfig
from marl.train.config import TrainConfig
from tests.learning.lq_team import LqTeam

BASELINE = {"controller_0": [0.1], "controller_1": [0.1, 0.0]}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def config():
    return small_config()


def small_config(**settings):
    defaults = {
        "learner": MaddpgConfig(net=NetConfig(hidden=(16,)), actor_warmup=10, actor_lr=1e-3),
        "epochs": 6,
        "epoch_steps": 25,
        "hold_steps": 1,
        "critic_horizon": 0,
        "updates_per_step": 1,
        "num_envs": 8,
        "batch_size": 32,
        "n_step": 3,
        "capacity": 500,  # smaller than what is collected: the ring wraps
        "evaluate_every": 2,
        "evaluate_envs": 16,
        "checkpoint_every": 2,
    }
    return TrainConfig(**{**defaults, **settings})


def make_env(num_envs, seed):
    return LqTeam(num_envs, seed)
