"""The request list as columns of observations: the same list on every face, and with gradients."""

import numpy as np
import pytest
import torch

from marl.algos.first_order import FirstOrderConfig
from marl.envs import make
from marl.envs.advance import exact
from marl.envs.discrete import DiscreteEnv
from marl.envs.parallel import parallel_env
from marl.evaluate.world import MIXED, ProvisioningWorld
from marl.nets.config import NetConfig
from marl.nets.sequence import find_sequence
from marl.train.config import TrainConfig
from marl.train.env import team_spec
from marl.train.first_order import FirstOrderTrainer
from marl.train.smooth_rollout import CloudRollout, rollout_of

# Work waits, so that the list varies; two of the four agents see it.
SETTINGS = {"quota_share": 0.3, "episode_steps": 12, "request_agents": ("compute", "database")}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def constant(env, value):
    return {a: torch.full((env.num_envs, s.shape[0]), value) for a, s in env.action_spec.items()}


def listed(env, obs, agent):
    """The list as read back from an observation by its names: values (B, R, K) and mask (B, R)."""
    layout = find_sequence(env.observation_names[agent])
    columns = [list(row) for row in layout.columns]
    return obs[agent][:, columns], obs[agent][:, list(layout.is_open)]


def assert_shown(env, obs, requests):
    for agent in ("compute", "database"):
        values, mask = listed(env, obs, agent)
        assert torch.equal(mask, requests.mask.float())
        torch.testing.assert_close(values, requests.values.clamp(-10, 10), rtol=0, atol=0)


def test_the_columns_are_the_environments_list_by_name():
    env, plain = make(num_envs=5, **SETTINGS), make(num_envs=5, episode_steps=12, quota_share=0.3)
    obs, without = env.reset(seed=1), plain.reset(seed=1)
    names = env.observation_names["compute"]
    assert names[len(plain.observation_names["compute"]) :][:2] == (
        "request0_is_batch",
        "request0_is_ml",
    )
    assert find_sequence(names).fields == env.request_fields
    for agent in env.agents:
        width = without[agent].shape[1]
        assert torch.equal(obs[agent][:, :width], without[agent])
        assert obs[agent].shape[1] == len(env.observation_names[agent])
        assert env.observation_spec[agent].shape == obs[agent].shape[1:]
        assert (find_sequence(env.observation_names[agent]) is not None) == (
            agent in ("compute", "database")
        )
    counts = set()
    for _ in range(11):
        requests = env.requests()
        assert_shown(env, obs, requests)
        counts |= set(requests.mask.sum(1).tolist())
        obs = env.step(constant(env, 0.1)).obs
    env.step(constant(env, 0.1))
    assert_shown(env, env.final_obs, env.final_requests)
    assert len(counts) > 3


def test_other_faces_show_the_same_columns():
    batched = make(num_envs=1, **SETTINGS)
    moves = DiscreteEnv(make(num_envs=1, **SETTINGS), "moves")
    parallel = parallel_env(**SETTINGS)
    obs = batched.reset(seed=2)
    seen, _ = parallel.reset(seed=2)
    for _ in range(12):
        for agent in batched.agents:
            width = parallel.observation_space(agent)["observation"].shape
            assert seen[agent]["observation"].shape == width
            np.testing.assert_allclose(
                seen[agent]["observation"], obs[agent][0], rtol=1e-6, atol=1e-7
            )
        actions = constant(batched, 0.1)
        seen, *_ = parallel.step({agent: a[0].numpy() for agent, a in actions.items()})
        obs = batched.step(actions).obs
    last = batched.final_obs["database"][0]
    np.testing.assert_allclose(seen["database"]["observation"], last, rtol=1e-6, atol=1e-7)
    discrete = moves.reset(seed=2)
    assert_shown(moves, discrete, moves.requests())
    assert moves.observation_names["compute"][-1].startswith("set_")  # settings stand at the end


def test_worlds_pass_the_option_on():
    world = ProvisioningWorld(None, episode_steps=12, overrides={"request_agents": ("compute",)})
    for scenario, split in ((MIXED, "train"), ("launch_day", "held_out")):
        env = world.make_env(scenario, split)(2, 0)
        layouts = team_spec(env, 0).layouts
        assert [layout is not None for layout in layouts] == [True, False, False, False]
        assert env.reset(seed=0)["compute"].shape[1] == len(env.observation_names["compute"])


def test_the_smooth_clouds_show_the_environments_columns_and_pass_gradients():
    env = make(num_envs=3, **SETTINGS)
    env.reset(seed=4)
    rollout = CloudRollout(env.cloud, env.weather, env.cloud_state, advance=exact)
    for _ in range(3):
        torch.testing.assert_close(rollout.obs(), env._observed(), rtol=0, atol=0)
        env.step(constant(env, 0.2))
        rollout.advance(constant(env, 0.2), 1)
    env.reset(seed=4)
    actions = {a: x.requires_grad_() for a, x in constant(env, 0.0).items()}
    smooth = rollout_of(env)
    smooth.advance(actions, 4)
    values, _ = listed(env, smooth.obs(), "compute")
    (gradient,) = torch.autograd.grad(values.sum(), actions["compute"])
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("agents", [("compute", "compute"), ("scheduler",)])
def test_agents_that_are_none_are_refused(agents):
    with pytest.raises(ValueError, match="request_agents must be some of compute"):
        make(request_agents=agents)


def test_a_transformer_learns_on_the_cloud_and_is_refused_without_a_list():
    def make_env(num_envs, seed):
        return make(num_envs=num_envs, seed=seed, **SETTINGS)

    net = NetConfig(kind="transformer", hidden=(8,), token=8, heads=2)
    config = TrainConfig(
        learner=FirstOrderConfig(net=net, window=2), epochs=2, epoch_steps=12, hold_steps=3,
        num_envs=4, evaluate_envs=4, critic_horizon=0,
    )  # fmt: skip
    baseline = {a: [0.0] * s.shape[0] for a, s in make_env(1, 0).action_spec.items()}
    trainer = FirstOrderTrainer(config, make_env, baseline)
    before = [p.detach().clone() for p in trainer.learner.actor.net.parameters()]
    trainer.run_epoch()
    trainer.run_epoch()
    moved = [
        bool((a != b).any())
        for a, b in zip(before, trainer.learner.actor.net.parameters(), strict=True)
    ]
    assert all(moved)
    with pytest.raises(ValueError, match="no agent observes one"):
        FirstOrderTrainer(config, lambda n, s: make(num_envs=n, seed=s, episode_steps=12), baseline)
