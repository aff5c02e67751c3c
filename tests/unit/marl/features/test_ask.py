"""The command: lists, answers, formats, and says clearly what is wrong."""

import csv
import io
import json
import subprocess
import sys

import pytest

from marl.features.ask import main
from marl.features.cache import build_cache
from marl.features.questions import questions
from tests.unit.marl.features.rows import write_canonical


@pytest.fixture
def data(tmp_path, monkeypatch):
    collections = [
        {"time_us": 9, "collection_id": number, "event": "SUBMIT", "user": "\x1b[31mred\x1b[0m"}
        for number in range(60)
    ]
    write_canonical(tmp_path, collections=collections)
    build_cache(tmp_path, tmp_path / "cache.duckdb")
    monkeypatch.setenv("STRATOFORM_DATA", str(tmp_path))
    return tmp_path


def test_without_arguments_it_lists_every_question(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == len(questions()) >= 12
    assert "slack_by_tier" in out


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    build_cache(folder, folder / "cache.duckdb")
    return str(folder)


@pytest.mark.parametrize("name", questions())
def test_every_question_is_answered_on_empty_tables(empty, capsys, name):
    assert main([name, "--data", empty]) == 0
    out = capsys.readouterr().out
    assert questions()[name].question in out
    assert "no rows" in out
    assert main([name, "--data", empty, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_rows_beyond_the_limit_are_announced(data, capsys):
    sql = "SELECT collection_id FROM collections ORDER BY 1"
    main(["--sql", sql])
    assert "… 10 more rows" in capsys.readouterr().out
    main(["--sql", sql, "--limit", "0"])
    out = capsys.readouterr().out
    assert "more rows" not in out
    assert " 59 " in out
    main(["--sql", sql, "--csv"])
    assert len(capsys.readouterr().out.splitlines()) == 61
    main(["--sql", sql, "--json", "--limit", "2"])
    assert json.loads(capsys.readouterr().out) == [{"collection_id": 0}, {"collection_id": 1}]


def test_nested_values_fit_in_csv(data, capsys):
    main(
        ["--sql", "SELECT [1, 2] AS list, {'a': NULL} AS struct, NULL::INTEGER[] AS none", "--csv"]
    )
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [["list", "struct", "none"], ["[1, 2]", '{"a": null}', ""]]


def test_fractions_show_three_digits_of_the_smallest_and_json_stays_json(data, capsys):
    sql = "SELECT * FROM (VALUES (0.0000511, 'inf'::DOUBLE), (12.5, 'nan'), (NULL, 1)) AS t(a, b)"
    main(["--sql", sql])
    out = capsys.readouterr().out
    assert " 0.0000511 " in out
    assert "12.5000000 " in out
    assert "null" in out
    main(["--sql", sql, "--json"])
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert [row["b"] for row in found] == [None, None, 1.0]


def test_text_from_a_trace_cannot_steer_the_terminal(data, capsys):
    main(["--sql", "SELECT user FROM collections LIMIT 1"])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"\x1b[31mred" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["slack_by_teir"], "did you mean slack_by_tier"),
        (["--sql", "SELECT nope FROM usage"], "nope"),
        (["--sql", "DROP VIEW usage"], "only SELECT"),
        (["--sql", "SELEC 1"], "syntax error"),
        (["slack_by_tier", "--data", "/nowhere"], "--select '*trace_cache'"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(data, capsys, arguments, message):
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    "arguments", [["a", "--sql", "SELECT 1"], ["--limit", "-1"], ["--limit", "x"]]
)
def test_wrong_arguments_exit_with_2(arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_as_a_user_types_it(data):
    command = [sys.executable, "-m", "marl.features.ask", "user_concentration"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "top_10_share" in done.stdout
    assert done.stderr == ""
