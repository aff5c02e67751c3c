"""Networks do what they are for: a transformer reads a list, a GRU remembers, an MLP does not."""

import pytest
import torch

from marl.algos.first_order import FirstOrderConfig
from marl.nets.config import NetConfig
from marl.nets.mlp import count_parameters
from marl.train.config import TrainConfig
from marl.train.first_order import FirstOrderTrainer
from tests.learning.network_tasks import Cue, UrgentList

TRANSFORMER = NetConfig(kind="transformer", hidden=(32,), token=16, heads=2, depth=1)
GRU = NetConfig(kind="gru", hidden=(16,), memory=16)


def trained(task, net, seed, epochs, num_envs):
    """APG's reward per step on held-in episodes, and the number of its actors' parameters."""
    torch.set_num_threads(1)
    learner = FirstOrderConfig(
        net=net, window=task.steps, discount="reward", actor_lr=0.01, lr_end=0.05
    )
    config = TrainConfig(
        learner=learner, seed=seed, epochs=epochs, epoch_steps=task.steps, hold_steps=1,
        num_envs=num_envs, evaluate_envs=2000, critic_horizon=0, is_relative=False, gamma=0.99,
    )  # fmt: skip
    trainer = FirstOrderTrainer(config, task, {"clerk": [0.0], "idle": [0.0]})
    while trainer.epoch < epochs:
        trainer.run_epoch()
    return float(trainer.held_in_rewards().mean()), count_parameters(trainer.learner.actor)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_only_a_transformer_acts_on_the_most_urgent_of_a_list(seed):
    by_transformer, size = trained(UrgentList, TRANSFORMER, seed, epochs=100, num_envs=192)
    by_mlp, mlp_size = trained(UrgentList, NetConfig(hidden=(48, 48)), seed, 100, 192)
    assert mlp_size > size
    assert by_transformer > 0.02 * UrgentList.nothing  # the best is 0
    assert by_mlp < 0.1 * UrgentList.nothing


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_only_a_memory_acts_on_a_cue_that_is_gone(seed):
    by_gru, _ = trained(Cue, GRU, seed, epochs=60, num_envs=128)
    by_mlp, _ = trained(Cue, NetConfig(hidden=(32, 32)), seed, epochs=60, num_envs=128)
    assert by_gru > 0.02 * Cue.nothing  # the best is 0
    assert by_mlp == pytest.approx(Cue.nothing, rel=0.05)
