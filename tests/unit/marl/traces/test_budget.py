"""The byte counter, the ledger of what has arrived, and downloads that go on."""

import hashlib
from contextlib import suppress

import pytest

from marl.traces.budget import ByteBudget, Ledger, PartFile
from marl.traces.sources.base import BudgetExceeded


def test_the_budget_refuses_before_it_is_passed():
    budget = ByteBudget(100, "Shorten duration_s")
    budget.add(60, "two files")
    budget.check(40, "one more")
    with pytest.raises(BudgetExceeded, match="Shorten duration_s") as caught:
        budget.check(41, "one more")
    assert (caught.value.wanted_bytes, caught.value.budget_bytes) == (101, 100)
    with pytest.raises(BudgetExceeded):
        budget.add(41, "one more")
    assert budget.used_bytes == 60


def test_the_message_has_the_numbers():
    error = BudgetExceeded(3 << 30, 2 << 30, "the slice", "Narrow it")
    assert "3,221,225,472 bytes (3.00 GiB)" in str(error)
    assert "2,147,483,648 bytes (2.00 GiB)" in str(error)


def test_the_ledger_believes_only_intact_files_of_the_right_version(tmp_path):
    (tmp_path / "a").write_bytes(b"hello")
    Ledger(tmp_path).record("a", "v1")
    again = Ledger(tmp_path)
    assert again.find("a", "v1").sha256 == hashlib.sha256(b"hello").hexdigest()
    assert again.find("a", "v2") is None
    assert again.find("b", "v1") is None
    (tmp_path / "a").write_bytes(b"hellO")
    assert again.find("a", "v1") is None
    (tmp_path / "a").unlink()
    assert again.find("a", "v1") is None


def test_a_ledger_that_cannot_be_read_counts_as_empty(tmp_path):
    (tmp_path / "arrived.json").write_text("{broken")
    assert Ledger(tmp_path).find("a", "v") is None


def test_pruning_deletes_only_what_was_recorded(tmp_path):
    for name in ("old", "new", "users_own"):
        (tmp_path / name).write_text(name)
    ledger = Ledger(tmp_path)
    ledger.record("old", "v")
    ledger.record("new", "v")
    assert ledger.prune(["new"]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arrived.json", "new", "users_own"]


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b"])
def test_the_ledger_refuses_names_that_leave_its_folder(tmp_path, name):
    with pytest.raises(ValueError, match="would leave"):
        Ledger(tmp_path).record(name, "v")


def test_an_interrupted_download_goes_on(tmp_path):
    target = tmp_path / "part[0].csv"  # a name with a wildcard in it
    with suppress(ConnectionError), PartFile(target, "generation 1") as part:
        part.write(b"first ")
        raise ConnectionError
    assert not target.exists()
    with PartFile(target, "generation 1") as part:
        assert part.offset == 6
        part.write(b"second")
        assert part.finish() == hashlib.sha256(b"first second").hexdigest()
    assert target.read_bytes() == b"first second"
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_another_version_starts_afresh(tmp_path):
    target = tmp_path / "part.csv"
    with PartFile(target, "generation 1") as part:
        part.write(b"old")
    with PartFile(target, "generation 2") as part:
        assert part.offset == 0
        part.write(b"new")
        part.finish()
    assert target.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["part.csv"]


def test_a_discarded_part_is_gone(tmp_path):
    with PartFile(tmp_path / "p", "v") as part:
        part.write(b"wrong")
        part.discard()
    assert list(tmp_path.iterdir()) == []
