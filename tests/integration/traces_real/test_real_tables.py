"""Every real file: counts as DuckDB takes them, values as a slow reader finds them."""

import gzip
from pathlib import Path

import duckdb
import polars as pl
import pytest

from marl.traces.canonical import read_accounting, read_quarantine, read_table, write_table
from marl.traces.schema import TABLES
from tests.integration.traces_real import reference
from tests.unit.marl.traces.canonical.raw import manifest, raw_file

pytestmark = pytest.mark.real_traces

ALL = [
    *(("2011", table) for table in ("machines", "collections", "instances", "usage")),
    *((cell, table) for cell in "abcd" for table in ("instances", "usage")),
    ("a", "machines"),
    ("a parquet", "machines"),
    ("kaggle", "instances"),
    ("kaggle", "usage"),
]
EVENT_COLUMN_2011 = {"machines": 3, "collections": 4, "instances": 6}


def relation(raw) -> str:
    """The raw files as DuckDB reads them, every value as text."""
    paths = [file.path for file in raw.files]
    encoding = raw.files[0].encoding
    if encoding == "parquet":
        return f"read_parquet({paths})"
    if encoding == "json.gz":
        return f"read_json({paths}, format='newline_delimited')"
    header = raw.files[0].layout == "kaggle2019"
    return (
        f"read_csv({paths}, header={header}, all_varchar=true, delim=',', quote='\"', "
        f"escape='\"', strict_mode=false, max_line_size=10000000)"
    )


@pytest.mark.parametrize(("where", "table"), ALL, ids=lambda value: value.replace(" ", "-"))
def test_counts_equal_duckdb(real, written, where, table):
    raw = real[where, table]
    account = read_accounting(written(where, table))
    rows = read_table(written(where, table)).collect()
    source = relation(raw)
    ((records,),) = duckdb.sql(f"select count(*) from {source}").fetchall()
    assert account.rows_in == records
    assert rows.height == account.rows_kept
    assert account.rows_kept + account.rows_quarantined == records
    # Google's own files hold no record that must be turned away.
    assert account.quarantined == {}
    assert rows.schema == TABLES[table]
    if table != "usage":
        code, time = ("type", "time") if where != "kaggle" else ("instance_events_type", "time")
        if where == "2011":
            width = len(duckdb.sql(f"select * from {source} limit 1").columns)
            digits = 2 if width > 10 else 1
            code, time = f"column{EVENT_COLUMN_2011[table] - 1:0{digits}d}", f"column{0:0{digits}d}"
        wanted = duckdb.sql(
            f"select count(*) n from {source} group by {code}::bigint order by n"
        ).fetchall()
        assert sorted(rows["event"].value_counts()["count"]) == [count for (count,) in wanted]
        ((snapshot,),) = duckdb.sql(
            f"select count(*) from {source} where {time}::bigint = 0"
        ).fetchall()
        assert account.snapshot_rows == snapshot == int(rows["is_snapshot"].sum())
        first, last = duckdb.sql(
            f"select min(t), max(t) from (select {time}::bigint t from {source}) where t > 0"
        ).fetchall()[0]
        assert (account.first_us, account.last_us) == (first, last)


SLICES = [
    (where, table, limit)
    for where, table in ALL
    if where != "a parquet"
    for limit in [3_000 if where == "kaggle" else 6_000]
]


@pytest.mark.parametrize(
    ("where", "table", "limit"), SLICES, ids=[f"{where}-{table}" for where, table, _ in SLICES]
)
def test_values_equal_the_slow_reader(real, written, where, table, limit):
    raw = real[where, table]
    read = {"2011": reference.rows_2011, "kaggle": reference.rows_kaggle}.get(
        where, reference.rows_json
    )
    slow = pl.DataFrame(
        list(read(Path(raw.files[0].path), table, limit)), schema=TABLES[table], orient="row"
    )
    assert slow.height > 0
    rows = read_table(written(where, table)).collect()
    # Each slow row is in the table, with the same number of copies at least.
    keys = [name for name, dtype in TABLES[table].items() if not isinstance(dtype, pl.List)]
    found = rows.join(slow, on=keys, how="inner", nulls_equal=True, suffix="_slow")
    assert found.height >= slow.height
    for name in set(rows.columns) - set(keys):
        assert found[name].equals(found[f"{name}_slow"]), name
    assert slow.join(rows, on=keys, how="anti", nulls_equal=True).is_empty()


def test_json_and_parquet_of_2019_machines_are_the_same_table(real, written, tmp_path):
    tables = [read_table(written(name, "machines")).collect() for name in ("a", "a parquet")]
    assert tables[0].equals(tables[1])
    both = manifest(*real["a", "machines"].files, *real["a parquet", "machines"].files)
    account = write_table(both, tmp_path, "machines", tmp_path / "both")
    assert account.quarantined == {"duplicate": tables[0].height}
    assert read_table(tmp_path / "both").collect().equals(tables[0])


def test_kaggle_instances_are_those_of_the_native_files(written):
    """The same sample in two layouts: every Kaggle event is in its cell's native file."""
    kaggle = read_table(written("kaggle", "instances")).collect().drop("user")
    cells = [read_table(written(cell, "instances")).collect() for cell in "abcd"]
    native = pl.concat(cells).drop("user")
    missing = kaggle.join(native, on=kaggle.columns, how="anti", nulls_equal=True)
    # The native split leaves out rows with two or more placement constraints (traces README).
    assert missing.height < 0.2 * kaggle.height
    assert kaggle.height - missing.height > 15_000


def test_kaggle_has_no_collections_and_says_why(written):
    account = read_accounting(written("kaggle", "collections"))
    assert account.is_missing
    assert "without the time" in account.notes[0]
    assert "users" in account.notes[1]


@pytest.mark.parametrize("share", [0.1, 0.63, 0.999])
def test_a_real_part_cut_midway(real, tmp_path, share):
    file = real["2011", "instances"].files[1]
    data = Path(file.path).read_bytes()
    whole = gzip.decompress(data)
    path = tmp_path / "part.csv.gz"
    path.write_bytes(data[: int(len(data) * share)])
    raw = manifest(raw_file(path, "instances", "google2011", "csv.gz"))
    account = write_table(raw, tmp_path, "instances", tmp_path / "t")
    assert set(account.quarantined) <= {"cut_record"}
    assert 0 < account.rows_kept < whole.count(b"\n")
    lines = whole.split(b"\n")
    last = read_quarantine(tmp_path / "t").collect()
    for number, raw_text in last.select("row_number", "raw").iter_rows():
        assert lines[number - 1].startswith(raw_text.encode())
    rows = read_table(tmp_path / "t").collect()
    assert rows["time_us"].max() <= int(lines[account.rows_kept - 1].split(b",")[0])
