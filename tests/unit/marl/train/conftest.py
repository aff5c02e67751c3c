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


class Log:
    """A tracker that remembers everything it was told."""

    def __init__(self):
        self.started, self.metrics, self.finished, self.files = [], [], [], []
        self.rewound, self.notes = [], {}

    def start(self, name, params, run_id, step=0):
        self.started.append((name, dict(params), run_id))
        return run_id or "run-1"

    def log(self, step, metrics):
        self.metrics.append((step, dict(metrics)))

    def rewind(self, step):
        self.rewound.append(step)

    def note(self, key, text):
        self.notes[key] = text

    def artifact(self, path):
        self.files.append(path)

    def finish(self, is_complete):
        self.finished.append(is_complete)


def is_equal(a, b):
    """Whether two states are the same to the bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(is_equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(is_equal(x, y) for x, y in zip(a, b, strict=True))
    return a == b
