"""A BigQuery REST endpoint for tests: jobs, dry runs, limits, paged results, faults.

Answers what google-cloud-bigquery asks for a query with a job id of its own: jobs.insert, jobs.get,
jobs.getQueryResults, tabledata.list, tables.get. Money is counted in `billed_bytes`.
"""

import json
import re
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa

from tests.doubles.bigquery_double.engine import MIB, Engine, QueryError
from tests.doubles.bigquery_double.schemas import from_arrow, to_cell
from tests.doubles.faults import Fault, Faults

_PATH = re.compile(
    r"/bigquery/v2/projects/(?P<project>[^/]+)/"
    r"(?P<kind>jobs|queries|datasets)(?:/(?P<name>[^/]+)(?:/tables/(?P<table>[^/]+)(?P<data>/data)?)?)?"
)


@dataclass
class Job:
    """A query job and, once it ran, its result or its error."""

    reference: dict
    configuration: dict
    processed_bytes: int
    polls_left: int
    result: pa.Table | None = None
    error: QueryError | None = None

    def resource(self) -> dict:
        is_done = self.polls_left <= 0
        status: dict = {"state": "DONE" if is_done else "RUNNING"}
        if is_done and self.error:
            detail = self.error.payload()["error"]["errors"][0]
            status |= {"errorResult": detail, "errors": [detail]}
        billed = 0 if self.error else billed_bytes(self.processed_bytes)
        return {
            "kind": "bigquery#job",
            "id": f"{self.reference['projectId']}:US.{self.reference['jobId']}",
            "jobReference": self.reference,
            "configuration": self.configuration,
            "status": status,
            "statistics": {
                "totalBytesProcessed": str(self.processed_bytes),
                "query": {
                    "totalBytesProcessed": str(self.processed_bytes),
                    "totalBytesBilled": str(billed),
                    "statementType": "SELECT",
                },
            },
        }


