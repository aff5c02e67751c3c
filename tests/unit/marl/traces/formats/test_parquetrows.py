"""Parquet in Google's 2019 columns, from several writers."""

import polars as pl
import pytest

from marl.traces.formats import google2019
from marl.traces.formats.parquetrows import RowFile, parse
from marl.traces.formats.spec import ROW, TraceFormatError

USAGE = google2019.TABLES["usage"]


def frame(**changes) -> pl.DataFrame:
    columns = {
        "start_time": [600_000_000, 900_000_000],
        "end_time": [900_000_000, 1_200_000_000],
        "collection_id": [7, 8],
        "instance_index": [0, 1],
        "machine_id": [5, None],
        "collection_type": [0, 1],
        "average_usage": [{"cpus": 0.02, "memory": 0.01}, {"cpus": None, "memory": 0.5}],
        "cpu_usage_distribution": [[0.0, 0.5], []],
    }
    return pl.DataFrame(columns | changes)


def read(tmp_path, data, native=USAGE):
    path = tmp_path / "u.parquet"
    data.write_parquet(path)
    file = RowFile(path, native)
    blocks = list(file.blocks())
    result = [parse(block, native) for block in blocks]
    return pl.concat([rows for rows, _ in result]), [r for _, rejects in result for r in rejects], (
        file.notes, blocks)  # fmt: skip


def test_nested_and_missing_columns(tmp_path):
    rows, rejects, (notes, _) = read(tmp_path, frame())
    assert rejects == []
    assert rows["cpu_usage_ncu"].to_list() == [0.02, None]
    assert rows["memory_usage_nmu"].to_list() == [0.01, 0.5]
    assert rows["cpu_usage_histogram_ncu"].to_list() == [[0.0, 0.5], None]
    assert rows["cpu_usage_max_ncu"].to_list() == [None, None]
    assert "maximum_usage" in notes[0]
    assert "sample_rate" in notes[0]


def test_other_types_and_shapes_are_cast(tmp_path):
    data = frame(
        start_time=["600000000", "900000000"],
        collection_id=pl.Series([7.0, 8.0]),
        cpu_usage_distribution=pl.Series(
            [{"list": [{"element": 0.25}]}, {"list": []}],
            dtype=pl.Struct({"list": pl.List(pl.Struct({"element": pl.Float64}))}),
        ),
    ).with_columns(pl.col("machine_id").cast(pl.Decimal(20, 0)))
    rows, rejects, _ = read(tmp_path, data)
    assert rejects == []
    assert rows["start_us"].to_list() == [600_000_000, 900_000_000]
    assert rows["machine_id"].to_list() == [5, None]
    assert rows["cpu_usage_histogram_ncu"].to_list() == [[0.25], None]


def test_flattened_records_are_found(tmp_path):
    data = frame().drop("average_usage").with_columns(
        pl.Series("average_usage.cpus", [0.1, 0.2]), pl.Series("average_usage.memory", [0.3, 0.4])
    )  # fmt: skip
    rows, _, _ = read(tmp_path, data)
    assert rows["cpu_usage_ncu"].to_list() == [0.1, 0.2]
    assert rows["memory_usage_nmu"].to_list() == [0.3, 0.4]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"start_time": ["600000000", "soon"]}, "bad_start_us"),
        ({"instance_index": [0.0, 1.5]}, "bad_instance_index"),
        ({"cpu_usage_distribution": ["[0.1]", None]}, "bad_cpu_usage_histogram_ncu"),
    ],
)
def test_values_that_do_not_cast_are_rejected(tmp_path, changes, reason):
    rows, rejects, (_, blocks) = read(tmp_path, frame(**changes))
    assert [name for _, name in rejects] == [reason]
    assert rows.height == 1
    assert rejects[0][0] not in rows[ROW].to_list()
    assert '"collection_id": ' in blocks[0].raw([rejects[0][0]])[0]


def test_a_file_of_another_table_is_refused(tmp_path):
    with pytest.raises(TraceFormatError, match=r"lacks the columns end_time.*start_time"):
        read(tmp_path, frame().drop("start_time", "end_time"))


def test_a_number_where_a_record_belongs_is_refused(tmp_path):
    with pytest.raises(TraceFormatError, match="the column average_usage is double"):
        read(tmp_path, frame(average_usage=[0.1, None]))


def test_a_damaged_file_is_refused_with_the_row(tmp_path):
    path = tmp_path / "u.parquet"
    frame().write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TraceFormatError, match=r"rows from 1 on cannot be read"):
        list(RowFile(path, USAGE).blocks())
