"""Discrete faces of a batch: what choices mean to the clouds, episodes, what is refused."""

import pytest
import torch

from marl.cloud.actions import SIZES, WIDTH
from marl.envs import make
from marl.envs.discrete import DiscreteEnv


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def chosen(env, seed, is_masked=True):
    """Random choices, of what the masks allow or of all there are."""
    rng = torch.Generator().manual_seed(seed)
    actions = {}
    for agent, mask in env.action_masks().items():
        weights = mask.float() if is_masked else torch.ones_like(mask, dtype=torch.float32)
        if env.face == "grid":
            by_knob = weights.view(-1, env.levels.count)
            levels = torch.multinomial(by_knob, 1, generator=rng)
            actions[agent] = levels.view(env.num_envs, -1)
        else:
            actions[agent] = torch.multinomial(weights, 1, generator=rng)[:, 0]
    return actions


def make_discrete(face, num_envs=3, steps=6, **arguments):
    return DiscreteEnv(make(num_envs=num_envs, episode_steps=steps, seed=1), face, **arguments)


@pytest.mark.parametrize("face", ["grid", "moves"])
def test_shapes_follow_the_specs(face):
    env = make_discrete(face)
    obs = env.reset()
    for t in range(8):
        for agent, size in zip(env.agents, SIZES, strict=True):
            choices = {"grid": size * 5, "moves": 1 + 2 * size}[face]
            assert obs[agent].shape == (3, *env.observation_spec[agent].shape)
            assert len(env.observation_names[agent]) == obs[agent].shape[1]
            assert env.observation_spec[agent].contains(obs[agent][0].numpy())
            assert env.action_masks()[agent].shape == (3, choices)
            assert env.action_masks()[agent].dtype == torch.int8
        assert env.state().shape == (3, len(env.state_names))
        actions = chosen(env, t)
        for agent in env.agents:
            assert env.action_spec[agent].contains(actions[agent][0].numpy())
        obs = env.step(actions).obs


def test_the_grid_is_the_continuous_face_at_its_levels():
    env, plain = make_discrete("grid"), make(num_envs=3, episode_steps=6, seed=1)
    env.reset()
    plain.reset()
    for t in range(8):
        actions = chosen(env, t, is_masked=False)
        step = env.step(actions)
        same = plain.step({agent: levels / 2.0 - 1.0 for agent, levels in actions.items()})
        assert torch.equal(step.info.matrix, same.info.matrix)
        assert all(torch.equal(step.obs[agent], same.obs[agent]) for agent in env.agents)
        assert torch.equal(env.state(), plain.state())


