"""The Great Expectations adapter says what is wrong, with values, on frames and on pieces."""

import polars as pl

from assets.quality.checks import report
from assets.quality.docs import write_page
from assets.quality.gx import expect, validate

FRAME = pl.DataFrame(
    {
        "a": [1, None, -3],
        "event": pl.Series(["ADD", "REMOVE", "ADD"], dtype=pl.Enum(["ADD", "REMOVE"])),
        "hist": [[1.0], [2.0], None],
    }
)


def test_names_expectation_count_and_value():
    validation = validate(
        FRAME,
        [
            expect("ColumnValuesToBeBetween", column="a", min_value=0),
            expect("ColumnValuesToBeInSet", column="event", value_set=["ADD"]),
            expect("TableColumnsToMatchOrderedList", column_list=["a", "event", "hist"]),
        ],
    )
    between, in_set, columns = validation.findings
    assert (between.is_met, between.unexpected, between.examples) == (False, 1, (-3.0,))
    assert (in_set.is_met, in_set.unexpected, in_set.examples) == (False, 1, ("REMOVE",))
    assert columns.is_met
    assert validation.rows == 3


def test_expectation_that_cannot_run_is_not_met():
    (finding,) = validate(FRAME, [expect("ColumnValuesToNotBeNull", column="absent")]).findings
    assert not finding.is_met
    assert "absent" in finding.error


def test_pieces_add_up_and_one_bad_piece_is_enough():
    pieces = [FRAME.head(1), FRAME.tail(1), FRAME.head(1)]
    suite = [expect("ColumnValuesToBeBetween", column="a", min_value=0)]
    whole = validate(iter(pieces), suite)
    assert whole.rows == 3
    assert whole.findings[0].unexpected == 1
    assert validate(iter(pieces[:1]), suite).findings[0].is_met


def test_empty_table_still_has_its_columns_checked():
    empty = FRAME.clear()
    suite = [expect("TableColumnsToMatchOrderedList", column_list=["a", "event"])]
    assert not validate(empty, suite).findings[0].is_met
    assert not validate(iter([empty]), suite).findings[0].is_met


def test_severity_decides_error_or_warning():
    critical = expect("ColumnValuesToNotBeNull", column="a")
    warning = expect("ColumnValuesToNotBeNull", "warning", column="a")
    assert report(validate(FRAME, [critical])).severity.value == "ERROR"
    warned = report(validate(FRAME, [warning]))
    assert (warned.passed, warned.severity.value) == (False, "WARN")
    assert "a" in warned.description


def test_data_docs_tell_of_every_table_what_was_found(tmp_path):
    kept = validate(FRAME, [expect("ColumnValuesToBeBetween", column="a", min_value=-9)])
    broken = validate(FRAME, [expect("ColumnValuesToNotBeNull", column="a")])
    write_page(tmp_path, "usage", kept)
    index = write_page(tmp_path, "machines", broken).read_text()
    assert "must never be null" in (tmp_path / "machines.html").read_text()
    assert index.index("machines") < index.index("usage")
    assert ">all met<" in index
    assert "stops what depends on it" in index
    assert 'href="machines.html"' in index
    assert "http" not in index
    write_page(tmp_path, "machines", kept)  # what was found before is replaced
    assert "stops what depends on it" not in (tmp_path / "index.html").read_text()


def test_data_docs_escape_what_a_trace_holds(tmp_path):
    frame = pl.DataFrame({"a": ["<script>alert(1)</script>"]})
    found = validate(frame, [expect("ColumnValuesToBeInSet", column="a", value_set=["b"])])
    write_page(tmp_path, "machines", found)
    index = (tmp_path / "index.html").read_text()
    assert "<script>" not in index
    assert "&lt;script&gt;" in index
