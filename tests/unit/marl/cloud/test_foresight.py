"""What agents are told of the hours ahead: lined up, by hand, and never the demand itself."""

import dataclasses

import numpy as np
import pytest
import torch

from marl.cloud.foresight import AHEAD, FORESIGHT, foresight
from marl.cloud.types import SERVICES
from marl.cloud.weather import draw_weather
from marl.workload.demand import HORIZON, DemandBatch
from marl.workload.toy import ToyGenerator
from tests.unit.marl.cloud.helpers import small_cloud

STEPS, CLOUDS = 40, 3
DAY_US, WEEK_US = 86_400_000_000, 7 * 86_400_000_000


def row(name):
    return FORESIGHT.index(name)


def random_demand(seed=0, **changes):
    rng = np.random.default_rng(seed)
    long = (CLOUDS, STEPS + HORIZON)

    def draw(*shape):
        return rng.random(shape, dtype=np.float32) * 100

    known = {
        "day_ago": draw(*long, 3, 7),
        "week_ago": draw(*long, 3, 7),
        "announced": 1 + draw(*long),
        "scheduled": draw(*long, 2),
    }
    start = np.array([0, 7 * 3_600_000_000, 3 * DAY_US], np.int64)
    return DemandBatch(draw(CLOUDS, STEPS, 3, 7), start, 300.0, **known | changes)


def services(values):
    """(T, S, B) load of each service."""
    work = torch.from_numpy(values).sum(2)[..., [1, 4, 3, 6]] / torch.tensor([1, 1, 1, 500.0])
    return work.permute(1, 2, 0)


def told_of(demand, **overrides):
    params = small_cloud(**overrides).params
    clock = demand.start_us[:, None] + np.arange(STEPS + 1) * 300_000_000
    ratio = torch.rand((STEPS + 1, 4, CLOUDS), generator=torch.Generator().manual_seed(0))
    return foresight(demand, services(demand.values), clock, ratio, params)


def test_shape_and_names():
    assert len(set(FORESIGHT)) == len(FORESIGHT)
    assert told_of(random_demand()).shape == (STEPS + 1, len(FORESIGHT), CLOUDS)


@pytest.mark.parametrize("known", ["day_ago", "week_ago"])
@pytest.mark.parametrize("h", AHEAD)
def test_yesterday_and_last_week_stand_beside_the_step_they_foretell(known, h):
    demand = random_demand()
    told, past = told_of(demand), services(getattr(demand, known))
    for s, service in enumerate(SERVICES):
        actual = told[:, row(f"{known}_{service}_{h}")]
        torch.testing.assert_close(actual, past[h : h + STEPS + 1, s])


def test_on_a_day_like_any_other_yesterday_is_today():
    """The toy without noise repeats itself: what is told for step t + h is what then comes."""
    params = small_cloud().params
    weather = draw_weather(ToyGenerator(noise=0.0), 5, STEPS, 1, 0, params)
    load = weather.outlook[:, :4] * params.peak
    for h in AHEAD:
        comes = load[h:]
        for s, service in enumerate(SERVICES):
            for known in ("day_ago", "week_ago", "forecast"):
                told = weather.told[: STEPS - h, row(f"{known}_{service}_{h}")]
                torch.testing.assert_close(told, comes[:, s], rtol=1e-3, atol=1e-3)


def test_nothing_told_depends_on_demand_that_has_yet_to_come():
    demand = random_demand()
    plain = told_of(demand)
    for k in (1, 7, STEPS - 1):
        values = demand.values.copy()
        values[:, k:] = np.random.default_rng(9).random(values[:, k:].shape) * 500
        other = told_of(dataclasses.replace(demand, values=values))
        # At the start of step k the load of step k - 1 is the last that was measured.
        assert torch.equal(plain[: k + 1], other[: k + 1])
        assert not torch.equal(plain[k + 1], other[k + 1])


