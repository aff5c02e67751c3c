"""A constant action is a classic autoscaler: the same orders as its recommendations by hand."""

import dataclasses
import math

import pytest
import torch

from marl.cloud.dynamics import initial_state, step
from tests.unit.marl.cloud.helpers import (
    knob_column,
    provision_once,
    quiet_weather,
    small_cloud,
    with_loads,
)

PLAIN = {"spot_share": 0.0, "read_replicas": 0.0}


@pytest.fixture
def cloud():
    return small_cloud()


@pytest.mark.parametrize("target", [0.4, 0.6, 0.75, 0.95])
@pytest.mark.parametrize("vcpu", [37.0, 100.0, 180.0, 900.0])
def test_a_constant_action_orders_what_a_migs_autoscaler_recommends(cloud, target, vcpu):
    """The recommendation is ceil(load / target / size): the window's largest, within bounds.

    Computed here from the loads alone, as the documentation of managed instance groups has it.
    """
    window_min, floor_share = 20.0, 0.2
    history = [vcpu * factor for factor in (0.9, 0.7, 1.0, 0.95, 1.3, 1.6, *[0.5] * 6)]
    in_window = history[: int(window_min / 5)]
    recommended = max(math.ceil(load / target / 4) for load in in_window)
    recommended = min(max(recommended, math.ceil(floor_share * 200 / 4)), 600 // 4)

    state = with_loads(initial_state(quiet_weather(), cloud), memory_gib=0.0)
    loads = state.loads.clone()
    loads[:, 0, 0] = torch.tensor(history)
    state = dataclasses.replace(state, loads=loads)
    knobs = knob_column(
        compute__target_utilisation=target,
        compute__floor_share=floor_share,
        compute__scale_in_window=window_min,
        **PLAIN,
    )
    now, after = provision_once(state, knobs, quiet_weather(), cloud)
    had = 42
    assert now.fleet.vms.sum() == min(had, recommended)
    assert after.pending_vms.sum() == max(recommended - had, 0)
    now, after = provision_once(after, knobs, quiet_weather(), cloud)
    assert now.fleet.vms.sum() == recommended
    assert after.pending_vms.sum() == 0


def test_so_it_does_over_hours_of_changing_load(cloud):
    knobs = knob_column(compute__target_utilisation=0.6, compute__scale_in_window=30.0, **PLAIN)
    weather = quiet_weather(delay=torch.ones(4, 1))
    state = initial_state(weather, cloud)
    history = [100.0] * 12
    running, pending, counts = 42, 0, []
    for t in range(60):
        vcpu = 100 + 80 * math.sin(t / 6)
        busy = dataclasses.replace(weather, work=weather.work.clone())
        # Web work alone, and much more of everything else than it needs: no backlog, no memory.
        busy.work[:] = 0.0
        busy.work[0, 0], busy.work[0, 5] = vcpu, 1000.0
        # By hand: arrivals, the recommendation on what was measured, orders or removals.
        running += pending
        wanted = max(math.ceil(load / 0.6 / 4 - 1e-4) for load in history[:6])
        pending = max(wanted - running, 0)
        running = min(running, max(wanted, 1))
        state, _ = step(state, knobs, busy, cloud)
        assert (state.vms.sum(), state.pending_vms.sum()) == (running, pending), t
        carried = state.backlog[0, 0, 0]
        history = [vcpu + float(carried), *history[:11]]
        counts.append(running)
    assert min(counts) <= 12
    assert max(counts) == 75  # 180 / .6 / 4
