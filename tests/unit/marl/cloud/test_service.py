"""Who is served, what waits, what is lost: hand-worked numbers.

The quiet weather's web work is 40 vCPU, 1200 IOPS, 1.2 Gbps, 4 database vCPU and 120 GiB; batch is
as much without requests, ML half of it.
"""

import pytest
import torch

from marl.cloud.rounding import EXACT
from marl.cloud.service import offer, serve
from tests.unit.marl.cloud.helpers import quiet_weather, small_cloud

PLENTY = {"vcpu": 1e4, "iops": 1e6, "gbps": 1e3, "db": 1e3, "gib": 1e5}


def one(value):
    return torch.tensor([float(value)])


def asked(cloud, weather=None, retries=0.0, cdn=0.0, redis_gib=0.0, gpus=0.0, backlog=None):
    backlog = torch.zeros(3, 6, 1) if backlog is None else backlog
    return offer(
        backlog,
        one(retries),
        one(cdn),
        one(redis_gib),
        one(gpus),
        weather or quiet_weather(),
        cloud.params,
    )


def served(cloud, offered=None, weather=None, before=(0.0, 0.0), gpu_vcpu=0.0, **capacity):
    weather = weather or quiet_weather()
    carries = torch.tensor([list((PLENTY | capacity).values())]).t()
    return serve(
        offered or asked(cloud, weather),
        torch.tensor([before]).t(),
        carries,
        one(gpu_vcpu),
        weather,
        EXACT,
        cloud.params,
    )


@pytest.fixture
def cloud():
    return small_cloud()


# Caches.


def test_the_cdn_answers_its_share_of_cacheable_requests(cloud):
    got = asked(cloud, cdn=0.5)  # of .4 that can be cached
    assert got.work[0, :, 0].tolist() == pytest.approx([32.0, 960.0, 0.96, 3.2, 96.0, 1600.0])
    assert got.work[1, 0].item() == pytest.approx(40.0)
    assert float(got.hits_per_s) == pytest.approx(400.0)
    assert float(got.hits_vcpu) == pytest.approx(8.0)
    assert (float(got.asked_gbps), float(got.hits_gbps)) == pytest.approx((1.2, 0.24))
    # The autoscalers see what reaches the backends.
    assert got.load[:, 0].tolist() == pytest.approx([92.0, 2760.0, 2.76, 9.2, 276.0])


def test_redis_answers_reads_of_every_class(cloud):
    assert cloud.params.hot_gib == pytest.approx(22.5)
    full = asked(cloud, redis_gib=22.5)
    assert float(full.redis_hit) == pytest.approx(0.9, abs=1e-4)
    # .8 of the queries are reads: .28 of all are left.
    assert full.work[:, 3, 0].tolist() == pytest.approx([1.12, 1.12, 0.56], rel=1e-3)
    assert full.work[0, 0, 0].item() == pytest.approx(40.0)
    # A quarter of the cache gives half of the hits; more than everything hot gives no more.
    assert float(asked(cloud, redis_gib=22.5 / 4).redis_hit) == pytest.approx(0.45, abs=0.005)
    assert float(asked(cloud, redis_gib=99.0).redis_hit) == float(full.redis_hit)
    assert float(asked(cloud, redis_gib=0.0).redis_hit) == pytest.approx(0.0, abs=1e-6)


# Loss and retries.


def test_what_would_wait_longer_than_the_time_out_is_lost_and_part_comes_again(cloud):
    got = served(cloud, vcpu=20.0)
    assert float(got.web_share) == pytest.approx(0.5)
    # In 30 s of 300 a tenth of the step's service can be done: .05 waits, .45 is lost.
    assert (float(got.kept), float(got.lost_share)) == pytest.approx((0.05, 0.45))
    assert float(got.retries) == pytest.approx(0.5 * 0.45 * 2000)
    assert got.backlog[0, :, 0].tolist() == pytest.approx([2.0, 60.0, 0.06, 0.2, 6.0, 100.0])
    # They come again as requests like the others.
    again = asked(cloud, retries=450.0)
    assert again.work[0, :, 0].tolist() == pytest.approx(
        [v * 1.225 for v in (40.0, 1200.0, 1.2, 4.0, 120.0, 2000.0)]
    )
    assert again.work[1, 0].item() == pytest.approx(40.0)


def test_no_retries_where_the_share_is_0():
    assert float(served(small_cloud(retry_share=0.0), vcpu=20.0).retries) == 0.0


def test_a_web_without_requests_is_not_multiplied(cloud):
    silent = quiet_weather(work=torch.zeros(3, 6, 1))
    got = asked(cloud, silent, retries=100.0)
    assert got.work.sum() == 0
    assert torch.isfinite(served(cloud, got, silent).utilisation).all()


# Order.


