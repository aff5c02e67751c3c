"""Query jobs that are paid for once: dry runs, job ids told by what is asked, results in parts.

A job's id is a hash of its statement and of the table's version. Whoever asks again finds the job
and reads its result instead of paying for a second one.
"""

import time
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.cloud import bigquery

from marl.files import inside, staged
from marl.traces.budget import Ledger
from marl.traces.sources.base import Progress, SourceError
from marl.traces.sources.bigquery_client import (
    CALL_TIMEOUT_S,
    call,
    explain_job,
    is_passing,
)
from marl.traces.sources.bigquery_sql import Statement

ROWS_PER_PART: Final = 100_000
ROWS_PER_PAGE: Final = 10_000
_ATTEMPTS: Final = 12  # job ids tried: failed and expired ones stay taken for half a year
_FRESH_FAILURES: Final = 3
_RESULT_TIMEOUT_S: Final = 600.0
_LONGEST_POLL_S: Final = 2.0
_SAY_EVERY_S: Final = 5.0


class Jobs:
    """The jobs of one dataset on one client.

    Attributes:
        client: the client; its project pays.
    """

    def __init__(self, client: bigquery.Client, retry: Retry, say: Progress) -> None:
        """Combine a client, its retry policy and the progress callable."""
        self.client = client
        self._retry = retry
        self._say = say

    def describe(self, source: str) -> tuple[str, str | None]:
        """A tag of the table's version, and its location; ("", None) where it is not described.

        A free call. A table that is not there is found by the dry run, with a better message.
        """
        try:
            table = call(
                lambda: self.client.get_table(source, retry=self._retry, timeout=CALL_TIMEOUT_S),
                f"looking at {source}",
            )
        except (exceptions.NotFound, exceptions.MethodNotImplemented):
            return "", None
        return str(table.etag or ""), table.location

    def dry_run(self, statement: Statement, location: str | None) -> int | None:
        """Bytes the statement would process; None when its table does not exist. Free."""
        config = _config(statement)
        config.dry_run = True
        config.use_query_cache = False
        try:
            job = call(
                lambda: self.client.query(
                    statement.sql,
                    job_config=config,
                    location=location,
                    retry=self._retry,
                    job_retry=None,
                    timeout=CALL_TIMEOUT_S,
                ),
                f"the dry run on {statement.source}",
            )
        except exceptions.NotFound:
            return None
        return int(job.total_bytes_processed or 0)

    def run(
        self,
        statement: Statement,
        tag: str,
        location: str | None,
        limit_bytes: int,
        first_attempt: int,
    ) -> tuple[bigquery.QueryJob, int]:
        """A finished job with this statement's result: an earlier one, or a new one.

        Args:
            statement: what to run.
            tag: version of its table.
            location: where the job runs.
            limit_bytes: most bytes it may bill.
            first_attempt: number of the first job id to try.

        Returns:
            The job, and the number in its id.

        Raises:
            BudgetExceeded: BigQuery refused to run it within `limit_bytes`.
            SourceError: it failed.
        """
        what = f"the query on {statement.source}"
        config = _config(statement)
        config.maximum_bytes_billed = limit_bytes
        failures = 0
        for attempt in range(first_attempt, _ATTEMPTS):
            job_id = f"stratoform_{statement.table}_{statement.identity(tag)[:32]}_{attempt}"
            job, is_fresh = self._insert_or_find(statement, config, job_id, location)
            self._wait(job, what)
            error = job.error_result
            if not error:
                return job, attempt
            reason, message = str(error.get("reason") or ""), str(error.get("message") or "")
            if is_fresh:
                failures += 1
                if failures == _FRESH_FAILURES or not is_passing(reason):
                    raise explain_job(reason, message, limit_bytes, what)
            self._say(f"{what}: job {job_id} failed ({reason}); running it anew")
        raise SourceError(
            f"{what}: {_ATTEMPTS} jobs failed or lost their results. To do: look at the "
            "jobs named stratoform_* in the billing project"
        )

    def _insert_or_find(
        self,
        statement: Statement,
        config: bigquery.QueryJobConfig,
        job_id: str,
        location: str | None,
    ) -> tuple[bigquery.QueryJob, bool]:
        """The job of this id, and whether it is new."""
        what = f"the query on {statement.source}"
        try:
            job = call(
                lambda: self.client.query(
                    statement.sql,
                    job_config=config,
                    job_id=job_id,
                    location=location,
                    retry=self._retry,
                    job_retry=None,
                    timeout=CALL_TIMEOUT_S,
                ),
                what,
            )
        except exceptions.NotFound as error:
            raise SourceError(f"{what} failed: {error.message}. To do: check TRACE_PATH") from error
        except exceptions.Conflict:
            self._say(f"{what}: picking up job {job_id}, which is there already")
            return self._find(job_id, location, what), False
        return job, True

    def _find(self, job_id: str, location: str | None, what: str) -> bigquery.QueryJob:
        try:
            job = call(
                lambda: self.client.get_job(
                    job_id, location=location, retry=self._retry, timeout=CALL_TIMEOUT_S
                ),
                what,
            )
        except exceptions.NotFound as error:
            raise SourceError(
                f"{what}: job {job_id} exists but cannot be read in location {location}"
            ) from error
        if not isinstance(job, bigquery.QueryJob):
            raise SourceError(f"{what}: job {job_id} is there, but it is no query")
        return job

    def _wait(self, job: bigquery.QueryJob, what: str) -> None:
        pause, waited, said = 0.05, 0.0, 0.0
        while not call(lambda: job.done(retry=self._retry, timeout=CALL_TIMEOUT_S), what):
            time.sleep(pause)
            waited += pause
            pause = min(_LONGEST_POLL_S, pause * 1.5)
            if waited - said >= _SAY_EVERY_S:
                said = waited
                self._say(f"{what} is running, {waited:.0f} s so far")

    def read(self, job: bigquery.QueryJob, start: int) -> Any:
        """The rows of a finished job from row `start` on, paged through the REST API.

        Raises:
            NotFound: the result is no longer kept.
        """
        return call(
            lambda: job.result(
                page_size=ROWS_PER_PAGE,
                start_index=start or None,
                retry=self._retry,
                job_retry=None,
                timeout=_RESULT_TIMEOUT_S,
            ),
            f"reading the result of {job.job_id}",
        )


