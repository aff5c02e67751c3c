"""Random happenings: as often and as long as the configuration says, from the first step on."""

import numpy as np
import pytest
import torch

from marl.cloud.events import chain_count, chains, happenings
from tests.unit.marl.cloud.helpers import small_cloud

STEPS, CLOUDS = 300, 400
DAY_US = 86_400_000_000


def drawn(seed=0, steps=STEPS, clouds=CLOUDS, **overrides):
    params = small_cloud(**overrides).params
    rng = torch.Generator().manual_seed(seed)
    uniform = torch.rand((steps, chain_count(params.config.zones), clouds), generator=rng)
    normal = torch.randn((steps + 1, clouds), generator=rng)
    start = torch.rand((clouds,), generator=rng)
    clock = np.arange(clouds)[:, None] * 3_600_000_000 + np.arange(steps + 1) * 300_000_000
    return happenings(uniform, normal, start, clock, params)


def spells(states):
    """Mean length in steps of the 1s in (T, n): time in them over how often they begin."""
    begins = (states[1:] == 1) & (states[:-1] == 0)
    return float(states[1:].sum() / begins.sum())


def test_chains_by_hand():
    uniform = torch.tensor([0.9, 0.05, 0.5, 0.05, 0.95])[:, None, None]
    states = chains(uniform, torch.tensor([0.1]), torch.tensor([0.3]))
    # Stationary share .25: off; on at .05 < .1; stays at .5 ≥ .3; ends at .05; stays off.
    assert states.flatten().tolist() == [0, 1, 1, 0, 0]


def test_chains_begin_as_they_go_on():
    uniform = torch.rand((200, 1, 4000), generator=torch.Generator().manual_seed(1))
    states = chains(uniform, torch.tensor([0.02]), torch.tensor([0.06]))
    share = states.mean((1, 2))
    assert float(share[0]) == pytest.approx(0.25, abs=0.02)
    assert float(share[-1]) == pytest.approx(0.25, abs=0.02)
    assert float(share.mean()) == pytest.approx(0.25, abs=0.01)
    assert spells(states[:, 0]) == pytest.approx(1 / 0.06, rel=0.05)
    # What never begins is never there, whatever the draw.
    assert chains(uniform, torch.tensor([0.0]), torch.tensor([0.5])).sum() == 0


@pytest.mark.parametrize(
    ("name", "overrides", "share", "hours"),
    [
        ("is_shocked", {"spot_shock_time_share": 0.1, "spot_shock_hours": 1.5}, 0.1, 1.5),
        ("is_sold_out", {"stock_out_time_share": 0.2, "stock_out_hours": 0.5}, 0.2, 0.5),
        # Three a day of two hours on average: the time without one is a third of 24 h.
        ("is_up", {"zone_outage_per_day": 3.0, "zone_outage_hours": 2.0}, 2 / 10, 2.0),
    ],
)
def test_they_are_as_frequent_and_as_long_as_said(name, overrides, share, hours):
    states = getattr(drawn(**overrides), name)
    states = (1 - states if name == "is_up" else states).flatten(1)
    assert float(states.mean()) == pytest.approx(share, rel=0.1)
    assert spells(states) / 12 == pytest.approx(hours, rel=0.1)


def test_a_quota_cut_leaves_its_share_and_a_slow_disk_its_speed():
    events = drawn(
        quota_cut_per_day=6.0,
        quota_cut_hours=2.0,
        quota_cut_share=0.3,
        disk_slow_per_day=4.0,
        disk_slow_hours=1.5,
        disk_slow_factor=5.0,
    )
    assert events.quota.unique().tolist() == pytest.approx([0.3, 1.0])
    assert events.disk_speed.unique().tolist() == pytest.approx([0.2, 1.0])
    cut, slow = (events.quota < 1).float(), (events.disk_speed < 1).float()
    assert float(cut.mean()) == pytest.approx(2 / (4 + 2), rel=0.1)
    assert spells(cut) / 12 == pytest.approx(2.0, rel=0.1)
    assert float(slow.mean()) == pytest.approx(1.5 / (6 + 1.5), rel=0.1)


def test_nothing_happens_where_all_rates_are_0():
    events = drawn(
        stock_out_time_share=0.0,
        zone_outage_per_day=0.0,
        quota_cut_per_day=0.0,
        disk_slow_per_day=0.0,
        price_shock_per_day=0.0,
    )
    assert events.is_sold_out.sum() == 0
    assert (events.is_up == 1).all()
    assert (events.quota == 1).all()
    assert (events.disk_speed == 1).all()


def test_spot_prices_stay_in_the_measured_range_and_change_at_midnight():
    events = drawn(spot_price_sigma_per_day=0.5, price_shock_per_day=0.0)
    ratio = events.spot_ratio
    assert ratio.shape == (STEPS + 1, 4, CLOUDS)
    assert ratio[:, 0].min() >= 0.225 - 1e-5
    assert ratio[:, 0].max() <= 0.4743
    changes = (ratio[:, 0].diff(dim=0).abs() > 1e-7).nonzero()
    # Cloud i begins at i o'clock: its midnight is the step (24 - i % 24) · 12.
    assert len(changes) >= CLOUDS
    for step, cloud in changes.tolist():
        assert (step + 1 + cloud % 24 * 12) % 288 == 0
    # Kinds without a range of their own keep their ratio.
    assert torch.unique(ratio[:, 2]).tolist() == pytest.approx([0.43225], abs=1e-4)


def test_a_price_shock_raises_all_ratios_at_most_to_on_demand():
    shocks = {"price_shock_per_day": 3.0, "price_shock_hours": 4.0}
    plain = drawn(price_shock_per_day=0.0).spot_ratio
    raised = drawn(price_shock_factor=1.8, **shocks).spot_ratio
    factor = raised / plain
    assert ((factor - 1).abs() < 1e-5).logical_or((factor - 1.8).abs() < 1e-5)[:, :3].all()
    assert float((factor[:, 0] > 1.5).float().mean()) == pytest.approx(4 / (8 + 4), rel=0.15)
    assert torch.equal(drawn(price_shock_factor=9.0, **shocks).spot_ratio.max(), torch.tensor(1.0))
    # The same for all kinds at once.
    assert torch.equal(factor[:, 0] > 1.5, factor[:, 1] > 1.5)
