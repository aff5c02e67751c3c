"""First-order training: the smooth world is the environment's, windows, resumption, refusals."""

import copy

import pytest
import torch

from marl.algos.first_order import FirstOrderConfig
from marl.envs import make
from marl.envs.advance import exact
from marl.envs.rewards import RewardOptions
from marl.nets.config import NetConfig
from marl.train.config import TrainConfig
from marl.train.first_order import FirstOrderTrainer
from marl.train.held_in import DivergenceError
from marl.train.hold import held_step
from marl.train.smooth_rollout import CloudRollout, faded, rollout_of
from marl.train.trainer import Trainer
from tests.learning.lq_team import LqTeam


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def make_env(num_envs, seed):
    return make("provisioning", num_envs=num_envs, seed=seed, episode_steps=8)


def baseline():
    return {a: [0.1] * s.shape[0] for a, s in make_env(1, 0).action_spec.items()}


def small_config(learner=None, **settings):
    learner = learner or FirstOrderConfig(window=2, net=NetConfig(hidden=(8,)))
    defaults = {
        "epochs": 3, "epoch_steps": 8, "hold_steps": 2, "num_envs": 3, "evaluate_envs": 2,
        "warmup_epochs": 1, "critic_horizon": 2,
    }  # fmt: skip
    return TrainConfig(**{**defaults, **settings}).model_copy(update={"learner": learner})


def constant(env, value):
    return {a: torch.full((env.num_envs, s.shape[0]), value) for a, s in env.action_spec.items()}


def test_in_exact_rounding_the_rollout_is_the_environment():
    env = make_env(4, 7)
    env.reset()
    rollout = CloudRollout(env.cloud, env.weather, env.cloud_state, advance=exact)
    for value in (0.2, -0.3, 0.5):
        torch.testing.assert_close(rollout.obs(), env._observed(), rtol=0, atol=0)
        assert torch.equal(rollout.state(), env.state())
        assert torch.equal(rollout.future(2), env.future(2))
        earned = rollout.advance(constant(env, value), 2)
        told = held_step(env, constant(env, value), 2).reward
        torch.testing.assert_close(earned, torch.stack(list(told.values())).mean(0))
    assert rollout.future(0).shape == (4, 0)


def test_a_rollout_ends_with_its_episode():
    env = make_env(1, 0)
    env.reset()
    rollout = rollout_of(env)
    rollout.advance(constant(env, 0.0), 7)
    with pytest.raises(ValueError, match=r"7 \.\. 8 are not within the episode's 8"):
        rollout.advance(constant(env, 0.0), 2)


def test_fading_keeps_values_and_scales_gradients():
    x = torch.tensor([0.1, 0.7], requires_grad=True)
    y = faded(x, 0.25)
    assert torch.equal(y, x)
    y.sum().backward()
    assert x.grad.tolist() == [0.25, 0.25]
    assert not faded(x, 0.0).requires_grad


def test_faded_clouds_pass_on_a_share_of_later_rewards_gradients():
    env = make_env(2, 3)
    env.reset()
    gradients = []
    for share in (1.0, 0.5, 0.0):
        actions = {a: x.requires_grad_() for a, x in constant(env, 0.0).items()}
        rollout = rollout_of(env)
        rollout.advance(actions, 2)
        rollout.fade(share)
        later = rollout.advance(constant(env, 0.0), 2).sum()
        parts = torch.autograd.grad(later, list(actions.values())) if later.requires_grad else ()
        gradients.append(torch.cat([p.flatten() for p in parts]) if parts else torch.zeros(1))
    full, half, none = gradients
    assert full.abs().max() > 0
    torch.testing.assert_close(half, 0.5 * full)
    assert none.abs().max() == 0


def test_a_fork_leaves_the_original_alone():
    env = make_env(2, 3)
    env.reset()
    rollout = rollout_of(env)
    before = rollout.state().clone()
    rollout.fork().advance(constant(env, 0.5), 2)
    assert torch.equal(rollout.state(), before)


@pytest.mark.parametrize(("name", "kind"), [("apg", "mlp"), ("shac", "mlp"), ("shac", "gru")])
def test_training_improves_and_resumes_bit_for_bit(name, kind):
    net = NetConfig(kind=kind, hidden=(8,), memory=8)
    learner = FirstOrderConfig(name=name, window=2, net=net, noise=0.1, critic_steps=2)
    first = FirstOrderTrainer(small_config(learner), make_env, baseline())
    measured = [first.run_epoch(), first.run_epoch()]
    assert first.learner.updates == 2  # none in warm-up, then one per window
    assert "actor_loss" not in measured[0]
    assert ("critic_loss" in measured[0]) == (name == "shac")
    second = FirstOrderTrainer(small_config(learner), make_env, baseline())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert first.env_steps == second.env_steps == 2 * 8 * 3
    assert first.run_epoch() == second.run_epoch()
    old, new = first.learner.actor.state_dict(), second.learner.actor.state_dict()
    assert all(torch.equal(value, new[key]) for key, value in old.items())
    assert torch.equal(first.held_in_rewards(), second.held_in_rewards())


def test_it_is_evaluated_on_the_same_exact_episodes_as_other_learners():
    ours = FirstOrderTrainer(small_config(), make_env, baseline())
    other = TrainConfig(
        epochs=3, epoch_steps=8, hold_steps=2, num_envs=3, evaluate_envs=2, critic_horizon=2
    )
    theirs = Trainer(other, make_env, baseline())
    assert torch.equal(
        ours.held_in_rewards(is_baseline=True), theirs.held_in_rewards(is_baseline=True)
    )


def test_actors_do_not_see_the_future_and_critics_do():
    apg = FirstOrderTrainer(small_config(), make_env, baseline())
    assert apg.spec.state_size == 0
    assert apg.spec.obs_sizes == tuple(s.shape[0] for s in make_env(1, 0).observation_spec.values())
    shac = FirstOrderConfig(name="shac", window=2, net=NetConfig(hidden=(8,)))
    made = FirstOrderTrainer(small_config(shac), make_env, baseline())
    assert made.spec.state_size == 2 * made.env.state().shape[1] + 2 * 5
    assert made.spec.obs_sizes == apg.spec.obs_sizes


def test_what_cannot_be_learned_is_refused():
    with pytest.raises(ValueError, match="4 decisions is not a whole number of windows of 3"):
        FirstOrderTrainer(small_config(FirstOrderConfig(window=3)), make_env, baseline())
    with pytest.raises(TypeError, match="gradients through the environment"):
        rollout_of(LqTeam(2, 0))
    with pytest.raises(TypeError, match="FirstOrderConfig"):
        FirstOrderTrainer(TrainConfig(), make_env, baseline())
    env = make("provisioning", num_envs=1, seed=0, episode_steps=8, rewards=RewardOptions())
    env.reset()
    with pytest.raises(ValueError, match="no smooth counterpart"):
        rollout_of(env)


def test_a_number_that_is_not_finite_stops_the_run():
    trainer = FirstOrderTrainer(small_config(), make_env, baseline())
    trainer.run_epoch()
    trainer.learner.actor.net.mlp.weights[0].data[0, 0, 0] = torch.nan
    with pytest.raises(DivergenceError, match="actions"):
        trainer.run_epoch()
