"""Downloads that go on where they stopped: ranges, versions, checksums, budget, progress.

One object at a time into `marl.traces.budget.PartFile`. What is downloaded is chosen in `gcs`.
"""

import base64
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from marl.files import inside
from marl.traces.budget import ByteBudget, Ledger, PartFile
from marl.traces.sources.base import Progress, SourceError, readable
from marl.traces.sources.gcs_client import (
    BucketClient,
    ObjectChanged,
    RangeIgnored,
    RemoteObject,
    explain,
    is_transient,
)
from marl.traces.sources.retrying import Backoff

DOWNLOADS: Final = 3  # of one object that arrives wrong or changes meanwhile
_ENOUGH_BYTES: Final = 64 << 10  # progress that makes up for a broken connection
_SAY_EVERY_S: Final = 2.0


class Meter:
    """Says now and then how far the whole download has come."""

    def __init__(self, total_bytes: int, say: Progress) -> None:
        """Start at zero of `total_bytes`."""
        self.total_bytes = total_bytes
        self._say = say
        self._last = time.monotonic()
        self.done_bytes = 0

    def add(self, count: int, what: str) -> None:
        """Count bytes of `what`."""
        self.done_bytes += count
        now = time.monotonic()
        if now - self._last >= _SAY_EVERY_S:
            self._last = now
            self._say(f"{what}: {readable(self.done_bytes)} of {readable(self.total_bytes)}")


