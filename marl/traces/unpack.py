"""Gzip read within limits: bombs are refused, a file cut short gives its whole lines.

`open_bounded` is a stream, `decompress_to` makes a plain file that Polars and DuckDB can scan. What
the bytes mean belongs to `detect` and `formats`.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from zlib_ng import zlib_ng

from marl.files import staged

zlib: Any = zlib_ng  # zlib's interface and bytes, twice as fast; its stubs lack copy and error

GZIP_MAGIC: Final = b"\x1f\x8b"
UNPACK_LIMIT_BYTES: Final = 8 << 30  # the largest real part unpacks to about 1.5 GiB
RATIO_LIMIT: Final = 200.0  # real parts reach about 15; deflate itself cannot pass 1,032
RATIO_FREE_BYTES: Final = 16 << 20  # below this no ratio does harm
_LONGEST_LINE_BYTES: Final = 64 << 20
_BLOCK_BYTES: Final = 256 << 10  # compressed bytes read at once
_OUT_BYTES: Final = 2 << 20  # unpacked bytes made at once, whatever the ratio
_GZIP_WBITS: Final = 31  # zlib: expect a gzip header, check its CRC and length


class UnpackRefused(ValueError):  # noqa: N818 - public name: it says what happened
    """The file is not unpacked: it would grow beyond the limits."""


@dataclass(frozen=True)
class CutInfo:
    """How reading a compressed file ended.

    Attributes:
        bytes_out: unpacked bytes handed on.
        is_truncated: the file ended early or is damaged; only what came before was handed on.
        reason: what was found, for people; None when all is well.
    """

    bytes_out: int
    is_truncated: bool
    reason: str | None


class BoundedGzip:
    """One pass over a gzip file (also of several members), or over a plain one.

    Attributes:
        cut: how it ended; None until `blocks` is exhausted.
    """

    def __init__(
        self,
        path: Path,
        limit_bytes: int = UNPACK_LIMIT_BYTES,
        ratio_limit: float = RATIO_LIMIT,
        *,
        whole_lines: bool = True,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            path: the file.
            limit_bytes: most unpacked bytes.
            ratio_limit: most unpacked bytes per compressed byte, looked at above 16 MiB.
            whole_lines: where the file is cut, hand on nothing after the last line end. Set to
                False for binary content.
        """
        self.path = path
        self.cut: CutInfo | None = None
        self._limit = limit_bytes
        self._ratio = ratio_limit
        self._whole_lines = whole_lines
        self._fault: str | None = None
        self._is_truncated = False

    def blocks(self) -> Iterator[bytes]:
        """Unpacked blocks of at most some MiB, in order.

        Raises:
            UnpackRefused: a limit would be passed.
            OSError: the file cannot be read.
        """
        given = 0
        held: list[bytes] = []  # the start of a line whose end has not come yet
        waiting = 0
        for block in self._unpacked():
            if not self._whole_lines:
                given += len(block)
                yield block
                continue
            end = block.rfind(b"\n") + 1
            if end == 0:
                held.append(block)
                waiting += len(block)
                if waiting > _LONGEST_LINE_BYTES:
                    raise UnpackRefused(
                        f"{self.path}: a line longer than {_LONGEST_LINE_BYTES:,} bytes; "
                        "this is not a text trace"
                    )
                continue
            whole = b"".join([*held, block[:end]])
            held, waiting = [block[end:]], len(block) - end
            given += len(whole)
            yield whole
        if waiting and not self._is_truncated:  # a last line without a line end is whole
            given += waiting
            yield b"".join(held)
        self.cut = CutInfo(given, self._is_truncated, self._fault)

    def _unpacked(self) -> Iterator[bytes]:
        with self.path.open("rb") as stream:
            head = stream.read(2)
            stream.seek(0)
            if head != GZIP_MAGIC:
                while block := stream.read(_OUT_BYTES):
                    yield block
                return
            yield from self._members(stream)

    def _members(self, stream: io.BufferedReader) -> Iterator[bytes]:
        read = made = 0
        rest = b""
        members = 0
        while True:
            while len(rest) < len(GZIP_MAGIC) and (block := stream.read(_BLOCK_BYTES)):
                rest += block
                read += len(block)
            if not rest:
                return
            if not rest.startswith(GZIP_MAGIC):
                self._trailing(rest, stream)
                return
            members += 1
            inflater = zlib.decompressobj(_GZIP_WBITS)
            while not inflater.eof:
                if not rest:
                    rest = stream.read(_BLOCK_BYTES)
                    read += len(rest)
                    if not rest:
                        yield inflater.flush()
                        self._damaged(f"cut short: it ends inside gzip member {members}")
                        return
                before = inflater.copy()
                try:
                    block = inflater.decompress(rest, _OUT_BYTES)
                except zlib.error as error:
                    yield _until_fault(before, rest)
                    self._damaged(f"damaged near compressed byte {read - len(rest):,}: {error}")
                    return
                rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
                made += len(block)
                self._check(made, read - len(rest))
                yield block

    def _check(self, made: int, consumed: int) -> None:
        if made > self._limit:
            raise UnpackRefused(
                f"{self.path}: refused, it unpacks to more than the limit of {self._limit:,} bytes"
            )
        if made > RATIO_FREE_BYTES and made > self._ratio * max(1, consumed):
            raise UnpackRefused(
                f"{self.path}: refused as a decompression bomb, {consumed:,} compressed bytes "
                f"unpack to {made:,} (more than {self._ratio:g} to 1)"
            )

    def _damaged(self, what: str) -> None:
        self._is_truncated = True
        self._fault = f"{self.path.name} is {what}; what came before was kept"

    def _trailing(self, rest: bytes, stream: io.BufferedReader) -> None:
        """What follows the last member: zero padding is common, anything else is told."""
        count = 0
        is_padding = True
        while rest:
            count += len(rest)
            is_padding = is_padding and not rest.strip(b"\0")
            rest = stream.read(_BLOCK_BYTES)
        if not is_padding:
            self._fault = (
                f"{self.path.name}: {count:,} bytes after the end of the gzip data ignored"
            )


