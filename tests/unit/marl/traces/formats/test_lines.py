"""Blocks of whole records: numbers, ends, marks, cut files."""

import gzip

import pytest

from marl.traces.formats import lines as module
from marl.traces.formats.ahead import ahead
from marl.traces.formats.lines import LineFile
from marl.traces.formats.spec import TraceFormatError


def records(path, **options):
    """(number, text, is_cut) of every record, and the notes."""
    file = LineFile(path, **options)
    found = []
    for block in file.blocks():
        rows = list(range(block.first_row, block.first_row + len(block)))
        found += [
            (row, text, block.is_cut) for row, text in zip(rows, block.raw(rows), strict=True)
        ]
    return found, file.notes


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("packed", [True, False])
def test_records_are_numbered_whatever_the_block_size(tmp_path, monkeypatch, block_bytes, packed):
    monkeypatch.setattr(module, "BLOCK_BYTES", block_bytes)
    texts = [f"record {n} " + "x" * (n % 50) for n in range(200)]
    data = "\n".join(texts).encode()
    path = tmp_path / "f"
    path.write_bytes(gzip.compress(data) if packed else data)
    found, notes = records(path)
    assert found == [(n + 1, text, False) for n, text in enumerate(texts)]
    assert notes == []


def test_several_gzip_members_and_windows_line_ends(tmp_path):
    path = tmp_path / "f.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbfa,b\r\nc,") + gzip.compress(b"d\r\n\r\ne\r\n"))
    found, _ = records(path)
    assert [text for _, text, _ in found] == ["a,b", "c,d", "", "e"]


@pytest.mark.parametrize("end", range(11, 60))
def test_a_cut_at_every_byte_loses_nothing_before_it(tmp_path, end):
    data = b"".join(b"%d,%d\n" % (n, n * n) for n in range(40))
    path = tmp_path / "f.gz"
    path.write_bytes(gzip.compress(data)[:end])
    found, notes = records(path)
    given = b"".join(text.encode() + (b"" if cut else b"\n") for _, text, cut in found)
    assert data.startswith(given)
    assert [row for row, _, _ in found] == list(range(1, len(found) + 1))
    assert not any(cut for _, _, cut in found[:-1])
    assert "cut short" in notes[0]


def test_bytes_that_are_no_text_are_shown_escaped(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"ok\n\xff\xfeq\n")
    assert [text for _, text, _ in records(path)[0]] == ["ok", "\\xff\\xfeq"]


def test_continued_records_stay_whole_in_every_block(tmp_path, monkeypatch):
    texts = [f'{n},"[{n}\n 1 2\n  3]",x' for n in range(50)]
    path = tmp_path / "f"
    path.write_bytes("\n".join(texts).encode() + b"\n")
    for size in (1, 10, 33, 1 << 20):
        monkeypatch.setattr(module, "BLOCK_BYTES", size)
        found, _ = records(path, may_continue=True)
        assert [text for _, text, _ in found] == texts


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_utf16_is_refused(tmp_path, mark):
    path = tmp_path / "f"
    path.write_bytes(mark + b"1\x00,\x00")
    with pytest.raises(TraceFormatError, match="UTF-16"):
        records(path)


def test_an_endless_record_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 1 << 10)
    monkeypatch.setattr(module, "LONGEST_RECORD_BYTES", 1 << 12)
    path = tmp_path / "f"
    path.write_bytes(b"\0" * (5 << 20))
    with pytest.raises(TraceFormatError, match="a record longer than"):
        records(path)


def test_ahead_keeps_order_and_passes_errors_on():
    def numbers():
        yield from range(20)
        raise OSError("disk")

    items = ahead(numbers())
    assert [next(items) for _ in range(20)] == list(range(20))
    with pytest.raises(OSError, match="disk"):
        next(items)


def test_ahead_stops_its_thread_when_left_early():
    import itertools
    import threading

    before = threading.active_count()
    for number in ahead(itertools.count()):
        if number == 5:
            break
    for _ in range(100):
        if threading.active_count() == before:
            break
        threading.Event().wait(0.05)
    assert threading.active_count() == before
