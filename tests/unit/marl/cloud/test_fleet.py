"""VMs by hand-worked numbers: where they go, which go first, what is refused, aged and lost."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.cloud.dynamics import initial_state, step
from marl.cloud.figures import figure_names
from marl.cloud.fleet import cell_weights, pending_after, steer
from marl.cloud.rounding import EXACT
from marl.cloud.types import DELAY_SLOTS
from tests.unit.marl.cloud.helpers import cell, knob_column, quiet_weather, small_cloud

CELLS = 24


def column(values):
    return torch.tensor(values, dtype=torch.float32)[:, None]


def steered(running, pending, target, total):
    order, down = steer(
        column(running), column(pending), column(target), torch.tensor([float(total)]), EXACT
    )
    return order[:, 0].tolist(), down[:, 0].tolist()


def cells_of(**counts):
    """(N, 1) of `purchase__kind__zone=units`."""
    out = torch.zeros(CELLS, 1)
    for key, units in counts.items():
        purchase, kind, zone = key.split("__")
        out[cell(purchase, kind, int(zone))] = units
    return out


def idle(**changes):
    """Weather without work: only floors decide."""
    return quiet_weather(work=torch.zeros(3, 6, 1), **changes)


def fleet_after(vms, knobs, weather, cloud=None, **state_changes):
    """The state after a step that began with `vms` (N, 1) and no load measured."""
    cloud = cloud or small_cloud()
    state = initial_state(quiet_weather(), cloud)
    state = dataclasses.replace(state, vms=vms, loads=state.loads * 0, **state_changes)
    return step(state, knobs, weather, cloud)[0]


# Steering.


def test_a_fleet_within_one_vm_of_its_target_is_left_alone():
    assert steered([5, 5, 5], [0, 0, 0], [5.9, 4.6, 4.5], 15) == ([0, 0, 0], [0, 0, 0])
    assert steered([6, 4, 5], [0, 0, 0], [5, 5, 5], 15) == ([0, 0, 0], [0, 0, 0])


def test_a_shortage_is_ordered_where_it_is_and_what_is_on_the_way_counts():
    assert steered([4, 4, 4], [0, 0, 0], [6, 5, 4], 15) == ([2, 1, 0], [0, 0, 0])
    assert steered([4, 4, 4], [2, 1, 0], [6, 5, 4], 15) == ([0, 0, 0], [0, 0, 0])


def test_a_swap_makes_before_it_breaks():
    # Ten on-demand VMs shall become ten spot VMs: one less than all are ordered, none goes yet.
    order, down = steered([10, 0], [0, 0], [0, 10], 10)
    assert (order, down) == ([0, 9], [0, 0])
    # On the way: still none goes.
    assert steered([10, 0], [0, 9], [0, 10], 10) == ([0, 0], [0, 0])
    # They serve: nine go, and what is within one VM of its target stays.
    assert steered([10, 9], [0, 0], [0, 10], 10) == ([0, 0], [9, 0])
    assert steered([1, 9], [0, 0], [0, 10], 10) == ([0, 0], [0, 0])


def test_scale_in_takes_from_the_cells_with_too_many():
    assert steered([8, 4, 3], [0, 0, 0], [4, 4, 2], 10) == ([0, 0, 0], [4, 0, 1])
    # What is pending counts as had, but only what runs can go.
    assert steered([2, 0], [0, 5], [1, 1], 2) == ([0, 0], [0, 0])


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20), st.floats(0, 50)), min_size=1),
)
@settings(deadline=None)
def test_orders_and_removals_are_whole_and_never_below_what_is_wanted(rows):
    running, pending, weight = (list(values) for values in zip(*rows, strict=True))
    total = round(sum(weight))
    if total == 0:
        return
    target = [total * w / sum(weight) for w in weight]
    order, down = steered(running, pending, target, total)
    assert all(x == round(x) >= 0 for x in order + down)
    assert all(d <= r for d, r in zip(down, running, strict=True))
    assert sum(running) - sum(down) >= min(total, sum(running))
    have = sum(running) + sum(pending) + sum(order)
    assert have >= total


# Whole numbers.


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=24).filter(lambda parts: sum(parts) > 0.01),
    st.integers(0, 3000),
)
def test_a_total_is_shared_out_exactly_each_part_up_or_down(parts, total):
    shared = EXACT.share_out(column(parts).double(), torch.tensor([float(total)]).double())[:, 0]
    assert float(shared.sum()) == total
    for part, units in zip(parts, shared.tolist(), strict=True):
        exact = part * total / sum(parts)
        assert exact - 1 < units < exact + 1


def test_shares_by_hand():
    def shared(parts, total):
        return EXACT.share_out(column(parts), torch.tensor([float(total)]))[:, 0].tolist()

    # Running sums 1.5, 2.25, 3 round to 2, 2, 3.
    assert shared([2.0, 1.0, 1.0], 3) == [2, 0, 1]
    assert shared([1.0, 1.0, 1.0], 7) == [2, 3, 2]
    assert shared([0.0, 5.0], 4) == [0, 4]
    assert shared([0.0, 0.0], 0) == [0, 0]


@given(
    st.lists(st.tuples(st.integers(0, 60), st.floats(0, 1)), min_size=1, max_size=8),
)
@settings(deadline=None, max_examples=30)
def test_losses_have_the_stated_mean_and_never_exceed_what_there_is(rows):
    counts, chances = (column(values) for values in zip(*rows, strict=True))
    draws = (torch.arange(2000) + 0.5) / 2000
    lost = EXACT.lose(counts.expand(-1, 2000), chances.expand(-1, 2000), draws)
    expected = (counts * chances)[:, 0]
    assert lost.mean(1).tolist() == pytest.approx(expected.tolist(), abs=2e-3)
    assert (lost <= counts).all()
    assert (lost >= 0).all()
    assert torch.equal(lost, lost.round())
    # All together lose within one VM of the expectation.
    assert ((lost.sum(0) - expected.sum()).abs() <= 1 + 1e-4).all()


# Cells.


def test_the_mix_over_purchases_kinds_and_zones_by_hand():
    cloud = small_cloud()
    knobs = knob_column(spot_share=0.25, highmem_share=0.2, arm_share=0.5, zone_spread=0.3)
    weights = cell_weights(knobs, torch.zeros(CELLS, 1), cloud.params)[..., 0]
    assert float(weights[:, :3].sum()) == pytest.approx(1)
    assert float(weights[:, 3].sum()) == pytest.approx(1)
    # General .4, highmem .2, Arm .5 of what is not highmem; home zone .3/3 + .7.
    assert weights[0, :3].sum(1).tolist() == pytest.approx([0.3, 0.15, 0.3])
    assert weights[1, :, 0].tolist() == pytest.approx([0.08, 0.04, 0.08, 0.2])
    assert (weights.sum((0, 1)) / 2).tolist() == pytest.approx([0.8, 0.1, 0.1])


def test_what_was_refused_is_bought_on_demand_in_zones_that_did_not_refuse():
    cloud = small_cloud()
    refused = cells_of(spot__general__1=1.0, on_demand__general__1=1.0)
    knobs = knob_column(spot_share=0.6, fallback_share=0.5)
    weights = cell_weights(knobs, refused, cloud.params)[..., 0]
    # Half of zone 1's spot (.2) and on-demand (.4/3) shares moves to zones 0 and 2.
    moved = 0.5 * (0.2 + 0.4 / 3)
    general = weights[:, 0]
    assert general[1].tolist() == pytest.approx([0.2, 0.1, 0.2])
    assert general[0].tolist() == pytest.approx([0.4 / 3 + moved / 2, 0.2 / 3, 0.4 / 3 + moved / 2])
    stay = cell_weights(knob_column(spot_share=0.6, fallback_share=0.0), refused, cloud.params)
    assert stay[:, 0, :, 0].flatten().tolist() == pytest.approx([0.4 / 3] * 3 + [0.2] * 3)


def test_without_any_free_zone_the_fallback_is_spread_evenly():
    refused = torch.ones(CELLS, 1)
    weights = cell_weights(knob_column(spot_share=0.6), refused, small_cloud().params)[..., 0]
    assert weights[0, 0].tolist() == pytest.approx([1 / 3] * 3)
    assert float(weights[1].sum()) == 0


def test_refused_gpus_fall_back_to_gpus():
    refused = cells_of(spot__gpu__0=1.0)
    knobs = knob_column(spot_share=0.9, zone_spread=0.0)
    weights = cell_weights(knobs, refused, small_cloud().params)[..., 0]
    assert float(weights[1, 3].sum()) == 0
    # To every zone, the home zone in proportion 1 + 1/3 to 1/3.
    assert weights[0, 3].tolist() == pytest.approx([0.1 + 0.9 * 4 / 6, 0.9 / 6, 0.9 / 6])
    assert float(weights[:, :3].sum()) == pytest.approx(1)


# A step of the fleet.


@pytest.mark.parametrize("delay", [1, 3, DELAY_SLOTS])
def test_an_order_arrives_after_its_delay_and_not_before(delay):
    pending = torch.zeros(DELAY_SLOTS, 2, 1)
    slots = torch.arange(1, DELAY_SLOTS + 1.0)[:, None, None]
    pending = pending_after(pending, column([3, 5]), torch.tensor([[float(delay)], [1.0]]), slots)
    first, second = [], []
    nothing, now = column([0, 0]), torch.ones(2, 1)
    for _ in range(DELAY_SLOTS):
        first.append(float(pending[0, 0]))
        second.append(float(pending[0, 1]))
        pending = pending_after(pending, nothing, now, slots)
    assert first == [3.0 if k == delay - 1 else 0.0 for k in range(DELAY_SLOTS)]
    assert second == [5.0] + [0.0] * (DELAY_SLOTS - 1)


def test_vms_serve_after_their_delay():
    vms = cells_of(on_demand__general__0=2, on_demand__general__1=2, on_demand__general__2=2)
    slow = idle(delay=column([2, 2, 3, 2]))
    knobs = knob_column(compute__floor_share=0.24, spot_share=0.0)  # 48 vCPU, 12 VMs
    cloud, counts = small_cloud(), []
    state = initial_state(quiet_weather(), cloud)
    state = dataclasses.replace(state, vms=vms, loads=state.loads * 0)
    for _ in range(4):
        state, _ = step(state, knobs, slow, cloud)
        counts.append(float(state.vms.sum()))
    assert counts == [6, 6, 12, 12]


def test_a_zone_that_is_sold_out_refuses_and_the_rule_remembers():
    arriving = torch.zeros(DELAY_SLOTS, CELLS, 1)
    arriving[0] = cells_of(spot__general__0=3, spot__general__1=3, on_demand__arm__1=2)
    sold_out = torch.zeros(12, 1)
    sold_out[cell("on_demand", "general", 1)] = 1.0
    shut = idle(is_sold_out=sold_out, is_shocked=column([1, 0, 0]))
    knobs = knob_column(compute__floor_share=0.04, spot_share=0.9)  # two VMs
    after = fleet_after(torch.zeros(CELLS, 1), knobs, shut, pending_vms=arriving)
    # Spot: zone 0 has a shock, zone 1 has no general VM at all; Arm comes.
    assert after.refused[cell("spot", "general", 0)] == 1
    assert after.refused[cell("spot", "general", 1)] == 1
    assert after.refused.sum() == 2
    assert after.vms[cell("on_demand", "arm", 1)] == 2
    assert after.vms.sum() == 2
    # The memory fades by .8 a step.
    later, _ = step(after, knobs, idle(), small_cloud())
    assert float(later.refused.max()) == pytest.approx(0.8)


def test_a_cut_quota_stops_growth_and_takes_nothing_away():
    few = cells_of(on_demand__general__0=5, on_demand__general__1=5, on_demand__general__2=5)
    many = few * 3
    knobs = knob_column(compute__floor_share=1.5, spot_share=0.0)  # 300 vCPU: 75 VMs
    for quota, ordered in ((1.0, 60), (0.2, 15), (0.1, 0), (0.05, 0)):
        weather = idle(quota=torch.tensor([quota]))  # of 600 vCPU
        after = fleet_after(few, knobs, weather)
        assert after.pending_vms.sum() == ordered
        assert after.vms.sum() == 15
    after = fleet_after(many, knobs, idle(quota=torch.tensor([0.1])))
    assert after.vms.sum() == 45
    assert after.pending_vms.sum() == 0


def test_vms_of_a_zone_that_is_down_do_not_serve_but_come_back():
    vms = cells_of(on_demand__general__0=6, on_demand__general__1=6, on_demand__general__2=6)
    down = idle(is_up=column([1, 0, 1]))
    knobs = knob_column(compute__floor_share=0.36, spot_share=0.0)  # 18 VMs
    cloud = small_cloud()
    state = initial_state(quiet_weather(), cloud)
    state = dataclasses.replace(state, vms=vms, loads=state.loads * 0)
    state, outcome = step(state, knobs, down, cloud)
    assert state.vms.sum() == 18
    shown = dict(zip(figure_names(3), outcome.figures[:, 0].tolist(), strict=True))
    assert (shown["capacity_compute"], shown["zones_down"]) == (48, 1)
    assert state.pending_vms.sum() == 6  # replaced: the rule sees 12 that serve
    state, _ = step(state, knobs, idle(), cloud)
    assert state.vms.sum() == 18  # 24 when the zone is back, of which six go again


def test_an_hour_ages_spot_vms_and_newcomers_are_young():
    cloud = small_cloud(spot_hazard_factor=0.0, vm_failure_per_h=0.0)
    spot = cell("spot", "general", 0)
    ages = torch.zeros(4, 12, 1)
    ages[-1] = 1.0
    ages[:, 0] = column([0.4, 0.3, 0.2, 0.1])
    arriving = torch.zeros(DELAY_SLOTS, CELLS, 1)
    arriving[0, spot] = 5
    after = fleet_after(
        cells_of(spot__general__0=15),
        knob_column(spot_share=0.9, compute__floor_share=0.4),
        idle(is_new_hour=torch.ones(1)),
        cloud,
        ages=ages,
        pending_vms=arriving,
    )
    # (.4 .3 .2 .1) becomes (0 .4 .3 .3), of which three quarters are left beside 5 new of 20.
    assert after.ages[:, 0, 0].tolist() == pytest.approx([0.25, 0.3, 0.225, 0.225])


def test_survivors_are_older_than_those_preempted():
    cloud = small_cloud(spot_hazard_per_h=(2.0, 1.0, 0.5, 0.0), vm_failure_per_h=0.0)
    ages = torch.full((4, 12, 1), 0.25)
    after = fleet_after(
        cells_of(spot__general__0=15), knob_column(spot_share=0.9), idle(), cloud, ages=ages
    )
    chance = cloud.params.hazard[0, :, 0, 0, 0]
    alive = 0.25 * (1 - chance)
    assert after.ages[:, 0, 0].tolist() == pytest.approx((alive / alive.sum()).tolist())
    assert after.ages[0, 0] < after.ages[3, 0]


def test_preemption_comes_zone_by_zone_in_a_shock():
    cloud = small_cloud(spot_hazard_factor=100.0, vm_failure_per_h=0.0)
    vms = cells_of(spot__general__0=20, spot__general__1=20, on_demand__general__0=20)
    knobs = knob_column(spot_share=0.6, compute__floor_share=1.2)
    after = fleet_after(vms, knobs, idle(is_shocked=column([0, 1, 0])), cloud)
    # Old VMs of 4 vCPU: .012 · 100 · .73 an hour. Half of it in quiet times: .0358 · 20 = .72 of
    # zone 0, one with the draw of .5. In a shock .5 + .5/.023 times as much: .803 · 20 = 16 of
    # zone 1.
    assert after.vms[cell("spot", "general", 0)] == 19
    assert after.vms[cell("spot", "general", 1)] == 4
    assert after.vms[cell("on_demand", "general", 0)] == 20
