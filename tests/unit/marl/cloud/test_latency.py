"""What is added to the queues' formulas: tier, hops, slow disks, caches, the queue that is left."""

import pytest
import torch

from marl.cloud.dynamics import initial_state
from marl.cloud.latency import latency
from marl.cloud.rounding import EXACT
from marl.cloud.scaling import provision
from marl.cloud.service import offer, serve
from tests.unit.marl.cloud.helpers import knob_column, quiet_weather, small_cloud


def one(value):
    return torch.tensor([float(value)])


def timed(premium=1.0, crossing=0.0, weather=None, redis=0.0, cdn=0.0, vcpu=300.0, **overrides):
    cloud = small_cloud(**overrides)
    weather = weather or quiet_weather()
    state = initial_state(quiet_weather(), cloud)
    now = provision(state, knob_column(), quiet_weather(), EXACT, cloud.params)
    zero = torch.zeros(1)
    nothing = torch.zeros(3, 6, 1)
    offered = offer(nothing, zero, one(cdn), one(redis), zero, weather, cloud.params)
    capacity = torch.tensor([[vcpu, 1e5, 1e3, 1e3, 1e5]]).t()
    served = serve(offered, torch.zeros(2, 1), capacity, zero, weather, EXACT, cloud.params)
    times = latency(offered, served, now, (one(premium), one(crossing)), weather, cloud.params)
    return {name: value.flatten().tolist() for name, value in vars(times).items()}


def test_the_standard_tier_and_hops_add_their_time_to_every_request():
    plain = timed()
    for name in ("p50_s", "p95_s", "p99_s"):
        assert timed(premium=0.4)[name][0] - plain[name][0] == pytest.approx(0.009, abs=1e-6)
        assert timed(crossing=0.5)[name][0] - plain[name][0] == pytest.approx(5e-4, abs=1e-6)
    assert timed(premium=0.0)["within"][0] < plain["within"][0]


def test_empty_stations_take_their_service_times():
    idle = timed(vcpu=1e5)
    assert idle["sojourn_s"] == pytest.approx([0.020, 0.004, 0.002, 0.008], rel=1e-3)
    assert 0.020 < idle["p50_s"][0] < idle["p95_s"][0] < idle["p99_s"][0]


def test_slow_disks_and_a_cache_change_their_stations_alone():
    slow = timed(weather=quiet_weather(disk_speed=one(0.25)), vcpu=1e5)
    assert slow["sojourn_s"] == pytest.approx([0.020, 0.016, 0.002, 0.008], rel=1e-3)
    # Redis answers .9 of the reads (.8) in a tenth of the time.
    cached = timed(redis=22.5, vcpu=1e5)
    assert cached["sojourn_s"][3] == pytest.approx(0.008 * (1 - 0.9 * 0.72), rel=1e-3)
    assert cached["sojourn_s"][:3] == pytest.approx([0.020, 0.004, 0.002], rel=1e-3)


def test_what_is_left_at_the_end_waited_at_most_the_time_out():
    # 20 of 40 vCPU are served; a tenth of that can still be done in 30 s and waits so long.
    full, short = timed(vcpu=40.0), timed(vcpu=20.0)
    waited = short["p50_s"][0] - full["p50_s"][0]
    assert waited == pytest.approx(0.5 * 30, rel=0.01)
    assert short["p99_s"][0] - full["p99_s"][0] == pytest.approx(0.99 * 30, rel=0.01)
    # Of a queue that grew evenly to 30 s the first .15 / 30 is within the SLO.
    assert short["within"][0] == pytest.approx(full["within"][0] * 0.15 / 30, rel=1e-3)


def test_the_share_in_time_is_that_of_all_due_work_by_hand():
    due = quiet_weather(due=torch.tensor([[30.0], [0.0]]), due_now=torch.tensor([[30.0], [0.0]]))
    got = timed(weather=due, vcpu=50.0)
    # 40 vCPU of web within the SLO in part, and 10 of the 30 of batch that fell due.
    expected = (40 * got["within"][0] + 10) / 70
    assert got["on_time_share"] == pytest.approx([expected], rel=1e-4)
    # What the CDN answers is in time; what is lost is not.
    cached = timed(cdn=1.0)
    assert cached["on_time_share"] == pytest.approx([0.6 * cached["within"][0] + 0.4], rel=1e-5)
    lossy = timed(vcpu=20.0)
    assert lossy["on_time_share"] == pytest.approx([0.5 * lossy["within"][0] / 0.95], rel=1e-4)
    nothing = timed(weather=quiet_weather(work=torch.zeros(3, 6, 1)))
    assert nothing["on_time_share"] == [1.0]


def test_burstier_requests_wait_longer():
    calm, bursty = timed(vcpu=90.0), timed(vcpu=90.0, arrival_scv=3.0)
    assert bursty["sojourn_s"][0] > calm["sojourn_s"][0]
    assert bursty["p95_s"][0] > calm["p95_s"][0]
