"""Scenarios: named, ordered, each with a demand that loads every service, and as documented."""

import numpy as np
import pytest

from marl.cloud.params import CloudConfig
from marl.cloud.weather import BLOCK
from marl.envs.scenarios import (
    SCENARIOS,
    by_difficulty,
    generator_for,
    mix_factors,
    reference_generator_for,
    scenario,
    scenarios_table,
)
from marl.workload.demand import CHANNELS, CLASSES, HORIZON
from marl.workload.events import EventGenerator
from marl.workload.fit import fit
from marl.workload.generators import make_generator
from tests.conftest import REPO
from tests.unit.marl.workload.simulated import simulate

CPU = CHANNELS.index("compute_vcpu")
WORKLOADS = ("web", "batch", "ml", "mixed")
TROUBLE = (
    "stock_out",
    "zone_outage",
    "spot_storm",
    "price_shock",
    "demand_spike",
    "quota_cut",
    "database_failover",
    "disk_latency",
    "flash_crowd",
    "launch_day",
    "retry_storm",
)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def model():
    """Two days and a half, of which the training part is one and a half."""
    return fit(*simulate(windows=720), source="simulated", is_synthetic=True)


def test_every_scenario_is_there_once_and_in_a_strict_order():
    wanted = {f"{w}_{k}" for w in WORKLOADS for k in ("steady", "burst", "cyclical")}
    wanted |= {*TROUBLE, "calm", "everything_at_once", "replay", "mixed", "varied"}
    assert set(SCENARIOS) == wanted
    order = by_difficulty()
    assert [one.difficulty for one in order] == list(range(1, len(wanted) + 1))
    assert order[0].name == "calm"
    assert order[-1].name == "everything_at_once"
    for name, one in SCENARIOS.items():
        assert one.name == name
        assert scenario(name) is one
        assert len({one.summary, one.teaches, ""}) == 3
        assert one.mix is None or sum(one.mix.values()) == pytest.approx(1)
    place = {one.name: one.difficulty for one in order}
    for workload in WORKLOADS:
        assert (
            place[f"{workload}_steady"] < place[f"{workload}_cyclical"] < place[f"{workload}_burst"]
        )
    for kind in ("steady", "cyclical", "burst"):
        assert place[f"batch_{kind}"] < place[f"web_{kind}"] < place[f"mixed_{kind}"]


def test_an_unknown_name_or_split_is_told_the_known_ones():
    with pytest.raises(ValueError, match=r"no scenario 'quiet'; there are: calm, batch_steady"):
        scenario("quiet")
    with pytest.raises(ValueError, match=r"unknown split 'test'; known: train, held_out"):
        generator_for(scenario("calm"), None, "test")


@pytest.mark.parametrize("name", SCENARIOS)
def test_overrides_are_the_clouds(name):
    overrides = scenario(name).overrides
    config = CloudConfig(**overrides)
    assert {key: getattr(config, key) for key in overrides} == dict(overrides)
    assert (config != CloudConfig()) == bool(overrides)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("is_fitted", [True, False])
def test_every_service_has_load_and_the_order_of_size_is_one(model, name, is_fitted):
    one = scenario(name)
    reference = reference_generator_for(one, model if is_fitted else None)
    values = reference.sample(32, 144, rng()).values
    total = values.sum(2)
    for index, channel in enumerate(CHANNELS):
        assert np.quantile(total[..., index], 0.99) > 0, channel
    # The mean compute is the workload's (256 vCPU), whatever the mix; bursts add to it.
    mean = total[..., CPU].mean()
    assert 0.75 * 256 < mean < 1.7 * 256
    for split in ("train", "held_out"):
        made = generator_for(one, model if is_fitted else None, split)
        batch, again = (made.sample(3, 30, rng(1)) for _ in range(2))
        assert (batch.values == again.values).all()
        assert batch.values.shape[:2] == (3, 30)
        assert batch.day_ago.shape[:2] == (3, 30 + HORIZON)
        assert isinstance(made, EventGenerator) == bool(one.events)


@pytest.mark.parametrize("workload", ["web", "batch", "ml"])
def test_one_class_alone_loads_every_service_too(model, workload):
    values = make_generator(model, "steady", mix={workload: 1.0}).sample(8, 144, rng()).values
    assert (np.quantile(values.sum(2), 0.99, axis=(0, 1)) > 0).all()


def test_mix_is_a_share_of_compute(model):
    for made in (
        generator_for(scenario("batch_steady"), None, "train"),
        generator_for(scenario("batch_steady"), model, "train"),
    ):
        mean = made.sample(200, 144, rng()).values[..., CPU].mean((0, 1))
        assert mean / mean.sum() == pytest.approx([0.05, 0.9, 0.05], abs=0.03)


def test_mix_factors_by_hand():
    mean = {"web": 10.0, "batch": 30.0, "ml": 0.0}
    assert mix_factors(None, mean) is None
    assert mix_factors({"web": 0.25, "batch": 0.75, "ml": 0.0}, mean) == {"web": 1.0, "batch": 1.0}
    assert mix_factors({"web": 1.0}, mean) == {"web": 4.0}
    with pytest.raises(ValueError, match="shows no demand of ml"):
        mix_factors({"web": 0.5, "ml": 0.5}, mean)


def test_a_workload_without_a_class_is_refused_where_the_scenario_needs_it(model):
    lame = model.model_copy(
        update={"classes": {name: model.classes[name] for name in CLASSES if name != "ml"}}
    )
    with pytest.raises(ValueError, match="shows no demand of ml"):
        generator_for(scenario("ml_burst"), lame, "train")
    generator_for(scenario("mixed_burst"), lame, "train").sample(1, 5, rng())


def test_events_are_of_their_scenario(model):
    launch = generator_for(scenario("launch_day"), model, "held_out").sample(40, 144, rng())
    assert launch.announced.max() > 2
    crowd = generator_for(scenario("flash_crowd"), model, "held_out").sample(40, 144, rng())
    assert (crowd.announced == 1).all()
    plain = reference_generator_for(scenario("flash_crowd"), model).sample(40, 144, rng())
    assert crowd.values[:, :, 0, CPU].max() > 3 * plain.values[:, :, 0, CPU].max()


def test_the_page_shows_the_table_of_the_code():
    page = (REPO / "docs" / "scenarios.md").read_text(encoding="utf-8")
    table = scenarios_table()
    assert page.endswith("\n\n" + table)
    assert table.count("\n") == 2 + len(SCENARIOS)
    assert all(f"| `{name}` |" in table for name in SCENARIOS)


def test_varied_demand_takes_every_mix_within_a_block_of_weather(model):
    generator = generator_for(scenario("varied"), model, "train")
    for seed in range(4):
        batch = generator.sample(BLOCK, 40, np.random.default_rng(seed))
        compute = batch.values[..., CPU].sum(1)  # (BLOCK, classes)
        shares = compute / compute.sum(1, keepdims=True)
        for name in ("web", "batch", "ml"):
            leads = shares[:, CLASSES.index(name)] > 0.75
            assert leads.sum() == BLOCK / 6, name  # half of the rest has the workload's own mix


def test_a_mix_that_the_workload_cannot_show_is_left_out_of_varied_demand(model):
    without = {n: c for n, c in model.classes.items() if n != "ml"}
    poorer = model.model_copy(update={"classes": without})
    generator = generator_for(scenario("varied"), poorer, "train")
    assert len(generator._parts) == 12  # its own mix, three times, of four kinds
    with pytest.raises(ValueError, match="shows no demand of ml"):
        generator_for(scenario("ml_steady"), poorer, "train")
