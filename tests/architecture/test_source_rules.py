"""House rules a reader relies on: small documented modules, one statement a file, clean tree."""

import ast
import re
import subprocess

import pytest
import sqlglot

from tests.conftest import REPO

MAX_LINES = 350
MODULES = sorted(p for d in ("marl", "assets", "pipelines") for p in (REPO / d).rglob("*.py"))
STATEMENTS = sorted((REPO / "sql").rglob("*.sql"))


def _name(path):
    return str(path.relative_to(REPO))


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_module_is_small_and_documented(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES, "more than one concept? split it"
    tree = ast.parse(text)
    docstring = ast.get_docstring(tree)
    assert docstring, "a module docstring says what it holds"
    assert len(docstring) >= 30, "say what it holds"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_public_functions_are_documented_and_typed(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            assert node.returns is not None, f"{node.name} does not say what it returns"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_no_global_random_state(path):
    calls = re.findall(
        r"np\.random\.(?:seed|rand\w*|normal|choice|uniform)\(|torch\.manual_seed\(|"
        r"(?<![\w.])random\.(?:seed|random|choice|randint|uniform)\(",
        path.read_text(),
    )
    assert not calls, "random state is owned: pass a generator"


@pytest.mark.parametrize("path", STATEMENTS, ids=_name)
def test_one_sql_statement_a_file(path):
    dialect = "bigquery" if path.parent.name == "bigquery" else "duckdb"
    text = re.sub(r"\{\{?\s*(\w+)\s*\}?\}", r"\1", path.read_text())
    statements = [s for s in sqlglot.parse(text, read=dialect) if s is not None]
    assert len(statements) == 1
    assert text.lstrip().startswith("--"), "the file begins with a comment saying what it answers"


def _tracked():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=REPO, capture_output=True, text=True, check=True
    )
    return [REPO / line for line in listed.stdout.splitlines()]


def test_tree_names_no_machine_path_and_holds_no_data():
    offenders = []
    for path in _tracked():
        if not path.is_file():
            continue
        if path.suffix in {".parquet", ".duckdb", ".db", ".safetensors", ".gz", ".pkl", ".pt"}:
            offenders.append(f"{path}: data")
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if re.search(r"/(?:root|home|work)/\w", text) and path.name != "test_source_rules.py":
            offenders.append(f"{path}: a machine path")
        if re.search(r"-----BEGIN (?:RSA )?PRIVATE KEY-----\n[A-Za-z0-9+/]{40}", text):
            offenders.append(f"{path}: a private key")
    assert not offenders