class Downloader:
    """Brings objects into a folder, each once.

    Attributes:
        meter: progress of the whole; None while only beginnings are looked at.
    """

    def __init__(
        self,
        client: BucketClient,
        ledger: Ledger,
        budget: ByteBudget,
        backoff: Backoff,
        restat: Callable[[RemoteObject], RemoteObject | None],
        say: Progress,
    ) -> None:
        """Combine what a download needs.

        Args:
            client: of the bucket.
            ledger: of the target folder.
            budget: every byte that arrives is counted in it, also those of repeated downloads.
            backoff: how long to wait after failures.
            restat: the object as it is now; None when it is gone.
            say: progress.
        """
        self.client = client
        self.ledger = ledger
        self.budget = budget
        self.backoff = backoff
        self.meter: Meter | None = None
        self._restat = restat
        self._say = say
        self._counted: set[Path] = set()

    def beginning(self, item: RemoteObject, name: str, count: int) -> Path:
        """A file with at least the first `count` bytes of an object (all, where it has fewer).

        The bytes stay in the object's part file, so a later `fetch` does not load them again.
        """
        if self.ledger.find(name, item.version) is not None:
            return inside(self.ledger.folder, name)
        for _ in range(DOWNLOADS):
            with PartFile(self._target(name), item.version) as part:
                self._count_found(part, item)
                try:
                    self._fill(part, item, min(count, item.size))
                    return part.path
                except ObjectChanged as error:
                    raise SourceError(
                        f"{item.url} changed while it was being looked at. To do: run again; the "
                        "bucket is listed anew"
                    ) from error
                except RangeIgnored as error:
                    problem = str(error)
                part.discard()
        raise SourceError(f"{item.url} cannot be looked at: {problem}. To do: try again later")

    def fetch(self, item: RemoteObject, name: str, sha256: str | None) -> RemoteObject:
        """Bring an object to `name`, unless it is there already.

        Args:
            item: the object as listed.
            name: target, relative to the ledger's folder.
            sha256: its published sum, where there is one.

        Returns:
            The version that arrived: a newer one when the object changed meanwhile.

        Raises:
            BudgetExceeded: the bytes do not fit.
            SourceError: it cannot be had, or keeps arriving wrong.
        """
        entry = self.ledger.find(name, item.version)
        if entry is not None:
            self.budget.add(entry.bytes, item.url)
            self._tell(entry.bytes, item)
            return item
        problem = "it kept changing while it was being read"
        for attempt in range(1, DOWNLOADS + 1):
            with PartFile(self._target(name), item.version) as part:
                self._count_found(part, item)
                self._tell(part.offset, item)
                try:
                    self._fill(part, item, item.size)
                    problem = wrong_with(part, item, sha256) or ""
                except ObjectChanged:
                    problem = "it changed while it was being read"
                except RangeIgnored as error:
                    problem = str(error)
                if not problem:
                    self.ledger.record(name, item.version, part.finish())
                    return item
                part.discard()
            if attempt < DOWNLOADS:
                self._say(f"{item.url}: {problem}; downloading it again")
                time.sleep(self.backoff.wait_s(attempt))
                # Whatever went wrong: servers that know no generations may hold another object now.
                item = self._again(item)
        raise SourceError(
            f"{item.url} arrived wrong {DOWNLOADS} times: {problem}. To do: try again later; if it "
            "stays, the object in the bucket is damaged"
        )

    def _target(self, name: str) -> Path:
        try:
            return inside(self.ledger.folder, name)
        except ValueError as error:
            raise SourceError(
                f"{error}. An object of the bucket carries this name; point TRACE_PATH at a prefix "
                "without it"
            ) from None

    def _count_found(self, part: PartFile, item: RemoteObject) -> None:
        """Count what an earlier run left, once."""
        if part.path not in self._counted:
            self._counted.add(part.path)
            self.budget.add(part.offset, item.url)

    def _tell(self, count: int, item: RemoteObject) -> None:
        if self.meter is not None:
            self.meter.add(count, item.url)

    def _again(self, item: RemoteObject) -> RemoteObject:
        now = self._restat(item)
        if now is None:
            raise SourceError(
                f"{item.url} was deleted while it was being read. To do: run again; the "
                "bucket is listed anew"
            )
        return now

    def _fill(self, part: PartFile, item: RemoteObject, until: int) -> None:
        """Append bytes until the part has `until` of them; broken connections are taken up."""

        def sink(block: bytes) -> None:
            self.budget.add(len(block), item.url)
            part.write(block)
            self._tell(len(block), item)
            if part.offset > item.size:
                raise RangeIgnored(f"more than its {item.size:,} bytes arrived")

        def go_on() -> None:
            before = part.offset
            try:
                self.client.stream(item, before, until if until < item.size else None, sink)
            except BaseException as error:
                if is_transient(error) and part.offset - before >= _ENOUGH_BYTES:
                    return  # it broke, but it moved: ask for the rest at once
                raise
            if part.offset == before:
                raise ConnectionError(f"the body ended after {before:,} of {item.size:,} bytes")

        while part.offset < until:
            try:
                self.backoff.call(go_on, item.url, is_transient)
            except (ObjectChanged, RangeIgnored, SourceError):
                raise
            except Exception as error:
                raise explain(error, f"downloading {item.url}") from error


def wrong_with(part: PartFile, item: RemoteObject, sha256: str | None) -> str | None:
    """What is wrong with a complete download; None when size and every known checksum agree."""
    if part.offset != item.size:
        return f"{part.offset:,} bytes arrived instead of {item.size:,}"
    part.flush()
    crc32c, md5 = _checksums(part.path, is_crc=bool(item.crc32c), is_md5=bool(item.md5))
    for kind, found, wanted in (
        ("crc32c", crc32c, item.crc32c),
        ("MD5", md5, item.md5),
        ("published sha256", part.sha256(), sha256),
    ):
        if wanted and found != wanted:
            return f"its {kind} is {found}, not {wanted}"
    return None


def _checksums(path: Path, *, is_crc: bool, is_md5: bool) -> tuple[str, str]:
    """Base64 of a file's crc32c and MD5, as the object's metadata give them."""
    import google_crc32c

    crc = google_crc32c.Checksum()
    md5 = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            if is_crc:
                crc.update(block)
            if is_md5:
                md5.update(block)
    return base64.b64encode(crc.digest()).decode(), base64.b64encode(md5.digest()).decode()
