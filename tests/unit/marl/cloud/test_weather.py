"""Weather: seeds, independence of batch size, and what follows from the draws."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from marl.cloud.types import REQUEST_SLOTS, WORK, WeatherStep
from marl.cloud.weather import BLOCK, draw_weather, known_due, row_shapes, unpack
from marl.workload.demand import CHANNELS, DemandBatch
from marl.workload.toy import ToyGenerator
from tests.unit.marl.cloud.helpers import small_cloud


def draw(num_envs, steps=30, seed=3, episode=0, generator=None, **overrides):
    generator = generator or ToyGenerator()
    return draw_weather(generator, num_envs, steps, seed, episode, small_cloud(**overrides).params)


def fields(weather):
    """Name to (T, ..., B): each field of `WeatherStep` over the episode."""
    steps = [weather.at(t) for t in range(len(weather))]
    names = [field.name for field in dataclasses.fields(WeatherStep)]
    return {name: torch.stack([getattr(one, name) for one in steps]) for name in names}


def column(weather, index):
    """Every number of one environment's weather."""
    parts = (weather.packed, weather.told, weather.due, weather.outlook)
    return torch.cat([part[..., index].flatten() for part in parts])


STORMY = {"zone_outage_per_day": 5.0, "stock_out_time_share": 0.2, "quota_cut_per_day": 5.0}


def test_an_environments_weather_does_not_depend_on_how_many_there_are():
    one, many = draw(1, **STORMY), draw(BLOCK + 5, **STORMY)
    assert torch.equal(column(one, 0), column(many, 0))
    assert torch.equal(column(draw(BLOCK + 1, **STORMY), BLOCK), column(many, BLOCK))


def test_seeds_episodes_and_environments_differ():
    base = column(draw(2), 0)
    assert torch.equal(base, column(draw(2), 0))
    assert not torch.equal(base, column(draw(2), 1))
    assert not torch.equal(base, column(draw(2, seed=4), 0))
    assert not torch.equal(base, column(draw(2, episode=1), 0))


def test_packed_rows_are_the_fields_one_after_the_other():
    weather = draw(2, zones=2)
    shapes = row_shapes(2)
    assert weather.packed.shape == (30, sum(math.prod(s) for s in shapes.values()), 2)
    assert list(shapes) == [field.name for field in dataclasses.fields(WeatherStep)]
    rows = torch.arange(weather.packed.shape[1] * 2.0).view(-1, 2)
    step, start = unpack(rows, 2), 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        assert getattr(step, name).shape == (*shape, 2)
        assert torch.equal(getattr(step, name).reshape(size, 2), rows[start : start + size])
        start += size


def test_the_same_weather_for_more_clouds():
    weather = draw(3)
    twice = weather.repeated(2)
    for i in range(3):
        assert torch.equal(column(twice, i), column(weather, i))
        assert torch.equal(column(twice, i + 3), column(weather, i))


def test_delays_are_whole_steps_with_the_stated_median():
    delay = fields(draw(256, steps=200))["delay"]
    assert (delay == delay.round()).all()
    assert delay.min() >= 1
    assert delay.max() <= 6
    vm, gpu, database, redis = delay.unbind(1)
    assert vm.mean() < 1.01  # a VM boots within one step
    # 20 s of boot and 180 to 600 s of warm-up: in three steps at most, in one if it is short.
    assert gpu.unique().tolist()[:3] == [1.0, 2.0, 3.0]
    assert float((gpu == 1).float().mean()) == pytest.approx((300 - 180 - 23) / 420, abs=0.01)
    assert database.median() == 3.0  # 11 minutes
    # lognormal(660 s, .4): within two steps is P(Z ≤ ln(600/660)/.4).
    assert float((database <= 2).float().mean()) == pytest.approx(0.406, abs=0.01)
    # lognormal(263 s, .3): within one step is P(Z ≤ ln(300/263)/.3).
    assert float((redis == 1).float().mean()) == pytest.approx(0.670, abs=0.01)


def test_losses_and_failovers():
    got = fields(draw(256, steps=200, failover_per_step=0.03, zone_outage_per_day=0.0))
    assert float(got["failover"].mean()) == pytest.approx(0.03, rel=0.1)
    assert got["loss_draw"].min() >= 0
    assert got["loss_draw"].max() < 1
    assert float(got["loss_draw"].mean()) == pytest.approx(0.5, abs=0.01)


