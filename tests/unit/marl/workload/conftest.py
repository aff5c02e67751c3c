"""A workload fitted once to a simulated trace whose parameters are known."""

import pytest

from marl.workload.fit import fit
from marl.workload.model import WorkloadModel
from tests.unit.marl.workload.simulated import simulate


@pytest.fixture(scope="session")
def fitted() -> WorkloadModel:
    demand, marks = simulate(windows=2016)
    return fit(demand, marks, source="simulated", is_synthetic=True)
