"""Which later step becomes the goal: worked by hand, and as it is distributed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.replay.hindsight import HindsightConfig, chosen_later, is_relabelled, steps_left
from marl.replay.ring import RingReplay


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_steps_left_by_hand():
    # Columns: ends two steps later; ends with its own step; runs on beyond what is looked at; runs
    # on, but only one later step is stored.
    end = torch.tensor([[0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]])
    stored = torch.tensor([9, 9, 9, 1])
    assert steps_left(end, stored).tolist() == [2, 0, 3, 1]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.integers(2, 9), st.integers(1, 30), st.integers(2, 6))
def test_steps_left_of_a_ring_are_those_of_its_episodes(lanes, slots, steps, length):
    """Episodes of `length` steps in a ring that may have wrapped and end in the middle of one."""
    ring = RingReplay(lanes * slots, {"t": 1, "end": 1}, lanes)
    for t in range(steps):
        end = torch.full((lanes, 1), float(t % length == length - 1))
        ring.add({"t": torch.full((lanes, 1), float(t)), "end": end})
    index = torch.arange(len(ring))
    ahead = torch.arange(length)[:, None]
    left = steps_left(ring.fields["end"][ring.later(index, ahead), 0], ring.steps_after(index))
    now = ring.fields["t"][index, 0]
    last = torch.minimum((now // length) * length + length - 1, torch.tensor(float(steps - 1)))
    assert torch.equal(left, (last - now).long())
    chosen = chosen_later(left, "future", generator())
    assert torch.equal(ring.fields["t"][ring.later(index, chosen), 0], now + chosen)


def test_future_is_uniform_from_the_own_step_to_the_last_and_final_is_the_last():
    left = torch.full((40_000,), 3)
    drawn = torch.bincount(chosen_later(left, "future", generator()), minlength=4)
    assert drawn.tolist() == pytest.approx([10_000] * 4, rel=0.03)
    assert chosen_later(torch.tensor([0, 5, 2]), "final", generator()).tolist() == [0, 5, 2]
    assert chosen_later(torch.zeros(50, dtype=torch.int64), "future", generator()).max() == 0


def test_the_share_of_relabelled_rows():
    assert float(is_relabelled(50_000, 4.0, generator()).float().mean()) == pytest.approx(
        0.8, abs=0.01
    )
    assert not is_relabelled(1000, 0.0, generator()).any()
    assert HindsightConfig().ratio == 4.0
