"""The autoscalers' rule, orders and preemption, by hand-worked numbers."""

import dataclasses

import numpy as np
import pytest
import torch

from marl.cloud.dynamics import initial_state
from marl.cloud.scaling import capacity, preempt, provision, recommended_load, take
from marl.cloud.types import WeatherStep
from tests.unit.marl.cloud.helpers import knob_row, small_cloud

QUIET = WeatherStep(
    work=torch.zeros(1, 3, 5),
    load=torch.tensor([[100.0, 3000.0, 3.0, 10.0]]),
    stored_gib=torch.tensor([6000.0]),
    due=torch.zeros(1, 2),
    due_now=torch.zeros(1, 2),
    spot_ratio=torch.tensor([0.4]),
    preemption=torch.zeros(1, 12),
    spot_open=torch.ones(1, 3),
    preemption_draw=torch.tensor([0.5]),
    delay=torch.tensor([[1.0, 1.0, 1.0, 1.0, 3.0, 3.0]]),
    failover=torch.tensor([0.0]),
    is_new_hour=False,
)


@pytest.fixture
def cloud():
    return small_cloud()


def run(state, knobs, weather, cloud):
    now = provision(state, knobs, weather, cloud.params)
    after = dataclasses.replace(state, pools=now.pools, pending=now.pending, spot=now.spot)
    return now, after


def test_the_first_state_runs_at_60_percent(cloud):
    state = initial_state(QUIET, cloud)
    # 100/.6 vCPU in VMs of 4; 6000·1.2 GiB (more than 3000/.6 IOPS need); 5 Gbps in proxies of
    # .15; 16.7 database vCPU in steps of 2.
    assert state.pools.tolist() == [[42.0, 0.0, 720.0, 34.0, 9.0, 0.0]]


def test_the_rule_is_load_over_target_within_floor_and_quota(cloud):
    loads = torch.tensor([[[100.0] * 12, [3000.0] * 12, [3.0] * 12, [10.0] * 12]])

    def wanted(**knobs):
        return recommended_load(loads, knob_row(**knobs), cloud.params)[0].tolist()

    assert wanted(target_utilisation=0.5) == pytest.approx([200.0, 6000.0, 6.0, 20.0])
    # The floor is a share of the reference peak (200, 6000, 8, 30).
    assert wanted(target_utilisation=0.95, floor_share=1.5) == pytest.approx([300, 9000, 12, 45])
    tight = small_cloud(quota_share=0.5)
    held = recommended_load(loads, knob_row(target_utilisation=0.3), tight.params)
    assert held[0].tolist() == pytest.approx([100.0, 3000.0, 4.0, 15.0])


def test_scale_in_waits_for_the_window(cloud):
    loads = torch.zeros(1, 4, 12)
    loads[:, :, 3] = 70.0  # four measurements ago: within 20 minutes, not within 15
    wide = recommended_load(loads, knob_row(scale_in_window=20.0), cloud.params)[0]
    narrow = recommended_load(loads, knob_row(scale_in_window=15.0), cloud.params)[0]
    assert wide[0] == pytest.approx(100.0)
    assert narrow[0] == 0.0
    assert wide[1] == 0.0  # disks have no window


def test_no_capacity_before_its_delay(cloud):
    state = initial_state(QUIET, cloud)
    knobs = knob_row(floor_share=1.5, spot_share=0.0, read_replicas=0.0, free_space_share=0.2)
    before = state.pools.clone()
    now, state = run(state, knobs, QUIET, cloud)
    assert now.pools.tolist() == before.tolist()
    assert now.changes.tolist() == [4.0]
    now, state = run(state, knobs, QUIET, cloud)
    # 300 vCPU in VMs of 4; 9000 IOPS at .75 a GiB; 12 Gbps; the database still has its 9 steps.
    assert now.pools.tolist() == [[75.0, 0.0, 1200.0, 80.0, 9.0, 0.0]]
    assert now.changes.tolist() == [0.0]
    now, state = run(state, knobs, QUIET, cloud)
    assert now.pools[0, 4] == 9.0
    now, state = run(state, knobs, QUIET, cloud)
    assert now.pools[0, 4] == 23.0  # 45 vCPU in steps of 2, after three steps
    assert now.is_restarting.tolist() == [1.0]


def test_one_cloud_sql_operation_at_a_time(cloud):
    state = initial_state(QUIET, cloud)
    _, state = run(state, knob_row(database__floor_share=1.0), QUIET, cloud)
    ordered = state.pending[0, 4].sum()
    assert ordered > 0
    _, state = run(state, knob_row(database__floor_share=1.5), QUIET, cloud)
    assert state.pending[0, 4].sum() == ordered


