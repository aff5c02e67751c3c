"""Freed memory stays with the process."""

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
    "What an update holds at once, and frees: 80 MiB in blocks of 4."
    return len([torch.ones(1 << 20) for _ in range(20)])


for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_what_is_freed_is_not_asked_for_again():
    faults = {}
    for way in ("kept", "returned"):
        done = subprocess.run(
            [sys.executable, "-c", COUNT, way], capture_output=True, text=True, check=True
        )
        faults[way] = int(done.stdout)
    assert faults["kept"] < 500 < 10_000 < faults["returned"], faults
