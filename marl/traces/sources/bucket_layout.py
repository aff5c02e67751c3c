"""What the objects of a bucket are, by their published names, and which of them a window needs.

Reads nothing itself: where a part begins is asked through a function. The content has the last
word after the download (`detect`); the rules that mix no layouts are in `choose`.
"""

import bisect
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from marl.traces.detect import Encoding, canonical_table
from marl.traces.manifest import Layout, Table, TraceRequest
from marl.traces.schema import WINDOW_US

_FEW_PARTS: Final = 64
Role = Literal["part", "checksums", "companion", "unknown"]

_NAME_2011: Final = re.compile(
    r"(?:^|/)(job_events|task_events|task_usage|machine_events|machine_attributes|task_constraints)"
    r"/part-\d+-of-\d+\.(csv(?:\.gz)?)$"
)
_NAME_2019: Final = re.compile(
    r"(?:^|/)(collection_events|instance_events|instance_usage|machine_events|machine_attributes)"
    r"-\d+\.(json|json\.gz|parquet|parquet\.gz)$"
)
_NAME_KAGGLE: Final = re.compile(r"(?:^|/)borg_traces_data[^/]*\.(csv(?:\.gz)?)$")
_NAME_DATA: Final = re.compile(r"\.(csv|json|jsonl|ndjson|parquet)(\.gz|\.gzip)?$")
_NAME_SUMS: Final = re.compile(r"(?:^|/)SHA256SUMS?(?:\.txt)?$")
_SUM_LINE: Final = re.compile(r"([0-9a-fA-F]{64})[ \t]+[ *]?(\S.*)")


@dataclass(frozen=True)
class Named:
    """What a name promises.

    Attributes:
        role: "part" of a table that is used, "checksums", "companion" (a table or text not used),
            or "unknown" (data under a name that says nothing).
        layout, table, encoding: of a part; table None for Kaggle's file, which holds several.
    """

    role: Role
    layout: Layout | None = None
    table: Table | None = None
    encoding: Encoding | None = None


def by_name(name: str) -> Named:
    """Read an object's name."""
    for pattern, layout in ((_NAME_2011, "google2011"), (_NAME_2019, "google2019")):
        if match := pattern.search(name):
            table = canonical_table(match[1])
            if table is None:
                return Named("companion")
            # The bucket's .parquet.gz is plain Parquet; what it really is, is looked at later.
            ending = "parquet" if match[2].startswith("parquet") else match[2]
            return Named("part", layout, table, ending)  # type: ignore[arg-type]
    if match := _NAME_KAGGLE.search(name):
        return Named("part", "kaggle2019", None, match[1])  # type: ignore[arg-type]
    if _NAME_SUMS.search(name):
        return Named("checksums")
    return Named("unknown" if _NAME_DATA.search(name.lower()) else "companion")


def local_name(name: str, prefix: str) -> str:
    """Where an object goes, relative to the folder of the prefix (`a/b` is a name inside `a/`)."""
    folder = posixpath.dirname(prefix)
    return name[len(folder) :].removeprefix("/") if folder else name


class Published:
    """The sha256 sums a bucket publishes beside its objects."""

    def __init__(self) -> None:
        """Know none yet."""
        self._sums: dict[str, str] = {}

    def read(self, path: Path, name: str) -> int:
        """Take in a downloaded SHA256SUM file that lay at `name`. Returns how many sums it had."""
        folder = posixpath.dirname(name)
        count = 0
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if match := _SUM_LINE.fullmatch(line.strip()):
                    target = posixpath.normpath(posixpath.join(folder, match[2]))
                    self._sums[target.lstrip("/")] = match[1].lower()
                    count += 1
        return count

    def find(self, name: str) -> str | None:
        """The published sum of an object; None where none is."""
        return self._sums.get(name)


class Unordered(Exception):  # noqa: N818 - an answer, not a fault
    """The parts are not sorted by time, or a part's first time cannot be read."""


def needed_2011(
    count: int, first_us: Callable[[int], int | None], table: Table, request: TraceRequest
) -> list[int]:
    """Indices of the time-sorted 2011 parts that can hold rows of the window.

    Parts beginning at time 0 hold the snapshot and always belong; so do all machine events up to
    the window's end, which say what machines there are. Few parts are all asked for their first
    time; of many, as Google publishes them, only the ends and those a binary search meets.

    Args:
        count: number of parts, in order.
        first_us: first time of a part, by index; None where it cannot be read.
        table: the canonical table.
        request: window.

    Raises:
        Unordered: the first times asked for do not ascend.
    """
    known: dict[int, int] = {}

    def first(index: int) -> int:
        if index not in known:
            time = first_us(index)
            if time is None:
                raise Unordered
            known[index] = time
        return known[index]

    everything = range(count)
    for index in everything if count <= _FEW_PARTS else (0, count - 1):
        first(index)
    end_us = request.end_us
    stop = count if end_us is None else bisect.bisect_left(everything, end_us, key=first)
    from_us = request.start_us - (WINDOW_US if table == "usage" else 0)
    start, snapshot = 0, 0
    if from_us > 0 and table != "machines":
        # Rows of the window may begin in the last part that starts before it.
        start = max(0, bisect.bisect_left(everything, from_us, key=first) - 1)
        snapshot = bisect.bisect_left(everything, 1, key=first) if start else 0
    times = [known[index] for index in sorted(known)]
    if times != sorted(times):
        raise Unordered
    return sorted({*range(min(snapshot, stop)), *range(start, stop)})
