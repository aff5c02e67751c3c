"""Levels and moves: tables worked by hand, the same in numpy and torch."""

import numpy as np
import pytest
import torch

from marl.cloud.actions import ROWS, SIZES, WIDTH
from marl.cloud.types import SERVICES
from marl.envs.levels import build_levels

MOVES = sum(1 + 2 * size for size in SIZES)


def free(**closed):
    """(1, WIDTH): every knob is free but those named."""
    mask = np.ones((1, WIDTH), np.int8)
    for name in closed:
        mask[0, ROWS[name]] = 0
    return mask


def test_levels_are_even_and_hold_ends_and_middle():
    levels = build_levels(5)
    assert levels.values.shape == (WIDTH, 5)
    assert levels.middle == 2
    for row in levels.values:
        assert row.tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]


def test_levels_about_a_centre_by_hand():
    centre = {a: [0.0] * size for a, size in zip(SERVICES, SIZES, strict=True)}
    centre["network"][2] = 0.6
    centre["storage"][0] = -1.0
    levels = build_levels(5, centre)
    row = levels.values[ROWS["network_scale_in_window"]]
    np.testing.assert_allclose(row, [-1.0, -0.2, 0.6, 0.8, 1.0], atol=1e-7)
    # At an end of the range the levels of that side coincide.
    row = levels.values[ROWS["storage_target_utilisation"]]
    np.testing.assert_allclose(row, [-1.0, -1.0, -1.0, 0.0, 1.0])
    assert levels.values[ROWS["compute_spot_share"]].tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]


def test_moves_by_hand():
    levels = build_levels(3)
    assert levels.knob.shape == (MOVES,)
    assert levels.starts.tolist() == [0, 23, 34, 47]
    start = np.full((1, WIDTH), 1)
    # Compute keeps, storage moves its first knob down, network its second up, database its last up.
    moves = np.array([[0, 1, 4, 14]])
    after = levels.moved(start, moves, free())
    changed = {name: int(after[0, row]) for name, row in ROWS.items() if after[0, row] != 1}
    assert changed == {
        "storage_target_utilisation": 0,
        "network_floor_share": 2,
        "database_storage_free_share": 2,
    }
    assert start.tolist() == [[1] * WIDTH]  # what was given is left alone
    # At the end, and for a knob that is not free, a move keeps.
    again = levels.moved(after, moves, free(database_storage_free_share=0))
    assert (again == after).all()
    closed = levels.moved(start, moves, free(network_floor_share=0))
    assert closed[0, ROWS["network_floor_share"]] == 1


def test_masks_show_what_a_move_would_change():
    """A move is open when it changes something, and "keep" always is."""
    levels = build_levels(3)
    rng = np.random.default_rng(0)
    for _ in range(20):
        present = rng.integers(0, 3, (1, WIDTH))
        open_knobs = rng.integers(0, 2, (1, WIDTH)).astype(np.int8)
        masks = levels.move_masks(present, open_knobs)[0]
        sizes = [1 + 2 * size for size in SIZES]
        for agent, (first, size) in enumerate(zip(levels.starts, sizes, strict=True)):
            for move in range(size):
                moves = np.zeros((1, len(SERVICES)), np.int64)
                moves[0, agent] = move
                is_changed = (levels.moved(present, moves, open_knobs) != present).any()
                assert masks[first + move] == (is_changed or move == 0)


def test_grid_masks_open_only_the_centre_of_a_closed_knob():
    levels = build_levels(5)
    masks = levels.grid_masks(free(storage_provisioned_share=0))[0].reshape(WIDTH, 5)
    row = ROWS["storage_provisioned_share"]
    assert masks[row].tolist() == [False, False, True, False, False]
    assert np.delete(masks, row, 0).all()


def test_numpy_and_torch_agree():
    centre = {a: np.linspace(-0.9, 0.9, n) for a, n in zip(SERVICES, SIZES, strict=True)}
    here = build_levels(7, centre)
    there = here.on(torch.device("cpu"))
    rng = np.random.default_rng(1)
    present = rng.integers(0, 7, (9, WIDTH))
    open_knobs = rng.integers(0, 2, (9, WIDTH)).astype(np.int8)
    moves = np.stack([rng.integers(0, 1 + 2 * size, 9) for size in SIZES], 1)
    given = [torch.from_numpy(x) for x in (present, moves, open_knobs)]
    np.testing.assert_array_equal(
        here.moved(present, moves, open_knobs), there.moved(*given).numpy()
    )
    np.testing.assert_array_equal(here.actions(present), there.actions(given[0]).numpy())
    np.testing.assert_array_equal(
        here.move_masks(present, open_knobs), there.move_masks(given[0], given[2]).numpy()
    )
    np.testing.assert_array_equal(here.grid_masks(open_knobs), there.grid_masks(given[2]).numpy())


@pytest.mark.parametrize("count", [1, 2, 4, 2.5, -3, 1003])
def test_a_count_without_a_middle_is_refused(count):
    with pytest.raises(ValueError, match="levels must be odd"):
        build_levels(count)


def test_a_wrong_centre_is_refused():
    zeros = {a: [0.0] * size for a, size in zip(SERVICES, SIZES, strict=True)}
    with pytest.raises(ValueError, match="centre needs"):
        build_levels(5, {"compute": [0.0] * 11})
    with pytest.raises(ValueError, match=r"centre of 'storage' must be \(5,\)"):
        build_levels(5, zeros | {"storage": [0.0]})
    for bad in (1.1, float("nan")):
        with pytest.raises(ValueError, match=r"must lie in \[-1, 1\]"):
            build_levels(5, zeros | {"storage": [bad] * 5})
