"""What BigQuery delivers: the rows asked for, estimated before, billed once, within the budget."""

from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marl.traces.detect import Detected, detect
from marl.traces.manifest import RawManifest, TraceRequest
from marl.traces.sources import bigquery_jobs, fetch
from marl.traces.sources.base import BudgetExceeded, SourceError
from tests.doubles.bigquery_double.engine import MIB
from tests.doubles.bigquery_double.farm import farm_fingerprint
from tests.doubles.bigquery_double.schemas import TABLES, to_arrow
from tests.doubles.bigquery_double.server import BigQueryDouble
from tests.doubles.faults import Fault
from tests.doubles.small_traces import HOUR_US, google2019
from tests.integration.traces_remote.conftest import DATASET, PROJECT

LOCATION = f"{PROJECT}.{DATASET}"
INSERT = r"POST .*/jobs\?prettyPrint=false$"
MINIMUM = 10 * MIB


def ask(**more) -> TraceRequest:
    return TraceRequest(**{"source": "bigquery", "location": LOCATION} | more)


def oracle(native: str, where: str) -> pa.Table:
    """The same question asked of the generated rows by plain DuckDB."""
    rows = pa.Table.from_pylist(google2019()[native], schema=to_arrow(TABLES[native]))
    connection = duckdb.connect()
    connection.create_function("farm", farm_fingerprint, ["VARCHAR"], "BIGINT")
    connection.register("native", rows)
    return connection.sql(f"SELECT * FROM native WHERE {where}").to_arrow_table()


def fetched(manifest: RawManifest, into: Path, table: str) -> pa.Table:
    return pa.concat_tables(
        [pq.read_table(into / file.path) for file in manifest.files if file.table == table]
    )


def same_rows(ours: pa.Table, theirs: pa.Table) -> None:
    """Equal as bags of rows, in the columns ours has."""
    theirs = theirs.select(ours.column_names)
    assert ours.num_rows == theirs.num_rows
    assert sorted(map(repr, ours.to_pylist())) == sorted(map(repr, theirs.to_pylist()))


START, END = 2 * HOUR_US, 4 * HOUR_US
KEPT = "abs(farm('7:' || {id}::VARCHAR) % 1000000) < 300000"
MACHINE = "CASE WHEN machine_id > 0 THEN machine_id ELSE collection_id END"


@pytest.mark.parametrize("sample_by", [None, "collections", "machines"])
def test_window_and_sample_give_the_rows_an_independent_query_gives(
    bigquery: BigQueryDouble, tmp_path: Path, sample_by: str | None
):
    more = {"sample": 0.3, "sample_by": sample_by, "seed": 7} if sample_by else {}
    manifest = fetch(ask(start_us=START, duration_s=2 * 3600, **more), tmp_path)
    by_collection = KEPT.format(id="collection_id") if sample_by else "true"
    by_either = KEPT.format(id=MACHINE) if sample_by == "machines" else by_collection
    by_machine = KEPT.format(id="machine_id") if sample_by == "machines" else "true"
    inside = f"(time = 0 OR time >= {START} AND time < {END})"
    expected = {
        "machines": ("machine_events", f"time < {END} AND {by_machine}"),
        "collections": ("collection_events", f"{inside} AND {by_collection}"),
        "instances": ("instance_events", f"{inside} AND {by_either}"),
        "usage": (
            "instance_usage",
            f"start_time < {END} AND end_time > {START} AND {by_either}",
        ),
    }
    for table, (native, where) in expected.items():
        theirs = oracle(native, where)
        assert 0 < theirs.num_rows < 600
        same_rows(fetched(manifest, tmp_path, table), theirs)
    assert manifest.is_sampled


def test_sampled_collections_come_whole(bigquery: BigQueryDouble, tmp_path: Path):
    manifest = fetch(ask(sample=0.25, seed=3), tmp_path)
    ids = {
        table: set(fetched(manifest, tmp_path, table)["collection_id"].to_pylist())
        for table in ("collections", "instances", "usage")
    }
    everyone = {
        native: {row["collection_id"] for row in google2019()[native]}
        for native in ("collection_events", "instance_events", "instance_usage")
    }
    assert ids["collections"] == ids["instances"]
    assert ids["usage"] == everyone["instance_usage"] & ids["collections"]
    assert 0.1 < len(ids["collections"]) / len(everyone["collection_events"]) < 0.4
    other = fetch(ask(sample=0.25, seed=4), tmp_path / "other")
    assert (
        set(fetched(other, tmp_path / "other", "usage")["collection_id"].to_pylist())
        != ids["usage"]
    )


