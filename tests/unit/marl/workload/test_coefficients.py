"""Services' demand from coefficients: numbers worked by hand, overrides, and refusals."""

import numpy as np
import pytest

from marl.workload.coefficients import DEFAULTS, coefficients, services_demand
from marl.workload.demand import CHANNELS, CLASSES, DAY_US
from marl.workload.toy import ToyGenerator


def test_channels_by_hand():
    drivers = np.zeros((1, 3, 3))
    drivers[0, 0] = [5.0, 10.0, 40.0]  # web: 5 tasks, 10 vCPU, 40 GiB
    drivers[0, 1] = [600.0, 20.0, 80.0]  # batch
    found = services_demand(drivers, np.array([30.0, 60.0, 0.0]), 0.5, coefficients())
    web = dict(zip(CHANNELS, found[0, 0].tolist(), strict=True))
    assert web["requests_per_s"] == pytest.approx(10 * 50)
    assert web["network_gbps"] == pytest.approx(500 * 40 * 1024 * 8 / 1e9 + 10 * 2 / 1e3)
    assert web["storage_iops"] == pytest.approx(10 * 10 + 500 * 0.2)
    assert web["storage_gib"] == pytest.approx(30 * 4 + 40 * 0.25)
    assert web["database_qps"] == pytest.approx(500 * 2)
    batch = dict(zip(CHANNELS, found[0, 1].tolist(), strict=True))
    assert batch["requests_per_s"] == pytest.approx(600 * 0.5 / 300)  # half the cell's tasks
    assert batch["storage_iops"] == pytest.approx(20 * 20 + 1.0 * 10)
    assert batch["database_qps"] == pytest.approx(1.0 * 4 + 20 * 1)
    assert found[0, 2].max() == 0


def test_every_class_has_the_same_documented_terms():
    names = {frozenset(DEFAULTS[name]) for name in CLASSES}
    assert len(names) == 1
    assert all(
        len(one.reason) > 10 and one.unit for terms in DEFAULTS.values() for one in terms.values()
    )


def test_override_changes_one_figure_and_says_so():
    found = coefficients({"web.requests_per_vcpu_s": 80.0, "scale.gib_per_vcpu": 8})
    assert found.terms["web"]["requests_per_vcpu_s"].value == 80
    assert found.terms["web"]["requests_per_vcpu_s"].is_overridden
    assert "default 50" in found.terms["web"]["requests_per_vcpu_s"].reason
    assert found.scales["gib_per_vcpu"].value == 8
    assert coefficients().terms["web"]["requests_per_vcpu_s"].value == 50
    assert sum(row["is_overridden"] for row in found.rows()) == 2


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("web.request_per_vcpu_s", 1.0, "unknown coefficient.*web.requests_per_vcpu_s"),
        ("webb.requests_per_vcpu_s", 1.0, "unknown coefficient"),
        ("requests_per_vcpu_s", 1.0, "unknown coefficient"),
        ("web.requests_per_vcpu_s", -1.0, ">= 0"),
        ("web.requests_per_vcpu_s", float("nan"), "finite"),
        ("scale.nominal_vcpu_per_ncu", 0.0, "above 0"),
    ],
)
def test_bad_overrides_are_refused(key, value, message):
    with pytest.raises(ValueError, match=message):
        coefficients({key: value})


def test_toy_demand_is_its_formula():
    toy = ToyGenerator(mean_vcpu=100.0, noise=0.0)
    batch = toy.sample(5, 288, np.random.default_rng(0))
    cpu = batch.values[..., CHANNELS.index("compute_vcpu")]
    assert cpu.mean(axis=1) == pytest.approx(np.tile([50.0, 30.0, 20.0], (5, 1)), rel=1e-3)
    quarter = np.array([DAY_US // 4])
    assert toy.expected_vcpu(quarter)[0] == pytest.approx([50 * 1.4, 30 * 0.8, 20.0])
    memory = batch.values[..., CHANNELS.index("memory_gib")]
    assert memory == pytest.approx(4 * cpu, rel=1e-5)


def test_toy_noise_keeps_the_mean_and_bad_figures_are_refused():
    cpu = ToyGenerator(noise=0.5).sample(200, 288, np.random.default_rng(0)).values[..., 1]
    assert cpu.sum(axis=2).mean() == pytest.approx(256, rel=0.02)
    with pytest.raises(ValueError, match=">= 0"):
        ToyGenerator(noise=-1)
