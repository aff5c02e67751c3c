"""Which objects of a bucket belong to the trace and to the window, downloading next to nothing.

Names first, a few first bytes where names do not tell. Downloading them is `gcs`.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from marl.files import inside, write_json
from marl.traces.detect import Detected, detect
from marl.traces.manifest import Table, TraceRequest
from marl.traces.sources.base import SourceError
from marl.traces.sources.bucket_layout import Unordered, by_name, local_name, needed_2011
from marl.traces.sources.choose import first_time, once, one_layout
from marl.traces.sources.gcs_client import RemoteObject
from marl.traces.unpack import UnpackRefused

_BEGINNINGS: Final = "beginnings.json"
_PEEK_BYTES: Final = (4 << 10, 64 << 10)  # the first line lies in the first of them, nearly always
_LOOK_BYTES: Final = 256 << 10
_MOST_UNKNOWN: Final = 100
_PARQUET: Final = re.compile(r"\.parquet(\.gz|\.gzip)?$", re.IGNORECASE)

Beginning = Callable[[RemoteObject, str, int], Path]


@dataclass(frozen=True)
class Part:
    """An object that belongs to the trace.

    Attributes:
        item: the object.
        name: where it will lie, relative to the target folder.
        claim: what it is, as far as that is known; its path is where it will lie.
    """

    item: RemoteObject
    name: str
    claim: Detected


class Chooser:
    """Chooses the parts of one request from a bucket's listing.

    Attributes:
        notes: what was left out and why, for people.
    """

    def __init__(
        self, request: TraceRequest, into: Path, prefix: str, url: str, beginning: Beginning
    ) -> None:
        """Prepare.

        Args:
            request: window and tables.
            into: target folder.
            prefix: of the object names.
            url: the location, for people.
            beginning: gives a file with the first bytes of an object.
        """
        self.request = request
        self.notes: list[str] = []
        self._into, self._root = into, into.resolve()
        self._prefix, self._url = prefix, url
        self._beginning = beginning

    def choose(self, listed: Sequence[RemoteObject]) -> tuple[list[Part], list[RemoteObject]]:
        """The parts the request needs, in order of name, and the files of published sums.

        Raises:
            SourceError: no trace there, layouts that do not mix, a name that leaves the folder.
        """
        parts: list[Part] = []
        sums: list[RemoteObject] = []
        unknown: list[RemoteObject] = []
        self._refuse_twins(listed)
        for item in listed:
            named = by_name(item.name)
            if named.role == "part" and named.layout and named.encoding and item.size:
                name = self.name(item)
                claim = Detected(self._root / name, named.layout, named.table, named.encoding)
                parts.append(Part(item, name, claim))
            elif named.role == "checksums":
                sums.append(item)
            elif named.role == "unknown":
                unknown.append(item)
        parts.extend(self._look(unknown))
        if not parts:
            raise SourceError(
                f"no trace found in {self._url} among {len(listed):,} objects. Expected "
                "<table>/part-NNNNN-of-NNNNN.csv.gz (2011) or <table>-NNNNNNNNNNNN.json.gz or "
                ".parquet.gz (2019); check TRACE_PATH" + "".join(f"\n  {n}" for n in self.notes)
            )
        by_path = {part.claim.path: part for part in parts}
        claims = [by_path[path].claim for path in sorted(by_path)]
        for rule in (one_layout, once):
            claims, notes = rule(claims, self._root)
            self.notes.extend(notes)
        return self._in_window([by_path[claim.path] for claim in self._wanted(claims)]), sums

    def name(self, item: RemoteObject) -> str:
        """Where an object will lie, relative to the target folder.

        Raises:
            SourceError: the name would leave the folder.
        """
        name = local_name(item.name, self._prefix)
        try:
            return str(inside(self._into, name).relative_to(self._root))
        except ValueError as error:
            raise SourceError(
                f"refused the object name {item.name!r} of {self._url}: {error}. Point TRACE_PATH "
                "at a prefix without it"
            ) from None

    def _refuse_twins(self, listed: Sequence[RemoteObject]) -> None:
        """Names like `a//b` and `a/b` are two objects but one file."""
        seen: dict[str, str] = {}
        for item in listed:
            if by_name(item.name).role != "companion":
                twin = seen.setdefault(self.name(item), item.name)
                if twin != item.name:
                    raise SourceError(
                        f"{self._url}: the objects {twin!r} and {item.name!r} lead to the same "
                        "file; rename one, or point TRACE_PATH at a prefix with one of them"
                    )

    def _look(self, unknown: Sequence[RemoteObject]) -> list[Part]:
        """Tell data under unpublished names by their first bytes."""
        if len(unknown) > _MOST_UNKNOWN:
            raise SourceError(
                f"{self._url} holds {len(unknown):,} data objects under names that tell nothing; "
                "point TRACE_PATH at a prefix with the published names"
            )
        found: list[Part] = []
        for item in unknown:
            name = self.name(item)
            if _PARQUET.search(item.name):
                self.notes.append(
                    f"not read: {item.url}: Parquet tells its table at its end; name it "
                    "<table>-000000000000.parquet"
                )
                continue
            verdict = detect(self._beginning(item, name, _LOOK_BYTES))
            if isinstance(verdict, Detected):
                path = self._root / name
                claim = Detected(path, verdict.layout, verdict.table, verdict.encoding)
                found.append(Part(item, name, claim))
            elif not verdict.is_known:
                self.notes.append(f"not read: {item.url}: {verdict.reason}")
        return found

    def _wanted(self, claims: list[Detected]) -> list[Detected]:
        tables = self.request.tables
        if tables is None:
            return claims
        kept = [claim for claim in claims if claim.table is None or claim.table in tables]
        if not kept:
            there = ", ".join(sorted({str(claim.table) for claim in claims}))
            raise SourceError(
                f"{self._url} holds none of the tables {', '.join(tables)}; there are: {there}"
            )
        return kept

    def _in_window(self, parts: list[Part]) -> list[Part]:
        """Leave out 2011 parts wholly outside the window; others tell no times beforehand."""
        if self.request.start_us == 0 and self.request.end_us is None:
            return parts
        groups: defaultdict[tuple[Path, Table | None], list[Part]] = defaultdict(list)
        for part in parts:
            groups[part.claim.path.parent, part.claim.table].append(part)
        memory = Beginnings(self._into)
        kept: list[Part] = []
        for (_, table), group in groups.items():
            if group[0].claim.layout == "google2011" and table is not None:
                kept.extend(self._in_window_2011(group, table, memory))
            else:
                kept.extend(group)
        if not kept:
            raise SourceError(f"{self._url}: no part holds rows of the window; move TRACE_START_S")
        if any(part.claim.layout != "google2011" for part in kept):
            self.notes.append(
                "2019 parts are not sorted by time: whole tables were downloaded, the window is "
                "cut out afterwards"
            )
        return sorted(kept, key=lambda part: part.name)

    def _in_window_2011(self, group: list[Part], table: Table, memory: "Beginnings") -> list[Part]:
        try:
            indices = needed_2011(
                len(group),
                lambda index: self._first_us(group[index], memory),
                table,
                self.request,
            )
        except Unordered:
            self.notes.append(f"{table}: the parts are not sorted by time, all of them are read")
            return group
        if len(indices) < len(group):
            self.notes.append(
                f"{table}: {len(group) - len(indices)} of {len(group)} parts lie outside the "
                "window and were not downloaded"
            )
        return [group[index] for index in indices]

    def _first_us(self, part: Part, memory: "Beginnings") -> int | None:
        """Time of a 2011 part's first row, from as few bytes as tell it."""
        time_us = memory.find(part.name, part.item.version)
        for count in _PEEK_BYTES:
            if time_us is not None:
                break
            path = self._beginning(part.item, part.name, count)
            try:
                time_us = first_time(path)
            except UnpackRefused as error:
                raise SourceError(f"{part.item.url}: {error}") from error
            if time_us is not None:
                memory.record(part.name, part.item.version, time_us)
            elif part.item.size <= count:
                break
        return time_us


class Beginnings:
    """First times of parts, by version, so that a later call need not look again."""

    _TYPE: Final = TypeAdapter(dict[str, tuple[str, int]])

    def __init__(self, into: Path) -> None:
        """Read what is known; a missing or unreadable memory is empty."""
        self._path = into / _BEGINNINGS
        try:
            self._known = self._TYPE.validate_json(self._path.read_bytes())
        except (FileNotFoundError, ValidationError):
            self._known = {}

    def find(self, name: str, version: str) -> int | None:
        """First time of this version of a part, in microseconds; None where not known."""
        known = self._known.get(name)
        return known[1] if known and known[0] == version else None

    def record(self, name: str, version: str, time_us: int) -> None:
        """Note a part's first time."""
        self._known[name] = (version, time_us)
        write_json(self._path, self._known)