def test_the_primary_fails_over_when_its_zone_goes_down():
    got = fields(draw(64, steps=200, failover_per_step=0.0, zone_outage_per_day=5.0))
    home = got["is_up"][:, 0]
    before = torch.cat((torch.ones_like(home[:1]), home[:-1]))
    assert torch.equal(got["failover"], ((before == 1) & (home == 0)).float())
    assert got["failover"].sum() > 50


def test_hours_strike_and_commitments_are_reviewed():
    got = fields(draw(2, steps=150, commitment_review_h=2.0))
    assert torch.equal(got["is_new_hour"][:, 0].nonzero()[:, 0], torch.arange(12, 150, 12))
    assert torch.equal(got["is_review"][:, 1].nonzero()[:, 0], torch.arange(0, 150, 24))


def test_due_work_is_what_arrived_a_deadline_ago():
    weather = draw(3, steps=40, batch_deadline_steps=5, ml_deadline_steps=100)
    got = fields(weather)
    arrivals, due_now = got["work"][:, 1, 0], got["due_now"]
    torch.testing.assert_close(due_now[5:, 0], arrivals[:-5], rtol=1e-3, atol=1e-3)
    assert (due_now[:5, 0] == 0).all()
    assert (due_now[:, 1] == 0).all()
    torch.testing.assert_close(got["due"][:, 0], due_now[:, 0].cumsum(0), rtol=1e-5, atol=1e-2)


def test_what_is_known_to_be_due_is_what_has_arrived():
    weather = draw(2, steps=40, batch_deadline_steps=8, ml_deadline_steps=16)
    work = fields(weather)["work"]
    step = 20
    known = known_due(weather.due, step, (8, 16))
    assert known.shape == (2, REQUEST_SLOTS + 1, 2)
    # By the end of step 19 what arrived until step 11 is due; all that came until 19 by step 27.
    for i, deadline in enumerate((8, 16)):
        arrived = work[:, 1 + i, 0].cumsum(0)
        torch.testing.assert_close(known[i, 0], arrived[step - 1 - deadline])
        torch.testing.assert_close(known[i, -1], arrived[step - 1])
    assert known_due(weather.due, 0, (8, 16)).sum() == 0


def test_the_future_is_shown_and_ends_with_the_episode():
    params = small_cloud().params
    weather = draw(2, steps=10)
    future = weather.future(8, 4)
    assert future.shape == (2, 4, 5)
    load = weather.at(8).work[:, :4].sum(0) / params.peak
    torch.testing.assert_close(future[:, 0, :4], load.t())
    torch.testing.assert_close(future[:, 1, 4], weather.at(9).spot_ratio[0])
    torch.testing.assert_close(future[:, 1], future[:, 3])


class Liar:
    """A generator that does not give what it was asked for."""

    name = "liar"

    def __init__(self, **changes):
        self.changes = changes

    def sample(self, episodes, steps, rng):
        batch = ToyGenerator().sample(episodes, steps + self.changes.get("more", 0), rng)
        return DemandBatch(batch.values, batch.start_us, self.changes.get("step_s", 300.0))


@pytest.mark.parametrize("changes", [{"more": 1}, {"step_s": 60.0}])
def test_a_generator_that_gives_something_else_is_refused(changes):
    with pytest.raises(ValueError, match=f"'liar' was asked for {BLOCK} episodes of 30 steps"):
        draw(1, generator=Liar(**changes))


def test_work_is_the_generators_demand_in_the_units_of_the_resources():
    got = fields(draw(BLOCK, steps=20, seed=9, episode=2, qps_per_vcpu=250.0))
    seeds = np.random.SeedSequence(9, spawn_key=(2, 0)).spawn(2)
    demand = ToyGenerator().sample(BLOCK, 20, np.random.default_rng(seeds[0]))
    values = torch.from_numpy(demand.values).permute(1, 2, 3, 0)
    channel = {name: values[:, :, i] for i, name in enumerate(CHANNELS)}
    expected = {
        "vcpu": channel["compute_vcpu"],
        "iops": channel["storage_iops"],
        "gbps": channel["network_gbps"],
        "db_vcpu": channel["database_qps"] / 250,
        "memory_gib": channel["memory_gib"],
        "requests_per_s": channel["requests_per_s"],
    }
    assert tuple(expected) == WORK
    for row, name in enumerate(WORK):
        torch.testing.assert_close(got["work"][:, :, row], expected[name])
    torch.testing.assert_close(got["stored_gib"], channel["storage_gib"].sum(1))
