"""kill -9 anywhere, start again: it finishes, and nothing is lost or doubled."""

import os
import signal
import subprocess
import sys
import time

import pytest

from assets.provenance import Provenance
from tests.conftest import REPO

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lineage")]


def _start(data):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.lineage.tiny", str(data)],
        cwd=REPO,
        env={**os.environ, "DAGSTER_DISABLE_TELEMETRY": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _kill_when(process, is_time, limit_s=300):
    """Kill the process as soon as `is_time()` holds; True if it was still running then."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end and process.poll() is None:
        if is_time():
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.02)
    process.kill()
    return False


def test_killed_in_extraction_in_a_table_and_in_training(tmp_path):
    data = tmp_path / "data"
    moments = {
        "extraction": lambda: any((data / "downloads").glob("*/*")),
        "a table": lambda: any(data.glob("instances.staging-*")),
        "training": lambda: any((data / "checkpoints").glob("*/*")),
    }
    for moment, is_time in moments.items():
        assert _kill_when(_start(data), is_time), f"never got to {moment}"
    finished = _start(data)
    assert finished.wait(timeout=300) == 0
    assert not [path.name for path in data.iterdir() if ".staging-" in path.name]
    whole = tmp_path / "whole"
    assert _start(whole).wait(timeout=300) == 0
    for path in sorted(whole.glob("*/provenance.json")):
        name = path.parent.name
        assert Provenance.load(data / name).sha256 == Provenance.load(whole / name).sha256, name
