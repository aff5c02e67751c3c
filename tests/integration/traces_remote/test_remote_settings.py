"""Where the sources look, as whom, and that no credential is left anywhere."""

import json
from pathlib import Path

import pytest
from gcp_storage_emulator.server import create_server

from marl.traces.manifest import TraceRequest
from marl.traces.sources import fetch, gcs_client
from marl.traces.sources.base import SourceError
from tests.doubles.bigquery_double.server import BigQueryDouble
from tests.doubles.faults import Fault
from tests.doubles.gcs_front import GcsFront
from tests.integration.traces_remote.conftest import BUCKET, DATASET, PROJECT

TOKEN = "ya29.A0ARrdaM-this-is-a-secret-token"
PRIVATE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj"
PASSWORD = "hunter2-is-a-secret"


def service_account(folder: Path) -> Path:
    path = folder / "account.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "p",
                "private_key_id": "k",
                "private_key": f"-----BEGIN PRIVATE KEY-----\n{PRIVATE}\n-----END PRIVATE KEY-----",
                "client_email": "a@p.iam.gserviceaccount.com",
                "token_uri": "http://127.0.0.1:9/token",
            }
        )
    )
    return path


def no_secret(folder: Path, *texts: str) -> None:
    everything = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    everything += [text.encode() for text in texts]
    for secret in (TOKEN, PRIVATE, PASSWORD):
        assert all(secret.encode() not in data for data in everything), secret


@pytest.fixture
def secrets_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path_factory):
    path = service_account(tmp_path_factory.mktemp("home"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", TOKEN)


def with_password(url: str) -> str:
    return url.replace("http://", f"http://user:{PASSWORD}@")


def test_no_secret_in_files_or_progress_of_a_bucket(
    bucket_2011: GcsFront, secrets_everywhere, tmp_path: Path, monkeypatch, capfd, caplog
):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", with_password(bucket_2011.url))
    bucket_2011.faults.add(
        Fault(r"/o(\?|$)", "status", status=503, reason=f"token={TOKEN} of user"),
        Fault("job_events", "cut", after_bytes=100),
    )
    lines: list[str] = []
    caplog.set_level("DEBUG")
    fetch(TraceRequest(source="gcs", location=f"gs://{BUCKET}"), tmp_path, lines.append)
    assert len(lines) > 2
    out = capfd.readouterr()
    no_secret(tmp_path, *lines, out.out, out.err)


def test_no_secret_in_files_or_progress_of_a_dataset(
    bigquery: BigQueryDouble, secrets_everywhere, tmp_path: Path, monkeypatch, capfd
):
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", with_password(bigquery.url))
    bigquery.faults.add(Fault("dryRun", "status", status=503), Fault("queries", "drop"))
    lines: list[str] = []
    request = TraceRequest(source="bigquery", location=f"{PROJECT}.{DATASET}")
    fetch(request, tmp_path, lines.append)
    assert len(lines) > 2
    out = capfd.readouterr()
    no_secret(tmp_path, *lines, out.out, out.err)


@pytest.mark.parametrize("source", ["gcs", "bigquery"])
def test_no_secret_in_errors(source: str, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://user:{PASSWORD}@127.0.0.1:9")
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", f"http://user:{PASSWORD}@127.0.0.1:9")
    monkeypatch.setattr("marl.traces.sources.bigquery_client.RETRY_FOR_S", 0.2)
    location = {"gcs": f"gs://{BUCKET}", "bigquery": f"{PROJECT}.{DATASET}"}[source]
    with pytest.raises(SourceError) as failed:
        fetch(TraceRequest(source=source, location=location), tmp_path)
    assert "To do:" in str(failed.value)
    no_secret(tmp_path, str(failed.value))


@pytest.mark.parametrize(
    ("source", "location"),
    [
        ("gcs", f"gs://bucket/x?access_token={TOKEN}"),
        ("gcs", f"gs://user:{PASSWORD}@bucket/x"),
        ("bigquery", f"p.d?access_token={TOKEN}"),
    ],
)
def test_a_secret_in_the_location_is_refused_and_not_repeated(
    source: str, location: str, tmp_path: Path
):
    with pytest.raises(SourceError) as failed:
        fetch(TraceRequest(source=source, location=location), tmp_path)
    no_secret(tmp_path, str(failed.value))


def test_unusable_credentials_are_an_error_one_can_read(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    for source, location in (("gcs", "gs://bucket"), ("bigquery", "p.d")):
        with pytest.raises(SourceError, match="GOOGLE_APPLICATION_CREDENTIALS"):
            fetch(TraceRequest(source=source, location=location), tmp_path / source)


def test_without_an_emulator_it_is_google_and_anonymous(monkeypatch):
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    client = gcs_client.connect()
    assert client.url("b/o").startswith("https://storage.googleapis.com/")
    assert client.credentials.credentials is None


def test_the_plain_emulator_named_without_a_scheme_will_do(
    objects_2011: dict[str, bytes], tmp_path: Path, monkeypatch
):
    """gcp-storage-emulator itself, HTTP/1.0, no pages, no generations in its answers."""
    import http.client

    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket=BUCKET)
    server.start()
    try:
        port = server._api._httpd.server_address[1]
        for name, data in objects_2011.items():
            connection = http.client.HTTPConnection("127.0.0.1", port)
            path = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={name}"
            connection.request("POST", path, data)
            assert connection.getresponse().status == 200
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"127.0.0.1:{port}")
        request = TraceRequest(source="gcs", location=f"gs://{BUCKET}", duration_s=7200)
        manifest = fetch(request, tmp_path)
        for file in manifest.files:
            assert (tmp_path / file.path).read_bytes() == objects_2011[file.path]
        assert {file.table for file in manifest.files} == {
            "machines",
            "collections",
            "instances",
            "usage",
        }
    finally:
        server.stop()