def test_files_are_native_parquet_that_detect_knows(bigquery: BigQueryDouble, tmp_path: Path):
    manifest = fetch(ask(), tmp_path)
    assert len(manifest.files) == 4
    for file in manifest.files:
        verdict = detect(tmp_path / file.path)
        assert isinstance(verdict, Detected)
        assert (verdict.layout, verdict.table, verdict.encoding) == (
            "google2019",
            file.table,
            "parquet",
        )
        assert file.bytes == (tmp_path / file.path).stat().st_size
    usage = pl.read_parquet(tmp_path / "instance_usage/part-000000.parquet")
    assert usage.schema["average_usage"] == pl.Struct({"cpus": pl.Float64, "memory": pl.Float64})
    assert usage.schema["cpu_usage_distribution"] == pl.List(pl.Float64)
    same_rows(fetched(manifest, tmp_path, "usage"), oracle("instance_usage", "true"))
    assert RawManifest.load(tmp_path) == manifest


def test_the_estimate_is_told_before_anything_runs(bigquery: BigQueryDouble, tmp_path: Path):
    lines: list[tuple[str, int]] = []
    fetch(ask(), tmp_path, lambda line: lines.append((line, len(bigquery.jobs))))
    estimate = next((line, jobs) for line, jobs in lines if line.startswith("estimate"))
    assert estimate[1] == 0
    assert f"{4 * MINIMUM:,} bytes" in estimate[0]
    assert "$0.0002" in estimate[0]
    assert "first 1 TiB" in estimate[0]
    dry = bigquery.faults.served("dryRun")
    assert len(dry) == 4


