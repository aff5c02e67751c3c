"""The learners reach a known optimum: a linear-quadratic team, within 5 % on every seed."""

import pytest
import torch

from marl.algos.maddpg import MaddpgConfig
from marl.nets.config import NetConfig
from marl.train.config import TrainConfig
from marl.train.loop import train
from marl.train.policy_file import load_policy_file
from tests.learning.lq_team import LqTeam, mean_reward, optimal_gain

NOTHING = {"controller_0": [0.0], "controller_1": [0.0, 0.0]}


def linear(gain):
    return lambda obs: {
        agent: (-gain * x[:, :1]).clamp(-1, 1).expand(-1, x.shape[1]) for agent, x in obs.items()
    }


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
    spec = stored.card.spec()

    def policy(obs):
        return spec.unpack_actions(stored.actor.action(stored.actor(spec.pack_obs(obs))))

    best = mean_reward(linear(optimal_gain()))
    assert mean_reward(policy) > best - 0.05 * abs(best)
    # It did learn: doing nothing is far worse.
    assert mean_reward(linear(0.0)) < 1.5 * best
