"""Which of the files found belong to the trace: one layout, each part once, inside the window.

The rules, in the order they are applied:

1. 2011 and 2019 files are never mixed (other event codes, other units): refused, with the folders
   to choose from.
2. Kaggle's file is a sample of the native 2019 tables. Where native files fill collections,
   instances or usage, it is left out; beside machine events alone it is used.
3. The same parts in two encodings (`x.json.gz` and `x.parquet`) are taken once: the encoding with
   more parts, Parquet when even. Where each has parts the other lacks: refused, nobody can tell.
4. Several 2019 cells are taken together as one larger cluster. Google's collection ids do not clash
   between cells (none does in the published samples of cells a to d), but a folder may as well name
   a single cell.
5. A part wholly outside the window is left out where that can be told cheaply: 2011 parts are
   sorted by time, Parquet footers hold extremes. Machine events before the window always stay:
   they say which machines exist. So does any part with snapshot rows (time 0).

Walking and hashing belong to `local`.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from marl.traces.detect import Detected
from marl.traces.manifest import TraceRequest
from marl.traces.schema import SNAPSHOT_US
from marl.traces.sources.base import SourceError
from marl.traces.unpack import open_bounded

_ENCODING_RANK: Final = ("parquet", "parquet.gz", "json", "json.gz", "csv", "csv.gz")
_ENDINGS: Final = (".gz", ".gzip", ".parquet", ".json", ".jsonl", ".ndjson", ".csv")
_KAGGLE_TABLES: Final = frozenset({"collections", "instances", "usage"})


def one_layout(found: Sequence[Detected], root: Path) -> tuple[list[Detected], list[str]]:
    """Rules 1 and 2.

    Returns:
        The files to go on with, and notes for people.

    Raises:
        SourceError: 2011 and 2019 files lie under one folder.
    """
    kinds = {file.layout for file in found}
    if "google2011" in kinds and len(kinds) > 1:
        folders: defaultdict[str, set[str]] = defaultdict(set)
        for file in found:
            folders[file.path.relative_to(root).parts[0]].add(file.layout)
        listed = "; ".join(
            f"{name} ({', '.join(sorted(folders[name]))})" for name in sorted(folders)
        )
        raise SourceError(
            f"{root} holds traces of several layouts, which cannot be read as one: {listed}. "
            "Point TRACE_PATH at one of these"
        )
    native = [file for file in found if file.layout == "google2019"]
    kaggle = [file for file in found if file.layout == "kaggle2019"]
    if kaggle and any(file.table in _KAGGLE_TABLES for file in native):
        names = ", ".join(str(file.path.relative_to(root)) for file in kaggle)
        return native, [
            f"left out {names}: Kaggle's file is a sample of the native 2019 tables, which are "
            "here too; point TRACE_PATH at its folder to use it instead"
        ]
    return list(found), []


def once(found: Sequence[Detected], root: Path) -> tuple[list[Detected], list[str]]:
    """Rule 3. Returns what to go on with, and notes.

    Raises:
        SourceError: two encodings of a table overlap, and each has parts the other lacks.
    """
    groups: defaultdict[tuple[str, str], dict[str, dict[str, Detected]]] = defaultdict(dict)
    for file in found:
        parts = groups[(str(file.path.parent), str(file.table))].setdefault(file.encoding, {})
        stem = _stem(file.path.name)
        parts[stem if stem not in parts else file.path.name] = file
    kept: list[Detected] = []
    notes: list[str] = []
    for (folder, table), encodings in sorted(groups.items()):
        order = sorted(
            encodings, key=lambda name: (-len(encodings[name]), _ENCODING_RANK.index(name))
        )
        taken: dict[str, Detected] = {}
        for name in order:
            parts = encodings[name]
            both = set(parts) & set(taken)
            if both and set(parts) - set(taken):
                raise SourceError(
                    f"{folder}: {table} is there in several encodings, and each has parts the "
                    f"other lacks (as {name}: {len(parts)} parts, {len(both)} of them twice). "
                    "Remove one of the copies"
                )
            if both:
                notes.append(
                    f"left out {len(both)} {name} files of {table} in "
                    f"{_relative(Path(folder), root)}: the same parts are there as "
                    f"{', '.join(sorted({file.encoding for file in taken.values()}))}"
                )
            else:
                taken.update(parts)
        kept.extend(taken.values())
    return sorted(kept, key=lambda file: file.path), notes


def in_window(
    found: Sequence[Detected], request: TraceRequest, root: Path
) -> tuple[list[Detected], list[str]]:
    """Rule 5. Returns what to go on with, and notes."""
    if request.start_us == 0 and request.end_us is None:
        return list(found), []
    groups: defaultdict[tuple[str, str], list[Detected]] = defaultdict(list)
    for file in found:
        groups[(str(file.path.parent), str(file.table))].append(file)
    kept: list[Detected] = []
    notes: list[str] = []
    for (folder, table), parts in sorted(groups.items()):
        ranges = _ranges(parts)
        inside = [
            part
            for part, (low, high) in zip(parts, ranges, strict=True)
            if _overlaps(request, table, low, high)
        ]
        if len(inside) < len(parts):
            notes.append(
                f"skipped {len(parts) - len(inside)} of {len(parts)} {table} parts in "
                f"{_relative(Path(folder), root)}: wholly outside the window"
            )
        kept.extend(inside)
    return sorted(kept, key=lambda file: file.path), notes


def _overlaps(request: TraceRequest, table: str, low: int | None, high: int | None) -> bool:
    """Whether a part with times in [low, high] can hold rows of the window; None is unknown."""
    if low == SNAPSHOT_US:
        return True
    if request.end_us is not None and low is not None and low >= request.end_us:
        return False
    return table == "machines" or high is None or high >= request.start_us


def _ranges(parts: Sequence[Detected]) -> list[tuple[int | None, int | None]]:
    """First and last time of each part, as far as they are known without reading it."""
    if any(part.layout != "google2011" for part in parts):
        return [
            _parquet_range(part) if part.encoding == "parquet" else (None, None) for part in parts
        ]
    firsts = [first_time(part.path) for part in parts]
    known = [time for time in firsts if time is not None]
    if len(known) < len(parts) or known != sorted(known):
        return [(None, None)] * len(parts)  # not in order as published: nothing can be told
    return list(zip(firsts, [*firsts[1:], None], strict=True))


def first_time(path: Path) -> int | None:
    """Time of a 2011 file's first row, in microseconds; None where it is not a number."""
    with open_bounded(path) as stream:
        field = stream.readline(1 << 16).split(b",", 1)[0].strip()
    return int(field) if field.isdigit() else None


def _parquet_range(part: Detected) -> tuple[int | None, int | None]:
    """Extremes of the time column from the footer's statistics; (None, None) without them."""
    import pyarrow.parquet as pq

    name = "start_time" if part.table == "usage" else "time"
    metadata = pq.ParquetFile(part.path).metadata
    leaves = [metadata.schema.column(leaf).path for leaf in range(metadata.num_columns)]
    if name not in leaves:
        return None, None
    column = leaves.index(name)
    lows: list[int] = []
    highs: list[int] = []
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(column).statistics
        if statistics is None or not statistics.has_min_max:
            return None, None
        if not isinstance(statistics.min, int):
            return None, None
        lows.append(statistics.min)
        highs.append(statistics.max)
    return (min(lows), max(highs)) if lows else (None, None)


def _stem(name: str) -> str:
    """A part's name without the endings that tell its encoding."""
    while True:
        for ending in _ENDINGS:
            if name.lower().endswith(ending) and len(name) > len(ending):
                name = name[: -len(ending)]
                break
        else:
            return name


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path != root else path.name
