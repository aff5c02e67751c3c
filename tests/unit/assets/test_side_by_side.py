"""Parts of work in processes of their own: results in order, lines told, failures told."""

import os
import time

import pytest

from assets.side_by_side import processes, side_by_side


def tell(part, say):
    say(f"part {part}")
    return part, os.getpid()


def fail_or_go_on(part, say):
    if part == 0:
        raise ValueError("part 0 is wrong")
    for _ in range(2400):
        time.sleep(0.05)
        say("still here")
    return part


@pytest.mark.parametrize("count", [1, 2])
def test_results_in_order_and_every_line(count):
    lines = []
    results = side_by_side(tell, list(range(5)), lines.append, count)
    assert [part for part, _ in results] == list(range(5))
    assert sorted(lines) == [f"part {part}" for part in range(5)]
    assert (os.getpid() in {process for _, process in results}) == (count == 1)


def test_the_first_failure_stops_the_others_and_is_the_one_told():
    began = time.monotonic()
    with pytest.raises(ValueError, match="part 0 is wrong"):
        side_by_side(fail_or_go_on, [0, 1], lambda line: None, 2)
    assert time.monotonic() - began < 60, "the other would have gone on for two minutes"


def test_never_more_processes_than_parts():
    assert processes(1) == 1
    assert 1 <= processes(1000) <= (os.cpu_count() or 1)
