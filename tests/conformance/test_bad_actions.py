"""What no face accepts, and what every face clips, as docs/environments.md says."""

import gymnasium
import numpy as np
import pytest
import torch

from marl.cloud.types import SERVICES
from marl.envs import GYMNASIUM_ID, make
from marl.envs.parallel import parallel_env
from tests.conformance.faces import FACES, draw, joined, reference, strict, tensors

__all__ = ["reference", "strict"]


def parallel(face, reference, steps=4, **options):
    env = parallel_env(actions=face, episode_steps=steps, reference=reference, **options)
    env.reset(seed=0)
    return env


def good(face):
    return draw(face, np.random.default_rng(0))


BAD = [
    ("continuous", np.full(5, np.nan), "not-a-number in the actions of \\['storage'\\]"),
    ("continuous", np.zeros(4), r"'storage' must be \(5,\) numbers \[target_utilisation, .*\]"),
    ("continuous", np.zeros((1, 5)), r"got \(1, 5\)"),
    ("continuous", 0.5, r"got \(\)"),
    ("continuous", np.array(["a"] * 5), "of <U1"),
    ("continuous", [None] * 5, "of object"),
    ("continuous", np.zeros(5, complex), "of complex128"),
    ("continuous", np.zeros(5, bool), "of bool"),
    ("grid", np.zeros(5), "must be .* whole numbers"),
    ("grid", np.zeros(4, int), r"must be \(5,\) whole numbers"),
    ("grid", np.full(5, 5), r"within 0 \.\. 4; got \[5, 5"),
    ("grid", np.full(5, -1), r"within 0 \.\. 4; got \[-1"),
    ("moves", 1.0, "one whole number"),
    ("moves", np.float32(np.nan), "one whole number"),
    ("moves", True, "one whole number"),
    ("moves", "up", "one whole number"),
    ("moves", np.array([1]), "one whole number"),
    ("moves", 11, r"within 0 \.\. 10; got 11"),
    ("moves", -1, r"within 0 \.\. 10; got -1"),
]


@pytest.mark.parametrize(("face", "bad", "message"), BAD)
def test_pettingzoo_refuses_and_the_cloud_stays_as_it_was(face, bad, message, reference):
    env, twin = parallel(face, reference), parallel(face, reference)
    with pytest.raises(ValueError, match=message):
        env.step(good(face) | {"storage": bad})
    np.testing.assert_array_equal(env.state(), twin.state())
    assert env.step(good(face))[1] == twin.step(good(face))[1]


@pytest.mark.parametrize("face", FACES)
def test_missing_and_unknown_agents_are_named(face, reference):
    for env in (parallel(face, reference), parallel(face, reference, padded=True)):
        actions = {agent: env.action_space(agent).sample() for agent in SERVICES}
        with pytest.raises(ValueError, match=r"missing \['database'\], unknown \[\]"):
            env.step({agent: actions[agent] for agent in SERVICES[:3]})
        with pytest.raises(ValueError, match=r"missing \[\], unknown \['dns'\]"):
            env.step(actions | {"dns": 0})


@pytest.mark.parametrize("face", FACES)
def test_gymnasium_refuses(face, reference):
    env = gymnasium.make(
        GYMNASIUM_ID, actions=face, episode_steps=4, reference=reference, disable_env_checker=True
    ).unwrapped
    action = joined(face, good(face))
    with pytest.raises(RuntimeError, match="reset"):
        env.step(action)
    env.reset(seed=0)
    for bad in (action[:-1], action[None], np.float32(0)):
        with pytest.raises(ValueError, match="action must be"):
            env.step(bad)
    poison = np.full(action.shape, np.nan, np.float32)
    with pytest.raises(ValueError, match="not-a-number" if face == "continuous" else "whole"):
        env.step(poison)
    env.step(action)


@pytest.mark.parametrize("value", [1.0001, 7.0, np.inf, 1e300])
def test_what_lies_outside_is_clipped_on_every_face(value, reference):
    """Infinity too: it lies outside like any large number."""
    settings = {"episode_steps": 4, "reference": reference, "seed": 0}
    ends = {agent: np.ones_like(a, np.float64) for agent, a in good("continuous").items()}
    ends["network"] *= -1.0
    beyond = {agent: a * value for agent, a in ends.items()}
    shown = []
    for actions in (ends, beyond):
        batched, single = (
            make(**settings),
            gymnasium.make(GYMNASIUM_ID, disable_env_checker=True, **settings),
        )
        two = parallel_env(**settings)
        for env in (batched, two, single):
            env.reset()
        batch = tensors({agent: a[None] for agent, a in actions.items()})
        shown.append(
            (
                batched.step(batch).info.matrix[:, 0].tolist(),
                list(two.step(actions)[-1]["compute"].values()),
                list(single.step(joined("continuous", actions))[-1].values()),
            )
        )
    assert shown[0] == shown[1]
    assert shown[0][0] == shown[0][1] == shown[0][2]


def test_float64_and_lists_and_integers_are_numbers(reference):
    env, twin = parallel("continuous", reference), parallel("continuous", reference)
    actions = {agent: np.sign(a).astype(np.float32) for agent, a in good("continuous").items()}
    whole = {agent: a.astype(int).tolist() for agent, a in actions.items()}
    assert env.step(actions)[1] == twin.step(whole)[1]
    moves, same = parallel("moves", reference), parallel("moves", reference)
    assert (
        moves.step(dict.fromkeys(SERVICES, 2))[1]
        == (same.step(dict.fromkeys(SERVICES, np.int8(2)))[1])
    )


def test_the_batched_face_refuses_what_it_says(reference):
    env = make(num_envs=2, episode_steps=4, reference=reference)
    env.reset(seed=0)
    actions = tensors(draw("continuous", np.random.default_rng(0), 2))
    bad = {
        "not-a-number in the actions of \\['network'\\]": torch.full((2, 6), torch.nan),
        r"'network' must be \(2, 6\)": torch.zeros(1, 6),
        r"got \(2, 5\)": torch.zeros(2, 5),
    }
    for message, one in bad.items():
        with pytest.raises(ValueError, match=message):
            env.step(actions | {"network": one})
    one_side = torch.zeros(2, 6)
    one_side[0, 0], one_side[1, 0] = torch.inf, -torch.inf
    step = env.step(actions | {"network": one_side})
    assert torch.isfinite(step.info.matrix).all()


@pytest.mark.parametrize("face", FACES)
def test_a_finished_episode_must_be_reset(face, reference):
    env = parallel_env(actions=face, episode_steps=1, reference=reference)
    with pytest.raises(RuntimeError, match="reset"):
        env.step(good(face))
    with pytest.raises(RuntimeError, match="reset"):
        env.state()
    env.reset(seed=0)
    env.step(good(face))
    with pytest.raises(RuntimeError, match="reset"):
        env.step(good(face))


def test_what_cannot_be_made_is_refused(reference):
    with pytest.raises(ValueError, match="one cloud"):
        parallel_env(num_envs=2)
    with pytest.raises(ValueError, match="actions must be one of continuous, grid, moves"):
        parallel_env(actions="colours")
    with pytest.raises(ValueError, match="levels must be odd"):
        parallel_env(actions="grid", levels=4)
    with pytest.raises(ValueError, match="no scenario 'chess'"):
        parallel_env(scenario="chess")
    with pytest.raises(ValueError, match="colour"):
        parallel_env(colour="red", reference=reference)
