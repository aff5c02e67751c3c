"""The cache: views over what there is, safe replacement, and a connection that only reads."""

import duckdb
import polars as pl
import pytest

from marl.features import cache
from marl.features.cache import build_cache, connect, query
from marl.files import write_json
from marl.traces.quarantine import QUARANTINE
from tests.unit.marl.features.rows import event, write_canonical

KNOWN = {
    "accounting", "capacity", "collections", "demand_windows", "instances", "machines",
    "quarantine", "task_profiles", "usage",
}  # fmt: skip


def test_an_empty_folder_gives_every_known_view_empty(tmp_path):
    summary = build_cache(tmp_path, tmp_path / "cache.duckdb")
    assert summary.rows == dict.fromkeys(sorted(KNOWN), 0)
    assert summary.left_out == ("class_demand", "evaluation_episodes", "workload_classes")
    with connect(tmp_path / "cache.duckdb") as connection:
        for view, schema in cache._SCHEMAS.items():
            assert query(connection, f"FROM {view}").columns == schema.names()


def test_rows_are_read_from_the_parquet_whatever_the_folder_is_called(tmp_path):
    data = tmp_path / "it's [a] *strange* folder"
    write_canonical(data, instances=[event(5, "SUBMIT", tier="mid"), event(4000, "SCHEDULE")])
    build_cache(data, data / "cache.duckdb")
    with connect(data / "cache.duckdb") as connection:
        found = query(connection, "SELECT time_us, event, tier FROM instances ORDER BY time_us")
    assert found.rows() == [(5_000_000, "SUBMIT", "mid"), (4_000_000_000, "SCHEDULE", "production")]


def test_quarantine_and_accounting_unite_the_tables(tmp_path):
    for table, reason in (("machines", "bad"), ("usage", "worse")):
        folder = tmp_path / table / "quarantine"
        folder.mkdir(parents=True)
        row = {"table": table, "reason": reason, "source_file": "f", "row_number": 1, "raw": "x;--"}
        pl.DataFrame([row], schema=QUARANTINE).write_parquet(folder / "part-000000.parquet")
        account = {
            "table": table,
            "rows_in": 3,
            "rows_kept": 1,
            "quarantined": {reason: 1},
            "filtered": {"outside_window": 1},
            "files": [{"what": "the cache does not show"}],
        }
        write_json(tmp_path / table / "accounting.json", account)
    build_cache(tmp_path, tmp_path / "cache.duckdb")
    with connect(tmp_path / "cache.duckdb") as connection:
        rows = query(connection, 'SELECT "table", reason FROM quarantine ORDER BY ALL').rows()
        assert rows == [("machines", "bad"), ("usage", "worse")]
        sums = query(
            connection, "SELECT sum(rows_in), sum(list_sum(map_values(filtered))) FROM accounting"
        )
        assert sums.row(0) == (6, 2)


def test_a_table_made_later_gets_its_view_by_building_again(tmp_path):
    target = tmp_path / "cache.duckdb"
    build_cache(tmp_path, target)
    with connect(tmp_path / "cache.duckdb") as reader:
        rows = tmp_path / "evaluation_episodes" / "rows"
        rows.mkdir(parents=True)
        pl.DataFrame({"policy": ["maddpg"], "reward": [1.5]}).write_parquet(rows / "part-0.parquet")
        summary = build_cache(tmp_path, target)  # while someone reads the old one
        assert query(reader, "SELECT count(*) FROM machines").item() == 0
    assert summary.rows["evaluation_episodes"] == 1
    assert "evaluation_episodes" not in summary.left_out
    with connect(target) as connection:
        assert query(connection, "FROM evaluation_episodes").rows() == [("maddpg", 1.5)]


def test_a_failed_build_leaves_the_old_cache(tmp_path):
    target = tmp_path / "cache.duckdb"
    build_cache(tmp_path, target)
    broken = tmp_path / "machines" / "rows"
    broken.mkdir(parents=True)
    (broken / "part-000000.parquet").write_bytes(b"this is no Parquet")
    with pytest.raises(duckdb.Error, match="part-000000"):
        build_cache(tmp_path, target)
    with connect(target) as connection:
        assert query(connection, "FROM machines").is_empty()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache.duckdb", "machines"]


def test_building_twice_is_the_same_cache(tmp_path):
    write_canonical(tmp_path, instances=[event(5, "SUBMIT")])
    target = tmp_path / "cache.duckdb"
    assert build_cache(tmp_path, target) == build_cache(tmp_path, target)


def test_a_missing_cache_names_the_command(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"dagster asset materialize --select '\*trace_cache'"
    ):
        connect(tmp_path / "cache.duckdb")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    write_canonical(data, instances=[event(5, "SUBMIT")])
    build_cache(data, data / "cache.duckdb")
    return data


@pytest.fixture
def connection(folder):
    with connect(folder / "cache.duckdb") as opened:
        yield opened


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{folder}/instances/rows/part-000000.parquet'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/evil.csv'",
        "CREATE TABLE evil (a INTEGER)",
        "DROP VIEW instances",
        "SET memory_limit = '1GB'",
        "ATTACH '{folder}/evil.duckdb'",
        "INSTALL httpfs",
        "SELECT 1; DROP VIEW instances",
        "",
    ],
)
def test_what_is_not_one_select_is_refused(connection, folder, sql):
    before = sorted(folder.rglob("*"))
    with pytest.raises(ValueError, match=r"only SELECT|one statement"):
        query(connection, sql.format(folder=folder))
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM 'https://example.org/x.parquet'",
    ],
)
def test_a_select_sees_no_other_file(connection, sql):
    with pytest.raises(duckdb.Error, match="disabled by configuration"):
        query(connection, sql)


def test_sql_does_not_see_the_variables_of_its_caller(connection):
    secret = pl.DataFrame({"a": [1]})
    assert secret.height == 1
    with pytest.raises(duckdb.Error, match="secret"):
        connection.sql("FROM secret").fetchall()


def test_the_settings_are_locked_even_for_the_holder(connection):
    with pytest.raises(duckdb.Error, match="locked"):
        connection.execute("SET enable_external_access = true")


def test_older_clients_can_open_it(tmp_path):
    build_cache(tmp_path, tmp_path / "cache.duckdb")
    with duckdb.connect(str(tmp_path / "cache.duckdb"), read_only=True) as plain:
        tags = plain.execute("SELECT tags FROM duckdb_databases() WHERE NOT internal").fetchall()
    assert "v1.5.0" in str(tags)
