"""Every statement file: one statement with a head, macros used and right, the dictionary whole."""

import re

import duckdb
import pytest

from marl.features.cache import _SCHEMAS
from marl.features.dictionary import COLUMNS, TABLES, markdown
from marl.features.questions import questions
from marl.sqlfiles import SQL_ROOT, list_sql, load_sql
from tests.conftest import REPO
from tests.unit.sql.answers import ask

DUCKDB = [(folder, name) for folder in ("duckdb", "analyses") for name in list_sql(folder)]


@pytest.mark.parametrize(("folder", "name"), DUCKDB)
def test_one_statement_a_file_and_a_comment_that_says_what(folder, name):
    text = load_sql(folder, name).replace("$rows", "range(3)")
    assert text.startswith("-- ")
    assert len(duckdb.extract_statements(text)) == 1
    assert text.endswith(";\n")


def test_every_macro_is_used():
    used = "".join(path.read_text() for path in SQL_ROOT.rglob("*.sql"))
    for name in list_sql("duckdb"):
        if macro := re.fullmatch(r"create_macro_(\w+)", name):
            assert len(re.findall(rf"\b{macro[1]}\(", used)) > 1, macro[1]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("slack(4, 1)", 0.75),
        ("slack(1, 1.5)", -0.5),
        ("slack(0, 1)", None),
        ("tier_rank('free')", 1),
        ("tier_rank('monitoring')", 5),
        ("tier_rank(NULL)", None),
        ("hour_of_trace(3600000000 * 30 + 1)", 30),
        ("hour_of_day(3600000000 * 30 + 1)", 6),
        ("(SELECT gini(x) FROM (VALUES (1), (1), (1)) t(x))", 0.0),
        ("(SELECT gini(x) FROM (VALUES (0), (0), (0), (8), (NULL)) t(x))", 0.75),
        ("(SELECT gini(x) FROM (VALUES (1.0), (3)) t(x))", 0.25),
        ("(SELECT index_of_dispersion(x) FROM (VALUES (1), (3)) t(x))", 1.0),
        ("hist_quantile([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20], 0.9)", 9.0),
        ("hist_quantile([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20], 0.95)", 14.5),
        ("hist_quantile([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20], 1)", 20.0),
        ("hist_quantile([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20], 0)", 0.0),
        ("hist_quantile([], 0.5)", None),
        ("hist_quantile(NULL::FLOAT[], 0.5)", None),
    ],
)
def test_macros(macros, expression, value):
    found = macros.execute(f"SELECT {expression}").fetchall()[0][0]
    assert found == value if value is None else found == pytest.approx(value)


@pytest.fixture(scope="module")
def macros():
    with duckdb.connect() as connection:
        for name in list_sql("duckdb"):
            if name.startswith("create_macro_"):
                connection.execute(load_sql("duckdb", name))
        yield connection


def test_the_dictionary_names_every_column_of_every_view(tmp_path):
    for view, schema in _SCHEMAS.items():
        assert list(COLUMNS[view]) == schema.names(), view
    for view in ("capacity", "accounting"):
        assert list(COLUMNS[view]) == ask(tmp_path, f"FROM {view}").columns
    assert COLUMNS.keys() == TABLES.keys()
    comments = ask(
        tmp_path,
        "SELECT count(*) FROM duckdb_columns() WHERE NOT internal AND comment IS NOT NULL",
    )
    assert comments.item() == sum(map(len, COLUMNS.values()))


def test_the_page_holds_the_dictionary_and_every_question():
    page = (REPO / "docs" / "sql.md").read_text()
    assert markdown() in page, "regenerate it: python -m marl.features.dictionary"
    for name, question in questions().items():
        assert f"| `{name}` | {question.question} |" in page, name
    named = set(re.findall(r"^\| `(\w+)` \| .*\? ?.*\|$", page, re.MULTILINE))
    assert set(questions()) <= named
