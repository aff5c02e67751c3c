"""The Kaggle layout: quoted, broken over lines, Python values inside."""

import csv
import io

import pytest

from marl.traces.formats import csvrecords, kaggle2019
from marl.traces.formats.csvrecords import RecordFile, parse
from marl.traces.formats.spec import ROW, TraceFormatError

HEADER = (
    ",time,instance_events_type,collection_id,scheduling_class,collection_type,priority,"
    "alloc_collection_id,instance_index,machine_id,resource_request,constraint,"
    "collections_events_type,user,collection_name,collection_logical_name,"
    "start_after_collection_ids,vertical_scaling,scheduler,start_time,end_time,average_usage,"
    "maximum_usage,random_sample_usage,assigned_memory,page_cache_memory,cycles_per_instruction,"
    "memory_accesses_per_instruction,sample_rate,cpu_usage_distribution,"
    "tail_cpu_usage_distribution,cluster,event,failed"
)
NAMES = next(csv.reader([HEADER]))
HISTOGRAM = "[0. 1e-3 0.2\n 0.3  .4\n 0.5 0.6 0.7 0.8 0.9 1. ]"


def record(**changes) -> str:
    values = dict.fromkeys(NAMES, "1") | {
        "time": "700000000",
        "resource_request": "{'cpus': 0.025, 'memory': 0.0125}",
        "constraint": "[{'name': 'a, b', 'value': '0', 'relation': 1}]",
        "user": "some,one",
        "start_time": "600000000",
        "end_time": "900000000",
        "average_usage": "{'cpus': 0.02, 'memory': 0.01}",
        "maximum_usage": "{'cpus': 5e-2, 'memory': None}",
        "assigned_memory": "0.03",
        "page_cache_memory": "0.001",
        "cycles_per_instruction": "",
        "cpu_usage_distribution": HISTOGRAM,
        "event": "FINISH",
    }
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow((values | changes).values())
    return out.getvalue()


def read(tmp_path, *texts, table="usage"):
    path = tmp_path / "k.csv"
    path.write_text(HEADER + "\n" + "".join(texts))
    file = RecordFile(path)
    native = kaggle2019.TABLES[table]
    results = [parse(block, native, file.names) for block in file.blocks()]
    assert len(results) == 1
    return results[0]


def test_python_values_are_read(tmp_path):
    frame, rejects = read(tmp_path, record())
    assert rejects == []
    row = frame.row(0, named=True)
    assert row["cpu_usage_ncu"] == 0.02
    assert (row["cpu_usage_max_ncu"], row["memory_usage_max_nmu"]) == (0.05, None)
    assert row["cycles_per_instruction"] is None
    assert row["cpu_usage_histogram_ncu"] == pytest.approx(
        [0, 1e-3, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    )
    frame, _ = read(tmp_path, record(instance_events_type="6"), table="instances")
    row = frame.row(0, named=True)
    assert (row["cpu_request_ncu"], row["memory_request_nmu"]) == (0.025, 0.0125)
    assert (row["user"], row["event_code"]) == ("some,one", 6)  # `event` says otherwise


def test_empty_values_are_null(tmp_path):
    changes = {"cpu_usage_distribution": "[]", "maximum_usage": "", "machine_id": "7.0"}
    frame, rejects = read(tmp_path, record(**changes))
    assert rejects == []
    row = frame.row(0, named=True)
    assert row["cpu_usage_histogram_ncu"] is None
    assert row["cpu_usage_max_ncu"] is None
    assert row["machine_id"] == 7


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"average_usage": "0.5"}, "bad_cpu_usage_ncu"),
        ({"average_usage": "{'cpus': __import__('os'), 'memory': 1}"}, "bad_cpu_usage_ncu"),
        ({"cpu_usage_distribution": "[0.1 x 0.2]"}, "bad_cpu_usage_histogram_ncu"),
        ({"cpu_usage_distribution": "[0.1 0.2"}, "bad_cpu_usage_histogram_ncu"),
        ({"cpu_usage_distribution": "[0.1 1e 0.2]"}, "bad_cpu_usage_histogram_ncu"),
        ({"instance_index": "7.5"}, "bad_instance_index"),
        ({"sample_rate": "often"}, "bad_sample_rate"),
    ],
)
def test_what_does_not_parse_is_rejected(tmp_path, changes, reason):
    frame, rejects = read(tmp_path, record(), record(**changes), record())
    assert rejects == [(2, reason)]
    assert frame[ROW].to_list() == [1, 3]


def test_a_broken_quote_spoils_one_record_only(tmp_path):
    broken = record().replace('"[0.', "[0.", 1)
    frame, rejects = read(tmp_path, record(), broken, record(), record() + "x,y\n", "\n")
    assert rejects == [(2, "bad_quotes"), (5, "bad_width"), (6, "blank_line")]
    assert frame[ROW].to_list() == [1, 3, 4]


def test_quotes_inside_a_field_fall_back_to_a_tolerant_reader(tmp_path):
    odd = record().replace(",FINISH,", ',FI"NI"SH,')
    frame, rejects = read(tmp_path, record(), odd)
    assert rejects == []
    assert frame[ROW].to_list() == [1, 2]
    assert frame["cpu_usage_ncu"].to_list() == [0.02, 0.02]


def test_columns_are_found_by_name_in_any_order(tmp_path):
    order = list(reversed(NAMES))
    text = next(csv.reader(io.StringIO(record())))
    values = dict(zip(NAMES, text, strict=True))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(order)
    writer.writerow([values[name] for name in order])
    path = tmp_path / "k.csv"
    path.write_text(out.getvalue())
    file = RecordFile(path)
    [(frame, rejects)] = [
        parse(block, kaggle2019.TABLES["usage"], file.names) for block in file.blocks()
    ]
    assert rejects == []
    assert frame["end_us"].to_list() == [900_000_000]


def test_a_header_without_the_needed_columns_is_refused(tmp_path):
    path = tmp_path / "k.csv"
    path.write_text("time,end_time\n1,2\n")
    file = RecordFile(path)
    with pytest.raises(TraceFormatError, match=r"lacks the columns .*average_usage"):
        [csvrecords.parse(b, kaggle2019.TABLES["usage"], file.names) for b in file.blocks()]
    path.write_text("1,2\n3,4\n")
    with pytest.raises(TraceFormatError, match="not the header"):
        list(RecordFile(path).blocks())
