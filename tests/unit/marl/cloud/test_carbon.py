"""Grams of CO2-equivalent by hand: us-central1 has 412.72 g a kWh and a PUE of 1.11."""

from types import SimpleNamespace

import pytest
import torch

from marl.cloud.carbon import emissions, reference_gco2
from marl.cloud.catalogue import default_catalog
from marl.cloud.types import POOLS
from tests.unit.marl.cloud.helpers import small_cloud

PER_KWH = 412.72 * 1.11
GIB_KWH = 0.000392  # of memory, an hour
MADE = 0.42105004  # g of a vCPU's share in making its host, an hour


def column(values):
    return torch.tensor(values, dtype=torch.float32)[:, None]


def grams(cloud, vms=(0, 0, 0, 0), use=0.0, gpu_used=0.0, has_ha=0.0, traffic=(0.0, 0.0), **pools):
    """Grams an hour of a plan: VMs by kind, one utilisation of everything."""
    now = SimpleNamespace(
        fleet=SimpleNamespace(serving=torch.stack((column(vms), torch.zeros(4, 1)))),
        pools=column([float(pools.get(name, 0)) for name in POOLS]),
        has_ha=torch.tensor([has_ha]),
    )
    served = SimpleNamespace(
        utilisation=column([use] * 5),
        gpu_used=torch.tensor([gpu_used]),
        all_gbps=torch.tensor([traffic[0]]),
    )
    offered = SimpleNamespace(hits_gbps=torch.tensor([traffic[1]]))
    objects = torch.tensor([float(pools.get("objects", 0))])
    return 12 * float(emissions(now, objects, offered, served, cloud.carbon))


@pytest.fixture
def cloud():
    return small_cloud()


def test_a_vm_idle_and_at_work(cloud):
    idle = (4 * 0.639 / 1e3 + 16 * GIB_KWH) * PER_KWH + 4 * MADE
    assert grams(cloud, (1, 0, 0, 0)) == pytest.approx(idle, rel=1e-5)
    half = idle + 0.5 * 4 * (3.642 - 0.639) / 1e3 * PER_KWH
    assert grams(cloud, (1, 0, 0, 0), use=0.5) == pytest.approx(half, rel=1e-5)
    # Arm takes .445 to 1.872 W a vCPU.
    arm = (4 * 1.872 / 1e3 + 16 * GIB_KWH) * PER_KWH + 4 * MADE
    assert grams(cloud, (0, 0, 1, 0), use=1.0) == pytest.approx(arm, rel=1e-5)


def test_a_gpu_vm_follows_its_gpus_use_not_the_cpus(cloud):
    idle = ((8 * 0.639 + 12.0) / 1e3 + 32 * GIB_KWH) * PER_KWH + 8 * MADE
    assert grams(cloud, (0, 0, 0, 1), use=1.0) == pytest.approx(idle, rel=1e-5)
    full = idle + (8 * (3.642 - 0.639) + 60.0) / 1e3 * PER_KWH
    assert grams(cloud, (0, 0, 0, 1), gpu_used=1.0) == pytest.approx(full, rel=1e-5)


def test_storage_database_cache_and_network(cloud):
    hdd, ssd = 0.65 / 1e3 / 1024 * 2 * PER_KWH, 1.2 / 1e3 / 1024 * 2 * PER_KWH  # of a GiB, twice
    assert grams(cloud, disk=100) == pytest.approx(1000 * hdd, rel=1e-5)
    assert grams(cloud, objects=1000) == pytest.approx(1000 * hdd, rel=1e-5)
    assert grams(cloud, hyperdisk=2) == pytest.approx(20 * ssd, rel=1e-5)
    node = 2 * (3.642 / 1e3 + 4 * GIB_KWH) * PER_KWH + 2 * MADE  # 2 vCPU with 8 GiB at full use
    assert grams(cloud, use=1.0, tier=1) == pytest.approx(node, rel=1e-5)
    both = grams(cloud, use=1.0, tier=1, db_disk=10, replica=1, has_ha=1.0)
    assert both == pytest.approx(3 * (node + 100 * ssd), rel=1e-5)
    assert grams(cloud, redis=5) == pytest.approx(5 * 2 * GIB_KWH * PER_KWH, rel=1e-5)
    gib_h = 1e9 / 8 * 3600 / 2**30
    assert grams(cloud, traffic=(2.0, 1.0)) == pytest.approx(3 * gib_h * 0.001 * PER_KWH, rel=1e-5)


@pytest.mark.parametrize("region", ["us-west1", "europe-west4"])
def test_power_follows_the_grid(region):
    home, away = small_cloud(), small_cloud(region)
    here, there = (default_catalog(name).carbon for name in ("us-central1", region))
    share = there.grid_gco2_per_kwh * there.pue / (here.grid_gco2_per_kwh * here.pue)
    assert grams(away, disk=100) == pytest.approx(share * grams(home, disk=100), rel=1e-4)
    assert torch.allclose(away.carbon.vm_busy, share * home.carbon.vm_busy)


def test_the_static_plan_is_what_its_units_emit_at_half_use(cloud):
    reference, params = cloud.params.reference, cloud.params
    vcpu, iops, gbps, database = (peak / 0.7 for peak in reference.peak)
    plan = grams(
        cloud,
        (vcpu / 4, 0, 0, 0),
        use=0.5,
        has_ha=1.0,
        traffic=(reference.all_gbps, 0.0),
        disk=iops / 0.75 / 10,
        objects=9000 * 0.6,
        proxy=gbps / 0.15,
        tier=database / 2,
    )
    assert 12 * reference_gco2(params) == pytest.approx(plan, rel=1e-5)
