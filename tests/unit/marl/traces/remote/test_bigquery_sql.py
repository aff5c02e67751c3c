"""Statements, parameters and prices; and the double's hash against published values."""

import pytest
import sqlglot
from sqlglot import exp

from marl.sqlfiles import list_sql, load_sql
from marl.traces.manifest import TraceRequest
from marl.traces.schema import AFTER_END_US
from marl.traces.sources.base import SourceError
from marl.traces.sources.bigquery_sql import (
    MIB,
    NATIVE,
    TIB,
    billed_bytes,
    parse_location,
    price_usd,
    statement,
)
from tests.doubles.bigquery_double.farm import farm_fingerprint
from tests.doubles.bigquery_double.schemas import TABLES

LOCATION = "google.com:google-cluster-data.clusterdata_2019_a"


def ask(**more) -> TraceRequest:
    return TraceRequest(**{"source": "bigquery", "location": LOCATION} | more)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LOCATION, ("google.com:google-cluster-data", "clusterdata_2019_a")),
        ("my-project-1.traces_2019", ("my-project-1", "traces_2019")),
    ],
)
def test_locations(text, expected):
    assert parse_location(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "p", "p.", ".d", "p.d.t", "p.d-1", "p`.d", "P.d", "p.d;", "p .d", "p.d\n", "google.com:p"],
)
def test_what_is_no_location(text):
    with pytest.raises(SourceError, match="TRACE_PATH"):
        parse_location(text)


@pytest.mark.parametrize("sample", [1.0, 0.25])
@pytest.mark.parametrize("sample_by", ["collections", "machines"])
@pytest.mark.parametrize("table", sorted(NATIVE))
def test_statements_parse_and_read_one_table_of_known_columns(table, sample_by, sample):
    query = statement(ask(sample=sample, sample_by=sample_by), table)
    tree = sqlglot.parse_one(query.sql, read="bigquery")
    (source,) = tree.find_all(exp.Table)
    assert (source.catalog, source.db, source.name) == (
        "google.com:google-cluster-data",
        "clusterdata_2019_a",
        NATIVE[table],
    )
    known = {field["name"] for field in TABLES[NATIVE[table]]}
    assert {column.name for column in tree.find_all(exp.Column)} <= known
    assert not list(tree.find_all(exp.Star))
    asked = {str(node.this) for node in tree.find_all(exp.Parameter)}
    assert asked == set(query.parameters)
    is_sampled = sample < 1 and not (table == "machines" and sample_by == "collections")
    assert ("sample_threshold" in query.parameters) == is_sampled
    assert "{" not in query.sql


def test_values_are_parameters_and_never_text():
    query = statement(ask(start_us=123_456_789, duration_s=7, sample=0.25, seed=99), "usage")
    assert query.parameters == {
        "start_us": 123_456_789,
        "last_us": 130_456_788,
        "salt": "99:",
        "sample_threshold": 250_000,
    }
    assert "123456789" not in query.sql
    assert "99" not in query.sql
    assert statement(ask(), "usage").parameters["last_us"] == AFTER_END_US


def test_identity_changes_with_all_that_changes_the_answer():
    base = statement(ask(), "usage")
    others = [
        statement(ask(start_us=1), "usage"),
        statement(ask(duration_s=5), "usage"),
        statement(ask(sample=0.5), "usage"),
        statement(ask(sample=0.5, seed=1), "usage"),
        statement(ask(sample=0.5, sample_by="machines"), "usage"),
        statement(ask(location="p.d"), "usage"),
        statement(ask(), "instances"),
    ]
    identities = [query.identity("v1") for query in [base, *others]] + [base.identity("v2")]
    assert len(set(identities)) == len(identities)
    assert base.identity("v1") == statement(ask(budget_bytes=MIB), "usage").identity("v1")


def test_every_statement_on_disk_is_used():
    assert set(list_sql("bigquery")) == {f"extract_{native}" for native in NATIVE.values()}
    for name in list_sql("bigquery"):
        text = load_sql("bigquery", name).replace("{sample}", "TRUE")
        assert len(sqlglot.parse(text, read="bigquery")) == 1


@pytest.mark.parametrize(
    ("processed", "billed"),
    [(0, 10 * MIB), (1, 10 * MIB), (10 * MIB, 10 * MIB), (10 * MIB + 1, 11 * MIB), (TIB, TIB)],
)
def test_billed_bytes(processed, billed):
    assert billed_bytes(processed) == billed


def test_price():
    assert price_usd(TIB) == 6.25
    assert price_usd(TIB // 2) == 3.125


@pytest.mark.parametrize(
    ("text", "value"),
    [  # from BigQuery's documentation of FARM_FINGERPRINT
        ("1footrue", -1541654101129638711),
        ("2applefalse", 2794438866806483259),
        ("3true", -4880158226897771312),
    ],
)
def test_the_double_hashes_as_bigquery_does(text, value):
    assert farm_fingerprint(text) == value


def test_the_hash_is_spread_evenly_over_ids():
    kept = sum(
        abs(farm_fingerprint(f"0:{300_000_000_000 + i}")) % 1_000_000 < 200_000 for i in range(5000)
    )
    assert 0.18 < kept / 5000 < 0.22
