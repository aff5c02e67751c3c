"""The literal commands a user types, from the repository's root, with no flag."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPO

pytestmark = pytest.mark.xdist_group("lineage")
DAGSTER = Path(sys.executable).with_name("dagster")


def _dagster(data, *arguments, **environ):
    clean = {
        k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "TRACE", "PROFILE"))
    }
    return subprocess.run(
        [DAGSTER, *arguments],
        cwd=REPO,
        env={**clean, "STRATOFORM_DATA": str(data), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_missing_upstream_names_the_command_that_makes_it(tmp_path):
    asked = _dagster(tmp_path, "asset", "materialize", "--select", "eval_report")
    assert asked.returncode == 1
    said = asked.stdout + asked.stderr
    assert "has not been made yet" in said
    assert "dagster asset materialize --select '*" in said


def test_one_asset_needs_no_flag_and_keeps_its_history(tmp_path):
    asked = _dagster(tmp_path, "asset", "materialize", "--select", "price_catalog")
    assert asked.returncode == 0, asked.stderr
    assert (tmp_path / "price_catalog" / "rows" / "part-000000.parquet").is_file()
    assert (tmp_path / "dagster_home" / "history").is_dir(), "runs are remembered"


def test_nonsense_switches_are_refused_by_name(tmp_path):
    asked = _dagster(tmp_path, "asset", "materialize", "--select", "raw_trace", TRACE_SOURCE="ftp")
    assert asked.returncode != 0
    assert "TRACE_SOURCE='ftp' is not a source" in asked.stdout + asked.stderr


def test_local_source_that_is_not_there_says_where_it_looked(tmp_path):
    asked = _dagster(
        tmp_path, "asset", "materialize", "--select", "raw_trace",
        TRACE_SOURCE="local", TRACE_PATH=str(tmp_path / "absent"),
    )  # fmt: skip
    assert asked.returncode == 1
    assert str(tmp_path / "absent") in asked.stdout + asked.stderr
    assert not (tmp_path / "raw_trace").exists()
