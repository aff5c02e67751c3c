"""One fitted workload for all: fitting takes longer than most tests."""

import pytest
import torch

from marl.workload.fit import fit
from tests.unit.marl.workload.simulated import simulate


@pytest.fixture(scope="package")
def workload():
    torch.set_num_threads(1)
    return fit(*simulate(windows=576), source="simulated", is_synthetic=True)