def _until_fault(inflater: Any, data: bytes) -> bytes:
    """What a damaged block gives before the fault, fed in small and then single bytes.

    At most one block's output: `max_length` stopped the whole block's at `_OUT_BYTES`.
    """
    out: list[bytes] = []
    for step in (1024, 1):
        position = 0
        while position < len(data):
            saved = inflater.copy()
            try:
                out.append(inflater.decompress(data[position : position + step]))
            except zlib.error:
                inflater = saved
                break
            position += step
        data = data[position : position + step]
    return b"".join(out)


class _Stream(io.RawIOBase):
    """`BoundedGzip.blocks` as a raw binary stream."""

    def __init__(self, source: BoundedGzip) -> None:
        self.source = source
        self._blocks = source.blocks()
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        target = memoryview(cast(bytearray, buffer)).cast("B")
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        self._blocks.close()  # type: ignore[attr-defined]  # a generator; closes the file
        super().close()


class BoundedReader(io.BufferedReader):
    """A buffered binary stream that knows, once read to its end, how the file ended."""

    def __init__(self, source: BoundedGzip) -> None:
        """Wrap one pass over a file."""
        self._source = source
        super().__init__(_Stream(source), buffer_size=1 << 20)

    @property
    def cut(self) -> CutInfo | None:
        """How the file ended; None until the stream has been read to its end."""
        return self._source.cut


def open_bounded(
    path: Path,
    limit_bytes: int = UNPACK_LIMIT_BYTES,
    ratio_limit: float = RATIO_LIMIT,
    *,
    whole_lines: bool = True,
) -> BoundedReader:
    """Open a gzip or plain file for reading within limits (arguments as `BoundedGzip`).

    Reading raises `UnpackRefused` where a limit would be passed.
    """
    return BoundedReader(BoundedGzip(path, limit_bytes, ratio_limit, whole_lines=whole_lines))


def decompress_to(
    path_in: Path,
    path_out: Path,
    limit_bytes: int = UNPACK_LIMIT_BYTES,
    ratio_limit: float = RATIO_LIMIT,
    *,
    whole_lines: bool = True,
) -> CutInfo:
    """Unpack to a plain file, streaming, in flat memory; the file appears only when complete.

    Args:
        path_in: a gzip file (a plain file is copied).
        path_out: where the plain bytes go.
        limit_bytes: most unpacked bytes.
        ratio_limit: most unpacked bytes per compressed byte, looked at above 16 MiB.
        whole_lines: see `BoundedGzip`.

    Returns:
        How much was written and how the input ended.

    Raises:
        UnpackRefused: a limit would be passed; `path_out` is as it was before.
    """
    source = BoundedGzip(path_in, limit_bytes, ratio_limit, whole_lines=whole_lines)
    with staged(path_out) as aside, aside.open("wb") as out:
        for block in source.blocks():
            out.write(block)
    if source.cut is None:  # unreachable: the loop above exhausted the blocks
        raise AssertionError("reading ended without saying how")
    return source.cut
