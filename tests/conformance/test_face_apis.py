"""The foreign faces keep their APIs' contracts: in every scenario, with every kind of actions."""

import warnings
from itertools import cycle

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test
from pettingzoo.utils.conversions import parallel_to_aec

import marl.envs
from marl.envs import ENVIRONMENTS, GYMNASIUM_ID
from marl.envs.parallel import parallel_env
from marl.envs.scenarios import SCENARIOS
from marl.envs.single import ProvisioningEnv
from tests.conformance.faces import FACES, reference, strict

__all__ = ["reference", "strict"]

STEPS = 4
# What PettingZoo's turn-based test says of every game that is not of equal players with one array
# each. Its own documentation shows environments with action masks that it says this of.
EXPECTED = (
    "Observation space for each agent probably should be",
    "We recommend agents to be named",
    "Agents have different observation space sizes",
    "Agents have different action space sizes",
    "Action space for each agent probably should be",
    "Observation is not a NumPy array",
    "Observations are different shapes",
)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_pettingzoo_api(scenario, face, reference):
    env = parallel_env(scenario=scenario, actions=face, episode_steps=STEPS, reference=reference)
    parallel_api_test(env, num_cycles=2 * STEPS)


def test_pettingzoo_api_where_the_episode_outlasts_the_test(reference):
    parallel_api_test(parallel_env(episode_steps=60, reference=reference), num_cycles=40)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("options", [{"flat": True}, {"padded": True}])
def test_pettingzoo_api_of_the_options(face, options, reference):
    env = parallel_env(actions=face, episode_steps=STEPS, reference=reference, **options)
    parallel_api_test(env, num_cycles=2 * STEPS)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_pettingzoo_seeds(name, face, reference):
    def build():
        return parallel_env(name=name, actions=face, episode_steps=STEPS, reference=reference)

    parallel_seed_test(build, num_cycles=2 * STEPS)


@pytest.mark.parametrize("face", FACES)
def test_pettingzoo_turn_by_turn(face, reference):
    env = parallel_to_aec(parallel_env(actions=face, episode_steps=STEPS, reference=reference))
    with warnings.catch_warnings():
        for message in EXPECTED:
            warnings.filterwarnings("ignore", message=message)
        api_test(env, num_cycles=4 * STEPS)


# Every scenario and every kind of actions, not every pair: the worlds are those of the test above.
@pytest.mark.parametrize(("scenario", "face"), list(zip(SCENARIOS, cycle(FACES), strict=False)))
def test_gymnasium_api(scenario, face, reference):
    env = ProvisioningEnv(scenario=scenario, actions=face, episode_steps=STEPS, reference=reference)
    check_env(env, skip_render_check=True)


def test_gymnasium_makes_it_by_name_and_draws_it(reference):
    assert GYMNASIUM_ID == "stratoform/Provisioning-v0"
    assert marl.envs.GYMNASIUM_ID in gymnasium.registry
    env = gymnasium.make(
        GYMNASIUM_ID, episode_steps=STEPS, reference=reference, render_mode="rgb_array"
    )
    env.reset(seed=0)
    blank = env.render()
    assert (blank == 255).all()
    env.step(env.action_space.sample())
    drawn = env.render()
    assert drawn.shape == blank.shape
    assert drawn.dtype == np.uint8
    assert (drawn != 255).any()
    env.reset()
    assert (env.render() == 255).all()


def test_pettingzoo_draws_where_asked(reference):
    env = parallel_env(episode_steps=STEPS, reference=reference, render_mode="rgb_array")
    env.reset(seed=0)
    for _ in range(2):
        env.step({agent: env.action_space(agent).sample() for agent in env.agents})
    assert env.render().shape == (640, 960, 3)
    plain = parallel_env(episode_steps=STEPS, reference=reference)
    plain.reset(seed=0)
    assert plain.render() is None
    assert plain.render_mode is None
    with pytest.raises(ValueError, match="render_mode must be"):
        parallel_env(render_mode="human")


@pytest.mark.parametrize("face", FACES)
def test_observations_lie_in_their_spaces_with_every_option(face, reference):
    for options in ({}, {"flat": True}, {"padded": True}, {"flat": True, "padded": True}):
        env = parallel_env(actions=face, episode_steps=2, reference=reference, **options)
        obs, _ = env.reset(seed=1)
        for _ in range(2):
            for agent in env.agents:
                assert env.observation_space(agent).contains(obs[agent])
            assert env.state_space.contains(env.state())
            masks = env.action_masks()
            choices = {
                a: env.action_space(a).sample(mask=masks[a])
                if face != "continuous" or not options.get("padded")
                else env.action_space(a).sample()
                for a in env.agents
            }
            obs, _, _, _, _ = env.step(choices)
        for agent in env.possible_agents:
            assert env.observation_space(agent).contains(obs[agent])


def test_padded_agents_look_alike_and_what_is_padded_has_no_effect(reference):
    settings = {"episode_steps": 20, "reference": reference, "seed": 5}
    wide = parallel_env(actions="moves", padded=True, **settings)
    own = parallel_env(actions="moves", **settings)
    spaces = [wide.observation_space(agent) for agent in wide.possible_agents]
    assert all(space == spaces[0] for space in spaces)
    assert len({wide.action_space(agent).n for agent in wide.possible_agents}) == 1
    wide_obs, _ = wide.reset()
    own_obs, _ = own.reset()
    beyond = {agent: 22 for agent in own.possible_agents}
    keep = {agent: 0 for agent in own.possible_agents}
    beyond["compute"] = keep["compute"] = 2
    for _ in range(3):
        for place, agent in enumerate(own.possible_agents):
            seen, mine = wide_obs[agent], own_obs[agent]
            width = len(mine["observation"])
            np.testing.assert_array_equal(seen["observation"][:width], mine["observation"])
            assert (seen["observation"][width:-4] == 0).all()
            assert seen["observation"][-4:].tolist() == [float(i == place) for i in range(4)]
            choices = len(mine["action_mask"])
            np.testing.assert_array_equal(seen["action_mask"][:choices], mine["action_mask"])
            assert (seen["action_mask"][choices:] == 0).all()
        wide_obs, wide_rewards, _, _, _ = wide.step(beyond)
        own_obs, own_rewards, _, _, _ = own.step(keep)
        assert wide_rewards == own_rewards
    with pytest.raises(ValueError, match=r"within 0 \.\. 10; got 23"):
        wide.step(keep | {"storage": 23})
