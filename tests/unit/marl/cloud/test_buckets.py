"""The lifecycle rule against a simulation of objects that grow old one by one."""

import numpy as np
import pytest
import torch

from marl.cloud.buckets import LATER, move
from tests.unit.marl.cloud.helpers import knob_column, small_cloud

STORED = torch.tensor([10_000.0])
OBJECTS = 6000.0  # GiB: .6 of them in buckets


def settled(params, after_days, steps=400):
    """Where objects lie when the rule has long been at work."""
    colder, knobs = torch.zeros(3, 1), knob_column(nearline_after=after_days)
    for _ in range(steps):
        objects = move(colder, knobs, STORED, params)
        colder = objects.colder
    return objects


@pytest.mark.parametrize("after_days", [7.0, 30.0, 90.0])
def test_shares_of_data_and_reads_are_those_of_ageing_objects(after_days):
    params = small_cloud(lifecycle_days=0.05).params
    objects = settled(params, after_days)
    # Objects of equal size are created evenly and deleted at random with mean life 60 days, so
    # their ages are exponential; what is read has mean age 15 days.
    rng = np.random.default_rng(0)
    age = rng.exponential(60.0, 200_000)
    weight = np.exp(-age / 15.0 + age / 60.0)  # density of reads over density of data
    edges = [0.0, *(after_days * times for times in LATER), np.inf]
    for i in range(4):
        here = (edges[i] <= age) & (age < edges[i + 1])
        assert float(objects.gib[i]) / OBJECTS == pytest.approx(here.mean(), abs=0.005)
        reads = float(objects.read_gib[i] / objects.read_gib.sum())
        assert reads == pytest.approx(weight[here].sum() / weight.sum(), abs=0.01)
    assert float(objects.gib.sum()) == pytest.approx(OBJECTS)
    # .05 of the bytes a day.
    assert float(objects.read_gib.sum()) * 288 == pytest.approx(0.05 * OBJECTS, rel=1e-4)


def test_one_step_by_hand():
    params = small_cloud().params  # the rule needs a day: 288 steps
    objects = move(torch.zeros(3, 1), knob_column(nearline_after=30.0), STORED, params)
    older = np.exp([-30 / 60, -90 / 60, -300 / 60])
    assert objects.colder[:, 0].tolist() == pytest.approx(older / 288, rel=1e-5)
    assert objects.moved_gib[:, 0].tolist() == pytest.approx(older / 288 * OBJECTS, rel=1e-5)
    shares = [1 - older[0] / 288, (older[0] - older[1]) / 288, (older[1] - older[2]) / 288]
    assert objects.gib[:3, 0].tolist() == pytest.approx(np.array(shares) * OBJECTS, rel=1e-4)


def test_objects_never_come_back_to_a_warmer_class():
    params = small_cloud(lifecycle_days=0.05).params
    before = settled(params, 7.0)
    after = move(before.colder, knob_column(nearline_after=180.0), STORED, params)
    assert torch.equal(after.colder, before.colder)
    assert after.moved_gib.sum() == 0


def test_each_class_is_colder_than_the_one_before():
    params = small_cloud().params
    colder = torch.zeros(3, 1)
    for days in (180.0, 7.0, 90.0, 7.0, 30.0):
        for _ in range(50):
            objects = move(colder, knob_column(nearline_after=days), STORED, params)
            assert (objects.gib >= 0).all()
            assert (objects.moved_gib >= 0).all()
            assert (objects.read_gib >= 0).all()
            colder = objects.colder
    assert colder[0] > colder[1] > colder[2] > 0
