"""Weather: seeds, independence of batch size, and the distributions it claims."""

import dataclasses

import numpy as np
import pytest
import torch

from marl.cloud.weather import BLOCK, draw_weather
from marl.workload.demand import DemandBatch
from marl.workload.toy import ToyGenerator
from tests.unit.marl.cloud.helpers import small_cloud


def flat(weather, row):
    """Every number of one environment's weather."""
    parts = []
    for one in weather.steps:
        fields = [getattr(one, f.name) for f in dataclasses.fields(one)]
        parts += [x[row].flatten() for x in fields if isinstance(x, torch.Tensor)]
    return torch.cat([*parts, weather.calendar[:, row].flatten()])


def draw(num_envs, steps=30, seed=3, episode=0, generator=None, **overrides):
    generator = generator or ToyGenerator()
    return draw_weather(generator, num_envs, steps, seed, episode, small_cloud(**overrides).params)


def test_an_environments_weather_does_not_depend_on_how_many_there_are():
    one, many = draw(1), draw(BLOCK + 5)
    assert torch.equal(flat(one, 0), flat(many, 0))
    assert torch.equal(flat(draw(BLOCK + 1), BLOCK), flat(many, BLOCK))


def test_seeds_episodes_and_environments_differ():
    base = flat(draw(2), 0)
    assert torch.equal(base, flat(draw(2), 0))
    assert not torch.equal(base, flat(draw(2), 1))
    assert not torch.equal(base, flat(draw(2, seed=4), 0))
    assert not torch.equal(base, flat(draw(2, episode=1), 0))


def test_spot_prices_stay_in_the_measured_range_and_change_at_midnight():
    weather = draw(64, steps=600, spot_price_sigma_per_day=0.5)
    ratio = weather.calendar[..., 4]
    assert ratio.min() >= 0.225 - 1e-5
    assert ratio.max() <= 0.4744
    days = (ratio.diff(dim=0).abs() > 1e-7).sum(0)
    assert days.min() >= 2  # 600 steps hold at least two midnights
    assert days.max() <= 3


def test_zones_are_shut_as_often_and_as_long_as_said():
    weather = draw(256, steps=600)
    is_open = torch.stack([one.spot_open for one in weather.steps])
    share = 1 - is_open.mean()
    assert share == pytest.approx(0.023, rel=0.15)
    closings = ((is_open[1:] == 0) & (is_open[:-1] == 1)).sum()
    hours = (is_open == 0).sum() / closings / 12
    assert float(hours) == pytest.approx(1.0, rel=0.15)


def test_preemption_has_the_hazard_of_the_measured_lifetimes():
    weather = draw(256, steps=300)
    probability = torch.stack([one.preemption for one in weather.steps]).view(-1, 4)
    # 1 - exp saturates a little in the shocks of the first hour, hence not quite the mean.
    hourly = probability.mean(0) * 12
    assert hourly.tolist() == pytest.approx([0.161, 0.051, 0.051, 0.012], rel=0.12)


def test_delays_are_whole_steps_with_the_stated_median():
    weather = draw(256, steps=200)
    delay = torch.stack([one.delay for one in weather.steps])
    assert (delay == delay.round()).all()
    assert delay.min() >= 1
    assert delay.max() <= 6
    assert delay[..., :4].mean() < 1.01  # a VM boots within one step
    database = delay[..., 4]
    assert database.median() == 3.0  # 11 minutes
    # lognormal(660 s, .4): 49 % within two steps is P(Z <= ln(600/660)/.4).
    assert (database <= 2).float().mean() == pytest.approx(0.406, abs=0.01)


def test_due_work_is_what_arrived_a_deadline_ago():
    weather = draw(3, steps=40, batch_deadline_steps=5, ml_deadline_steps=100)
    arrivals = torch.stack([one.work[:, 1, 0] for one in weather.steps])
    due_now = torch.stack([one.due_now for one in weather.steps])
    torch.testing.assert_close(due_now[5:, :, 0], arrivals[:-5], rtol=1e-3, atol=1e-3)
    assert (due_now[:5, :, 0] == 0).all()
    assert (due_now[..., 1] == 0).all()


def test_the_future_is_shown_and_ends_with_the_episode():
    params = small_cloud().params
    weather = draw(2, steps=10)
    future = weather.future(8, 4)
    assert future.shape == (2, 4, 5)
    torch.testing.assert_close(future[:, 0, :4], weather.steps[8].load / params.peak)
    torch.testing.assert_close(future[:, 1, 4], weather.steps[9].spot_ratio)
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
    with pytest.raises(ValueError, match="'liar' was asked for 16 episodes of 30 steps"):
        draw(1, generator=Liar(**changes))


def test_demand_is_not_altered():
    """Web requests and IOPS are the generator's own numbers."""
    params = small_cloud().params
    weather = draw_weather(ToyGenerator(), BLOCK, 20, 9, 2, params)
    seeds = np.random.SeedSequence(9, spawn_key=(2, 0)).spawn(2)
    demand = ToyGenerator().sample(BLOCK, 20, np.random.default_rng(seeds[0]))
    requests = torch.stack([one.work[:, 0, 4] for one in weather.steps])
    torch.testing.assert_close(requests, torch.from_numpy(demand.values[:, :, 0, 0]).T)
    iops = torch.stack([one.load[:, 1] for one in weather.steps])
    torch.testing.assert_close(iops, torch.from_numpy(demand.values[..., 4].sum(2)).T)
