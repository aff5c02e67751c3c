"""Samples of the single-cloud faces' spaces respect masks."""

import numpy as np
import pytest

from marl.envs.spaces import MaskedBox, MaskedMultiDiscrete, observation_space


def test_masked_box_samples_stay_in_the_middle():
    space = MaskedBox(-1.0, 1.0, (4,), np.float32, seed=0)
    drawn = space.sample(np.array([1, 0, 1, 0]))
    assert (drawn[[1, 3]] == 0).all()
    assert (drawn[[0, 2]] != 0).all()
    assert space.contains(drawn)
    assert (space.sample() != 0).all()
    with pytest.raises(ValueError, match="mask must be"):
        space.sample(np.ones(3))


def test_masked_grid_takes_the_flat_mask():
    space = MaskedMultiDiscrete([3, 3], seed=0)
    mask = np.array([0, 1, 0, 1, 0, 1], np.int8)
    drawn = np.stack([space.sample(mask) for _ in range(40)])
    assert (drawn[:, 0] == 1).all()
    assert set(drawn[:, 1]) == {0, 2}
    as_tuple = (mask[:3], mask[3:])
    assert space.sample(as_tuple)[0] == 1
    assert {tuple(space.sample()) for _ in range(200)} == {
        (i, j) for i in range(3) for j in range(3)
    }
    with pytest.raises(ValueError, match=r"mask must be \(6,\); got \(2,\)"):
        space.sample(np.ones(2, np.int8))


def test_observation_space_is_finite():
    space = observation_space(10.0, 7, 3, (4, 6))
    assert set(space.keys()) == {"observation", "action_mask", "requests", "request_mask"}
    assert all(np.isfinite(box.high).all() for box in space.values())
    assert space["requests"].shape == (4, 6)