def test_web_first_then_what_is_due_then_the_rest(cloud):
    weather = quiet_weather(due=torch.tensor([[10.0], [0.0]]), due_now=torch.tensor([[10.0], [0]]))
    got = served(cloud, weather=weather, vcpu=70.0)
    # 40 web, 10 batch that is due, and 20 of the other 50: 12 batch, 8 ML.
    assert got.backlog[:, 0, 0].tolist() == pytest.approx([0.0, 18.0, 12.0])
    assert got.served[:, 0].tolist() == pytest.approx([22.0, 8.0])
    assert got.late.sum() == 0
    # 5 vCPU beside the web: half of what is due, nothing else.
    short = served(cloud, weather=weather, vcpu=45.0)
    assert short.backlog[:, 0, 0].tolist() == pytest.approx([0.0, 35.0, 20.0])
    assert short.late[:, 0].tolist() == pytest.approx([5.0, 0.0])
    assert float(short.web_share) == 1.0


def test_due_work_that_is_done_is_not_urgent(cloud):
    weather = quiet_weather(due=torch.tensor([[10.0], [0.0]]))
    got = served(cloud, weather=weather, before=(10.0, 0.0), vcpu=70.0)
    # 30 for 60 of batch and ML alike.
    assert got.backlog[:, 0, 0].tolist() == pytest.approx([0.0, 20.0, 10.0])


def test_overdue_work_is_late_once_in_the_step_it_fell_due(cloud):
    weather = quiet_weather(due=torch.tensor([[50.0], [0.0]]), due_now=torch.tensor([[8.0], [0]]))
    got = served(cloud, weather=weather, vcpu=41.0)
    assert got.late[:, 0].tolist() == pytest.approx([8.0, 0.0])


@pytest.mark.parametrize(
    ("scarce", "amount"), [("iops", 600.0), ("gbps", 0.6), ("db", 3.2), ("gib", 60.0)]
)
def test_the_narrowest_resource_decides(cloud, scarce, amount):
    got = served(cloud, **{scarce: amount})
    share = {"db": 3.2 / 4}.get(scarce, 0.5)
    assert float(got.web_share) == pytest.approx(share)
    row = list(PLENTY).index(scarce)
    assert float(got.utilisation[row]) == pytest.approx(1.0)
    assert float(got.shortage[row]) == pytest.approx(1 - share)
    assert float(got.gap) == pytest.approx(1 - share)
    # Nothing is left of it for the others.
    assert got.backlog[1:, 0, 0].tolist() == pytest.approx([40.0, 20.0])


def test_a_starved_database_blocks_compute(cloud):
    got = served(cloud, db=3.2, vcpu=100.0)
    # A quarter too little: half of it more CPU a request.
    assert float(got.blocked) == pytest.approx(0.125)
    assert float(got.rho[3]) == pytest.approx(4 / 3.2)
    assert float(served(cloud, db=0.1).blocked) == pytest.approx(0.5)
    assert float(served(cloud, db=4.0).blocked) == 0.0


def test_gpus_take_their_part_of_ml_work(cloud):
    offered = asked(cloud, gpus=1.0)
    assert float(offered.on_gpu) == pytest.approx(12.0)  # .6 of 20; one GPU replaces 24
    got = served(cloud, offered, gpu_vcpu=24.0, vcpu=88.0)
    assert got.backlog.sum() == pytest.approx(0.0, abs=1e-4)
    assert float(got.used[0]) == pytest.approx(88.0)
    assert float(got.used[1]) == pytest.approx(3000.0)  # disks serve it all the same
    assert float(got.gpu_used) == pytest.approx(0.5)
    assert got.served[:, 0].tolist() == pytest.approx([40.0, 20.0])
    small = small_cloud(gpu_vcpu=5.0)
    assert float(asked(small, gpus=2.0).on_gpu) == pytest.approx(10.0)


def test_background_disturbs_the_web_as_far_as_there_is_room(cloud):
    # 60 vCPU of batch and ML, .8 of them felt; of 80 vCPU only 40 are beside the web's.
    assert float(served(cloud, vcpu=200.0).rho[0]) == pytest.approx((40 + 0.8 * 60) / 200)
    assert float(served(cloud, vcpu=80.0).rho[0]) == pytest.approx((40 + 0.8 * 40) / 80)
    assert float(served(cloud, vcpu=30.0).rho[0]) == pytest.approx(40 / 30)


def test_backlog_joins_what_arrives(cloud):
    backlog = torch.ones(3, 6, 1)
    got = asked(cloud, backlog=backlog)
    assert got.work[1, 0].item() == pytest.approx(41.0)
    assert got.load[0].item() == pytest.approx(100.0)  # arrivals alone
    done = served(cloud, got)
    assert done.served[:, 0].tolist() == pytest.approx([41.0, 21.0])
