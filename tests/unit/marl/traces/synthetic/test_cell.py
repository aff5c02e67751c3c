"""Jobs, machines and room: what bounds them, and waiting against a slow reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.traces.synthetic import figures, machines, population
from marl.traces.synthetic.room import LIMITS, NEVER, STEP_US, admit

CELL = population.Cell(cpu_ncu=66.0, memory_nmu=41.0, jobs_per_hour=120.0)


def jobs(count=20_000, cell=CELL, seed=0):
    return population.draw(np.arange(count, dtype=np.int64), cell, np.random.default_rng(seed), 100)


def test_a_small_cell_is_not_asked_for_more_than_it_can_hold():
    drawn = jobs()
    assert (drawn.tasks * drawn.cpu_ncu).max() <= 0.07 * 66 + drawn.cpu_ncu.max()
    assert (drawn.tasks * drawn.memory_nmu).max() <= 41
    mean_load = drawn.ncu_h().mean() * 120
    assert mean_load < 0.3 * 66


def test_a_small_cell_cuts_the_tail_a_large_one_keeps_it():
    assert CELL.consumption().most < 1000
    assert population.Cell(1e6, 1e6, jobs_per_hour=1.0).consumption().most == 1e5


def test_usage_fits_a_machine():
    drawn = jobs()
    assert (drawn.cpu_ncu * drawn.cpu_ratio <= 0.95 + 1e-9).all()
    assert (drawn.memory_ratio <= 0.98).all()
    assert (drawn.tasks >= 1).all()
    assert (drawn.duration_s >= 1).all()


def test_every_kind_is_there_and_looks_like_itself():
    drawn = jobs(100_000)
    gangs = drawn.kind == population.ML
    assert (drawn.tasks[gangs] >= 8).all() or (drawn.tasks[gangs] >= 8).mean() > 0.99
    web = drawn.kind == population.WEB
    assert (drawn.tier[web] >= 3).all()
    assert (drawn.duration_s[web] > 6 * 3600).all()
    assert (drawn.priority[drawn.kind == population.MONITORING] >= 360).all()
    assert not drawn.is_in_alloc[~web].any()
    for kind in range(4):
        assert (drawn.kind == kind).sum() > 100


def test_machines_are_large_enough_for_what_is_put_on_them():
    park = machines.draw(200, 0, 7 * 86_400_000_000, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    cpu = rng.random(5000) * park.cpu_ncu.max()
    chosen = park.choose(cpu, np.full(5000, 0.01), rng)
    assert (park.cpu_ncu[chosen] >= cpu).all()
    memory = rng.random(5000) * park.memory_nmu.max()
    chosen = park.choose(np.full(5000, 0.01), memory, rng)
    assert (park.memory_nmu[chosen] >= memory).all()
    light = park.choose(np.full(200_000, 1e-3), np.full(200_000, 1e-3), rng)
    share = np.bincount(light, minlength=200) / 200_000
    assert share == pytest.approx(park.cpu_ncu / park.cpu_ncu.sum(), rel=0.25)


def test_the_mix_of_machines_is_the_published_one_even_when_few():
    park = machines.draw(100, 0, 86_400_000_000, np.random.default_rng(5))
    shapes = np.array([(cpu, count) for _, cpu, _, count in figures.MACHINE_SHAPES])
    assert park.cpu_ncu.mean() == pytest.approx(
        np.average(shapes[:, 0], weights=shapes[:, 1]), rel=0.02
    )
    assert len(np.unique(park.machine_id)) == 100


def test_outages_of_a_machine_do_not_overlap():
    park = machines.draw(300, 0, 29 * 86_400_000_000, np.random.default_rng(0))
    assert len(park.out_machine) > 200
    assert not park.is_steady[park.out_machine].any()
    for machine in np.unique(park.out_machine):
        here = park.out_machine == machine
        starts, ends = park.out_start_us[here], park.out_end_us[here]
        assert (starts[1:] > ends[:-1]).all()


def slow_admit(requests, capacity, steps):
    """The definition: at the earliest step, at or after submission, where everything fits."""
    load = np.zeros((2, steps))
    waits = []
    for submit, length, tier, need in requests:
        for start in range(submit, steps):
            stretch = load[:, start : start + length]
            if (
                stretch + np.array(need)[:, None] <= LIMITS[tier] * np.array(capacity)[:, None]
            ).all():
                load[:, start : start + length] += np.array(need)[:, None]
                waits.append(start - submit)
                break
        else:
            waits.append(NEVER)
    return waits


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 19), st.integers(1, 8), st.integers(0, 4), st.integers(1, 12)),
        min_size=1,
        max_size=25,
    )
)
def test_waiting_against_the_slow_reference(raw):
    raw = sorted(raw)
    steps, cell = 20, population.Cell(cpu_ncu=10.0, memory_nmu=16.0)
    drawn = jobs(len(raw))
    drawn.submit_us = np.array([row[0] * STEP_US for row in raw])
    drawn.duration_s = np.array([row[1] * 300.0 - 1 for row in raw])
    drawn.tier = np.array([row[2] for row in raw], dtype=np.int8)
    drawn.tasks = np.ones(len(raw), dtype=np.int64)
    drawn.cpu_ncu = np.array([float(row[3]) for row in raw])
    drawn.memory_nmu = drawn.cpu_ncu.copy()
    waits, load = admit(drawn, cell, 0, steps * STEP_US)
    requests = [(s, n, t, (float(c), float(c))) for s, n, t, c in raw]
    expected = slow_admit(requests, (10.0, 16.0), steps)
    got = [int(w) if w == NEVER else int(w // STEP_US) for w in waits]
    assert got == expected
    assert load.max() <= max(LIMITS)
