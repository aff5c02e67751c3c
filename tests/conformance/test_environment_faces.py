"""The foreign faces keep their APIs' contracts, and show the same world as the batched one."""

import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test, parallel_seed_test

import marl.envs
from marl.cloud.types import SERVICES
from marl.envs import ENVIRONMENTS, GYMNASIUM_ID, make
from marl.envs.parallel import parallel_env
from marl.envs.spaces import MaskedBox


@pytest.fixture(autouse=True)
def strict():
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_pettingzoo_api(name):
    parallel_api_test(parallel_env(name=name, episode_steps=30), num_cycles=100)
    # Longer than the test: the episode does not end in it.
    parallel_api_test(parallel_env(name=name, episode_steps=60), num_cycles=40)


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_pettingzoo_seeds(name):
    parallel_seed_test(lambda: parallel_env(name=name, episode_steps=30), num_cycles=50)


def test_gymnasium_api():
    env = gymnasium.make(GYMNASIUM_ID, episode_steps=30)
    check_env(env.unwrapped, skip_render_check=True)
    assert GYMNASIUM_ID == "stratoform/Provisioning-v0"
    assert marl.envs.GYMNASIUM_ID in gymnasium.registry


def test_all_faces_show_the_same_episodes():
    steps = 8
    batched = make(num_envs=1, episode_steps=steps, seed=3)
    parallel = parallel_env(episode_steps=steps, seed=3)
    single = gymnasium.make(GYMNASIUM_ID, episode_steps=steps, seed=3, disable_env_checker=True)
    rng = np.random.default_rng(0)
    obs, (par_obs, _), (one_obs, _) = batched.reset(), parallel.reset(), single.reset()
    for t in range(3 * steps):
        state = batched.state()[0].numpy()
        np.testing.assert_array_equal(one_obs["observation"], state)
        np.testing.assert_array_equal(parallel.state(), state)
        for agent in SERVICES:
            np.testing.assert_array_equal(par_obs[agent]["observation"], obs[agent][0].numpy())
            np.testing.assert_array_equal(
                par_obs[agent]["action_mask"], batched.action_masks()[agent][0].numpy()
            )
        actions = {
            agent: rng.uniform(-1, 1, batched.action_spec[agent].shape).astype(np.float32)
            for agent in SERVICES
        }
        step = batched.step({agent: torch.from_numpy(a)[None] for agent, a in actions.items()})
        par_obs, rewards, _, truncated, infos = parallel.step(actions)
        joined = np.concatenate([actions[agent] for agent in SERVICES])
        one_obs, reward, terminated, one_truncated, info = single.step(joined)
        obs = step.obs
        is_last = (t + 1) % steps == 0
        assert one_truncated == is_last
        assert not terminated
        assert truncated == dict.fromkeys(SERVICES, is_last)
        for agent in SERVICES:
            assert rewards[agent] == pytest.approx(float(step.reward[agent]))
        assert reward == pytest.approx(float(step.info["reward_team"]))
        assert info.keys() == infos["compute"].keys() == step.info.keys()
        assert infos["database"]["cost_usd"] == pytest.approx(float(step.info["cost_usd"]))
        if is_last:
            assert parallel.agents == []
            final = batched.final_state[0].numpy()
            np.testing.assert_array_equal(one_obs["observation"], final)
            np.testing.assert_array_equal(parallel.state(), final)
            (par_obs, _), (one_obs, _) = parallel.reset(), single.reset()


def test_a_finished_episode_must_be_reset():
    env = parallel_env(episode_steps=1)
    actions = {agent: env.action_space(agent).sample() for agent in env.possible_agents}
    with pytest.raises(RuntimeError, match="reset"):
        env.step(actions)
    env.reset(seed=0)
    env.step(actions)
    with pytest.raises(RuntimeError, match="reset"):
        env.step(actions)


def test_bad_actions_are_refused():
    env = gymnasium.make(GYMNASIUM_ID, episode_steps=4, disable_env_checker=True).unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"action must be \(14,\); got \(3,\)"):
        env.step(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="not-a-number"):
        env.step(np.full(14, np.nan, np.float32))
    parallel = parallel_env(episode_steps=4)
    parallel.reset(seed=0)
    with pytest.raises(ValueError, match="missing"):
        parallel.step({"compute": np.zeros(4, np.float32)})
    with pytest.raises(ValueError, match="one cloud"):
        parallel_env(num_envs=2)


def test_masked_samples_stay_in_the_middle():
    space = MaskedBox(-1.0, 1.0, (4,), np.float32, seed=0)
    drawn = space.sample(np.array([1, 0, 1, 0]))
    assert (drawn[[1, 3]] == 0).all()
    assert (drawn[[0, 2]] != 0).all()
    assert space.contains(drawn)
    with pytest.raises(ValueError, match="mask must be"):
        space.sample(np.ones(3))
