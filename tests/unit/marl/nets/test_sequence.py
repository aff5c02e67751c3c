"""Lists within observations are found by their names and normalised alike in every slot."""

import pytest
import torch

from marl.nets.norm import RunningNorm
from marl.nets.sequence import SequenceNorm, find_sequence

NAMES = (
    "load", "job0_work", "job0_is_open", "job0_left", "age0",
    "job1_is_open", "job1_left", "job1_work", "vms_zone0",
)  # fmt: skip


def test_a_list_is_found_by_its_names_in_any_order():
    layout = find_sequence(NAMES)
    assert layout.name == "job"
    assert layout.fields == ("work", "left")
    assert layout.columns == ((1, 3), (7, 6))
    assert layout.is_open == (2, 5)
    assert layout.slots == ("job0", "job1")
    assert layout.rest(len(NAMES)) == (0, 4, 8)


@pytest.mark.parametrize("names", [(), ("load", "age0"), ("load_lag0_mean", "load_lag1_mean")])
def test_other_names_are_no_list(names):
    assert find_sequence(names) is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("job1_work", "job1_is_open"), r"slots of job must be 0 \.\. 0; got \[1\]"),
        (("job0_work", "job0_is_open", "job1_work"), "job1 has the fields"),
        (("job0_is_open",), "job0 has the fields"),
        (("a0_x", "a0_is_open", "b0_x", "b0_is_open"), "more than one list: a, b"),
        (("job0_work", "job0_is_open", "job999999_work", "job999999_is_open"), "slots of job"),
    ],
)
def test_half_a_list_is_refused(names, message):
    with pytest.raises(ValueError, match=message):
        find_sequence(names)


def norm():
    return SequenceNorm((len(NAMES), 2), (find_sequence(NAMES), None))


def test_statistics_of_a_field_are_those_of_open_slots_whatever_the_slot():
    made, rows = norm(), torch.zeros((3, 2, len(NAMES)))
    rows[:, :, 0] = torch.tensor([[1.0, 5.0], [3.0, 5.0], [5.0, 5.0]])  # an ordinary field
    rows[0, 0, [1, 2, 3]] = torch.tensor([10.0, 1.0, 2.0])  # work, is open, left of job 0
    rows[1, 0, [7, 5, 6]] = torch.tensor([20.0, 1.0, 4.0])  # of job 1
    rows[2, 0, [1, 7]] = 1000.0  # of closed slots
    made.update(rows[:2])
    made.update(rows[2:])
    assert made.tokens.mean.tolist() == [15.0, 3.0]
    assert made.tokens.std.tolist() == pytest.approx([5.0, 1.0], rel=1e-6)
    plain = RunningNorm((2, len(NAMES)))
    plain.update(rows)
    found = made(rows)
    assert torch.equal(found[:, :, [0, 4, 8]], plain(rows)[:, :, [0, 4, 8]])
    assert found[0, 0, [1, 2, 3]].tolist() == pytest.approx([-1.0, 1.0, -1.0], rel=1e-5)
    assert found[1, 0, [7, 5, 6]].tolist() == pytest.approx([1.0, 1.0, 1.0], rel=1e-5)
    assert found[2, 0, [2, 5]].tolist() == [0.0, 0.0]  # whether a slot is open passes unchanged


def test_nothing_open_leaves_the_lists_statistics_alone():
    made = norm()
    made.update(torch.zeros((4, 2, len(NAMES))))
    assert float(made.tokens.count) == 0
    assert made(torch.ones((1, 2, len(NAMES))))[0, 0, [1, 3]].tolist() == [1.0, 1.0]
