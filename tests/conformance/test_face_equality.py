"""Every face shows the same world: same seed, same actions, same episodes."""

import gymnasium
import numpy as np
import pytest
import torch

from marl.cloud.types import SERVICES
from marl.envs import GYMNASIUM_ID
from marl.envs.parallel import parallel_env
from marl.envs.scenarios import SCENARIOS
from tests.conformance.faces import FACES, batch_of, draw, joined, reference, strict, tensors

__all__ = ["reference", "strict"]

STEPS = 8
NAMES = tuple(SCENARIOS)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("scenario", [None, NAMES[-1]])
def test_a_batch_of_one_pettingzoo_and_gymnasium_show_the_same(scenario, face, reference):
    """Exactly: they are one computation. Over the ends of episodes, requests and masks too."""
    settings = {"scenario": scenario, "episode_steps": STEPS, "seed": 3, "reference": reference}
    batched = batch_of(face, num_envs=1, **settings)
    parallel = parallel_env(actions=face, **settings)
    single = gymnasium.make(GYMNASIUM_ID, actions=face, disable_env_checker=True, **settings)
    rng = np.random.default_rng(0)
    obs, (par_obs, _), (one_obs, _) = batched.reset(), parallel.reset(), single.reset()
    for t in range(2 * STEPS + 2):
        state, masks, requests = batched.state()[0], batched.action_masks(), batched.requests()
        np.testing.assert_array_equal(one_obs["observation"], state)
        np.testing.assert_array_equal(parallel.state(), state)
        np.testing.assert_array_equal(one_obs["request_mask"], requests.mask[0])
        together = np.concatenate([masks[agent][0] for agent in SERVICES])
        np.testing.assert_array_equal(one_obs["action_mask"], together)
        for agent in SERVICES:
            seen = par_obs[agent]
            np.testing.assert_array_equal(seen["observation"], obs[agent][0])
            np.testing.assert_array_equal(seen["action_mask"], masks[agent][0])
            np.testing.assert_allclose(seen["requests"], requests.values[0], rtol=1e-6, atol=1e-7)
            np.testing.assert_array_equal(seen["request_mask"], requests.mask[0])
        actions = draw(face, rng)
        step = batched.step(tensors({agent: a[None] for agent, a in actions.items()}))
        par_obs, rewards, terminated, truncated, infos = parallel.step(actions)
        one_obs, reward, one_terminated, one_truncated, info = single.step(joined(face, actions))
        obs, is_last = step.obs, (t + 1) % STEPS == 0
        assert not one_terminated
        assert one_truncated == is_last == bool(step.truncated)
        assert terminated == dict.fromkeys(SERVICES, False)
        assert truncated == dict.fromkeys(SERVICES, is_last)
        assert rewards == {agent: float(step.reward[agent]) for agent in SERVICES}
        assert reward == float(step.info["reward_team"])
        named = {name: float(value) for name, value in step.info.items()}
        assert info == named
        assert all(infos[agent] == named for agent in SERVICES)
        if is_last:
            assert parallel.agents == []
            np.testing.assert_array_equal(one_obs["observation"], batched.final_state[0])
            np.testing.assert_array_equal(parallel.state(), batched.final_state[0])
            for agent in SERVICES:
                seen, last = par_obs[agent], batched.final_requests
                np.testing.assert_array_equal(seen["observation"], batched.final_obs[agent][0])
                np.testing.assert_array_equal(seen["requests"], last.values[0])
                np.testing.assert_array_equal(seen["request_mask"], last.mask[0])
                assert seen["action_mask"].all()
            (par_obs, _), (one_obs, _) = parallel.reset(), single.reset()


@pytest.mark.parametrize("face", FACES)
def test_pettingzoo_is_a_row_of_a_batch_of_64(face, reference):
    """The first row, up to the rounding of float32: vectors of other lengths add up otherwise."""
    settings = {"episode_steps": STEPS, "seed": 7, "reference": reference}
    wide = batch_of(face, num_envs=64, **settings)
    parallel = parallel_env(actions=face, **settings)
    rng = np.random.default_rng(1)
    wide.reset()
    parallel.reset()
    for t in range(2 * STEPS):
        actions = draw(face, rng, 64)
        step = wide.step(tensors(actions))
        _, rewards, _, _, _ = parallel.step({agent: a[0] for agent, a in actions.items()})
        for agent in SERVICES:
            assert rewards[agent] == pytest.approx(float(step.reward[agent][0]), abs=2e-5)
        if (t + 1) % STEPS == 0:
            np.testing.assert_allclose(parallel.state(), wide.final_state[0], rtol=1e-4, atol=1e-4)
            parallel.reset()


