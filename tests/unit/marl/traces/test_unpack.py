"""Gzip within limits: whole lines of cut and damaged files, several members, bombs."""

import gzip
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marl.traces.unpack import UnpackRefused, decompress_to, open_bounded


def text(lines, seed=0):
    draw = random.Random(seed)
    return "".join(f"{i},{draw.random()}\n" for i in range(lines)).encode()


def unpack(tmp_path, content, **limits):
    source, target = tmp_path / "in.gz", tmp_path / "out"
    source.write_bytes(content)
    info = decompress_to(source, target, **limits)
    return info, target.read_bytes()


def test_whole_file_and_stream_agree(tmp_path):
    body = text(200_000)
    info, out = unpack(tmp_path, gzip.compress(body))
    assert out == body
    assert (info.bytes_out, info.is_truncated, info.reason) == (len(body), False, None)
    with open_bounded(tmp_path / "in.gz") as stream:
        assert stream.readline() == body.split(b"\n", 1)[0] + b"\n"
        assert stream.cut is None
        assert len(stream.read()) + len(body.split(b"\n", 1)[0]) + 1 == len(body)
        assert stream.cut == info


def test_plain_files_pass_through(tmp_path):
    info, out = unpack(tmp_path, b"a\nb")
    assert (out, info.is_truncated) == (b"a\nb", False)


def test_several_members_are_one_text_and_zero_padding_is_fine(tmp_path):
    info, out = unpack(tmp_path, gzip.compress(b"a\nb") + gzip.compress(b"c\n") + b"\0" * 512)
    assert (out, info.reason) == (b"a\nbc\n", None)


def test_bytes_after_the_end_are_told_not_read(tmp_path):
    info, out = unpack(tmp_path, gzip.compress(b"a\n") + b"junk")
    assert out == b"a\n"
    assert "4 bytes after the end" in info.reason


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_cut_file_gives_its_whole_lines(tmp_path, kept):
    body = text(30_000)
    packed = gzip.compress(body)
    info, out = unpack(tmp_path, packed[: int(len(packed) * kept)])
    assert body.startswith(out)
    assert out.endswith(b"\n")
    assert len(out) > len(body) * kept * 0.8
    assert info.is_truncated
    assert "cut short" in info.reason
    assert info.bytes_out == len(out)


def test_a_missing_checksum_is_a_cut_too(tmp_path):
    body = text(100)
    info, out = unpack(tmp_path, gzip.compress(body)[:-4])
    assert (out, info.is_truncated) == (body, True)


def test_damage_in_the_middle_gives_what_came_before_and_says_so(tmp_path):
    body = text(30_000)
    packed = bytearray(gzip.compress(body))
    packed[len(packed) // 2] ^= 0xFF
    info, out = unpack(tmp_path, bytes(packed))
    assert info.is_truncated
    assert "damaged" in info.reason
    assert len(out) > 0.3 * len(body)
    half = out[: int(0.45 * len(body))]
    assert body.startswith(half)  # deflate may decode garbage after the flipped byte, never before


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=st.binary(max_size=3000), cut=st.integers(0, 3100))
def test_any_cut_gives_a_prefix_that_ends_at_a_line(tmp_path, body, cut):
    packed = gzip.compress(body)[: max(2, cut)]
    info, out = unpack(tmp_path, packed)
    assert body.startswith(out)
    assert info.bytes_out == len(out)
    if len(packed) < len(gzip.compress(body)):
        assert info.is_truncated
        assert out == b"" or out.endswith(b"\n")
    else:
        assert out == body


def test_a_bomb_is_refused_and_leaves_nothing(tmp_path):
    bomb = gzip.compress(b"0\n" * (40 << 20))
    (tmp_path / "out").write_bytes(b"old")
    with pytest.raises(UnpackRefused, match="decompression bomb"):
        unpack(tmp_path, bomb)
    assert (tmp_path / "out").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.gz", "out"]
    with open_bounded(tmp_path / "in.gz") as stream, pytest.raises(UnpackRefused):
        stream.read()


def test_the_absolute_limit_holds_for_honest_ratios(tmp_path):
    with pytest.raises(UnpackRefused, match="more than the limit of 1,000 bytes"):
        unpack(tmp_path, gzip.compress(text(1000)), limit_bytes=1000)


def test_a_line_without_end_does_not_fill_the_memory(tmp_path):
    noise = random.Random(1).randbytes(1 << 20).replace(b"\n", b" ") * 70
    with pytest.raises(UnpackRefused, match="line longer"):
        unpack(tmp_path, gzip.compress(noise, compresslevel=0))


def test_binary_content_is_kept_to_the_last_byte(tmp_path):
    body = random.Random(2).randbytes(100_000)
    packed = gzip.compress(body)
    info, out = unpack(tmp_path, packed[:-9], whole_lines=False)
    assert info.is_truncated
    assert body.startswith(out)
    assert len(out) > 99_000