def test_the_forecast_by_hand():
    demand = random_demand()
    told, load = told_of(demand), services(demand.values)
    day, week = services(demand.day_ago), services(demand.week_ago)
    t, cloud = 20, 1
    for s, service in enumerate(SERVICES):
        for h in AHEAD:
            usual = (day[t + h, s, cloud] + week[t + h, s, cloud]) / 2
            then = (day[t - 1, s, cloud] + week[t - 1, s, cloud]) / 2
            expected = max(usual + 0.97 ** (h + 1) * (load[t - 1, s, cloud] - then), 0.0)
            actual = told[t, row(f"forecast_{service}_{h}"), cloud]
            assert float(actual) == pytest.approx(float(expected), rel=1e-5)
    # Of one known past that one is the usual.
    told = told_of(dataclasses.replace(demand, week_ago=None))
    expected = max(day[t, 0, cloud] + 0.97 * (load[t - 1, 0, cloud] - day[t - 1, 0, cloud]), 0.0)
    assert float(told[t, row("forecast_compute_0"), cloud]) == pytest.approx(float(expected))
    assert told[:, row("week_ago_compute_0")].sum() == 0


def test_an_oracle_shows_the_demand_that_comes_and_changes_nothing_else():
    demand = random_demand(seed=4)
    plain, oracle = told_of(demand), told_of(demand, is_oracle_forecast=True)
    load = services(demand.values)
    shown = set()
    for h in AHEAD:
        for s, service in enumerate(SERVICES):
            at = row(f"forecast_{service}_{h}")
            shown.add(at)
            torch.testing.assert_close(oracle[: STEPS - h, at], load[h:, s])
            assert (oracle[STEPS - h :, at] == load[-1, s]).all()
            assert not torch.equal(plain[:, at], oracle[:, at])
    same = [at for at in range(len(FORESIGHT)) if at not in shown]
    assert torch.equal(plain[:, same], oracle[:, same])


def test_without_memory_the_last_load_fades():
    demand = random_demand(day_ago=None, week_ago=None, announced=None, scheduled=None)
    told, load = told_of(demand), services(demand.values)
    for h in AHEAD:
        expected = load[:-1, 2] * 0.97 ** (h + 1)
        torch.testing.assert_close(told[1:STEPS, row(f"forecast_network_{h}")], expected)
    for name in ("announced_0", "announced_hour", "scheduled_batch", "scheduled_ml_hour"):
        assert told[:, row(name)].abs().sum() == 0


def test_launches_and_schedules_reach_an_hour_ahead():
    demand = random_demand()
    told = told_of(demand)
    for t in (0, 13, STEPS):
        for h in AHEAD:
            factor = demand.announced[:, t + h] - 1
            assert told[t, row(f"announced_{h}")].tolist() == pytest.approx(factor, rel=1e-5)
        hour = slice(t, t + HORIZON)
        most = demand.announced[:, hour].max(1) - 1
        assert told[t, row("announced_hour")].tolist() == pytest.approx(most, rel=1e-5)
        if t == STEPS:
            continue
        for c, name in enumerate(("batch", "ml")):
            now, mean = demand.scheduled[:, t, c], demand.scheduled[:, hour, c].mean(1)
            assert told[t, row(f"scheduled_{name}")].tolist() == pytest.approx(now)
            ahead = told[t, row(f"scheduled_{name}_hour")].tolist()
            assert ahead == pytest.approx(mean, rel=1e-3)


def test_the_clock_and_todays_prices():
    told = told_of(random_demand())
    names = ("day_sin", "day_cos", "week_sin", "week_cos")
    clock = told[:, [row(name) for name in names]]
    # Midnight, seven o'clock, and three days into the week.
    assert clock[0, :, 0].tolist() == pytest.approx([0, 1, 0, 1], abs=1e-6)
    seven = 2 * np.pi * 7 / 24
    assert clock[0, :2, 1].tolist() == pytest.approx([np.sin(seven), np.cos(seven)], abs=1e-6)
    third = 2 * np.pi * 3 / 7
    assert clock[0, 2:, 2].tolist() == pytest.approx([np.sin(third), np.cos(third)], abs=1e-6)
    ratio = torch.rand((STEPS + 1, 4, CLOUDS), generator=torch.Generator().manual_seed(0))
    assert torch.equal(told[:, row("spot_ratio_general")], ratio[:, 0])
