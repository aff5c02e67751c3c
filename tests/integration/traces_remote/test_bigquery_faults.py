"""What can go wrong between BigQuery and the disk: waited out, told, and never paid twice."""

from pathlib import Path

import pytest

from marl.traces.sources import bigquery_client, bigquery_jobs, fetch
from marl.traces.sources.base import SourceError
from tests.doubles.bigquery_double.engine import QueryError
from tests.doubles.bigquery_double.server import BigQueryDouble
from tests.doubles.faults import Fault
from tests.integration.traces_remote.conftest import PROJECT
from tests.integration.traces_remote.test_bigquery_fetch import (
    INSERT,
    MINIMUM,
    ask,
    fetched,
    oracle,
    same_rows,
)


@pytest.mark.parametrize(
    ("where", "status", "reason"),
    [
        ("dryRun", 503, "backendError"),
        ("dryRun", 429, ""),
        (INSERT, 500, "internalError"),
        (INSERT, 503, ""),
        (r"GET .*/jobs/", 502, "badGateway"),
        (r"GET .*/queries/", 429, "rateLimitExceeded"),
        (r"GET .*/queries/", 500, ""),
        (r"GET .*/tables/", 503, ""),
    ],
)
def test_passing_errors_are_waited_out(
    bigquery: BigQueryDouble, tmp_path: Path, where: str, status: int, reason: str
):
    bigquery.faults.add(Fault(where, "status", status=status, reason=reason, times=2))
    lines: list[str] = []
    manifest = fetch(ask(tables=("machines",)), tmp_path, lines.append)
    same_rows(fetched(manifest, tmp_path, "machines"), oracle("machine_events", "true"))
    assert bigquery.billed_bytes == MINIMUM
    assert sum("trying again" in line for line in lines) == 2


@pytest.mark.parametrize("kind", ["drop", "cut"])
@pytest.mark.parametrize(
    "where", ["dryRun", INSERT, r"GET .*/queries/", r"GET .*/queries/.*pageToken"]
)
def test_dropped_connections_are_taken_up_and_pay_once(
    bigquery: BigQueryDouble, tmp_path: Path, where: str, kind: str
):
    bigquery.page_rows = 100
    bigquery.faults.add(Fault(where, kind, after_bytes=40, times=2))
    manifest = fetch(ask(tables=("instances",)), tmp_path)
    same_rows(fetched(manifest, tmp_path, "instances"), oracle("instance_events", "true"))
    assert bigquery.billed_bytes == MINIMUM


def test_a_job_that_fails_by_itself_is_run_anew(bigquery: BigQueryDouble, tmp_path: Path):
    bigquery.job_errors.append(QueryError(500, "backendError", "please try again"))
    manifest = fetch(ask(tables=("machines",)), tmp_path)
    same_rows(fetched(manifest, tmp_path, "machines"), oracle("machine_events", "true"))
    assert len(bigquery.jobs) == 2
    assert bigquery.billed_bytes == MINIMUM


@pytest.mark.parametrize(
    ("status", "reason", "advice"),
    [
        (403, "quotaExceeded", "quota is used up"),
        (403, "accessDenied", r"bigquery\.jobUser"),
        (403, "billingNotEnabled", "enable billing"),
        (400, "invalidQuery", "columns of clusterdata-2019"),
        (401, "", "gcloud auth application-default login"),
    ],
)
def test_permanent_errors_are_told_and_not_repeated(
    bigquery: BigQueryDouble, tmp_path: Path, status: int, reason: str, advice: str
):
    bigquery.faults.add(Fault("dryRun", "status", status=status, reason=reason, times=99))
    with pytest.raises(SourceError, match=advice):
        fetch(ask(), tmp_path)
    assert len(bigquery.faults.served("dryRun")) == 1


def test_a_failed_job_says_why(bigquery: BigQueryDouble, tmp_path: Path):
    bigquery.job_errors.append(QueryError(400, "resourcesExceeded", "too much memory"))
    with pytest.raises(SourceError, match=r"resourcesExceeded: too much memory.*narrow the slice"):
        fetch(ask(tables=("machines",)), tmp_path)


def test_denied_data_says_so(bigquery: BigQueryDouble, tmp_path: Path):
    bigquery.denied.add(PROJECT)
    with pytest.raises(SourceError, match="Access Denied"):
        fetch(ask(), tmp_path)


def test_a_server_that_ignores_row_offsets_doubles_nothing(
    bigquery: BigQueryDouble, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(bigquery_jobs, "ROWS_PER_PART", 100)
    first = fetch(ask(tables=("usage",)), tmp_path)
    (tmp_path / "instance_usage/part-000004.parquet").unlink()
    answer = bigquery.answer

    def ignoring(method, path, query, body):
        return answer(method, path, {k: v for k, v in query.items() if k != "startIndex"}, body)

    monkeypatch.setattr(bigquery, "answer", ignoring)
    assert fetch(ask(tables=("usage",)), tmp_path) == first


def test_patience_ends(bigquery: BigQueryDouble, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(bigquery_client, "RETRY_FOR_S", 0.3)
    bigquery.faults.add(Fault("dryRun", "status", status=503, times=9999))
    with pytest.raises(SourceError, match="kept failing; run again"):
        fetch(ask(), tmp_path)


def test_the_billing_project_pays(bigquery: BigQueryDouble, tmp_path: Path):
    fetch(ask(tables=("machines",), billing_project="my-money"), tmp_path)
    assert {project for project, _ in bigquery.jobs} == {"my-money"}


def test_without_credentials_it_says_what_to_do(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(SourceError, match="gcloud auth application-default login"):
        fetch(ask(), tmp_path)
