"""Names of objects, and which parts a window needs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marl.traces.manifest import TraceRequest
from marl.traces.sources.bucket_layout import (
    Published,
    Unordered,
    by_name,
    local_name,
    needed_2011,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("job_events/part-00000-of-00500.csv.gz", ("part", "google2011", "collections", "csv.gz")),
        ("x/y/task_usage/part-00499-of-00500.csv", ("part", "google2011", "usage", "csv")),
        ("machine_events/part-00000-of-00001.csv.gz", ("part", "google2011", "machines", "csv.gz")),
        ("machine_attributes/part-00000-of-00001.csv.gz", ("companion", None, None, None)),
        ("task_constraints/part-00007-of-00500.csv.gz", ("companion", None, None, None)),
        ("instance_usage-000000000012.json.gz", ("part", "google2019", "usage", "json.gz")),
        ("a/machine_events-000000000000.parquet.gz", ("part", "google2019", "machines", "parquet")),
        ("collection_events-000000000000.json", ("part", "google2019", "collections", "json")),
        ("machine_attributes-000000000000.json.gz", ("companion", None, None, None)),
        ("kaggle/borg_traces_data.csv.gz", ("part", "kaggle2019", None, "csv.gz")),
        ("SHA256SUM", ("checksums", None, None, None)),
        ("old/SHA256SUMS.txt", ("checksums", None, None, None)),
        ("README.md", ("companion", None, None, None)),
        ("folder/", ("companion", None, None, None)),
        ("mine.csv.gz", ("unknown", None, None, None)),
        ("xjob_events/part-00000-of-00500.csv.gz", ("unknown", None, None, None)),
        ("job_events/part-00000-of-00500.csv.gz.exe", ("companion", None, None, None)),
    ],
)
def test_names_are_read_as_published(name, expected):
    named = by_name(name)
    assert (named.role, named.layout, named.table, named.encoding) == expected


@pytest.mark.parametrize(
    ("name", "prefix", "expected"),
    [
        ("a/b/c.csv", "", "a/b/c.csv"),
        ("a/b/c.csv", "a/b", "b/c.csv"),
        ("a/b/c.csv", "a/b/", "c.csv"),
        ("a/b/c.csv", "a/b/c.csv", "c.csv"),
        ("job_events/part-1", "job_ev", "job_events/part-1"),
    ],
)
def test_files_lie_as_in_the_bucket_below_the_prefix(name, prefix, expected):
    assert local_name(name, prefix) == expected


def test_published_sums_in_the_usual_forms(tmp_path):
    sums = tmp_path / "SHA256SUM"
    sums.write_text(
        f"{'a' * 64}  job_events/p0\n{'B' * 64} *./task_events/p0\n\n# {'c' * 64} x\nnonsense\n"
        f"{'d' * 64}\t../up\n"
    )
    published = Published()
    assert published.read(sums, "trace/SHA256SUM") == 3
    assert published.find("trace/job_events/p0") == "a" * 64
    assert published.find("trace/task_events/p0") == "b" * 64
    assert published.find("up") == "d" * 64
    assert published.find("job_events/p0") is None


def ask(start_us: int, end_us: int | None) -> TraceRequest:
    duration_s = None if end_us is None else (end_us - start_us) / 1e6
    return TraceRequest(source="gcs", location="gs://bkt", start_us=start_us, duration_s=duration_s)


S = 1_000_000  # a second


def test_which_parts_a_window_needs_by_hand():
    firsts = [0, 0, 600 * S, 1200 * S, 1800 * S, 2400 * S]

    def needed(start_s, end_s, table="instances"):
        end = None if end_s is None else end_s * S
        return needed_2011(6, firsts.__getitem__, table, ask(start_s * S, end))

    assert needed(0, None) == [0, 1, 2, 3, 4, 5]
    assert needed(0, 600) == [0, 1]
    assert needed(0, 601) == [0, 1, 2]
    assert needed(1300, 1400) == [0, 1, 3]  # the snapshot, and the part it falls into
    assert needed(1200, 1800) == [0, 1, 2, 3]  # part 2 may end with rows at 1200 s
    assert needed(5000, None) == [0, 1, 5]
    assert needed(1300, 1400, "machines") == [0, 1, 2, 3]
    assert needed(1400, 1401, "usage") == [0, 1, 2, 3]  # five minutes before 1400 s is in part 2


def test_hundreds_of_parts_are_not_all_looked_at():
    asked: list[int] = []

    def first_us(index: int) -> int:
        asked.append(index)
        return index * 5000 * S

    got = needed_2011(500, first_us, "instances", ask(1_000_000 * S, 1_086_400 * S))
    assert got == [0, *range(199, 218)]
    assert len(set(asked)) < 40


@pytest.mark.parametrize("firsts", [[0, 5, 3], [0, None, 7], [9, 0, 0]])
def test_parts_out_of_order_are_noticed(firsts):
    with pytest.raises(Unordered):
        needed_2011(3, firsts.__getitem__, "instances", ask(4, 6))


@given(
    st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=6), min_size=1, max_size=12),
    st.integers(0, 60),
    st.one_of(st.none(), st.integers(1, 30)),
    st.sampled_from(["collections", "instances", "usage", "machines"]),
)
def test_no_part_with_a_row_of_the_window_is_missed(parts, start, length, table):
    rows = sorted(time * 60 * S for part in parts for time in part)
    cut, sizes = [], [len(part) for part in parts]
    for size in sizes:
        cut.append(rows[:size])
        rows = rows[size:]
    request = ask(start * 60 * S, None if length is None else (start + length) * 60 * S)
    got = needed_2011(len(cut), lambda i: cut[i][0], table, request)
    end = float("inf") if request.end_us is None else request.end_us
    for index, times in enumerate(cut):
        if any(time == 0 or request.start_us <= time < end for time in times):
            assert index in got or (
                min(times) > 0 and not any(request.start_us <= t < end for t in times)
            )