def test_on_demand_vms_stay_until_spot_vms_serve(cloud):
    state = initial_state(QUIET, cloud)
    knobs = knob_row(spot_share=0.5, compute__target_utilisation=0.6)
    now, state = run(state, knobs, QUIET, cloud)
    assert now.pools[0, :2].tolist() == [42.0, 0.0]
    now, state = run(state, knobs, QUIET, cloud)
    assert now.pools[0, :2].tolist() == [21.0, 21.0]


def test_a_zone_without_spot_capacity_refuses_its_part(cloud):
    state = initial_state(QUIET, cloud)
    shut = dataclasses.replace(QUIET, spot_open=torch.tensor([[1.0, 0.0, 1.0]]))
    knobs = knob_row(spot_share=0.5, compute__target_utilisation=0.6)
    _, state = run(state, knobs, QUIET, cloud)
    now, _ = run(state, knobs, shut, cloud)
    assert now.pools[0, 1] == 14.0  # of 21, seven for the shut zone
    assert now.spot.view(3, 4)[:, 0].tolist() == [7.0, 0.0, 7.0]
    assert now.pools[0, 0] == 28.0  # the on-demand VMs stay for those that did not come


def test_disks_never_shrink(cloud):
    state = initial_state(QUIET, cloud)
    lean = dataclasses.replace(QUIET, stored_gib=torch.tensor([100.0]))
    state = dataclasses.replace(state, stored_gib=torch.tensor([100.0]), loads=state.loads * 0)
    for _ in range(5):
        now, state = run(state, knob_row(), lean, cloud)
    assert now.pools[0, 2] == 720.0
    assert now.pools[0, 0] == 1.0


def test_an_hour_ages_spot_vms(cloud):
    state = initial_state(QUIET, cloud)
    spot = torch.zeros(1, 12)
    spot[0, :4] = torch.tensor([5.0, 3.0, 2.0, 1.0])
    state = dataclasses.replace(
        state, spot=spot, pools=torch.tensor([[42.0, 11.0, 720.0, 34.0, 9.0, 0.0]])
    )
    hour = dataclasses.replace(QUIET, is_new_hour=True)
    knobs = knob_row(spot_share=0.2, compute__target_utilisation=0.45)  # 45 + 11 VMs wanted
    now, _ = run(state, knobs, hour, cloud)
    assert now.spot[0, :4].tolist() == [0.0, 5.0, 3.0, 3.0]


def test_take_removes_evenly_and_exactly():
    counts = torch.tensor([[4.0, 0.0, 8.0, 4.0]])
    assert take(counts, torch.tensor([4.0])).tolist() == [[1.0, 0.0, 2.0, 1.0]]
    rng = np.random.default_rng(0)
    counts = torch.from_numpy(rng.integers(0, 40, (500, 12)).astype(np.float32))
    total = (counts.sum(1) * torch.from_numpy(rng.random(500, np.float32))).floor()
    taken = take(counts, total)
    assert torch.equal(taken.sum(1), total)
    assert (taken >= 0).all()
    assert (taken <= counts).all()


def test_preemption_has_the_stated_mean():
    counts = torch.tensor([[10.0, 3.0, 40.0]]).expand(4001, -1)
    probability = torch.tensor([[0.3, 0.05, 0.9]]).expand(4001, -1)
    draws = (torch.arange(4001) + 0.5) / 4001
    lost = preempt(counts, probability, draws)
    assert lost.mean(0).tolist() == pytest.approx([3.0, 0.15, 36.0], rel=2e-3)
    assert (lost <= counts).all()
    assert (lost == lost.round()).all()


def test_capacity_of_each_service(cloud):
    state = initial_state(QUIET, cloud)
    now, _ = run(state, knob_row(), QUIET, cloud)
    pools = torch.tensor([[10.0, 5.0, 100.0, 20.0, 8.0, 1.0]])
    now = dataclasses.replace(now, pools=pools, is_restarting=torch.zeros(1))
    vcpu, iops, gbps, database = capacity(now, QUIET, torch.tensor([2000.0]), cloud.params)[
        0
    ].tolist()
    assert vcpu == 60.0
    assert iops == pytest.approx(1000 * 0.75 * 0.5)  # the disk holds half of the data
    assert gbps == pytest.approx(3.0)
    # Two nodes of 16 vCPU: writes (.2) go to both, reads (.8) to either: 16 / (.2 + .4).
    assert database == pytest.approx(16 / 0.6)
    failing = dataclasses.replace(QUIET, failover=torch.tensor([0.4]))
    with_replica = capacity(now, failing, torch.tensor([900.0]), cloud.params)[0, 3]
    assert with_replica == pytest.approx(16 / 0.6 * (1 - 0.2 * 0.4))  # only writes stop
    alone = dataclasses.replace(now, pools=pools * torch.tensor([1, 1, 1, 1, 1, 0]))
    without = capacity(alone, failing, torch.tensor([900.0]), cloud.params)[0, 3]
    assert without == pytest.approx(16 * 0.6)
