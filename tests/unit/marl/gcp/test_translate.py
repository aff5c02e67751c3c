"""From actions to operations and back, and what the rules behind them carry out."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marl.cloud.actions import HIGH, LOW, ROWS, WIDTH, row
from marl.cloud.dynamics import initial_state, step
from marl.cloud.types import KINDS, POOLS, PURCHASES
from marl.envs import make
from marl.gcp.compute_operations import (
    BuyCommitment,
    ResizeGroup,
    SetAutoscaler,
)
from marl.gcp.operation import Change
from marl.gcp.policies import (
    knobs_from_operations,
    knobs_from_settings,
    resolution,
    settings_from_knobs,
    zone_names,
)
from marl.gcp.storage_operations import LifecyclePolicy
from marl.gcp.translate import effective_knobs, operations
from tests.unit.marl.cloud.helpers import knob_column, quiet_weather, small_cloud
from tests.unit.marl.gcp.example_operations import EXAMPLES

CLOUD = small_cloud()
REVIEW = quiet_weather(is_review=torch.ones(1))
shares = st.lists(st.floats(0, 1, width=32), min_size=WIDTH, max_size=WIDTH)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def column(values):
    """(WIDTH, 1) physical values at shares of the knobs' ranges."""
    return (LOW + torch.tensor(values) * (HIGH - LOW))[:, None].clamp(LOW[:, None], HIGH[:, None])


def start():
    return initial_state(REVIEW, CLOUD)


# --- there and back ---------------------------------------------------------------------------


@quick
@given(shares, shares)
def test_an_action_comes_back_from_its_operations(before, after):
    was, to = column(before), column(after)
    called = operations(start(), REVIEW, was, to, CLOUD)
    back = knobs_from_operations(called, was[:, 0], CLOUD)
    wrong = (back - to[:, 0]).abs() > resolution(CLOUD)
    assert not wrong.any(), [name for name, i in ROWS.items() if wrong[i]]


@quick
@given(shares, shares)
def test_different_actions_give_different_operations_and_equal_ones_none(before, after):
    was, to = column(before), column(after)
    called = [o for o in operations(start(), REVIEW, was, to, CLOUD) if o.kind.startswith("set_")]
    if ((was - to).abs()[:, 0] > 2 * resolution(CLOUD)).any():
        assert called
    again = operations(start(), REVIEW, to, to, CLOUD)
    carried_out = {"set_availability", "set_provisioned_iops"}  # named set, but by the rules
    assert not [o for o in again if o.kind.startswith("set_") and o.kind not in carried_out]


@quick
@given(shares)
def test_what_google_keeps_is_kept_exactly(values):
    kept = settings_from_knobs(column(values)[:, 0], CLOUD)
    assert settings_from_knobs(knobs_from_settings(kept, CLOUD), CLOUD) == kept


@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_knob_alone_makes_exactly_one_kind_of_setting(name):
    was = knob_column()
    to = was.clone()
    middle = float((LOW + HIGH)[ROWS[name]]) / 2
    near = abs(float(was[ROWS[name]]) - middle) < 0.2 * float((HIGH - LOW)[ROWS[name]])
    low_half = float(was[ROWS[name]]) > middle
    to[ROWS[name]] = (LOW if near or low_half else HIGH)[ROWS[name]]
    called = operations(start(), REVIEW, was, to, CLOUD)
    rules = {"set_availability", "set_provisioned_iops"}
    kinds = {o.kind for o in called if o.kind.startswith("set_")} - rules
    assert len(kinds) == 1
    back = knobs_from_operations(called, was[:, 0], CLOUD)
    assert abs(float(back[ROWS[name]] - to[ROWS[name], 0])) <= float(resolution(CLOUD)[ROWS[name]])
    others = torch.arange(WIDTH) != ROWS[name]
    moved = (back - was[:, 0]).abs()[others]
    assert (moved <= resolution(CLOUD)[others]).all()


def test_operations_undone_in_reverse_order_restore_the_settings():
    was = knob_column()
    to = knob_column(spot_share=0.6, nearline_after=30.0, cdn_share=0.5, floor_share=0.7)
    called = [o for o in operations(start(), REVIEW, was, to, CLOUD) if isinstance(o, Change)]
    undone = [each.reverse() for each in reversed(called)]
    there = knobs_from_operations(called, was[:, 0], CLOUD)
    back = knobs_from_operations(undone, there, CLOUD)
    assert settings_from_knobs(back, CLOUD) == settings_from_knobs(was[:, 0], CLOUD)
    assert settings_from_knobs(there, CLOUD) != settings_from_knobs(was[:, 0], CLOUD)


def test_operations_made_from_other_knobs_are_refused():
    called = operations(start(), REVIEW, knob_column(), knob_column(spot_share=0.6), CLOUD)
    with pytest.raises(ValueError, match="set_fleet_policy starts from"):
        knobs_from_operations(called, knob_column(spot_share=0.1)[:, 0], CLOUD)
    stray = SetAutoscaler(
        zone="moon-a",
        was=EXAMPLES[1].was,
        to=EXAMPLES[1].to,
    )
    with pytest.raises(ValueError, match="moon-a"):
        knobs_from_operations([stray], knob_column()[:, 0], CLOUD)