def test_only_needed_columns_are_billed(bigquery: BigQueryDouble, tmp_path: Path):
    bigquery.engine.scale = 1000
    fetch(ask(tables=("usage",)), tmp_path)
    needed = {
        row_name: sum(_size(row[row_name]) for row in google2019()["instance_usage"])
        for row_name in pq.read_schema(tmp_path / "instance_usage/part-000000.parquet").names
    }
    assert "random_sample_usage" not in needed
    assert bigquery.billed_bytes == -(-1000 * sum(needed.values()) // MIB) * MIB


def _size(value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    return 8 * len(value) if isinstance(value, list) else 8


def test_over_budget_is_refused_before_anything_runs(bigquery: BigQueryDouble, tmp_path: Path):
    bigquery.engine.scale = 10_000
    with pytest.raises(BudgetExceeded) as refused:
        fetch(ask(budget_bytes=100 * MIB), tmp_path)
    text = str(refused.value)
    for word in ("machines", "collections", "instances", "usage", "whole columns", "fewer tables"):
        assert word in text
    assert refused.value.wanted_bytes > refused.value.budget_bytes == 100 * MIB
    assert f"{refused.value.wanted_bytes:,} bytes" in text
    assert bigquery.billed_bytes == 0
    assert not bigquery.jobs


def test_a_budget_of_exactly_the_estimate_suffices(bigquery: BigQueryDouble, tmp_path: Path):
    fetch(ask(budget_bytes=4 * MINIMUM), tmp_path / "enough")
    assert bigquery.billed_bytes == 4 * MINIMUM
    with pytest.raises(BudgetExceeded):
        fetch(ask(budget_bytes=4 * MINIMUM - 1), tmp_path / "short")


def test_bytes_above_the_estimate_are_stopped_by_the_limit_set(
    bigquery: BigQueryDouble, tmp_path: Path
):
    """The table grows between dry run and query: BigQuery refuses, nothing is billed."""

    def grow() -> None:
        bigquery.engine.scale = 100_000

    bigquery.faults.add(Fault(INSERT, "none", before=grow))
    with pytest.raises(BudgetExceeded, match="Query exceeded limit for bytes billed") as refused:
        fetch(ask(tables=("usage",), budget_bytes=2 * MINIMUM), tmp_path)
    assert refused.value.wanted_bytes > 2 * MINIMUM
    assert bigquery.billed_bytes == 0
    assert len(bigquery.faults.served(INSERT)) == 1  # a 500 of this reason is not tried again
    bigquery.engine.scale = 1
    fetch(ask(tables=("usage",)), tmp_path)  # the failed job does not stand in the way
    assert bigquery.billed_bytes == MINIMUM


def test_maximum_bytes_billed_is_what_is_left(bigquery: BigQueryDouble, tmp_path: Path):
    fetch(ask(budget_bytes=6 * MINIMUM), tmp_path)
    limits = [
        int(job.configuration["query"]["maximumBytesBilled"]) for job in bigquery.jobs.values()
    ]
    assert limits == [6 * MINIMUM, 5 * MINIMUM, 4 * MINIMUM, 3 * MINIMUM]


def test_a_second_call_asks_and_pays_nothing(bigquery: BigQueryDouble, tmp_path: Path):
    first = fetch(ask(), tmp_path)
    paid, asked = bigquery.billed_bytes, len(bigquery.faults.log)
    assert fetch(ask(), tmp_path) == first
    assert (bigquery.billed_bytes, len(bigquery.faults.log)) == (paid, asked)


def test_another_folder_reads_the_same_jobs_for_free(bigquery: BigQueryDouble, tmp_path: Path):
    first = fetch(ask(), tmp_path / "a")
    paid = bigquery.billed_bytes
    second = fetch(ask(), tmp_path / "b")
    assert bigquery.billed_bytes == paid
    assert [f.sha256 for f in second.files] == [f.sha256 for f in first.files]


def test_a_deleted_part_is_read_again_for_free(bigquery: BigQueryDouble, tmp_path: Path):
    first = fetch(ask(), tmp_path)
    paid = bigquery.billed_bytes
    (tmp_path / "instance_usage/part-000000.parquet").unlink()
    before = len(bigquery.faults.log)
    assert fetch(ask(), tmp_path) == first
    assert bigquery.billed_bytes == paid
    reads = [e.line for e in bigquery.faults.log[before:] if "/queries/" in e.line]
    assert reads
    assert all("stratoform_usage" in line for line in reads)


def test_an_expired_result_is_queried_again_within_the_budget(
    bigquery: BigQueryDouble, tmp_path: Path
):
    fetch(ask(tables=("usage",)), tmp_path / "a")
    bigquery.expire_results()
    manifest = fetch(ask(tables=("usage",)), tmp_path / "b")
    assert bigquery.billed_bytes == 2 * MINIMUM
    same_rows(fetched(manifest, tmp_path / "b", "usage"), oracle("instance_usage", "true"))
    bigquery.expire_results()
    with pytest.raises(BudgetExceeded):
        fetch(ask(tables=("usage",), budget_bytes=MINIMUM), tmp_path / "c")


def test_a_changed_table_is_not_answered_from_an_old_job(bigquery: BigQueryDouble, tmp_path: Path):
    request = ask(location="own.cell", tables=("machines",))
    bigquery.engine.load("own", "cell", "machine_events", google2019(seed=8)["machine_events"])
    fetch(request, tmp_path / "a")
    bigquery.engine.load("own", "cell", "machine_events", google2019(seed=9)["machine_events"])
    manifest = fetch(request, tmp_path / "b")
    rows = fetched(manifest, tmp_path / "b", "machines")
    assert rows["time"].to_pylist() == [r["time"] for r in google2019(seed=9)["machine_events"]]
    assert bigquery.billed_bytes == 2 * MINIMUM


def test_results_come_in_parts_of_equal_rows_whatever_a_page_holds(
    bigquery: BigQueryDouble, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(bigquery_jobs, "ROWS_PER_PART", 250)
    bigquery.page_rows = 70
    manifest = fetch(ask(tables=("usage",)), tmp_path)
    tables = [pq.read_table(tmp_path / file.path) for file in manifest.files]
    assert [table.num_rows for table in tables] == [250, 250, 100]
    same_rows(pa.concat_tables(tables), oracle("instance_usage", "true"))


def test_a_table_without_rows_leaves_an_empty_file(bigquery: BigQueryDouble, tmp_path: Path):
    manifest = fetch(ask(start_us=100 * HOUR_US, tables=("usage", "instances")), tmp_path)
    assert fetched(manifest, tmp_path, "usage").num_rows == 0
    assert "average_usage" in fetched(manifest, tmp_path, "usage").column_names
    assert all(isinstance(detect(tmp_path / file.path), Detected) for file in manifest.files)


def test_a_missing_table_is_noted_and_a_missing_dataset_refused(
    bigquery: BigQueryDouble, tmp_path: Path
):
    bigquery.engine.load("p", "d", "machine_events", google2019()["machine_events"])
    manifest = fetch(ask(location="p.d"), tmp_path / "a")
    assert manifest.tables() == {"machines"}
    assert manifest.notes == ("the trace lacks: collections, instances, usage",)
    with pytest.raises(SourceError, match=r"p\.nothing has none of the tables.*check TRACE_PATH"):
        fetch(ask(location="p.nothing"), tmp_path / "b")


@pytest.mark.parametrize(
    "location",
    [
        "clusterdata",
        "p.d.t",
        "p.d`; DROP TABLE x; --",
        "p.d x",
        "a b.d",
        "p.d?key=secret",
        "gs://x",
    ],
)
def test_nonsense_locations_are_refused(bigquery: BigQueryDouble, tmp_path: Path, location: str):
    with pytest.raises(SourceError, match=r"TRACE_PATH must be project\.dataset"):
        fetch(ask(location=location), tmp_path)
    assert not bigquery.faults.log
