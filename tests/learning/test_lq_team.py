"""The learners reach a known optimum: a linear-quadratic team, within 5 % on every seed."""

import pytest
import torch

from marl.algos.maddpg import MaddpgConfig
from marl.nets.config import NetConfig
from marl.train.config import TrainConfig
from marl.train.loop import train
from marl.train.policy_file import load_policy_file
from tests.learning.lq_team import NOTHING, LqTeam, check_optimum, linear, mean_reward, optimal_gain


def test_the_closed_form_is_the_best_linear_policy():
    best = optimal_gain()
    rewards = {factor: mean_reward(linear(factor * best)) for factor in (0.6, 0.8, 1, 1.2, 1.4)}
    assert max(rewards, key=rewards.get) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("name", "is_team", "net"),
    [
        ("maddpg", True, {}),
        ("matd3", True, {}),
        ("maddpg", False, {}),
        (
            "maddpg",
            True,
            {"critic": "attention", "net": NetConfig(hidden=(32,), token=16, heads=2)},
        ),
    ],
)
def test_reaches_the_optimum(name, is_team, net, seed, tmp_path):
    torch.set_num_threads(1)
    config = TrainConfig(
        learner=MaddpgConfig(
            name=name, is_team=is_team, residual_bound=1.0, actor_lr=1e-3, tau=0.01,
            actor_warmup=200, action_gain=1.0, **net,
        ),
        seed=seed, epochs=60, epoch_steps=25, num_envs=64, warmup_epochs=2, batch_size=128,
        gamma=0.95, n_step=1, hold_steps=1, critic_horizon=0, updates_per_step=1, is_relative=False,
        noise="gaussian", noise_sigma=0.5, noise_sigma_end=0.2,
        evaluate_every=10, evaluate_envs=256, checkpoint_every=100,
    )  # fmt: skip
    result = train(config, lambda n, s: LqTeam(n, s), NOTHING, tmp_path)
    stored = load_policy_file(result.policy_path)
    check_optimum(stored.card.spec(), stored.actor)
