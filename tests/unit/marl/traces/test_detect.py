"""Trace files told apart by content: every layout, misleading names, and odd files."""

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marl.traces.detect import Detected, Skipped, detect
from tests.unit.marl.traces import files_to_detect as samples


def put(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


NATIVE_2011 = [
    (samples.JOB_EVENTS, "collections"),
    (samples.TASK_EVENTS, "instances"),
    (samples.TASK_USAGE, "usage"),
    (samples.MACHINE_EVENTS, "machines"),
]
NATIVE_2019 = [
    (samples.COLLECTION_EVENT, "collections"),
    (samples.INSTANCE_EVENT, "instances"),
    (samples.INSTANCE_USAGE, "usage"),
    (samples.MACHINE_EVENT, "machines"),
]


@pytest.mark.parametrize(("row", "table"), NATIVE_2011)
@pytest.mark.parametrize("name", ["part-00000-of-00500.csv.gz", "task_usage-9.json", "x"])
def test_2011_by_columns_and_types_whatever_the_name(tmp_path, row, table, name):
    for content, encoding in ((row * 5, "csv"), (samples.zipped(row * 5), "csv.gz")):
        found = detect(put(tmp_path, name, content))
        assert isinstance(found, Detected)
        assert (found.layout, found.table, found.encoding) == ("google2011", table, encoding)


@pytest.mark.parametrize(("record", "table"), NATIVE_2019)
def test_2019_json_lines(tmp_path, record, table):
    content = samples.json_lines(record)
    for body, encoding in ((content, "json"), (samples.zipped(content), "json.gz")):
        found = detect(put(tmp_path, "machine_events.csv", body))
        assert isinstance(found, Detected)
        assert (found.layout, found.table, found.encoding) == ("google2019", table, encoding)


def test_parquet_in_its_three_disguises(tmp_path):
    content = samples.machine_parquet()
    plain = detect(put(tmp_path, "m.parquet", content))
    named_gz = detect(put(tmp_path, "m.parquet.gz", content))
    gzipped = detect(put(tmp_path, "n.parquet.gz", samples.zipped(content)))
    assert [(f.table, f.encoding) for f in (plain, named_gz, gzipped)] == [
        ("machines", "parquet"),
        ("machines", "parquet"),
        ("machines", "parquet.gz"),
    ]
    assert plain.note is None
    assert "despite its name" in named_gz.note


def test_kaggle_by_its_header_also_gzipped_and_without_index_column(tmp_path):
    without_index = "\n".join(line.split(",", 1)[1] for line in samples.KAGGLE.splitlines()[:1])
    for content in (samples.KAGGLE, samples.zipped(samples.KAGGLE), without_index + "\n"):
        found = detect(put(tmp_path, "data", content))
        assert isinstance(found, Detected)
        assert (found.layout, found.table) == ("kaggle2019", None)


def test_kaggle_without_a_needed_column_names_it(tmp_path):
    found = detect(put(tmp_path, "k.csv", samples.KAGGLE.replace("average_usage", "mean_use")))
    assert isinstance(found, Skipped)
    assert "average_usage" in found.reason


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (samples.MACHINE_ATTRIBUTES * 3, "machine_attributes"),
        (samples.TASK_CONSTRAINTS * 3, "task_constraints"),
        (samples.json_lines(samples.MACHINE_ATTRIBUTE), "machine_attributes"),
        (json.dumps([{"name": "time", "type": "INTEGER"}]), "BigQuery schema"),
        ("file pattern,field number,content,format,mandatory\n", "schema of the 2011"),
    ],
)
def test_known_companions_are_skipped_as_known(tmp_path, content, part):
    found = detect(put(tmp_path, "f.csv", content))
    assert isinstance(found, Skipped)
    assert found.is_known
    assert part in found.reason


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "empty"),
        (b"\n\n", "no lines"),
        (b"PK\x03\x04rest", "zip"),
        (b"\x28\xb5\x2f\xfdrest", "zstd"),
        (samples.zipped(samples.JOB_EVENTS)[:10], "cut short"),
        (samples.zipped(b""), "compressed, but empty"),
        (b"PAR1 and then nothing", "Parquet"),
        (b"\x00\x01\x02", "binary"),
        (b'[{"time": 0}]', "JSON array"),
        (b'{"a": 1}\n', "keys"),
        (b"{broken\n{broken\n", "do not parse"),
        (b"a,b,c\n1,2,3\n", "3 comma-separated"),
        (b"x,y,z,a,b,c,d,e\n" * 4, "types do not fit"),
        (samples.parquet(a=[1]), "columns are 'a'"),
        (samples.zipped(b"\0" * (1 << 20)), "binary"),
        (samples.zipped(samples.JOB_EVENTS)[:12], "cut short"),
    ],
)
def test_what_cannot_be_identified_says_why(tmp_path, content, part):
    found = detect(put(tmp_path, "part-00000.csv.gz", content))
    assert isinstance(found, Skipped)
    assert not found.is_known
    assert part in found.reason


