"""Imports go one way; the contracts are in pyproject.toml, `lint-imports` judges them."""

import subprocess
import sys

from tests.conftest import REPO


def test_import_contracts_hold():
    lint = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=REPO,
        capture_output=True,
        text=True,
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr
    assert " 0 broken" in lint.stdout
