"""Draws a whole trace and cuts it into parts: the one entrance to this package for sources.

`plan` draws everything but the usage rows (jobs, room, attempts), `Plan.parts` lists the files, and
each is made alone on demand, so that memory stays flat and one lost part can be made again.
Writing under a budget belongs to `marl.traces.sources.embedded`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from marl.traces.manifest import Table, TraceRequest
from marl.traces.synthetic import arrivals, events, lifecycle, machines, population, room, tables
from marl.traces.synthetic.lifecycle import Attempts
from marl.traces.synthetic.population import Jobs
from marl.traces.synthetic.usage import WINDOW_US, Rhythm, count_rows, stretch

BEGIN_US: Final = 600_000_000  # as in the real trace: time 0 is a snapshot, events start here
_DAY_US: Final = 86_400_000_000
_PAST_POOL: Final = 20_000
_ROWS_PER_PART: Final = 600_000
_USAGE_STREAM: Final = 1_000
_MOST_TASKS: Final = 5_000_000  # drawn in memory at once: some 4 GiB
# Bytes a row takes on disk, measured on the default trace; to estimate before anything is made.
_USAGE_ROW_BYTES: Final = 25
_EVENT_ROW_BYTES: Final = 8


@dataclass(frozen=True)
class Part:
    """A file of the trace, not yet made.

    Attributes:
        name: relative path.
        table: canonical table.
        make: makes it.
    """

    name: str
    table: Table
    make: Callable[[], pa.Table]


@dataclass(frozen=True)
class Plan:
    """A trace drawn down to its attempts.

    Attributes:
        jobs, attempts, park: what runs, when and where.
        begin_us, end_us: the trace without its snapshot.
        waits_us: (J,) how long each job waited for room, `room.NEVER` where it never started.
        load: (S,) share of the cell's CPU requested, per five minutes.
        part_us: length of a part.
    """

    request: TraceRequest
    jobs: Jobs
    attempts: Attempts
    park: machines.Machines
    begin_us: int
    end_us: int
    waits_us: np.ndarray
    load: np.ndarray
    part_us: int
    names: tables.Names
    rhythm: Rhythm
    instance_rows: events.Events
    collection_rows: events.Events

    def expected_bytes(self) -> int:
        """About how large the files will be."""
        usage = count_rows(self.attempts, self.begin_us, self.end_us)
        return (
            usage * _USAGE_ROW_BYTES
            + (len(self.instance_rows.code) + len(self.collection_rows.code)) * _EVENT_ROW_BYTES
        )

    def parts(self) -> list[Part]:
        """The files, in the order they are made; those wholly outside the window are left out."""
        found = [
            Part("machine_events/part-00000.parquet", "machines", self._machines),
        ]
        for index in range(-(-self.end_us // self.part_us)):
            if not self._wanted(index):
                continue
            suffix = f"part-{index:05d}.parquet"
            found += [
                Part(f"collection_events/{suffix}", "collections", self._collections(index)),
                Part(f"instance_events/{suffix}", "instances", self._instances(index)),
                Part(f"instance_usage/{suffix}", "usage", self._usage(index)),
            ]
        return found

    def _wanted(self, index: int) -> bool:
        """Part 0 holds the snapshot and always belongs."""
        low, high = index * self.part_us, (index + 1) * self.part_us
        end = self.request.end_us
        return index == 0 or (high > self.request.start_us and (end is None or low < end))

    def _machines(self) -> pa.Table:
        return tables.machine_table(self.park, self.end_us, self.names.seed)

    def _collections(self, index: int) -> Callable[[], pa.Table]:
        return lambda: tables.collection_table(
            self._slice(self.collection_rows, index), self.jobs, self.names
        )

    def _instances(self, index: int) -> Callable[[], pa.Table]:
        return lambda: tables.instance_table(
            self._slice(self.instance_rows, index), self.jobs, self.park, self.names
        )

    def _usage(self, index: int) -> Callable[[], pa.Table]:
        def make() -> pa.Table:
            rows = stretch(
                self.attempts,
                self.jobs,
                self.park,
                self.rhythm,
                max(self.begin_us, index * self.part_us),
                min(self.end_us, (index + 1) * self.part_us),
                _stream(self.request.seed, _USAGE_STREAM + index),
            )
            return tables.usage_table(rows, self.jobs, self.park, self.names)

        return make

    def _slice(self, rows: events.Events, index: int) -> events.Events:
        edges = np.searchsorted(rows.time_us, [index * self.part_us, (index + 1) * self.part_us])
        return rows.take(slice(int(edges[0]), int(edges[1])))


def plan(request: TraceRequest) -> Plan:
    """Draw the trace `request` sizes; the same request gives the same trace.

    Args:
        request: `embedded_days`, `embedded_jobs_per_hour`, `embedded_machines` and `seed` decide
            what is drawn, the window only which parts are made.

    Returns:
        The trace, down to its attempts.

    Raises:
        ValueError: the trace is so small that it has no job, or too large to draw in memory.
    """
    _refuse_beyond_memory(request, request.embedded_jobs_per_hour * 24 * request.embedded_days)
    rngs = [_stream(request.seed, index) for index in range(7)]
    begin_us = BEGIN_US
    steps = max(1, round(request.embedded_days * arrivals.STEPS_PER_DAY))
    end_us = begin_us + steps * WINDOW_US
    park = machines.draw(request.embedded_machines, begin_us, end_us, rngs[0])
    cell = park.cell(request.embedded_jobs_per_hour)
    users = population.users_of(request.embedded_jobs_per_hour, request.embedded_days)
    times = arrivals.times_us(
        request.embedded_jobs_per_hour, request.embedded_days, begin_us, rngs[1]
    )
    new = population.draw(times, cell, rngs[2], users)
    jobs = _past(request, cell, begin_us, rngs[3], users).append(new)
    _refuse_beyond_memory(request, float(jobs.tasks.sum()))
    waits, load = room.admit(jobs, cell, begin_us, end_us)
    real = np.flatnonzero((waits != room.NEVER) | (jobs.submit_us >= begin_us))
    jobs, waits = jobs.take(real), waits[real]
    if len(jobs) == 0:
        raise ValueError(
            f"no job falls into {request.embedded_days:g} days at "
            f"{request.embedded_jobs_per_hour:g} jobs an hour: raise one of them"
        )
    attempts = lifecycle.attempts_of(jobs, waits, load, park, begin_us, end_us, rngs[4])
    per_window = max(1.0, count_rows(attempts, begin_us, end_us) / steps)
    windows = int(np.clip(_ROWS_PER_PART / per_window, 1, _DAY_US // WINDOW_US))
    return Plan(
        request=request,
        jobs=jobs,
        attempts=attempts,
        park=park,
        begin_us=begin_us,
        end_us=end_us,
        waits_us=waits,
        load=load,
        part_us=windows * WINDOW_US,
        names=tables.Names(jobs, request.seed, rngs[5]),
        rhythm=Rhythm.draw(jobs, rngs[6]),
        instance_rows=events.instance_events(jobs, attempts, begin_us, end_us, rngs[4]),
        collection_rows=events.collection_events(jobs, attempts, begin_us, end_us),
    )


def _refuse_beyond_memory(request: TraceRequest, tasks: float) -> None:
    if tasks > _MOST_TASKS:
        raise ValueError(
            f"{request.embedded_days:g} days at {request.embedded_jobs_per_hour:g} jobs an hour "
            f"have {tasks:,.0f} tasks or more, at most {_MOST_TASKS:,} can be drawn: lower one"
        )


def _past(
    request: TraceRequest,
    cell: population.Cell,
    begin_us: int,
    rng: np.random.Generator,
    users: int,
) -> Jobs:
    """Jobs that already run when the trace begins, in order of submission.

    A stationary cell holds rate × mean duration of them; a job is met with a probability in
    proportion to its duration, at a point uniform within it.
    """
    pool = population.draw(np.zeros(_PAST_POOL, dtype=np.int64), cell, rng, users)
    rate_s = request.embedded_jobs_per_hour / 3600.0
    count = int(rng.poisson(rate_s * pool.duration_s.mean()))
    chosen = rng.choice(len(pool), size=count, p=pool.duration_s / pool.duration_s.sum())
    jobs = pool.take(np.sort(chosen))
    age_us = (rng.random(count) * jobs.duration_s * 1e6).astype(np.int64)
    jobs.submit_us = begin_us - 1 - age_us
    return jobs.take(np.argsort(jobs.submit_us, kind="stable"))


def _stream(seed: int, index: int) -> np.random.Generator:
    """An independent random stream; negative seeds are as good as any."""
    return np.random.default_rng(np.random.SeedSequence(seed % 2**64, spawn_key=(index,)))
