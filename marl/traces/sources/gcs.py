"""A trace in a Cloud Storage bucket: what is needed of it, downloaded once, never above the budget.

`gs://clusterdata-2011-2`, `gs://clusterdata_2019_a` … or any `gs://bucket/prefix` in those layouts.
Reading objects is in `gcs_client`, choosing them in `gcs_parts`, bringing them home in `resumable`.
Rows outside the window or the sample inside a part are left to the next stage.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

from marl.files import inside
from marl.traces.budget import PART_SUFFIX, ByteBudget, Ledger
from marl.traces.detect import Skipped, detect
from marl.traces.manifest import RawFile, RawManifest, Table, TraceRequest
from marl.traces.sources.base import Progress, SourceError, readable
from marl.traces.sources.bucket_layout import Published
from marl.traces.sources.gcs_client import (
    RemoteObject,
    connect,
    explain,
    is_transient,
    list_objects,
)
from marl.traces.sources.gcs_parts import Chooser, Part
from marl.traces.sources.resumable import Downloader, Meter
from marl.traces.sources.retrying import Backoff, redact
from marl.traces.unpack import decompress_to

_LOCATION: Final = re.compile(r"gs://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?:/([^?#@\\\0]*))?")


def fetch(request: TraceRequest, into: Path, progress: Progress | None = None) -> RawManifest:
    """Download what the window needs of `gs://bucket/prefix`; see `base.Source.fetch`.

    The bucket is listed on every call, so changed objects are noticed; an object that is there in
    the listed version is not loaded again.

    Raises:
        BudgetExceeded: the listed sizes are more than the budget (nothing was downloaded but the
            first kilobytes of parts whose place in time had to be known), or more bytes arrive.
        SourceError: no trace there, no access, an object that keeps arriving wrong.
    """

    def say(line: str) -> None:
        if progress is not None:
            progress(redact(line))

    bucket, prefix = parse_location(str(request.location))
    into.mkdir(parents=True, exist_ok=True)
    return _Fetcher(request, into, bucket, prefix, say).run()


def parse_location(location: str) -> tuple[str, str]:
    """Bucket and prefix of `gs://bucket/prefix`.

    Raises:
        SourceError: it is not of that form. Queries and user names are refused, so that no secret
            gets into a manifest.
    """
    match = _LOCATION.fullmatch(location)
    if match is None:
        raise SourceError(
            f"{redact(location)!r} is not a bucket: TRACE_PATH must be gs://bucket or "
            "gs://bucket/prefix, e.g. gs://clusterdata-2011-2 or gs://clusterdata_2019_a"
        )
    return match[1], match[2] or ""


class _Fetcher:
    """One call of `fetch`: its steps share the client, the ledger and the notes."""

    def __init__(
        self, request: TraceRequest, into: Path, bucket: str, prefix: str, say: Progress
    ) -> None:
        self.request, self.into, self.bucket, self.prefix = request, into, bucket, prefix
        self.say = say
        self.url = f"gs://{bucket}/{prefix}"
        self.client = connect()
        self.backoff = Backoff(request.seed, say)
        self.ledger = Ledger(into)
        self.downloader = Downloader(
            self.client,
            self.ledger,
            ByteBudget(request.budget_bytes, "Objects that arrived wrong count as well"),
            self.backoff,
            self._restat,
            say,
        )
        self.chooser = Chooser(request, into, prefix, self.url, self.downloader.beginning)
        self.notes = self.chooser.notes

    def run(self) -> RawManifest:
        """List, choose, check the budget, download, look, describe."""
        parts, sums = self.chooser.choose(self._list(self.prefix))
        self._check_budget(parts, sums)
        published = Published()
        kept = [part.name for part in parts]
        for item in sums:
            name = self.chooser.name(item)
            kept.append(name)
            self.downloader.fetch(item, name, None)
            published.read(inside(self.into, name), item.name)
        files = self._download(parts, published)
        self.ledger.prune({*kept, *(file.path for file in files)})
        for path in sorted(self.into.rglob(f"*{PART_SUFFIX}")):
            path.unlink()  # beginnings of objects that turned out not to be needed
        manifest = RawManifest(
            request=self.request,
            files=tuple(files),
            is_synthetic=False,
            notes=tuple([*self.notes, *_missing(files)]),
        )
        manifest.save(self.into)
        return manifest

    def _list(self, prefix: str) -> list[RemoteObject]:
        try:
            return list_objects(
                lambda function, what: self.backoff.call(function, what, is_transient),
                self.client,
                self.bucket,
                prefix,
            )
        except SourceError:
            raise
        except Exception as error:
            raise explain(error, f"listing gs://{self.bucket}/{prefix}") from error

    def _restat(self, item: RemoteObject) -> RemoteObject | None:
        return next((now for now in self._list(item.name) if now.name == item.name), None)

    def _check_budget(self, parts: Sequence[Part], sums: Sequence[RemoteObject]) -> None:
        """Refuse, before anything is downloaded, what the listing says is too much."""
        sizes: defaultdict[str, list[int]] = defaultdict(list)
        for part in parts:
            sizes[part.claim.table or "all tables"].append(part.item.size)
        total = sum(map(sum, sizes.values())) + sum(item.size for item in sums)
        listed = "; ".join(
            f"{table} {readable(sum(sizes[table]))} in {len(sizes[table]):,} objects"
            for table in sorted(sizes)
        )
        window = (
            "a shorter window (TRACE_HOURS) reads fewer parts"
            if any(part.claim.layout == "google2011" for part in parts)
            else "2019 parts are not sorted by time, so a shorter window reads no less"
        )
        ByteBudget(
            self.request.budget_bytes,
            f"Per table: {listed}. To narrow: {window}; fewer tables, by a prefix such as "
            f"gs://{self.bucket}/{_table_prefix(parts[0].item.name)}; or raise TRACE_BUDGET_GIB "
            "(at most 5). A sample is drawn from what was downloaded, it does not make that "
            "smaller; TRACE_SOURCE=bigquery fetches only the sampled rows",
        ).check(total, f"{len(parts):,} objects of {self.url}")
        self.downloader.meter = Meter(total, self.say)
        self.say(f"{self.url}: {len(parts):,} objects, {readable(total)}: {listed}")

    def _download(self, parts: Sequence[Part], published: Published) -> list[RawFile]:
        files: list[RawFile] = []
        unchecked = 0
        for part in parts:
            sha256 = published.find(part.item.name)
            item = self.downloader.fetch(part.item, part.name, sha256)
            unchecked += not (item.crc32c or item.md5 or sha256)
            if (file := self._describe(part.name, item)) is not None:
                files.append(file)
        if unchecked:
            self.notes.append(
                f"{unchecked:,} objects came without any checksum: only their sizes were verified"
            )
        if not files:
            raise SourceError(f"{self.url}: no object can be read: {'; '.join(self.notes)}")
        return files

    def _describe(self, name: str, item: RemoteObject) -> RawFile | None:
        """The manifest's entry, by what the bytes are and not by what the name says."""
        verdict = detect(inside(self.into, name))
        if isinstance(verdict, Skipped):
            self.notes.append(f"not read: {item.url}: {verdict.reason}")
            return None
        encoding = verdict.encoding
        if encoding == "parquet.gz":
            packed, name, encoding = name, f"unpacked/{name}.parquet", "parquet"
            if self.ledger.find(name, item.version) is None:
                decompress_to(inside(self.into, packed), inside(self.into, name), whole_lines=False)
                self.ledger.record(name, item.version)
        entry = self.ledger.find(name, item.version)
        if entry is None:
            raise SourceError(f"{self.into / name} changed while it was described; run again")
        return RawFile(
            table=verdict.table,
            path=name,
            layout=verdict.layout,
            encoding=encoding,
            bytes=entry.bytes,
            sha256=entry.sha256,
            origin=item.url,
        )


def _table_prefix(name: str) -> str:
    """The start of an object's name that all parts of its table share."""
    return re.sub(r"(/part-\d+-of-\d+|-\d+)\..*$", "", name)


def _missing(files: Sequence[RawFile]) -> list[str]:
    tables = {file.table for file in files}
    if None in tables:
        tables |= {"collections", "instances", "usage"}
    missing = [table for table in get_args(Table) if table not in tables]
    return [f"the trace lacks: {', '.join(missing)}"] if missing else []