def test_moves_walk_from_the_centre_and_are_seen():
    env, plain = make_discrete("moves"), make(num_envs=3, episode_steps=6, seed=1)
    env.reset()
    plain.reset()
    levels = {a: torch.full((3, n), 2) for a, n in zip(env.agents, SIZES, strict=True)}
    for t in range(5):
        actions = chosen(env, t)
        for agent, moves in actions.items():
            for row, move in enumerate(moves.tolist()):
                if move:
                    levels[agent][row, (move - 1) // 2] += 1 if move % 2 == 0 else -1
        step = env.step(actions)
        values = {agent: at / 2.0 - 1.0 for agent, at in levels.items()}
        same = plain.step(values)
        assert torch.equal(step.info.matrix, same.info.matrix)
        for agent in env.agents:
            assert torch.equal(step.obs[agent], torch.cat((same.obs[agent], values[agent]), 1))
        everything = torch.cat([values[agent] for agent in env.agents], 1)
        assert torch.equal(env.state(), torch.cat((plain.state(), everything), 1))


def test_every_episode_begins_at_the_centre_and_keeps_its_end():
    env = make_discrete("moves", steps=3)
    first = env.reset(seed=4)
    up = {agent: torch.full((3,), 2) for agent in env.agents}
    for _ in range(2):
        env.step(up)
    assert int(env.set_levels[0, 0]) == 4
    last = env.step(up)
    assert last.truncated.all()
    width = len(env.env.observation_names["compute"])
    assert env.final_obs["compute"][0, width] == 1.0
    assert last.obs["compute"][0, width] == first["compute"][0, width] == 0.0
    assert env.final_state.shape == env.state().shape
    assert env.final_requests is env.env.final_requests
    assert (env.set_levels == 2).all()


def test_a_centre_is_the_first_action():
    centre = {a: [0.3] * n for a, n in zip(make().agents, SIZES, strict=True)}
    env = make_discrete("moves", centre=centre, levels=3)
    plain = make(num_envs=3, episode_steps=6, seed=1)
    env.reset()
    plain.reset()
    keep = {agent: torch.zeros(3, dtype=torch.int64) for agent in env.agents}
    rule = {a: torch.full((3, n), 0.3) for a, n in zip(env.agents, SIZES, strict=True)}
    assert torch.equal(env.step(keep).info.matrix, plain.step(rule).info.matrix)


def test_a_masked_move_is_keep():
    env = make_discrete("moves", steps=30)
    env.reset(seed=0)
    for t in range(20):
        masks = env.action_masks()
        taken = chosen(env, t, is_masked=False)
        kept = {
            agent: torch.where(masks[agent].gather(1, moves[:, None])[:, 0] == 1, moves, 0)
            for agent, moves in taken.items()
        }
        one, other = env.twin(), env.twin()
        first, second = one.step(taken), other.step(kept)
        assert torch.equal(first.info.matrix, second.info.matrix)
        assert torch.equal(one.set_levels, other.set_levels)
        env.step(taken)


def test_a_twin_goes_its_own_way():
    env = make_discrete("moves")
    env.reset()
    twin = env.twin()
    twin.step({agent: torch.full((3,), 2) for agent in env.agents})
    assert (env.set_levels == 2).all()
    assert env.step_index == 0
    assert twin.step_index == 1


BAD = [
    ("moves", torch.zeros(3), "must be .* of int64; got .* torch.float32"),
    ("moves", torch.zeros(3, dtype=torch.bool), "torch.bool"),
    ("moves", torch.zeros(2, dtype=torch.int64), r"must be \(3,\)"),
    ("moves", torch.zeros(3, 1, dtype=torch.int64), r"got \(3, 1\)"),
    ("moves", torch.tensor([0, 0, -1]), r"'storage' must be within 0 .. 10; got -1"),
    ("moves", torch.tensor([0, 11, 0]), r"'storage' must be within 0 .. 10; got 11"),
    ("grid", torch.zeros(3, 5), "torch.float32"),
    ("grid", torch.zeros(3, dtype=torch.int64), r"must be \(3, 5\)"),
    ("grid", torch.full((3, 5), 5), r"'storage' must be within 0 .. 4; got 5"),
    ("grid", torch.full((3, 5), -1), r"within 0 .. 4; got -1"),
]


@pytest.mark.parametrize(("face", "bad", "message"), BAD)
def test_bad_choices_are_refused_and_change_nothing(face, bad, message):
    env = make_discrete(face)
    env.reset()
    good = chosen(env, 0)
    before = env.state()
    with pytest.raises(ValueError, match=message):
        env.step(good | {"storage": bad})
    assert env.step_index == 0
    assert torch.equal(env.state(), before)
    env.step(good)


def test_wrong_agents_and_faces_are_refused():
    env = make_discrete("moves")
    with pytest.raises(RuntimeError, match="reset"):
        env.step({agent: torch.zeros(3, dtype=torch.int64) for agent in env.agents})
    env.reset()
    actions = {agent: torch.zeros(3, dtype=torch.int64) for agent in env.agents}
    actions["chess"] = actions.pop("network")
    with pytest.raises(ValueError, match=r"missing \['network'\], unknown \['chess'\]"):
        env.step(actions)
    with pytest.raises(ValueError, match="choose grid or moves"):
        DiscreteEnv(make(), "continuous")
    with pytest.raises(ValueError, match="actions must be one of continuous, grid, moves"):
        DiscreteEnv(make(), "colours")
    assert env.set_levels.shape[1] == WIDTH


def test_narrow_integers_are_whole_numbers_too():
    env = make_discrete("moves", num_envs=1)
    env.reset()
    env.step({agent: torch.zeros(1, dtype=torch.uint8) for agent in env.agents})
