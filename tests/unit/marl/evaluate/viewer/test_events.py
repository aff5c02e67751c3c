"""Events told from weather and figures, by hand."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marl.cloud.config import CloudConfig
from marl.cloud.foresight import FORESIGHT
from marl.evaluate.viewer.events import (
    LANES,
    events_of_steps,
    events_of_weather,
    price_shocks,
    spans,
)
from tests.unit.marl.evaluate.viewer.episodes import STEPS, small_env


@given(st.lists(st.booleans(), max_size=30))
def test_spans_cover_the_true_values_and_nothing_else(flags):
    found = list(spans(np.array(flags, np.bool_)))
    covered = [t for a, b in found for t in range(a, b)]
    assert covered == [t for t, flag in enumerate(flags) if flag]
    assert all(b < c for (_, b), (c, _) in pairwise(found)), "runs are maximal"


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ([0.3, 0.3, 0.6, 0.6, 0.3], [0, 0, 1, 1, 0]),
        ([0.6, 0.6, 0.3, 0.3, 0.3], [1, 1, 0, 0, 0]),  # dear from the start
        ([0.3, 0.3, 0.3, 0.6, 0.6], [0, 0, 0, 1, 1]),  # and to the end
        ([0.3, 0.33, 0.33, 0.31, 0.3], [0, 0, 0, 0, 0]),  # midnight's small moves
        ([0.6, 0.3, 0.6, 0.3, 0.6], [1, 0, 1, 0, 1]),
    ],
)
def test_price_shocks_are_jumps(prices, expected):
    # A second kind that stands at its limit shows no jump; the first still does.
    ratio = np.stack([np.array(prices), np.ones(len(prices))], 1)
    assert price_shocks(ratio, 2.0).astype(int).tolist() == expected


def test_a_shock_of_factor_one_is_none():
    assert not price_shocks(np.array([[0.3], [0.9]]), 1.0).any()


@pytest.fixture
def calm():
    """Weather of an untroubled cloud, made troublesome by the test through its views."""
    env = small_env("calm")
    env.reset(seed=5)
    return env.weather


def told(weather, row=1):
    return [
        (e.kind, e.text, e.start, e.end) for e in events_of_weather(weather, row, CloudConfig())
    ]


def test_calm_weather_has_no_events(calm):
    assert told(calm) == []


def test_each_trouble_is_told_with_its_time(calm):
    for t in (3, 4, 5):
        calm.at(t).is_up[2, 1] = 0.0
        calm.at(t).is_sold_out[2 * 3 + 1, 1] = 1.0  # kind 2 is arm, zone 1
        calm.at(t).is_up[0, 0] = 0.0  # another cloud's
    for t in (STEPS - 2, STEPS - 1):
        calm.at(t).quota[1] = 0.3
        calm.at(t).disk_speed[1] = 0.25
    calm.at(7).failover[1] = 1.0
    calm.at(0).is_shocked[0, 1] = 1.0
    calm.told[9, FORESIGHT.index("announced_hour"), 1] = 1.5
    assert sorted(told(calm)) == sorted(
        [
            ("zone_outage", "zone 2 is down", 3, 6),
            ("stock_out", "no arm VMs in zone 1", 3, 6),
            ("quota_cut", "30% of the quota is left", STEPS - 2, STEPS),
            ("disk_slow", "disks at 25% of their speed", STEPS - 2, STEPS),
            ("failover", "the database primary fails", 7, 8),
            ("spot_reclaim", "zone 0 takes spot VMs back", 0, 1),
            ("launch", "up to 2.5 times the web traffic", 9, 10),
        ]
    )


def test_what_the_cloud_and_the_team_did():
    steps = pl.DataFrame(
        {
            "preemptions": [0.0, 2.0, 3.0, 0.0],
            "failures": [0.0, 0.0, 0.0, 1.0],
            "refusals": [0.0] * 4,
            "dropped": [0.0, 0.4, 1200.0, 0.0],
            "slo_attainment": [1.0, 0.995, 0.9, 0.8],
            "over_budget": [0.0, 0.0, 0.01, 0.02],
            "committed_1y": [5.0, 5.0, 9.0, 9.0],
            "committed_3y": [0.0] * 4,
            "units_tier": [8.0, 8.0, 8.0, 4.0],
            "units_replica": [1.0, 2.0, 2.0, 2.0],
            "has_ha": [1.0, 1.0, 0.0, 0.0],
        }
    )
    assert [(e.kind, e.text, e.start, e.end) for e in events_of_steps(steps)] == [
        ("preemption", "5 spot VMs lost", 1, 3),
        ("vm_failure", "1 VMs failed", 3, 4),
        ("lost_requests", "1,200 requests timed out", 2, 3),
        ("slo_miss", "down to 80.0% in time", 2, 4),
        ("over_budget", "up to 2.0% above the budget to date", 2, 4),
        ("commitment", "5 → 9 VMs committed for one year", 2, 3),
        ("tier_change", "8 → 4 steps of 2 vCPU", 3, 4),
        ("replica_change", "1 → 2 read replicas", 1, 2),
        ("standby_change", "1 → 0 standby (1 is there)", 2, 3),
    ]


def test_every_kind_has_a_lane():
    env = small_env("everything_at_once", num_envs=16, steps=100)
    env.reset(seed=5)
    config = env.cloud.params.config
    found = [e for row in range(16) for e in events_of_weather(env.weather, row, config)]
    kinds = {e.kind for e in found}
    assert kinds <= set(LANES)
    assert {"zone_outage", "stock_out", "spot_reclaim", "price_shock", "quota_cut"} <= kinds
    assert all(LANES[e.kind][0] == e.origin and 0 <= e.start < e.end <= 100 for e in found)