# --- hand-worked ------------------------------------------------------------------------------


def test_a_floor_of_half_the_peak_is_25_machines_over_three_zones():
    # Peak 200 vCPU, half is 100, a machine has 4: 25 machines, 9 + 8 + 8; the quota 150, 50 each.
    to = settings_from_knobs(knob_column(compute__floor_share=0.5)[:, 0], CLOUD)
    assert [zone.min_replicas for zone in to.fleet] == [9, 8, 8]
    assert [zone.max_replicas for zone in to.fleet] == [50, 50, 50]
    assert to.fleet[0].window_s == 900
    assert to.fleet[0].target == 0.7


def test_a_target_of_the_proxies_is_bytes_per_second():
    was = knob_column()
    to = knob_column(network__target_utilisation=0.5)
    (each,) = operations(start(), REVIEW, was, to, CLOUD)[:1]
    # Half of 0.15 Gbps is 9,375,000 bytes a second.
    metric = each.body()["autoscalingPolicy"]["customMetricUtilizations"][0]
    assert each.kind == "set_proxy_autoscaler"
    assert metric["utilizationTarget"] == 9_375_000


def test_lifecycle_ages_are_one_three_and_ten_times():
    to = settings_from_knobs(knob_column(nearline_after=30.4)[:, 0], CLOUD)
    assert to.lifecycle == LifecyclePolicy(nearline_days=30, coldline_days=90, archive_days=300)


def test_a_change_below_googles_resolution_is_no_operation():
    was, to = knob_column(nearline_after=29.55), knob_column(nearline_after=30.45)
    called = operations(start(), REVIEW, was, to, CLOUD)
    assert "set_lifecycle" not in {o.kind for o in called}
    assert knobs_from_operations(called, was[:, 0], CLOUD)[ROWS["storage_nearline_after"]] == 30.0


# --- what the rules carry out -----------------------------------------------------------------


POOL_AFTER = {  # kind of operation to its pool, and the units there after it
    "resize_disk": ("disk", lambda each, _: each.to_gib / 10),
    "create_hyperdisk": ("hyperdisk", lambda each, _: each.iops / 1000),
    "set_provisioned_iops": ("hyperdisk", lambda each, _: each.to / 1000),
    "delete_hyperdisk": ("hyperdisk", lambda *_: 0),
    "resize_proxies": ("proxy", lambda each, _: each.to),
    "resize_database": ("tier", lambda each, _: each.to.vcpu / 2),
    "create_replica": ("replica", lambda _, units: units + 1),
    "delete_replica": ("replica", lambda _, units: units - 1),
    "create_redis": ("redis", lambda each, _: each.gib),
    "resize_redis": ("redis", lambda each, _: each.to),
    "delete_redis": ("redis", lambda *_: 0),
    "resize_database_disk": ("db_disk", lambda each, _: each.to_gib / 10),
}


def applied(state, called):
    """Wanted VMs by cell, pools and commitments after operations, from those of `state`."""
    names = [
        (purchase, kind, zone)
        for purchase in PURCHASES
        for kind in KINDS
        for zone in zone_names(CLOUD)
    ]
    vms = dict(zip(names, (state.vms + state.pending_vms.sum(0))[:, 0].tolist(), strict=True))
    pools = (state.pools + state.pending_pools.sum(0))[:, 0]
    pools = dict(zip(POOLS, pools.tolist(), strict=True))
    for each in called:
        if each.kind == "resize_group":
            place = (each.purchase, each.machine, each.zone)
            assert vms[place] == each.was
            vms[place] = each.to
        elif each.kind in POOL_AFTER:
            pool, units = POOL_AFTER[each.kind]
            pools[pool] = units(each, pools[pool])
    return list(vms.values()), list(pools.values())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(shares, min_size=3, max_size=5))
def test_operations_carried_out_are_the_simulators_next_state(actions):
    # Nothing fails in quiet weather, so what was wanted is what there is.
    state, was = start(), knob_column()
    for values in actions:
        to = column(values)
        called = operations(state, REVIEW, was, to, CLOUD)
        vms, pools = applied(state, called)
        bought = sum(o.vcpu / 4 for o in called if isinstance(o, BuyCommitment))
        after, _ = step(state, to, REVIEW, CLOUD)
        assert vms == (after.vms + after.pending_vms.sum(0))[:, 0].tolist()
        assert pools == (after.pools + after.pending_pools.sum(0))[:, 0].tolist()
        assert bought == float((after.committed - state.committed).sum())
        was, state = effective_knobs(state, REVIEW, was, to), after


