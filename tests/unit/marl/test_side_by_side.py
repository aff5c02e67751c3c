"""Parts of work in processes of their own: results in order, lines told, failures told."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from marl.side_by_side import processes, side_by_side
from tests.conftest import REPO


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


def write_down(part, say):
    Path(f"{part}.new").write_text(str(os.getpid()))
    Path(f"{part}.new").rename(part)
    return fail_or_go_on(1, say)


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


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks processes up in /proc")
def test_workers_of_a_killed_process_end_by_themselves(tmp_path):
    script = (
        "import tests.unit.marl.test_side_by_side as t\n"
        "from marl.side_by_side import side_by_side\n"
        "if __name__ == '__main__':\n"
        f"    side_by_side(t.write_down, [r'{tmp_path}/0', r'{tmp_path}/1'], print, 2)\n"
    )
    (tmp_path / "parent.py").write_text(script)
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "parent.py"], env={**os.environ, "PYTHONPATH": str(REPO)}
    )
    while not all((tmp_path / name).is_file() for name in "01"):
        assert parent.poll() is None
        time.sleep(0.05)
    workers = [int((tmp_path / name).read_text()) for name in "01"]
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "orphans go on working"
        time.sleep(0.05)
