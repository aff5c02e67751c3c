"""Fixtures every tier may use. Expensive ones belong to the tier that pays for them."""

from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is not a failing test: nothing in this suite is timed.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

REPO = Path(__file__).resolve().parents[1]
SHARED_TRACES = REPO.parent / "shared" / "traces"


@pytest.fixture(scope="session")
def shared_traces() -> Path:
    """The folder of real traces; skips, with the reason, where it is absent."""
    if not SHARED_TRACES.is_dir():
        pytest.skip(f"no real traces at {SHARED_TRACES}")
    return SHARED_TRACES
