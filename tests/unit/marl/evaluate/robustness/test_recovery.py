"""Recovery on series made by hand, and against the definition read out slowly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.evaluate.robustness.recovery import recovery_steps


def test_recovery_by_hand():
    #          disturbance       | end = 3
    level = [
        [1, 0, 0, 0.5, 0.99, 0.6, 1, 1, 1, 1],  # a relapse: from step 6 on it stays
        [1, 1, 1, 1.0, 1.00, 1.0, 1, 1, 1, 1],  # never left
        [1, 0, 0, 0.0, 0.00, 0.0, 0, 0, 0, 0],  # never came back
        [1, 0, 0, 0.0, 0.00, 0.0, 0, 0, 0, 1],
    ]  # back in the last step
    twin = np.ones((4, 10), np.float32)
    steps, is_recovered = recovery_steps(
        np.array(level, np.float32), twin, 3, epsilon=0.02, hold=3
    )  # fmt: skip
    assert steps.tolist() == [3, 0, 7, 6]
    assert is_recovered.tolist() == [True, True, False, True]


def test_what_counts_is_the_twin_not_a_level():
    twin = np.array([[1, 1, 0.2, 0.2, 0.9, 0.9]], np.float32)
    level = np.array([[1, 0, 0.2, 0.3, 0.5, 0.9]], np.float32)  # above it is no harm
    assert recovery_steps(level, twin, 2, hold=3)[0].tolist() == [3]
    assert recovery_steps(level, twin, 2, hold=1)[0].tolist() == [0]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=8, max_size=14),
    st.integers(0, 6),
    st.integers(1, 5),
)
def test_it_is_the_first_step_from_which_all_of_the_hold_is_back(values, end, hold):
    level = np.array([values], np.float32)
    steps, is_recovered = recovery_steps(level, np.ones_like(level), end, hold=hold)
    left = values[end:]
    found = [k for k in range(len(left)) if all(v >= 0.99 for v in left[k : k + hold])]
    assert bool(is_recovered[0]) == bool(found)
    assert steps[0] == (found[0] if found else len(left))


def test_wrong_shapes_and_an_end_beyond_the_episode_are_refused():
    with pytest.raises(ValueError, match="alike"):
        recovery_steps(np.zeros((2, 5)), np.zeros((2, 4)), 1)
    with pytest.raises(ValueError, match="leaves nothing"):
        recovery_steps(np.zeros((2, 5)), np.zeros((2, 5)), 5)
