"""The whole graph, materialised once for all tests of this folder (they share an xdist group)."""

import pytest

from tests.integration.lineage.tiny import run


@pytest.fixture(scope="session")
def first(tmp_path_factory):
    """The data folder and what Dagster says of the run; tests that write make a copy."""
    data = tmp_path_factory.mktemp("first") / "data"
    return data, run(data)
