"""Event rows of jobs, tasks and alloc sets, in plain arrays, sorted by time.

Event codes are those of the 2019 format. Columns become native tables in `tables`.
"""

from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from marl.traces.schema import SNAPSHOT_US
from marl.traces.synthetic import figures
from marl.traces.synthetic.laws import Array
from marl.traces.synthetic.lifecycle import Attempts
from marl.traces.synthetic.population import BATCH, KILL, ML, Jobs

SUBMIT, QUEUE, ENABLE, SCHEDULE = 0, 1, 2, 3
UPDATE_RUNNING: Final = 10
NO_MACHINE: Final = -1
_DAY_US: Final = 86_400_000_000
_UPDATE_SPREAD: Final = 0.2
_ALLOC_ROOM: Final = 1.2  # an alloc instance asks for somewhat more than the task inside it


@dataclass
class Events:
    """Event rows, one array entry each.

    Attributes:
        time_us: when; 0 in the snapshot.
        code: 2019 event code.
        job: index into `Jobs`.
        instance: task index; unused for collections.
        machine: index into `Machines`, or `NO_MACHINE`.
        is_alloc: about the job's alloc set, not the job itself.
        scale: request over the job's own, NaN where the trace lacks the request.
    """

    time_us: NDArray[np.int64]
    code: NDArray[np.int8]
    job: NDArray[np.int32]
    instance: NDArray[np.int32]
    machine: NDArray[np.int32]
    is_alloc: NDArray[np.bool_]
    scale: NDArray[np.float32]

    def take(self, index: NDArray[np.int64] | slice) -> Self:
        """The rows at these positions."""
        return type(self)(*(getattr(self, field.name)[index] for field in fields(self)))


def instance_events(
    jobs: Jobs, attempts: Attempts, begin_us: int, end_us: int, rng: np.random.Generator
) -> Events:
    """Rows of instance_events within the trace, sorted by time."""
    a = attempts
    runs_already = a.start_us < begin_us
    place = np.where(runs_already, a.machine, NO_MACHINE)  # the snapshot's SUBMIT rows carry one
    pieces: list[Events] = []
    one = np.ones(len(a), dtype=bool)
    alloc = jobs.is_in_alloc[a.job] & a.is_first
    lead_us = 500_000
    pieces.append(_rows(a, alloc, _snapshot(a.submit_us - lead_us, begin_us), SUBMIT, place, True))
    scheduled = _snapshot(np.maximum(a.start_us - lead_us, a.submit_us), begin_us)
    pieces.append(_rows(a, alloc & (a.start_us < end_us), scheduled, SCHEDULE, a.machine, True))
    pieces.append(_rows(a, one, _snapshot(a.submit_us, begin_us), SUBMIT, place))
    held = uses_batch_scheduler(jobs)[a.job] & a.is_first & ~runs_already
    enabled_us = np.maximum(a.submit_us + 2_000, a.start_us - 1_000)
    nowhere = np.full(len(a), NO_MACHINE)
    pieces.append(_rows(a, held, _snapshot(a.submit_us + 1_000, begin_us), QUEUE, nowhere))
    pieces.append(_rows(a, held & (a.start_us < end_us), enabled_us, ENABLE, nowhere))
    # A task may be enabled and placed within the same millisecond, never placed before it.
    start_us = np.where(held, np.maximum(a.start_us, enabled_us), a.start_us)
    pieces.append(_rows(a, a.start_us < end_us, _snapshot(start_us, begin_us), SCHEDULE, a.machine))
    pieces.append(_updates(jobs, a, begin_us, end_us, rng))
    pieces.append(
        _rows(a, a.end_us < end_us, np.maximum(a.end_us, start_us), a.end_event, a.machine)
    )
    pieces.append(_alloc_ends(a, alloc, end_us))
    events = _joined(pieces)
    events = events.take(np.flatnonzero(events.time_us < end_us))
    events = events.take(np.argsort(events.time_us, kind="stable"))
    events.scale[rng.random(len(events.scale)) < figures.NULL_REQUEST_SHARE] = np.nan
    return events


