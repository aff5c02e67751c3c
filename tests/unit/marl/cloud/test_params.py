"""Configuration that cannot be, and the reference of a demand."""

import numpy as np
import pytest
import torch

from marl.cloud.catalogue import default_catalog
from marl.cloud.params import CloudConfig, Weights, build_params, measure_reference, service_work
from marl.workload.demand import DemandBatch
from marl.workload.toy import ToyGenerator
from tests.unit.marl.cloud.helpers import REFERENCE


def test_weights_lie_in_the_missions_ranges():
    assert Weights().values() == (0.25, 0.40, 0.20, 0.15)
    with pytest.raises(ValueError, match="sum to 1"):
        Weights(cost=0.3)
    with pytest.raises(ValueError, match=r"weight of cost must be in \[0.2, 0.3\]"):
        Weights(cost=0.7, performance=0.1, reliability=0.1, sustainability=0.1)
    free = Weights(cost=0.7, performance=0.1, reliability=0.1, sustainability=0.1, is_free=True)
    assert free.values()[0] == 0.7


@pytest.mark.parametrize(
    "wrong",
    [
        {"slo_ms": 10.0},
        {"zones": 0},
        {"read_share": 1.5},
        {"vm_warm_up_s": (40.0, 5.0)},
        {"spot_hazard_per_h": (0.1, 0.1, -0.1, 0.1)},
        {"colour": "blue"},
        {"web_timeout_s": 0.0},
    ],
)
def test_impossible_configurations_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CloudConfig(**wrong)


def test_the_reference_is_repeatable_and_p99():
    catalog, config = default_catalog(), CloudConfig()
    reference = measure_reference(ToyGenerator(), config, catalog, 48)
    assert reference == measure_reference(ToyGenerator(), config, catalog, 48)
    twice = measure_reference(ToyGenerator(mean_vcpu=512), config, catalog, 48)
    assert np.array(twice.peak) == pytest.approx(2 * np.array(reference.peak), rel=1e-4)


def test_no_demand_is_refused():
    with pytest.raises(ValueError, match="no demand for vcpu, iops, gbps, db_vcpu, stored_gib"):
        measure_reference(ToyGenerator(mean_vcpu=0), CloudConfig(), default_catalog(), 5)


def test_memory_counts_where_it_is_the_dominant_resource():
    values = np.zeros((1, 1, 3, 7), np.float32)
    values[0, 0, :, 1] = [10.0, 10.0, 0.0]  # vCPU
    values[0, 0, :, 2] = [20.0, 80.0, 0.0]  # GiB, of a machine with 4 a vCPU
    values[0, 0, :, 6] = [1000.0, 0.0, 0.0]  # queries per second
    demand = DemandBatch(values, np.zeros(1, np.int64))
    work = service_work(demand, default_catalog().machine("n2-standard-4"), qps_per_vcpu=500.0)
    assert work[0, 0, :, 0].tolist() == [10.0, 20.0, 0.0]
    assert work[0, 0, :, 3].tolist() == [2.0, 0.0, 0.0]


def test_a_demand_beyond_the_largest_database_is_refused():
    with pytest.raises(ValueError, match=r"needs 3000 database vCPUs.*gives 240.*qps_per_vcpu"):
        build_params(
            CloudConfig(),
            default_catalog(),
            REFERENCE.model_copy(update={"peak": (1.0, 1.0, 1.0, 3000.0)}),
            torch.device("cpu"),
            300.0,
        )