def billed_bytes(processed: int) -> int:
    """Rounded up to the MiB, at least ten."""
    return max(10 * MIB, -(-processed // MIB) * MIB)


class BigQueryDouble:
    """The server. Use as a context manager; point BIGQUERY_EMULATOR_HOST at `url`.

    Attributes:
        engine: its tables.
        faults: what goes wrong, and the log of requests.
        billed_bytes: sum over the jobs that ran.
        polls: how often a new job answers RUNNING before it is DONE.
        page_rows: most rows of a page, whatever the client asks for.
        denied: projects whose tables answer accessDenied.
    """

    def __init__(self) -> None:
        self.engine = Engine()
        self.reset()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def reset(self) -> None:
        """Forget jobs, bills, faults and settings; the tables stay."""
        self.engine.scale = 1
        self.faults = Faults()
        self.billed_bytes = 0
        self.polls = 1
        self.page_rows = 1000
        self.denied: set[str] = set()
        self.job_errors: list[QueryError] = []  # the next jobs fail with these while running
        self.jobs: dict[tuple[str, str], Job] = {}

    def __enter__(self) -> "BigQueryDouble":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def expire_results(self) -> None:
        """Do what a day does: results of finished jobs are gone, the jobs stay known."""
        for job in self.jobs.values():
            job.result = None

    def answer(self, method: str, path: str, query: dict, body: dict | None) -> dict:
        """The response of one call; raises QueryError."""
        match = _PATH.fullmatch(path)
        if match is None:
            raise QueryError(404, "notFound", f"no such path {path}")
        part = match.groupdict()
        if method == "POST" and part["kind"] == "jobs" and not part["name"]:
            return self._insert(part["project"], body or {})
        if part["kind"] == "jobs":
            return self._get(part["project"], part["name"])
        if part["kind"] == "queries":
            job = self._job(part["project"], part["name"])
            return self._page(job, query) | {"jobReference": job.reference}
        if part["data"]:
            return self._page(self._job(part["project"], part["table"][4:]), query)
        if part["table"]:
            return self._table(part["project"], part["name"], part["table"])
        raise QueryError(404, "notFound", f"this double does not answer {method} {path}")

    def _insert(self, project: str, body: dict) -> dict:
        configuration = body["configuration"]
        query = configuration["query"]
        reference = {"projectId": project, "location": "US", **body.get("jobReference", {})}
        is_dry = bool(configuration.get("dryRun"))
        key = (project, reference.get("jobId", ""))
        if not is_dry and key in self.jobs:
            raise QueryError(409, "duplicate", f"Already Exists: Job {project}:US.{key[1]}")
        self._deny(query["query"])
        processed = self.engine.cost(query["query"])
        job = Job(reference, configuration, processed, 0 if is_dry else self.polls)
        if is_dry:
            return job.resource()
        self.jobs[key] = job
        query["destinationTable"] = {
            "projectId": project,
            "datasetId": "_anonymous",
            "tableId": f"anon{key[1]}",
        }
        limit = int(query.get("maximumBytesBilled") or 0)
        needed = billed_bytes(processed)
        if limit and needed > limit:
            job.error = QueryError(
                500,
                "bytesBilledLimitExceeded",
                f"Query exceeded limit for bytes billed: {limit}. {needed} or higher required.",
            )
        elif self.job_errors:
            job.error = self.job_errors.pop(0)
        else:
            job.result = self.engine.run(query["query"], query.get("queryParameters", []))
            self.billed_bytes += needed
        return job.resource()

    def _deny(self, sql: str) -> None:
        for project in self.denied:
            if project in sql:
                raise QueryError(
                    403,
                    "accessDenied",
                    f"Access Denied: Table {project}: User does not have permission",
                )

    def _get(self, project: str, name: str) -> dict:
        job = self._job(project, name)
        job.polls_left -= 1
        return job.resource()

    def _job(self, project: str, name: str) -> Job:
        try:
            return self.jobs[project, name]
        except KeyError:
            raise QueryError(404, "notFound", f"Not found: Job {project}:{name}") from None

    def _table(self, project: str, dataset: str, name: str) -> dict:
        self._deny(f"{project}.{dataset}.{name}")
        found = self.engine.describe(project, dataset, name)
        return {
            "kind": "bigquery#table",
            "tableReference": {"projectId": project, "datasetId": dataset, "tableId": name},
            "schema": {"fields": found["fields"]},
            "numRows": str(found["rows"]),
            "etag": found["tag"],
            "location": "US",
            "type": "TABLE",
        }

    def _page(self, job: Job, query: dict) -> dict:
        if job.polls_left > 0:
            job.polls_left -= 1
            return {"kind": "bigquery#getQueryResultsResponse", "jobComplete": False}
        if job.error:
            raise job.error
        if job.result is None:
            raise QueryError(404, "notFound", "Not found: Table of the query's cached results")
        rows = job.result.num_rows
        start = int(query.get("pageToken", ["p" + query.get("startIndex", ["0"])[0]])[0][1:])
        asked = int(query.get("maxResults", [self.page_rows])[0])
        page = job.result.slice(start, min(asked, self.page_rows))
        answer = {
            "kind": "bigquery#getQueryResultsResponse",
            "jobComplete": True,
            "totalRows": str(rows),
            "totalBytesProcessed": str(job.processed_bytes),
            "cacheHit": False,
            "schema": {"fields": from_arrow(job.result.schema)},
        }
        if page.num_rows:
            answer["rows"] = [{"f": to_cell(row)["f"]} for row in page.to_pylist()]
        if asked and start + page.num_rows < rows:
            answer["pageToken"] = f"p{start + page.num_rows}"
        return answer


def _handler(double: BigQueryDouble) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"double": double})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 17  # headers and body in one write: no waiting for delayed acknowledgements
    double: BigQueryDouble

    def log_message(self, *_: object) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def _serve(self, method: str) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        line = f"{method} {self.path}"
        if body and body.get("configuration", {}).get("dryRun"):
            line += " dryRun"
        fault = self.double.faults.take(line)
        if fault and fault.before:
            fault.before()
        if fault and fault.kind == "wait":
            time.sleep(fault.seconds)
        if fault and fault.kind == "status":
            status = fault.status
            answer = QueryError(status, fault.reason, "injected").payload()
        else:
            status, answer = self._answer(method, body)
        self._send(line, status, json.dumps(answer).encode(), fault)

    def _answer(self, method: str, body: dict | None) -> tuple[int, dict]:
        url = urlsplit(self.path)
        try:
            return 200, self.double.answer(method, unquote(url.path), parse_qs(url.query), body)
        except QueryError as error:
            return error.code, error.payload()

    def _send(self, line: str, status: int, data: bytes, fault: Fault | None) -> None:
        kind = fault.kind if fault else ""
        if kind == "drop":
            self.double.faults.note(line, 0, 0)
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if fault and kind == "cut":
            data = data[: fault.after_bytes]
            self.close_connection = True
        self.double.faults.note(line, status, len(data))
        try:
            self.wfile.write(data)
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # the client went away
