"""The reward by hand: each objective, the penalties, and each agent's part."""

import math
from types import SimpleNamespace

import pytest
import torch

from marl.cloud.reward import reward
from tests.unit.marl.cloud.helpers import small_cloud


def column(values):
    return torch.tensor(values, dtype=torch.float32)[:, None]


def one(value):
    return torch.tensor([float(value)])


def rewarded(cloud, **changes):
    """A step at the static plan's bill and grams where nothing goes wrong, but for `changes`."""
    plan = cloud.scales.capacity_usd[:, 0].tolist()
    given = {
        "capacity": plan,
        "decided": sum(plan),
        "gco2": cloud.scales.gco2,
        "use": [1.0] * 4,
        "on_time": 1.0,
        "lost": 0.0,
        "vms": 100,
        "vms_lost": 0,
        "failing": 0.0,
        "changes": 0,
        "gap": 0.0,
        "shortage": [0.0] * 5,
        "waited_ms": [0.0] * 4,
        "spent": 0.0,
        "elapsed": 1,
    } | changes
    got = reward(
        SimpleNamespace(capacity=column(given["capacity"]), decided=one(given["decided"])),
        one(given["gco2"]),
        SimpleNamespace(
            utilisation=column([*given["use"], 1.0]),
            web_share=one(1 - given["lost"]),
            lost_share=one(given["lost"]),
            gap=one(given["gap"]),
            shortage=column(given["shortage"]),
        ),
        SimpleNamespace(
            on_time_share=one(given["on_time"]),
            sojourn_s=cloud.params.service_s + column(given["waited_ms"]) / 1e3,
        ),
        SimpleNamespace(
            fleet=SimpleNamespace(
                vms=column([given["vms"] - given["vms_lost"]]), lost=one(given["vms_lost"])
            ),
            changes=one(given["changes"]),
        ),
        one(given["failing"]),
        one(given["spent"]),
        one(given["elapsed"]),
        cloud.scales,
        cloud.params,
    )
    return {
        name: getattr(got, name).flatten().tolist()
        for name in ("agents", "team", "objectives", "local", "waste", "over_budget", "penalty")
    }


@pytest.fixture
def cloud():
    return small_cloud()


def test_the_static_plan_fully_used_costs_1_and_hurts_nobody(cloud):
    got = rewarded(cloud)
    assert got["objectives"] == pytest.approx([-1.0, 0.0, 0.0, -0.5], abs=1e-6)
    assert got["team"] == pytest.approx([0.25 * -1.0 + 0.15 * -0.5])
    assert got["local"] == pytest.approx([-0.25] * 4)
    # .8 of the team's, .2 of one's own.
    assert got["agents"] == pytest.approx([0.8 * -0.325 + 0.2 * -0.25] * 4)


@pytest.mark.parametrize("late", [0.0, 0.001, 0.01, 0.1, 1.0])
def test_lateness_hurts_soon_and_goes_on_hurting(cloud, late):
    got = rewarded(cloud, on_time=1 - late)
    # -log(1 + late / .01) / log(101): -.15 at 1 %, -.52 at 10 %, -1 when all is late.
    assert got["objectives"][1] == pytest.approx(
        -math.log(1 + late / 0.01) / math.log(101), abs=1e-4
    )


def test_what_counts_as_failure(cloud):
    def reliability(**changes):
        return rewarded(cloud, **changes)["objectives"][2]

    def hurt(failed):
        return -math.log(1 + failed / 0.005) / math.log(201)

    assert reliability(lost=0.02) == pytest.approx(hurt(0.02), rel=1e-4)
    assert reliability(vms=50, vms_lost=5) == pytest.approx(hurt(0.1 * 5 / 50), rel=1e-4)
    assert reliability(failing=0.4) == pytest.approx(hurt(0.04), rel=1e-4)
    assert reliability(changes=6) == pytest.approx(hurt(0.003), rel=1e-4)
    everything = reliability(lost=0.02, failing=0.4, changes=6)
    assert everything == pytest.approx(hurt(0.02 + 0.04 + 0.003), rel=1e-4)
    assert reliability(lost=1.0) == pytest.approx(-1.0)


def test_waste_is_the_idle_part_of_the_bill_weighted_by_service(cloud):
    got = rewarded(cloud, capacity=[6.0, 2.0, 1.0, 1.0], use=[0.5, 1.0, 0.0, 0.9])
    assert got["waste"] == pytest.approx([(3.0 + 1.0 + 0.1) / 10], rel=1e-5)
    assert got["objectives"][3] == pytest.approx(-0.5 * (1 + 0.41), rel=1e-5)


def test_the_budget_and_starved_neighbours_are_penalties(cloud):
    budget = cloud.scales.budget_usd
    assert rewarded(cloud, spent=10 * budget, elapsed=10)["penalty"] == pytest.approx([0], abs=1e-6)
    got = rewarded(cloud, spent=13 * budget, elapsed=10, gap=0.25)
    assert got["over_budget"] == pytest.approx([0.3], rel=1e-4)
    assert got["penalty"] == pytest.approx([0.05 * 0.3 + 0.02 * 0.25], rel=1e-4)
    assert got["team"][0] == pytest.approx(-0.325 - got["penalty"][0], rel=1e-4)


def test_each_agents_own_part_is_its_own(cloud):
    plain = rewarded(cloud)["local"]
    got = rewarded(cloud, use=[0.6, 1, 1, 1], shortage=[0, 0.02, 0, 0, 0], waited_ms=[0, 0, 75, 0])
    hurt = math.log(1 + 0.02 / 0.005) / math.log(201)
    change = [-0.15 * 0.4, -0.20 * hurt, -0.40 * (1 - math.exp(-0.5)), 0.0]
    assert [b - a for a, b in zip(plain, got["local"], strict=True)] == pytest.approx(
        change, abs=1e-5
    )


def test_dropping_or_idling_never_earns(cloud):
    """Each term falls when what it measures gets worse, all else equal."""
    best = rewarded(cloud)["team"][0]
    worse = (
        {"on_time": 0.9},
        {"lost": 0.01},
        {"vms_lost": 1},
        {"failing": 0.1},
        {"changes": 1},
        {"use": [0.9, 1, 1, 1]},
        {"gap": 0.1},
        {"decided": sum(cloud.scales.capacity_usd[:, 0].tolist()) * 1.1},
        {"gco2": cloud.scales.gco2 * 1.1},
    )
    assert all(rewarded(cloud, **change)["team"][0] < best for change in worse)