def test_mixed_content_is_not_guessed(tmp_path):
    found = detect(put(tmp_path, "f", samples.JOB_EVENTS * 3 + samples.TASK_EVENTS * 3))
    assert isinstance(found, Skipped)
    assert "mixed" in found.reason


def test_a_few_damaged_lines_do_not_hide_the_table(tmp_path):
    content = "garbage\n" + samples.TASK_EVENTS * 5 + "\x85\n,,,\n"
    found = detect(put(tmp_path, "f", content))
    assert isinstance(found, Detected)
    assert found.table == "instances"


def test_lines_of_nulls_still_tell_the_2011_tables_apart(tmp_path):
    row = f"0,2,3418309,0,4155527081,0,{samples.HASH},3,9,,,,\n"  # as in the real part 0
    assert detect(put(tmp_path, "f", row * 3)).table == "instances"
    assert detect(put(tmp_path, "g", "0,5,1,,,\n" * 3)).table == "machines"


def test_cut_gzip_is_told_by_what_is_there(tmp_path):
    content = samples.zipped(
        "".join(samples.TASK_USAGE.replace("600", str(i)) for i in range(5000))
    )
    found = detect(put(tmp_path, "f", content[: len(content) // 2]))
    assert isinstance(found, Detected)
    assert found.table == "usage"


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert isinstance(detect(tmp_path / "pipe"), Skipped)


odd = st.one_of(
    st.binary(max_size=400),
    st.text(max_size=200).map(str.encode),
    st.lists(st.sampled_from([row for row, _ in NATIVE_2011]), max_size=4).map(
        lambda rows: "".join(rows).encode()
    ),
    st.dictionaries(st.text(max_size=12), st.integers(), max_size=4).map(
        lambda record: json.dumps(record).encode()
    ),
)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=odd, packing=st.sampled_from(["plain", "gzip", "cut"]))
def test_no_content_makes_detection_fail(tmp_path, content, packing):
    if packing != "plain":
        content = samples.zipped(content)
    if packing == "cut":
        content = content[: len(content) // 2]
    found = detect(put(tmp_path, "f", content))
    assert isinstance(found, Detected) or found.reason


@pytest.mark.real_traces
def test_real_files(shared_traces):
    a = "google2019/clusterdata_2019_a"
    expected = {
        "google2011/job_events/part-00000-of-00500.csv.gz": ("google2011", "collections", "csv.gz"),
        "google2011/task_events/part-00001-of-00500.csv.gz": ("google2011", "instances", "csv.gz"),
        "google2011/task_usage/part-00000-of-00500.csv.gz": ("google2011", "usage", "csv.gz"),
        "google2011/machine_events/part-00000-of-00001.csv.gz": (
            "google2011",
            "machines",
            "csv.gz",
        ),
        f"{a}/instance_events-000000000000.json.gz": ("google2019", "instances", "json.gz"),
        f"{a}/instance_usage-000000000000.json.gz": ("google2019", "usage", "json.gz"),
        f"{a}/machine_events-000000000000.json.gz": ("google2019", "machines", "json.gz"),
        f"{a}/machine_events-000000000000.parquet.gz": ("google2019", "machines", "parquet"),
        "google2019/kaggle_layout/borg_traces_data.csv.gz": ("kaggle2019", None, "csv.gz"),
    }
    for name, verdict in expected.items():
        found = detect(shared_traces / name)
        assert isinstance(found, Detected), name
        assert (found.layout, found.table, found.encoding) == verdict
    for folder in ("azure", "alibaba", "gcp_prices"):
        for path in sorted((shared_traces / folder).rglob("*.*")):
            assert isinstance(detect(path), Skipped), path
