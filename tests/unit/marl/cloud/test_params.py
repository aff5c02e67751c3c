"""Configuration that cannot be, the reference of a demand, and figures resolved from both."""

import numpy as np
import pytest
import torch

from marl.cloud.catalogue import default_catalog
from marl.cloud.config import CloudConfig, Weights
from marl.cloud.params import (
    Reference,
    build_params,
    load_of,
    measure_reference,
    reference_of,
    size_factor,
    work_of,
)
from marl.workload.demand import DemandBatch
from marl.workload.toy import ToyGenerator
from tests.unit.marl.cloud.helpers import REFERENCE, small_cloud

CPU = torch.device("cpu")


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
        {"gpu_warm_up_s": (-1.0, 5.0)},
        {"spot_hazard_per_h": (0.1, 0.1, -0.1, 0.1)},
        {"colour": "blue"},
        {"web_timeout_s": 0.0},
        {"stock_out_time_share": 1.0},
        {"quota_cut_share": 0.0},
        {"retry_share": 1.0},
        {"price_shock_factor": 0.5},
        {"object_read_age_days": 100.0},
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
    for name in Reference.model_fields:
        doubled = 2 * np.array(getattr(reference, name))
        assert np.array(getattr(twice, name)) == pytest.approx(doubled, rel=1e-4), name


def test_no_demand_is_refused():
    nothing = "no demand for vcpu, iops, gbps, db_vcpu, memory_gib, stored_gib"
    with pytest.raises(ValueError, match=nothing):
        measure_reference(ToyGenerator(mean_vcpu=0), CloudConfig(), default_catalog(), 5)
    with pytest.raises(ValueError, match="above 0 for every service"):
        REFERENCE.model_validate(REFERENCE.model_dump() | {"peak": (1.0, 0.0, 1.0, 1.0)})


def one_step(vcpu, memory):
    values = np.zeros((1, 1, 3, 7), np.float32)
    values[0, 0, :, 1] = vcpu
    values[0, 0, :, 2] = memory
    values[0, 0, 0, [0, 3, 4, 5, 6]] = [700.0, 2.0, 50.0, 100.0, 1000.0]
    return DemandBatch(values, np.zeros(1, np.int64))


def test_work_is_demand_in_the_units_of_the_resources():
    demand = one_step([10.0, 10.0, 5.0], [20.0, 80.0, 1.0])
    work = work_of(demand.values, qps_per_vcpu=500.0)
    assert work[0, 0, :, 0].tolist() == pytest.approx([10.0, 50.0, 2.0, 2.0, 20.0, 700.0])
    assert work[0, 1, :, 0].tolist() == [10.0, 0.0, 0.0, 0.0, 80.0, 0.0]
    assert torch.equal(load_of(demand.values, 500.0), work[:, :, :4].sum(1))


def test_memory_counts_in_the_peak_where_it_is_the_dominant_resource():
    def peak(vcpu, memory):
        demand = one_step(vcpu, memory)
        return reference_of(demand, CloudConfig(), default_catalog(), "one step")

    # An n2-standard VM has 4 GiB a vCPU: 200 GiB weigh as 50 vCPUs.
    assert peak([10.0, 10.0, 5.0], [100.0, 100.0, 0.0]).peak[0] == pytest.approx(50.0)
    light = peak([10.0, 10.0, 5.0], [40.0, 40.0, 0.0])
    assert light.peak == pytest.approx((25.0, 50.0, 2.0, 2.0))
    assert (light.memory_gib, light.ml_vcpu) == pytest.approx((80.0, 5.0))
    assert (light.requests_per_s, light.stored_gib) == pytest.approx((700.0, 100.0))


def test_a_demand_beyond_the_largest_database_is_refused():
    with pytest.raises(ValueError, match=r"needs 3000 database vCPUs.*gives 240.*qps_per_vcpu"):
        build_params(
            CloudConfig(),
            default_catalog(),
            REFERENCE.model_copy(update={"peak": (1.0, 1.0, 1.0, 3000.0)}),
            CPU,
            300.0,
        )


def test_a_gpu_kind_without_gpu_is_refused():
    with pytest.raises(ValueError, match="gpu_type 'n2-standard-4' has no GPU"):
        small_cloud(gpu_type="n2-standard-4")


def test_figures_by_hand():
    params = small_cloud(quota_share=2.0, committed_share=0.33, zones=2).params
    assert params.quota[:, 0].tolist() == pytest.approx([400.0, 12000.0, 16.0, 60.0])
    assert params.vcpu[:, 0].tolist() == [4.0] * 6 + [0.0] * 2
    assert params.memory_gib[:, 0].tolist() == [16.0, 16.0, 32.0, 32.0, 16.0, 16.0, 0.0, 0.0]
    assert params.is_gpu[:, 0].tolist() == [0.0] * 6 + [1.0] * 2
    assert params.home[:, 0].tolist() == [1.0, 0.0]
    assert params.committed_vms == 16  # of the peak's 50
    assert params.database_gib == pytest.approx(450.0)  # .05 of 9000
    assert params.hot_gib == pytest.approx(22.5)
    assert params.iops_per_gib == pytest.approx(0.75)  # pd-standard's throughput allows 7.7
    # Classes' deadlines of 1, 24 and 72 steps: the part of a backlog that presses.
    assert params.drain[:, 0, 0].tolist() == pytest.approx([1, 1 / 6, 1 / 18])


def test_the_hazard_by_age_and_size_and_in_shocks():
    assert size_factor(4) == pytest.approx(0.730)
    assert size_factor(8) == pytest.approx((0.730 + 1.081) / 2)  # half way in log2 from 4 to 16
    assert size_factor(64) == pytest.approx(1.485)
    params = small_cloud().params
    calm, extra = params.hazard[..., 0, 0]
    # First hour, general kind: .161 an hour · .73, half of it in quiet times.
    assert float(calm[0, 0]) == pytest.approx(1 - np.exp(-0.5 * 0.161 * 0.73 / 12), rel=1e-4)
    stormy = 0.5 + 0.5 / 0.023
    total = 1 - np.exp(-stormy * 0.161 * 0.73 / 12)
    assert float(calm[0, 0] + extra[0, 0]) == pytest.approx(total, rel=1e-4)
    # Over time the hazard's mean is the stated one: 2.3 % of the time in a shock.
    assert (1 - 0.023) * 0.5 + 0.023 * stormy == pytest.approx(1, abs=0.02)