def _config(statement: Statement) -> bigquery.QueryJobConfig:
    return bigquery.QueryJobConfig(
        use_legacy_sql=False,
        query_parameters=[
            bigquery.ScalarQueryParameter(
                name, "STRING" if isinstance(value, str) else "INT64", value
            )
            for name, value in sorted(statement.parameters.items())
        ],
    )


def part_name(native: str, index: int) -> str:
    """Name of a result's part, relative to the target folder."""
    return f"{native}/part-{index:06d}.parquet"


def arrived(ledger: Ledger, native: str, version: str) -> list[int]:
    """Rows of each intact part of this job's result, in order, up to the first gap."""
    rows: list[int] = []
    while ledger.find(part_name(native, len(rows)), version) is not None:
        path = inside(ledger.folder, part_name(native, len(rows)))
        rows.append(pq.ParquetFile(path).metadata.num_rows)
        if rows[-1] < ROWS_PER_PART:
            break
    return rows


def save_parts(
    rows: Any, ledger: Ledger, native: str, version: str, first: int, say: Progress
) -> int:
    """Write a result in numbered Parquet parts of `ROWS_PER_PART` rows each.

    Args:
        rows: the iterator of `Jobs.read`.
        ledger: of the target folder; each part is recorded when it is complete.
        native: Google's name of the table.
        version: the job's id.
        first: number of the first part written.
        say: progress.

    Returns:
        How many rows were written.
    """
    if not rows.total_rows:
        with staged(inside(ledger.folder, part_name(native, 0))) as aside:
            pq.write_table(rows.to_arrow(create_bqstorage_client=False), aside, compression="zstd")
        ledger.record(part_name(native, 0), version)
        return 0
    index, written = first, 0
    said = time.monotonic()
    for table in _in_parts(rows):
        name = part_name(native, index)
        with staged(inside(ledger.folder, name)) as aside:
            pq.write_table(table, aside, compression="zstd")
        ledger.record(name, version)
        index, written = index + 1, written + table.num_rows
        if time.monotonic() - said >= _SAY_EVERY_S:
            said = time.monotonic()
            say(f"{native}: {first * ROWS_PER_PART + written:,} of {rows.total_rows:,} rows")
    return written


def _in_parts(rows: Any) -> Iterator[pa.Table]:
    """Pages put together and cut to parts of the same number of rows, whatever a page held."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in rows.to_arrow_iterable(bqstorage_client=None):
        held.append(batch)
        count += batch.num_rows
        while count >= ROWS_PER_PART:
            table = pa.Table.from_batches(held)
            yield table.slice(0, ROWS_PER_PART)
            held = table.slice(ROWS_PER_PART).to_batches()
            count -= ROWS_PER_PART
    if count:
        yield pa.Table.from_batches(held)
