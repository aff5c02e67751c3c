"""A 2019 trace in BigQuery: estimated first, then extracted within the budget, paid for once.

`project.dataset`, e.g. `google.com:google-cluster-data.clusterdata_2019_a`. Statements are in
`bigquery_sql`, jobs and results in `bigquery_jobs`. The window and the sample are applied by the
queries; the files are Parquet in Google's own nested columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

from google.api_core import exceptions
from google.cloud import bigquery
from pydantic import TypeAdapter, ValidationError

from marl.files import inside, write_json
from marl.frozen import Frozen
from marl.traces.budget import ByteBudget, Ledger
from marl.traces.manifest import RawFile, RawManifest, Table, TraceRequest
from marl.traces.sources import bigquery_jobs as jobs_module
from marl.traces.sources.base import Progress, SourceError, readable, reusable
from marl.traces.sources.bigquery_client import call, connect, retry_policy
from marl.traces.sources.bigquery_jobs import Jobs, arrived, part_name, save_parts
from marl.traces.sources.bigquery_sql import (
    FREE_TIB_PER_MONTH,
    NATIVE,
    USD_PER_TIB,
    Statement,
    billed_bytes,
    parse_location,
    price_usd,
    statement,
)
from marl.traces.sources.retrying import redact

_STATE = "jobs.json"
_NARROW = (
    "BigQuery bills the whole columns a statement reads, so neither a shorter window nor a smaller "
    "sample makes these bytes fewer, except on a table partitioned or clustered by time. To "
    "narrow: fewer tables; or copy the slice once to a dataset of your own, clustered by time, and "
    "point TRACE_PATH there; or raise TRACE_BUDGET_GIB (at most 5)"
)


class _Finished(Frozen):
    """A table whose result has arrived completely."""

    identity: str
    job_id: str
    parts: int
    rows: int
    billed_bytes: int


@dataclass(frozen=True)
class _Planned:
    """A table that exists, and what its extraction needs."""

    statement: Statement
    tag: str
    location: str | None
    billed_bytes: int
    finished: _Finished | None


def fetch(request: TraceRequest, into: Path, progress: Progress | None = None) -> RawManifest:
    """Extract the window and sample of a dataset; see `base.Source.fetch`.

    Every statement is dry-run first; the bytes and dollars are told before anything runs.

    Raises:
        BudgetExceeded: the dry runs say that more would be billed than the budget allows (nothing
            was run), or BigQuery stops a statement at its limit (nothing is billed then).
        SourceError: no such dataset, no access, no credentials, a query that fails.
    """

    def say(line: str) -> None:
        if progress is not None:
            progress(redact(line))

    parse_location(str(request.location))
    if (done := reusable(request, into)) is not None:
        return done
    into.mkdir(parents=True, exist_ok=True)
    client = connect(request.billing_project)
    try:
        return _Fetcher(request, into, client, say).run()
    finally:
        client.close()


class _Fetcher:
    """One call of `fetch`: its steps share the client, the ledger and the notes."""

    def __init__(
        self, request: TraceRequest, into: Path, client: bigquery.Client, say: Progress
    ) -> None:
        self.request, self.into, self.say = request, into, say
        self.jobs = Jobs(client, retry_policy(say), say)
        self.ledger = Ledger(into)
        self.budget = ByteBudget(request.budget_bytes, _NARROW)
        self.state = _State(into)
        self.notes: list[str] = []

    def run(self) -> RawManifest:
        """Estimate, check the budget, extract table by table, describe."""
        planned = self._plan()
        self._check_budget(planned)
        files: list[RawFile] = []
        for plan in planned:
            files.extend(self._files(plan, plan.finished or self._extract(plan)))
        self.ledger.prune({file.path for file in files})
        manifest = RawManifest(
            request=self.request,
            files=tuple(files),
            is_synthetic=False,
            notes=tuple(self.notes),
            is_sampled=True,
        )
        manifest.save(self.into)
        return manifest

    def _plan(self) -> list[_Planned]:
        planned: list[_Planned] = []
        missing: list[str] = []
        for table in get_args(Table):
            if self.request.tables is not None and table not in self.request.tables:
                continue
            query = statement(self.request, table)
            tag, location = self.jobs.describe(query.source)
            processed = self.jobs.dry_run(query, location)
            if processed is None:
                missing.append(table)
                continue
            finished = self._finished(query, tag)
            billed = finished.billed_bytes if finished else billed_bytes(processed)
            planned.append(_Planned(query, tag, location, billed, finished))
        if not planned:
            raise SourceError(
                f"{self.request.location} has none of the tables {', '.join(NATIVE.values())}. To "
                "do: check TRACE_PATH, e.g. google.com:google-cluster-data.clusterdata_2019_a"
            )
        if missing:
            self.notes.append(f"the trace lacks: {', '.join(missing)}")
        return planned

    def _finished(self, query: Statement, tag: str) -> _Finished | None:
        """What an earlier call finished of this statement, if all of it is still intact."""
        native = NATIVE[query.table]
        found = self.state.tables.get(native)
        if found is None or found.identity != query.identity(tag):
            return None
        rows = arrived(self.ledger, native, found.job_id)
        return found if (len(rows), sum(rows)) == (found.parts, found.rows) else None

    def _check_budget(self, planned: Sequence[_Planned]) -> None:
        total = sum(plan.billed_bytes for plan in planned)
        for plan in planned:
            state = "arrived already" if plan.finished else "to be billed"
            self.say(
                f"{plan.statement.source}: {readable(plan.billed_bytes)} {state}, "
                f"${price_usd(plan.billed_bytes):.4f}"
            )
        open_bytes = sum(plan.billed_bytes for plan in planned if not plan.finished)
        self.say(
            f"estimate: {readable(open_bytes)}, at most ${price_usd(open_bytes):.4f} on demand "
            f"(${USD_PER_TIB} per TiB, US; the first {FREE_TIB_PER_MONTH} TiB of a month is free); "
            f"budget {readable(self.request.budget_bytes)}"
        )
        listed = "; ".join(
            f"{plan.statement.table} {readable(plan.billed_bytes)}" for plan in planned
        )
        self.budget.check(total, f"querying {self.request.location} ({listed})")

    def _extract(self, plan: _Planned) -> _Finished:
        """Run or find the job of one table and bring its result home."""
        query, native = plan.statement, NATIVE[plan.statement.table]
        attempt = 0
        while True:
            self.budget.check(plan.billed_bytes, f"querying {query.source}")
            limit = self.budget.limit_bytes - self.budget.used_bytes
            job, attempt = self.jobs.run(query, plan.tag, plan.location, limit, attempt)
            billed = job.total_bytes_billed
            billed = plan.billed_bytes if billed is None else int(billed)
            self.budget.add(billed, f"querying {query.source}")
            try:
                parts, rows = self._save(job, native)
            except exceptions.NotFound:
                self.say(f"{native}: the result of {job.job_id} is no longer kept; querying anew")
                attempt += 1
                continue
            finished = _Finished(
                identity=query.identity(plan.tag),
                job_id=str(job.job_id),
                parts=parts,
                rows=rows,
                billed_bytes=billed,
            )
            self.state.record(native, finished)
            self.say(f"{native}: {rows:,} rows, {readable(billed)} billed")
            return finished

    def _save(self, job: bigquery.QueryJob, native: str) -> tuple[int, int]:
        """Bring a result home, from where an earlier call stopped. Returns parts and rows."""
        version = str(job.job_id)
        rows = arrived(self.ledger, native, version)
        whole = [count for count in rows if count == jobs_module.ROWS_PER_PART]
        for first in (len(whole), 0):
            start = first * jobs_module.ROWS_PER_PART
            result = self.jobs.read(job, start)
            total = int(result.total_rows or 0)
            written = call(
                partial(save_parts, result, self.ledger, native, version, first, self.say),
                f"reading the result of {version}",
            )
            if start + written == total:
                break
            # The server may not know row offsets: then the whole result is read again.
            self.say(
                f"{native}: the result does not have {total:,} rows; reading it from its start"
            )
        else:
            raise SourceError(
                f"{native}: the result of {version} has other than its {total:,} rows. To do: try "
                "again later"
            )
        return max(1, -(-total // jobs_module.ROWS_PER_PART)), total

    def _files(self, plan: _Planned, finished: _Finished) -> list[RawFile]:
        native = NATIVE[plan.statement.table]
        if plan.finished:
            self.budget.add(finished.billed_bytes, f"querying {plan.statement.source}")
        files = []
        for index in range(finished.parts):
            entry = self.ledger.find(part_name(native, index), finished.job_id)
            if entry is None:
                raise SourceError(
                    f"{inside(self.into, part_name(native, index))} changed while it was "
                    "described; run again"
                )
            files.append(
                RawFile(
                    table=plan.statement.table,
                    path=part_name(native, index),
                    layout="google2019",
                    encoding="parquet",
                    bytes=entry.bytes,
                    sha256=entry.sha256,
                    origin=plan.statement.source,
                )
            )
        return files


class _State:
    """Which tables are complete, kept in `jobs.json`."""

    _TYPE = TypeAdapter(dict[str, _Finished])

    def __init__(self, into: Path) -> None:
        self._path = into / _STATE
        try:
            self.tables = self._TYPE.validate_json(self._path.read_bytes())
        except (FileNotFoundError, ValidationError):
            self.tables = {}

    def record(self, native: str, finished: _Finished) -> None:
        self.tables[native] = finished
        write_json(self._path, {k: v.model_dump() for k, v in self.tables.items()})
