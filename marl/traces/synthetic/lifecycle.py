"""Tasks and their attempts: scheduling delays, crash loops, evictions, machines that go away.

Turns admitted jobs into one table of attempts (a task's stays on a machine). Event rows are made of
it in `events`, usage rows in `usage`.
"""

from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from marl.traces.synthetic import figures
from marl.traces.synthetic.laws import Array
from marl.traces.synthetic.machines import Machines
from marl.traces.synthetic.population import FAIL, ML, Jobs
from marl.traces.synthetic.room import NEVER, STEP_US

EVICT: Final = 4
_CRASHING_SHARE: Final = 0.41  # tasks that crash before they run well
_CRASHES_MEDIAN: Final = 4.0
_CRASHES_SPREAD: Final = 1.25
_CRASHES_MOST: Final = 551  # the most resubmissions of one task [2011]
_CRASH_S: Final = 4.0  # mean length beyond two seconds, and mean pause beyond one
_EVICTIONS_PER_H: Final = (0.36, 0.15, 0.06, 0.003, 0.0)  # by tier, in a cell requested in full
_EVICTIONS_MOST: Final = 30
_SHORTER: Final = 0.1  # tasks of a job end up to this share before its longest
_DELAY_MEDIAN: Final = figures.DELAY_S[0][1]
_DELAY_SPREAD: Final = float(np.log(figures.DELAY_S[1][1] / _DELAY_MEDIAN) / ndtri(0.99))
_DELAY_MOST_S: Final = 3600.0
_MOVE_US: Final = 60_000_000  # longest pause when a task must leave its machine


@dataclass
class Attempts:
    """One entry per stay of a task on a machine; arrays of one length, sorted by job and task.

    Attributes:
        job: index into `Jobs`.
        instance: index of the task in its job.
        is_first: the task's first attempt.
        submit_us, start_us, end_us: when it is (re)submitted, placed, over; may be past the end.
        end_event: 2019 code of how it ends.
        machine: index into `Machines`.
    """

    job: NDArray[np.int64]
    instance: NDArray[np.int64]
    is_first: NDArray[np.bool_]
    submit_us: NDArray[np.int64]
    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]
    end_event: NDArray[np.int8]
    machine: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of attempts."""
        return len(self.job)

    def take(self, index: NDArray[np.int64]) -> Self:
        """The attempts at these positions."""
        return type(self)(*(getattr(self, field.name)[index] for field in fields(self)))

    def append(self, other: Self) -> Self:
        """These attempts, then the others."""
        return type(self)(
            *(
                np.concatenate([getattr(self, field.name), getattr(other, field.name)])
                for field in fields(self)
            )
        )


def attempts_of(
    jobs: Jobs,
    waits: NDArray[np.int64],
    load: Array,
    machines: Machines,
    begin_us: int,
    end_us: int,
    rng: np.random.Generator,
) -> Attempts:
    """Every attempt of every task that touches the trace.

    Args:
        jobs: who runs.
        waits: (J,) from `room.admit`.
        load: (S,) from `room.admit`.
        machines: where they run.
        begin_us: where the trace begins.
        end_us: where it ends.
        rng: owned by the caller.

    Returns:
        Attempts submitted before the end and not over before the beginning; a job that never
        finds room has one attempt per task that starts at the trace's end.
    """
    task_job = np.repeat(np.arange(len(jobs)), jobs.tasks)
    instance = _position_in_group(jobs.tasks)
    is_past = jobs.submit_us[task_job] < begin_us
    run_s, start_s = _plan(jobs, waits, task_job, is_past, end_us, rng)
    crashes = _crashes(run_s, is_past, rng)
    evictions = _evictions(jobs, task_job, run_s, load, start_s, begin_us, rng)
    return _cut_by_outages(
        _expand(jobs, task_job, instance, run_s, start_s, crashes, evictions, machines, rng),
        jobs,
        machines,
        begin_us,
        end_us,
        rng,
    )


def _plan(
    jobs: Jobs,
    waits: NDArray[np.int64],
    task_job: NDArray[np.int64],
    is_past: NDArray[np.bool_],
    end_us: int,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Run time and first start of each task, seconds; gangs start and end together."""
    tasks = len(task_job)
    is_gang = (jobs.kind == ML)[task_job]
    shared = rng.standard_normal(len(jobs))[task_job]
    score = np.where(is_gang, shared, 0.8 * shared + 0.6 * rng.standard_normal(tasks))
    delay = np.minimum(_DELAY_MEDIAN * np.exp(_DELAY_SPREAD * score), _DELAY_MOST_S)
    shorter = np.where(is_gang, _SHORTER / 2, _SHORTER * rng.random(tasks))
    run_s = jobs.duration_s[task_job] * (1.0 - shorter) / (1.0 - _SHORTER / 2)
    wait = waits[task_job]
    start = (jobs.submit_us[task_job] + wait) / 1e6 + np.where(is_past, 0.0, delay)
    return run_s, np.where(wait == NEVER, end_us / 1e6, start)