def test_each_cloud_of_a_batch_gets_its_own_operations():
    env = make(num_envs=3, seed=2, episode_steps=2)
    env.reset(seed=2)
    draw = torch.Generator().manual_seed(0)
    size = (HIGH - LOW)[:, None]
    was, to = (LOW[:, None] + torch.rand((WIDTH, 3), generator=draw) * size for _ in range(2))
    state, weather = env.cloud_state, env.weather.at(0)
    in_force = effective_knobs(state, weather, was, to)
    together = [operations(state, weather, was, to, env.cloud, env=i) for i in range(3)]
    assert len(set(together)) == 3
    for i, called in enumerate(together):
        back = knobs_from_operations(called, was[:, i], env.cloud)
        assert ((back - in_force[:, i]).abs() <= resolution(env.cloud)).all()


def test_a_settled_cloud_calls_nothing():
    knobs = knob_column()
    assert operations(settled(knobs), REVIEW, knobs, knobs, CLOUD) == ()


def test_preemption_is_nobodys_operation():
    knobs = knob_column(spot_share=0.9)
    state = settled(knobs)
    storm = quiet_weather(
        is_review=torch.ones(1), is_shocked=torch.ones(3, 1), loss_draw=torch.full((1,), 0.5)
    )
    after, _ = step(state, knobs, storm, CLOUD)
    assert after.vms.sum() < state.vms.sum()
    assert operations(state, storm, knobs, knobs, CLOUD) == ()
    # Once it is seen the automation orders again.
    orders = operations(after, REVIEW, knobs, knobs, CLOUD)
    assert sum(o.to - o.was for o in orders if isinstance(o, ResizeGroup)) > 0


def settled(knobs, weather=REVIEW):
    state = start()
    for _ in range(30):
        state, _ = step(state, knobs, weather, CLOUD)
    return state


def test_commitments_are_bought_at_reviews_only():
    calm, was = quiet_weather(is_review=torch.zeros(1)), knob_column()
    state = settled(was, calm)
    to = knob_column(commitment_share=1.0, three_year_share=1.0)
    assert operations(state, calm, was, to, CLOUD) == ()
    assert torch.equal(effective_knobs(state, calm, was, to), was)
    label, bought = operations(state, REVIEW, was, to, CLOUD)
    assert label.kind == "set_fleet_policy"
    # Peak 200 vCPU are 50 machines, 10 are committed from the start: 40 more, for three years.
    assert bought == BuyCommitment(
        region="us-central1",
        number=0,
        plan="THIRTY_SIX_MONTH",
        machine_type="n2-standard-4",
        vcpu=160,
        memory_mib=160 * 4096,
    )


def test_a_database_under_change_takes_no_other_tier():
    was = knob_column()
    state = settled(was)
    larger = knob_column(database__floor_share=1.5)
    called = {o.kind for o in operations(state, REVIEW, was, larger, CLOUD)}
    assert {"set_database_policy", "resize_database"} <= called
    busy, _ = step(state, larger, REVIEW, CLOUD)
    smaller = knob_column(
        database__floor_share=0.0, database__target_utilisation=0.9, database__has_ha=0.0
    )
    called = operations(busy, REVIEW, larger, smaller, CLOUD)
    assert {o.kind for o in called} <= {"resize_database_disk"}
    in_force = effective_knobs(busy, REVIEW, larger, smaller)
    free = busy
    for _ in range(3):
        free, _ = step(free, in_force, REVIEW, CLOUD)
    called = {o.kind for o in operations(free, REVIEW, in_force, smaller, CLOUD)}
    assert {"set_database_policy", "resize_database", "set_availability"} <= called


def test_replicas_change_tier_with_their_primary():
    knobs = knob_column(read_replicas=2.0)
    state = settled(knobs)
    to = knob_column(read_replicas=2.0, database__floor_share=1.5)
    resized = [
        o for o in operations(state, REVIEW, knobs, to, CLOUD) if o.kind == "resize_database"
    ]
    assert [o.instance for o in resized] == [
        "stratoform-db",
        "stratoform-db-replica-1",
        "stratoform-db-replica-2",
    ]
    assert len({(o.was, o.to) for o in resized}) == 1


def test_nonsense_is_refused_with_what_to_do():
    state, knobs = start(), knob_column()
    bad = knobs.clone()
    bad[row("storage", "nearline_after")] = float("nan")
    with pytest.raises(ValueError, match=r"storage_nearline_after must be in \[7, 180\]; got nan"):
        operations(state, REVIEW, knobs, bad, CLOUD)
    with pytest.raises(ValueError, match="turn actions into them with"):
        settings_from_knobs(torch.full((WIDTH,), -1.0), CLOUD)
    with pytest.raises(ValueError, match="knobs_after must be"):
        operations(state, REVIEW, knobs, knobs[:3], CLOUD)
    with pytest.raises(ValueError, match=r"env must be 0 \.\. 0; got 1"):
        operations(state, REVIEW, knobs, knobs, CLOUD, env=1)
    with pytest.raises(ValueError, match="set zones to at most 3"):
        zone_names(small_cloud(zones=5))
