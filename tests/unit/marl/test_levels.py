"""Level tables of any agents: how far they reach, and what counts as a change."""

import numpy as np
import pytest

from marl.levels import level_tables


def test_levels_reach_as_far_as_told_but_not_beyond_the_range():
    levels = level_tables((2, 1), 5, np.array([0.0, 0.9, -1.0]), reach=0.4)
    np.testing.assert_allclose(levels.values[0], [-0.4, -0.2, 0.0, 0.2, 0.4], atol=1e-7)
    np.testing.assert_allclose(levels.values[1], [0.5, 0.7, 0.9, 0.95, 1.0], atol=1e-7)
    np.testing.assert_allclose(levels.values[2], [-1.0, -1.0, -1.0, -0.8, -0.6], atol=1e-7)
    # Keep, two knobs down and up; keep, one knob down and up.
    assert levels.starts.tolist() == [0, 5]
    assert levels.direction.tolist() == [0, -1, 1, -1, 1, 0, -1, 1]
    assert levels.knob.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]


def test_the_middle_is_the_centre_to_the_last_bit():
    centre = np.random.default_rng(0).uniform(-1, 1, 500)
    for count in (3, 7, 9, 21):
        levels = level_tables((500,), count, centre, reach=0.4)
        assert (levels.values[:, levels.middle] == centre.astype(np.float32)).all()
        assert (np.diff(levels.values, axis=1) > 0).all()
        assert (np.abs(levels.values) <= 1).all()


def test_a_move_between_levels_that_coincide_is_closed_and_keeps():
    levels = level_tables((1,), 5, np.array([-1.0]))
    free, middle = np.ones((1, 1)), np.array([[2]])
    assert levels.move_masks(middle, free).tolist() == [[True, False, True]]
    assert levels.moved(middle, np.array([[1]]), free).tolist() == [[2]]
    up = levels.moved(middle, np.array([[2]]), free)
    assert up.tolist() == [[3]]
    assert levels.moved(up, np.array([[1]]), free).tolist() == [[2]]


@pytest.mark.parametrize("reach", [0.0, -1.0, 2.5, float("nan")])
def test_a_reach_that_cannot_be_is_refused(reach):
    with pytest.raises(ValueError, match="levels must reach"):
        level_tables((1,), 3, np.zeros(1), reach)


def test_a_centre_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"a centre of 3 actions in \[-1, 1\]"):
        level_tables((2, 1), 3, np.zeros(2))
