"""Doubles of the services, and an environment without anyone's credentials."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from marl.traces.sources import retrying
from tests.doubles.bigquery_double.server import BigQueryDouble
from tests.doubles.gcs_front import GcsFront
from tests.doubles.small_traces import google2011, google2019

BUCKET = "clusterdata-2011-2"
PROJECT, DATASET = "google.com:google-cluster-data", "clusterdata_2019_a"


@pytest.fixture(autouse=True)
def _machine_without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials from the developer's machine, and no waiting between attempts."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "no-gcloud"))
    monkeypatch.setattr(retrying, "FIRST_WAIT_S", 0.01)


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsFront]:
    """An empty pair of buckets behind the emulator."""
    with GcsFront(BUCKET, "other") as front:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", front.url)
        yield front


@pytest.fixture(scope="session")
def objects_2011() -> dict[str, bytes]:
    """A small 2011 trace: eight hourly parts a table."""
    return google2011()


@pytest.fixture
def bucket_2011(gcs: GcsFront, objects_2011: dict[str, bytes]) -> GcsFront:
    """The bucket, filled with the small 2011 trace."""
    for name, data in objects_2011.items():
        gcs.put(BUCKET, name, data)
    return gcs


@pytest.fixture(scope="session")
def bigquery_server() -> Iterator[BigQueryDouble]:
    """A BigQuery with one small cell, loaded once."""
    with BigQueryDouble() as double:
        for name, rows in google2019().items():
            double.engine.load(PROJECT, DATASET, name, rows)
        yield double


@pytest.fixture
def bigquery(bigquery_server: BigQueryDouble, monkeypatch: pytest.MonkeyPatch) -> BigQueryDouble:
    """The BigQuery without jobs, bills and faults of other tests."""
    bigquery_server.reset()
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery_server.url)
    return bigquery_server