def _crashes(
    run_s: Array, is_past: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.int64]:
    """How often each task crashes and is resubmitted before its long run."""
    many = rng.lognormal(np.log(_CRASHES_MEDIAN), _CRASHES_SPREAD, len(run_s))
    wanted = np.where(rng.random(len(run_s)) < _CRASHING_SHARE, np.ceil(many), 0.0)
    fitting = 0.5 * run_s / (2.0 * _CRASH_S + 3.0)
    crashes = np.minimum(np.minimum(wanted, _CRASHES_MOST), np.floor(fitting))
    return np.where(is_past, 0, crashes).astype(np.int64)


def _evictions(
    jobs: Jobs,
    task_job: NDArray[np.int64],
    run_s: Array,
    load: Array,
    start_s: Array,
    begin_us: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """How often each task is evicted: the rate grows with the square of the cell's load."""
    step = ((start_s * 1e6 - begin_us) // STEP_US).astype(np.int64)
    full = load[np.clip(step, 0, len(load) - 1)]
    rate = np.array(_EVICTIONS_PER_H)[jobs.tier[task_job]] * full**2
    rate = np.where(jobs.is_in_alloc[task_job], 0.0, rate)  # the alloc set holds their place
    return np.minimum(rng.poisson(rate * run_s / 3600.0), _EVICTIONS_MOST)


def _expand(
    jobs: Jobs,
    task_job: NDArray[np.int64],
    instance: NDArray[np.int64],
    run_s: Array,
    start_s: Array,
    crashes: NDArray[np.int64],
    evictions: NDArray[np.int64],
    machines: Machines,
    rng: np.random.Generator,
) -> Attempts:
    """Lay each task's attempts end to end: crashes, then the run cut at its evictions."""
    count = crashes + 1 + evictions
    task = np.repeat(np.arange(len(task_job)), count)
    ordinal = _position_in_group(count)
    is_crash = ordinal < crashes[task]
    is_last = ordinal == count[task] - 1
    crash_s = np.where(is_crash, 2.0 + rng.exponential(_CRASH_S, len(task)), 0.0)
    piece = np.where(
        is_crash, 0.0, np.where(evictions[task] > 0, rng.exponential(1.0, len(task)), 1.0)
    )
    left = run_s - np.bincount(task, crash_s, minlength=len(task_job))
    left = np.maximum(left, 0.3 * run_s) / np.bincount(task, piece, minlength=len(task_job))
    length = crash_s + piece * left[task]
    pause = np.where(is_last, 0.0, 1.0 + rng.exponential(_CRASH_S, len(task)))
    ends = np.cumsum(length + pause)
    before = np.concatenate([[0.0], ends])[np.cumsum(count) - count]
    start = start_s[task] + (ends - length - pause) - before[task]
    start_us = (start * 1e6).astype(np.int64)
    job = task_job[task]
    back_us = np.where(ordinal == 0, 0, (pause_before(pause, ordinal) * 0.9 * 1e6)).astype(np.int64)
    submit_us = np.where(ordinal == 0, jobs.submit_us[job], start_us - back_us)
    in_alloc = jobs.is_in_alloc[task_job]
    home = machines.choose(
        jobs.cpu_ncu[task_job], jobs.memory_nmu[task_job], rng, machines.is_steady
    )
    anywhere = machines.choose(jobs.cpu_ncu[job], jobs.memory_nmu[job], rng)
    return Attempts(
        job=job,
        instance=instance[task],
        is_first=ordinal == 0,
        submit_us=submit_us,
        start_us=start_us,
        end_us=start_us + np.maximum(1, (length * 1e6).astype(np.int64)),
        end_event=np.where(is_crash, FAIL, np.where(is_last, jobs.final_event[job], EVICT)).astype(
            np.int8
        ),
        machine=np.where(in_alloc[task], home[task], anywhere),
    )


def pause_before(pause: Array, ordinal: NDArray[np.int64]) -> Array:
    """The pause that precedes each attempt; 0 before a first one."""
    shifted = np.concatenate([[0.0], pause[:-1]])
    return np.where(ordinal == 0, 0.0, shifted)


def _cut_by_outages(
    attempts: Attempts,
    jobs: Jobs,
    machines: Machines,
    begin_us: int,
    end_us: int,
    rng: np.random.Generator,
) -> Attempts:
    """Evict what runs on a machine that goes away; it goes on, on a machine that stays."""
    seen = (attempts.end_us > begin_us) & (attempts.submit_us < end_us)
    attempts = attempts.take(np.flatnonzero(seen))
    order = np.argsort(attempts.machine, kind="stable")
    edges = np.searchsorted(attempts.machine[order], np.arange(len(machines.machine_id) + 1))
    cut: list[NDArray[np.int64]] = []
    moved: list[NDArray[np.int64]] = []
    when: list[NDArray[np.int64]] = []
    for machine, start, end in zip(
        machines.out_machine, machines.out_start_us, machines.out_end_us, strict=True
    ):
        here = order[edges[machine] : edges[machine + 1]]
        # What is nearly done is let finish while the machine drains.
        running = here[
            (attempts.start_us[here] < start) & (attempts.end_us[here] > start + 2 * _MOVE_US)
        ]
        cut.append(running)
        when.append(np.full(len(running), start))
        moved.append(here[(attempts.start_us[here] >= start) & (attempts.start_us[here] < end)])
    if not cut:
        return attempts
    position, cut_us = np.concatenate(cut), np.concatenate(when)
    # A stay may meet two outages of its machine: the first ends it.
    by_time = np.lexsort((cut_us, position))
    position, keep = np.unique(position[by_time], return_index=True)
    cut_us = cut_us[by_time][keep]
    later = attempts.take(position)
    later.is_first = np.zeros(len(later), dtype=bool)
    later.submit_us = cut_us + 1_000_000
    pause_us = np.minimum(1e6 * rng.exponential(10.0, len(later)), _MOVE_US)
    later.start_us = later.submit_us + pause_us.astype(np.int64)
    later.machine = _steady(later.job, jobs, machines, rng)
    attempts.end_us[position] = cut_us
    attempts.end_event[position] = EVICT
    away = np.concatenate(moved)
    attempts.machine[away] = _steady(attempts.job[away], jobs, machines, rng)
    both = attempts.append(later)
    return both.take(np.lexsort((both.start_us, both.instance, both.job)))


def _steady(
    job: NDArray[np.int64], jobs: Jobs, machines: Machines, rng: np.random.Generator
) -> NDArray[np.int64]:
    return machines.choose(jobs.cpu_ncu[job], jobs.memory_nmu[job], rng, machines.is_steady)


def _position_in_group(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, 2 … within consecutive groups of these sizes."""
    ends = np.cumsum(sizes)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - sizes, sizes)
