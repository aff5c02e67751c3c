"""Publishing is all or nothing, leaves no litter, and records what a result was made from."""

import os
import subprocess
import sys

import polars as pl
import pytest

from assets.provenance import PROVENANCE, Provenance
from assets.store import Store
from marl.files import inside, replace, staged, write_json


def test_failed_write_leaves_the_old_result(tmp_path):
    target = tmp_path / "result.json"
    write_json(target, {"old": 1})

    def interrupted():
        with staged(target) as aside:
            aside.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "old" in target.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_folder_is_replaced_whole(tmp_path):
    old, new = tmp_path / "table", tmp_path / "new"
    old.mkdir()
    (old / "stale.parquet").touch()
    new.mkdir()
    (new / "fresh.parquet").touch()
    replace(new, old)
    assert [p.name for p in old.iterdir()] == ["fresh.parquet"]
    assert not new.exists()


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", ".", ""])
def test_names_cannot_leave_the_folder(tmp_path, name):
    with pytest.raises(ValueError, match="would leave"):
        inside(tmp_path, name)


def test_staging_of_a_dead_process_is_cleared_of_a_living_one_kept(tmp_path):
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        text=True,
        capture_output=True,
        check=True,
    ).stdout.strip()
    (tmp_path / f"usage.staging-{dead}-0123abcd").mkdir()
    (tmp_path / f"usage.staging-{os.getppid()}-0123abcd").mkdir()
    fresh = Store(root=str(tmp_path)).staging("usage")
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {fresh.name, f"usage.staging-{os.getppid()}-0123abcd"}


def _folder(path, value):
    (path / "rows").mkdir(parents=True)
    pl.DataFrame({"x": [value, value]}).write_parquet(path / "rows" / "part-000000.parquet")
    return path


def test_same_content_same_hash_and_inputs_are_named(tmp_path):
    first = _folder(tmp_path / "machines", 1)
    record = Provenance.of("machines", first, [], {"seed": 0})
    write_json(first / PROVENANCE, record.model_dump(mode="json"))
    again = Provenance.of("machines", _folder(tmp_path / "copy", 1), [], {"seed": 0})
    other = Provenance.of("machines", _folder(tmp_path / "other", 2), [first], {"seed": 1})
    assert record.rows == 2
    assert again.sha256 == record.sha256
    assert other.sha256 != record.sha256
    assert other.config_hash != record.config_hash
    assert other.inputs == {"machines": record.sha256}
