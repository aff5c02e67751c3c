"""The ring against a deque."""

import io
import random
from collections import deque

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.replay.ring import RingReplay


def rows(values):
    return {"x": torch.tensor(values, dtype=torch.float32)[:, None]}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 9), st.lists(st.integers(1, 5), min_size=1, max_size=25))
def test_holds_what_a_deque_holds_and_finds_later_steps(lanes, slots, blocks):
    ring = RingReplay(lanes * slots + lanes - 1, {"x": 1}, lanes)
    assert ring.capacity == lanes * slots
    reference, value = deque(maxlen=lanes * slots), 0
    for steps in blocks:
        steps = min(steps, slots)
        block = list(range(value, value + steps * lanes))
        value += len(block)
        ring.add(rows(block))
        reference.extend(block)
    assert len(ring) == len(reference)
    stored = {int(x) for x in ring.fields["x"][: max(len(ring), 1), 0]}
    if len(ring) == ring.capacity:
        assert stored == set(reference)
    generator = torch.Generator().manual_seed(1)
    for ahead in range(3):
        eligible = list(reference)[: len(reference) - ahead * lanes]
        if not eligible:
            with pytest.raises(ValueError, match="steps ahead"):
                ring.sample(4, generator, ahead)
            continue
        index = ring.sample(64, generator, ahead)
        first = ring.fields["x"][index, 0]
        assert {int(x) for x in first} <= set(eligible)
        # Consecutive numbers were added, so the same lane `ahead` steps later is this far on.
        later = ring.fields["x"][ring.later(index, ahead), 0]
        assert torch.equal(later, first + ahead * lanes)


def test_sampling_is_uniform_over_eligible_rows():
    ring = RingReplay(12, {"x": 1}, 2)
    ring.add(rows(range(10)))
    ring.add(rows([10, 11, 12, 13]))  # overwrites 0 and 1
    index = ring.sample(40_000, torch.Generator().manual_seed(3), ahead=1)
    counts = torch.bincount(ring.fields["x"][index, 0].to(torch.int64), minlength=14)
    assert counts[:2].sum() == 0
    assert counts[12:].sum() == 0
    assert (counts[2:12] - 4000).abs().max() < 4 * 4000**0.5


def test_same_generator_state_same_sample_and_global_state_untouched():
    ring = RingReplay(8, {"x": 1})
    ring.add(rows(range(8)))
    torch.manual_seed(5)
    random.seed(5)
    before = torch.get_rng_state()
    one = ring.sample(16, torch.Generator().manual_seed(9))
    two = ring.sample(16, torch.Generator().manual_seed(9))
    assert torch.equal(one, two)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("added", [3, 8, 11])
def test_state_survives(added):
    ring = RingReplay(8, {"x": 1})
    for value in range(added):
        ring.add(rows([value]))
    other = RingReplay(8, {"x": 1})
    other.load_state_dict(ring.state_dict())
    for value in (100, 101):
        ring.add(rows([value]))
        other.add(rows([value]))
    assert torch.equal(ring.fields["x"], other.fields["x"])
    a = ring.sample(9, torch.Generator().manual_seed(1))
    assert torch.equal(a, other.sample(9, torch.Generator().manual_seed(1)))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"y": torch.zeros(2, 1)}, "expected the fields"),
        (rows([1, 2, 3]), "multiple of 2"),
        (rows(range(10)), "at most 8"),
        ({"x": torch.zeros(2, 3)}, r"x must be \(rows, 1\)"),
        ({"x": torch.zeros(0, 1)}, "multiple of 2"),
    ],
)
def test_a_block_that_does_not_fit_is_refused_and_nothing_is_stored(block, message):
    ring = RingReplay(8, {"x": 1}, 2)
    with pytest.raises(ValueError, match=message):
        ring.add(block)
    assert len(ring) == 0


def test_fields_of_different_length_are_refused():
    ring = RingReplay(8, {"x": 1, "y": 1})
    with pytest.raises(ValueError, match="same number of rows"):
        ring.add({"x": torch.zeros(2, 1), "y": torch.zeros(3, 1)})


def test_rows_are_the_fields_at_an_index_of_any_shape():
    ring = RingReplay(9, {"x": 1, "y": 3})
    y = torch.rand((9, 3), generator=torch.Generator().manual_seed(2))
    ring.add({**rows(range(9)), "y": y})
    index = torch.tensor([[8, 0, 3], [3, 3, 1]])
    found = ring.rows(index)
    assert torch.equal(found["x"][..., 0], index.float())
    assert torch.equal(found["y"], y[index])


def test_a_checkpoint_is_as_large_as_the_rows_in_use_and_its_making_copies_nothing():
    ring = RingReplay(100_000, {"x": 1, "y": 3})
    ring.add({**rows(range(50)), "y": torch.ones(50, 3)})
    state = ring.state_dict()
    assert state["fields"]["x"].data_ptr() == ring.fields["x"].data_ptr()
    file = io.BytesIO()
    torch.save(state, file)
    assert file.tell() < 50 * 4 * 4 + 4000
    file.seek(0)
    other = RingReplay(100_000, {"x": 1, "y": 3})
    other.load_state_dict(torch.load(file, weights_only=True))
    assert all(torch.equal(ring.fields[name], other.fields[name]) for name in ring.fields)


@pytest.mark.parametrize("capacity", [5, 6, 20])
def test_the_state_of_another_capacity_is_refused(capacity):
    ring = RingReplay(8, {"x": 1})
    ring.add(rows(range(6)))
    if capacity == 20:
        ring.add(rows(range(6)))  # full: where its oldest row is depends on its capacity
    with pytest.raises(ValueError, match="capacity"):
        RingReplay(capacity, {"x": 1}).load_state_dict(ring.state_dict())
