"""Frames of an episode: size, determinism, what is drawn, what is refused, and speed."""

import time

import numpy as np
import pytest

from marl.envs.render import FRAME_FIGURES, frame

BLUE, ORANGE, GREEN = (0, 114, 178), (213, 94, 0), (0, 158, 115)


def history(length=48, **changes):
    waves = 1.5 + np.sin(np.arange(length) / 5)
    return {name: 50.0 * waves for name in FRAME_FIGURES} | changes


def count(picture, colour):
    """Pixels of about this colour."""
    return int((np.abs(picture.astype(int) - colour).max(-1) < 40).sum())


@pytest.mark.parametrize("size", [(960, 640), (320, 240), (1280, 720)])
def test_a_frame_has_the_size_asked_for(size):
    picture = frame(history(), 20, size)
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous


def test_same_input_same_bytes_and_nothing_remembered():
    first = frame(history(), 20)
    frame(history(90), 80)
    assert np.array_equal(first, frame(history(), 20))
    assert not np.array_equal(first, frame(history(), 21))


def test_values_after_the_step_are_not_drawn():
    # The axes are the whole history's: what comes later may not be seen, but gives the scale.
    later = history()
    for name in FRAME_FIGURES:
        later[name] = later[name].copy()
        later[name][30:-1] = 60.0
    largest = {name: values.max() for name, values in history().items()}
    assert {name: values.max() for name, values in later.items()} == largest
    assert np.array_equal(frame(history(), 20), frame(later, 20))


def test_lines_grow_with_the_episode():
    early, late = frame(history(), 5), frame(history(), 47)
    for colour in (BLUE, ORANGE, GREEN):
        assert count(late, colour) > count(early, colour)


def test_an_episode_of_nothing_can_be_drawn():
    empty = {name: [0.0] for name in FRAME_FIGURES}
    assert frame(empty, 0).shape == (640, 960, 3)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"step must be in \[0, 48\); got 48"):
        frame(history(), 48)
    with pytest.raises(ValueError, match="history lacks latency_p99_ms"):
        frame({k: v for k, v in history().items() if k != "latency_p99_ms"}, 0)
    with pytest.raises(ValueError, match="one value per step"):
        frame(history(cost_compute_usd=np.zeros(3)), 0)
    with pytest.raises(ValueError, match="not finite in pending_vms"):
        frame(history(pending_vms=np.full(48, np.nan)), 0)
    with pytest.raises(ValueError, match="size must be at least"):
        frame(history(), 0, (100, 100))


def test_fast_enough_for_a_video():
    whole = history(288)
    frame(whole, 0)
    # The best of several: another process may hold the core.
    taken = []
    for step in (285, 286, 287):
        begun = time.process_time()
        frame(whole, step)
        taken.append(time.process_time() - begun)
    assert min(taken) < 0.15
