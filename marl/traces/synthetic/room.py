"""Who waits: a cell's room is finite, and a job starts when its whole request fits.

Reservations on a five-minute grid, in order of submission: a job takes the first stretch, from its
submission on, where its request fits beside what is reserved already for as long as it runs. Each
tier may fill the cell up to its own share of over-commitment, so that production finds room when
the lower tiers have filled theirs. Which machine a task gets is `machines.Machines.choose`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from marl.traces.synthetic.laws import Array
from marl.traces.synthetic.population import Cell, Jobs

STEP_US: Final = 300_000_000
NEVER: Final = -1
# Most requests over capacity, by tier (chosen): Borg over-commits; production waits last.
LIMITS: Final = (1.0, 1.15, 1.2, 1.4, 1.5)


def admit(jobs: Jobs, cell: Cell, begin_us: int, end_us: int) -> tuple[NDArray[np.int64], Array]:
    """How long each job waits for room.

    Args:
        jobs: in order of submission; those before `begin_us` run already, or not at all.
        cell: capacities.
        begin_us: where the trace begins.
        end_us: where it ends.

    Returns:
        (J,) waits in microseconds, `NEVER` where the trace ends first (and for a job that would
        run already but does not fit); and (S,) the share of the
        cell's CPU that is requested in each five-minute step from `begin_us`.
    """
    steps = max(1, -((begin_us - end_us) // STEP_US))
    cpu, memory = np.zeros(steps), np.zeros(steps)
    waits = np.zeros(len(jobs), dtype=np.int64)
    need_cpu, need_memory = jobs.tasks * jobs.cpu_ncu, jobs.tasks * jobs.memory_nmu
    last_us = jobs.submit_us + (jobs.duration_s * 1e6).astype(np.int64)
    first = np.maximum(0, (jobs.submit_us - begin_us) // STEP_US)
    length = np.maximum(1, (last_us - begin_us) // STEP_US - first + 1)
    for job in range(len(jobs)):
        at, limit = int(first[job]), LIMITS[jobs.tier[job]]
        until = min(steps, at + int(length[job]))
        free_cpu = limit * cell.cpu_ncu - need_cpu[job]
        free_memory = limit * cell.memory_nmu - need_memory[job]
        if cpu[at:until].max() > free_cpu or memory[at:until].max() > free_memory:
            if jobs.submit_us[job] < begin_us:
                waits[job] = NEVER
                continue
            fits = (cpu[at:] <= free_cpu) & (memory[at:] <= free_memory)
            later = _first_run(fits, int(length[job]))
            if later == NEVER:
                waits[job] = NEVER
                continue
            waits[job] = begin_us + (at + later) * STEP_US - jobs.submit_us[job]
            at += later
            until = min(steps, at + int(length[job]))
        cpu[at:until] += need_cpu[job]
        memory[at:until] += need_memory[job]
    return waits, cpu / cell.cpu_ncu


def _first_run(fits: NDArray[np.bool_], length: int) -> int:
    """First position > 0 from which `length` entries (or all to the end) are true; else `NEVER`."""
    blocked = np.flatnonzero(~fits)
    starts = np.concatenate([[-1], blocked]) + 1
    ends = np.concatenate([blocked, [len(fits)]])
    enough = (ends - starts >= length) | ((ends == len(fits)) & (ends > starts))
    enough &= starts > 0
    hits = np.flatnonzero(enough)
    return int(starts[hits[0]]) if len(hits) else NEVER
