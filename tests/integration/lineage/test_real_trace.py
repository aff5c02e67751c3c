"""The same graph on a real Google trace, with row counts taken independently by DuckDB."""

import json

import duckdb
import pytest

from assets.resources import TraceSettings
from tests.integration.lineage.tiny import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_traces,
    pytest.mark.xdist_group("lineage-real"),
]
FOLDERS = {
    "machines": "machine_events",
    "collections": "job_events",
    "instances": "task_events",
    "usage": "task_usage",
}


def test_google_2011_goes_all_the_way(shared_traces, tmp_path):
    folder = shared_traces / "google2011"
    result = run(tmp_path, TraceSettings(source="local", location=str(folder)))
    assert result.success
    failed = [e.check_name for e in result.get_asset_check_evaluations() if not e.passed]
    # Fitted on three hours of tasks, the workload may miss more held-out figures than we like.
    assert set(failed) <= {"fit_resembles_trace"}
    for table, name in FOLDERS.items():
        accounting = json.loads((tmp_path / table / "accounting.json").read_text())
        files = f"{folder}/{name}/*.gz"
        counted = duckdb.sql(
            "SELECT count(*) FROM read_csv(?, header = false, all_varchar = true)", params=[files]
        ).fetchall()[0][0]
        kept = duckdb.sql(
            "SELECT count(*) FROM read_parquet(?)", params=[f"{tmp_path}/{table}/rows/*.parquet"]
        ).fetchall()[0][0]
        quarantined = sum(accounting["quarantined"].values())
        assert accounting["rows_in"] == counted
        assert kept + quarantined + sum(accounting["filtered"].values()) == counted
    content = json.loads((tmp_path / "eval_report" / "report.json").read_text())
    assert not content["is_synthetic"]
    assert any("imputed" in note for note in content["notes"]), "what is missing is said"
    assert "Synthetic trace" not in (tmp_path / "eval_report" / "report.html").read_text()
    module = tmp_path / "terraform_artifacts" / "module"
    assert "Synthetic" not in (module / "README.md").read_text()