def collection_events(jobs: Jobs, attempts: Attempts, begin_us: int, end_us: int) -> Events:
    """Rows of collection_events within the trace, jobs and alloc sets, sorted by time."""
    starts = np.flatnonzero(np.concatenate([[True], np.diff(attempts.job) != 0]))
    first = attempts.take(starts)
    first.start_us = np.minimum.reduceat(attempts.start_us, starts)
    first.submit_us = jobs.submit_us[first.job]
    first.end_us = np.maximum.reduceat(attempts.end_us, starts)
    first.end_event = jobs.final_event[first.job]
    one = np.ones(len(first), dtype=bool)
    in_alloc = jobs.is_in_alloc[first.job]
    nowhere = np.full(len(first), NO_MACHINE)
    held = uses_batch_scheduler(jobs)[first.job] & (first.start_us >= begin_us)
    enabled_us = np.maximum(first.submit_us + 2_000, first.start_us - 1_000)
    start_us = np.where(held, np.maximum(first.start_us, enabled_us), first.start_us)
    runs, ends = first.start_us < end_us, first.end_us < end_us
    alloc_start_us = np.maximum(first.start_us - 500_000, first.submit_us)
    kill = np.full(len(first), KILL)

    def rows(
        mask: NDArray[np.bool_],
        time: NDArray[np.int64],
        code: NDArray[np.integer] | int,
        is_alloc: bool = False,
    ) -> Events:
        return _rows(first, mask, _snapshot(time, begin_us), code, nowhere, is_alloc)

    events = _joined(
        [
            rows(in_alloc, first.submit_us - 500_000, SUBMIT, True),
            rows(in_alloc & runs, alloc_start_us, SCHEDULE, True),
            rows(one, first.submit_us, SUBMIT),
            rows(held, first.submit_us + 1_000, QUEUE),
            rows(held & runs, enabled_us, ENABLE),
            rows(runs, start_us, SCHEDULE),
            rows(ends, np.maximum(first.end_us, start_us), first.end_event),
            rows(in_alloc & ends, first.end_us + 1_000_000, kill, True),
        ]
    )
    events = events.take(np.flatnonzero(events.time_us < end_us))
    return events.take(np.argsort(events.time_us, kind="stable"))


def uses_batch_scheduler(jobs: Jobs) -> NDArray[np.bool_]:
    """Batch and ML jobs below production pass through the batch scheduler's queue."""
    return ((jobs.kind == BATCH) | (jobs.kind == ML)) & (jobs.tier <= 2)


def _rows(
    a: Attempts,
    mask: NDArray[np.bool_],
    time_us: NDArray[np.int64],
    code: NDArray[np.integer] | int,
    machine: NDArray[np.int64],
    is_alloc: bool = False,
) -> Events:
    at = np.flatnonzero(mask)
    codes = np.full(len(at), code, np.int8) if isinstance(code, int) else code[at].astype(np.int8)
    return Events(
        time_us=time_us[at],
        code=codes,
        job=a.job[at].astype(np.int32),
        instance=a.instance[at].astype(np.int32),
        machine=machine[at].astype(np.int32),
        is_alloc=np.full(len(at), is_alloc),
        scale=np.full(len(at), _ALLOC_ROOM if is_alloc else 1.0, dtype=np.float32),
    )


def _updates(
    jobs: Jobs, a: Attempts, begin_us: int, end_us: int, rng: np.random.Generator
) -> Events:
    """Vertically scaled tasks have their request changed once a day while they run."""
    scaled = np.flatnonzero(jobs.scaling[a.job] > 1)
    from_us = np.maximum(a.start_us[scaled], begin_us)
    count = np.maximum(0, (np.minimum(a.end_us[scaled], end_us) - 1 - from_us) // _DAY_US)
    which = np.repeat(np.arange(len(scaled)), count)
    ends = np.cumsum(count)
    day = np.arange(len(which)) - np.repeat(ends - count, count) + 1
    rows = a.take(scaled[which])
    every = np.ones(len(rows), dtype=bool)
    events = _rows(rows, every, from_us[which] + day * _DAY_US, UPDATE_RUNNING, rows.machine)
    events.scale[:] = np.exp(_UPDATE_SPREAD * rng.standard_normal(len(rows)))
    return events


def _alloc_ends(a: Attempts, alloc: NDArray[np.bool_], end_us: int) -> Events:
    """Alloc instances are killed a second after their task's last attempt."""
    at = np.flatnonzero(alloc)
    first = np.flatnonzero(
        np.concatenate([[True], (np.diff(a.job) != 0) | (np.diff(a.instance) != 0)])
    )
    last_end = np.maximum.reduceat(a.end_us, first)
    task = np.searchsorted(first, at, side="right") - 1
    rows = a.take(at)
    end = last_end[task]
    kill = np.full(len(rows), KILL)
    return _rows(rows, end < end_us, end + 1_000_000, kill, rows.machine, True)


def _snapshot(time_us: NDArray[np.int64], begin_us: int) -> NDArray[np.int64]:
    """What happened before the trace is reported at time 0."""
    return np.where(time_us < begin_us, SNAPSHOT_US, time_us)


def _joined(pieces: list[Events]) -> Events:
    return Events(
        *(np.concatenate([getattr(p, field.name) for p in pieces]) for field in fields(Events))
    )


def request_scale(events: Events, jobs: Jobs) -> tuple[Array, Array]:
    """CPU and memory request of each row, NaN where missing; some jobs ask for no CPU at all."""
    return events.scale * jobs.cpu_ncu[events.job], events.scale * jobs.memory_nmu[events.job]
