"""Moves of knobs in a continuous world: by hand, and the same as the environments' own face."""

import pytest
import torch

from marl.algos.base import TeamSpec
from marl.cloud.types import SERVICES
from marl.envs import make
from marl.envs.discrete import DiscreteEnv
from marl.evaluate.families import family
from marl.train.env import open_knobs, team_spec
from marl.train.moves import Moves, moves_spec

SPEC = TeamSpec(("a", "b"), (1, 2), (1, 2), 3)
CENTRE = {"a": [0.0], "b": [0.5, -0.5]}


def moves(clouds=2):
    made = Moves(SPEC, CENTRE, levels=5, reach=0.4)
    made.begin(clouds)
    return made


def everything(clouds=2):
    return SPEC.action_mask().expand(clouds, -1, -1)


def test_sizes_as_a_learner_of_moves_sees_them():
    spec = moves_spec(SPEC)
    assert (spec.obs_sizes, spec.action_sizes, spec.state_size) == ((2, 4), (3, 5), 6)


def test_settings_begin_at_the_centre_and_follow_moves_by_hand():
    made = moves()
    # Cloud 0: a up, b's second knob down. Cloud 1: both keep.
    actions = made.take(torch.tensor([[2, 3], [0, 0]]), everything())
    torch.testing.assert_close(actions["a"], torch.tensor([[0.2], [0.0]]))
    torch.testing.assert_close(actions["b"], torch.tensor([[0.5, -0.7], [0.5, -0.5]]))
    seen = made.see({"a": torch.tensor([[9.0], [8.0]]), "b": torch.tensor([[1.0, 2], [3, 4]])})
    torch.testing.assert_close(seen[0], torch.tensor([[9.0, 0.2, 0.0, 0.0], [1.0, 2.0, 0.5, -0.7]]))
    made.restart(torch.tensor([True, False]))
    assert made.actions()["a"].tolist() == [[0.0], [0.0]]
    made.take(torch.tensor([[2, 0], [0, 0]]), everything())
    made.begin(2)
    assert made.settings().tolist() == [[0.0, 0.5, -0.5]] * 2


def test_masks_close_ends_padding_and_knobs_that_can_do_nothing():
    made, knobs = moves(1), everything(1).clone()
    assert made.masks(knobs).tolist() == [[[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]]
    knobs[0, 1, 0] = 0
    assert made.masks(knobs).tolist() == [[[1, 1, 1, 0, 0], [1, 0, 0, 1, 1]]]
    still = made.settings()
    assert torch.equal(made.take(torch.tensor([[0, 2]]), knobs)["b"], still[:, 1:])  # it is closed
    for _ in range(2):
        made.take(torch.tensor([[2, 0]]), knobs)
    assert made.masks(knobs).tolist() == [[[1, 1, 0, 0, 0], [1, 0, 0, 1, 1]]]


def test_a_centre_of_another_team_is_refused():
    with pytest.raises(ValueError, match=r"a centre of \(1, 2\) knobs is needed; got"):
        Moves(SPEC, {"a": [0.0], "b": [0.0]}, 5, 0.4)


def test_the_same_as_the_clouds_own_face_of_moves():
    """Step by step: observations, masks, settings and rewards, over an episode's end too."""

    def clouds():
        return make(num_envs=6, seed=3, scenario="mixed_burst", episode_steps=12)

    rule = family("reactive").start
    face, plain = DiscreteEnv(clouds(), "moves", levels=5, centre=rule), clouds()
    spec = team_spec(plain, plain.reset(seed=5) and plain.state().shape[1])
    made = Moves(spec, rule, levels=5, reach=2.0)
    obs, own = face.reset(seed=5), plain.reset(seed=5)
    made.begin(6)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        knobs = open_knobs(plain, spec, 1)
        assert torch.equal(made.see(own), made.seen.pack_obs(obs))
        masks = face.action_masks()
        assert torch.equal(made.masks(knobs), made.seen.pack_actions(masks))
        choice = torch.stack(
            [torch.randint(masks[a].shape[1], (6,), generator=generator) for a in SERVICES], 1
        )
        step = face.step(dict(zip(SERVICES, choice.T, strict=True)))
        beside = plain.step(made.take(choice, knobs))
        made.restart(beside.truncated)
        for agent in SERVICES:
            assert torch.equal(step.reward[agent], beside.reward[agent])
        obs, own = step.obs, beside.obs
