"""A sparse goal task is solved with hindsight and not without, on every seed."""

import pytest
import torch

from marl.algos.maddpg import MaddpgConfig
from marl.replay.hindsight import HindsightConfig
from marl.train.config import TrainConfig
from marl.train.trainer import Trainer
from tests.learning.reach import STEP, Reach, success

STILL = {"first": [0.0, 0.0], "second": [0.0, 0.0]}


def trained(hindsight, seed):
    torch.set_num_threads(1)
    config = TrainConfig(
        learner=MaddpgConfig(
            residual_bound=1.0, actor_lr=2e-3, tau=0.03, actor_warmup=100, action_gain=1.0,
            actor_noise=0.1,
        ),
        seed=seed, epochs=25, epoch_steps=10, num_envs=64, warmup_epochs=2, batch_size=256,
        gamma=0.9, hold_steps=1, critic_horizon=0, updates_per_step=5, is_relative=False,
        noise="gaussian", noise_sigma=0.5, noise_sigma_end=0.2, hindsight=hindsight,
        capacity=30_000, evaluate_envs=64,
    )  # fmt: skip
    trainer = Trainer(config, lambda n, s: Reach(n, s), STILL)
    for _ in range(config.epochs):
        trainer.run_epoch()
    spec, actor = trainer.spec, trainer.learner.policy()
    return success(
        lambda obs: spec.unpack_actions(actor.action(trainer.learner.act(spec.pack_obs(obs))))
    )


def test_the_known_levels():
    def straight(obs):
        gap = {a: x[:, 2 + 2 * i :][:, :2] - x[:, :2] for i, (a, x) in enumerate(obs.items())}
        return {a: (g / STEP).clamp(-1, 1) for a, g in gap.items()}

    assert success(straight) == 1.0
    still = success(lambda obs: {a: torch.zeros(len(x), 2) for a, x in obs.items()})
    assert still < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "seed"), [("future", 0), ("future", 1), ("future", 2), ("final", 0)]
)
def test_solved_with_hindsight(strategy, seed):
    assert trained(HindsightConfig(strategy=strategy), seed) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_not_solved_without(seed):
    assert trained(HindsightConfig(ratio=0.0), seed) < 0.1
