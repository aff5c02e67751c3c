"""Freed memory stays with the process."""

import os
import platform
import subprocess
import sys

import pytest

COUNT = """
import resource
import sys

import torch

from marl.train.memory import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()


def step():
    "What an update holds for a moment, and frees: 16 MiB."
    return torch.ones(4 << 20).numel()


for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_what_is_freed_is_not_asked_for_again():
    faults = {}
    # With a threshold that is set, glibc hands back every larger block at once; without one it
    # depends on what else lies in the heap.
    env = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
    for way in ("kept", "returned"):
        done = subprocess.run(
            [sys.executable, "-c", COUNT, way], capture_output=True, text=True, check=True, env=env
        )
        faults[way] = int(done.stdout)
    # Now and then something small takes a piece of what was freed, and the next block is new.
    assert faults["kept"] < 0.3 * faults["returned"], faults