@pytest.mark.parametrize("face", FACES)
def test_rows_of_a_batch_do_not_depend_on_its_size(face, reference):
    settings = {"episode_steps": STEPS, "seed": 7, "reference": reference}
    wide, narrow = batch_of(face, num_envs=64, **settings), batch_of(face, num_envs=5, **settings)
    rng = np.random.default_rng(2)
    wide.reset()
    narrow.reset()
    for _ in range(STEPS + 2):
        actions = tensors(draw(face, rng, 64))
        many, few = wide.step(actions), narrow.step({a: x[:5] for a, x in actions.items()})
        for agent in SERVICES:
            torch.testing.assert_close(
                many.reward[agent][:5], few.reward[agent], rtol=1e-4, atol=2e-5
            )


@pytest.mark.parametrize("face", FACES)
def test_the_same_seed_is_the_same_episode_on_every_face(face, reference):
    settings = {"episode_steps": STEPS, "reference": reference}

    def run(env, seed, step):
        rng = np.random.default_rng(0)
        env.reset(seed=seed)
        return [step(env, draw(face, rng)) for _ in range(STEPS)]

    def of_batch(env, actions):
        batch = tensors({agent: a[None] for agent, a in actions.items()})
        return env.step(batch).info.matrix[:, 0].tolist()

    def of_parallel(env, actions):
        return list(env.step(actions)[-1]["storage"].values())

    def of_single(env, actions):
        return list(env.step(joined(face, actions))[-1].values())

    def build_single():
        return gymnasium.make(GYMNASIUM_ID, actions=face, disable_env_checker=True, **settings)

    cases = [
        (lambda: batch_of(face, **settings), of_batch),
        (lambda: parallel_env(actions=face, **settings), of_parallel),
        (build_single, of_single),
    ]
    shown = []
    for build, step in cases:
        env = build()
        first, again, other = run(env, 11, step), run(build(), 11, step), run(env, 12, step)
        assert first == again == run(env, 11, step)
        assert first != other
        shown.append(first)
    assert shown[0] == shown[1] == shown[2]


@pytest.mark.parametrize("face", FACES)
def test_a_reset_in_the_middle_begins_the_next_episode(face, reference):
    """On every face episode 1 is what follows episode 0, whether that ended or was left."""
    settings = {"episode_steps": STEPS, "seed": 2, "reference": reference}
    rng = np.random.default_rng(0)
    left, ended = parallel_env(actions=face, **settings), parallel_env(actions=face, **settings)
    left.reset()
    left.step(draw(face, rng))
    ended.reset()
    for _ in range(STEPS):
        ended.step(draw(face, rng))
    one, other = left.reset()[0], ended.reset()[0]
    for agent in SERVICES:
        np.testing.assert_array_equal(one[agent]["observation"], other[agent]["observation"])


def test_what_is_shown_may_be_written_into(reference):
    """A caller who scribbles on observations changes nothing in the cloud."""
    settings = {"episode_steps": STEPS, "seed": 2, "reference": reference}
    spoiled, clean = parallel_env(**settings), parallel_env(**settings)
    obs, _ = spoiled.reset()
    clean.reset()
    rng = np.random.default_rng(0)
    for _ in range(STEPS - 1):
        for seen in obs.values():
            for array in seen.values():
                array[...] = 0
        spoiled.state()[...] = 0.0
        actions = draw("continuous", rng)
        obs, _, _, _, infos = spoiled.step(actions)
        mine, _, _, _, named = clean.step(actions)
        assert infos == named
        for agent in SERVICES:
            for key, array in mine[agent].items():
                np.testing.assert_array_equal(obs[agent][key], array)
        infos["compute"].clear()
