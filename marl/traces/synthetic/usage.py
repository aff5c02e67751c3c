"""Usage rows: five-minute windows of every attempt, drawn stretch by stretch.

Services follow the time of day and of week, other jobs drift slowly; on top, lognormal noise per
window. Each stretch has a random stream of its own, so any stretch can be made again alone.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from marl.traces.synthetic import figures
from marl.traces.synthetic.arrivals import PEAK_HOUR
from marl.traces.synthetic.lifecycle import Attempts
from marl.traces.synthetic.machines import Machines
from marl.traces.synthetic.population import ML, WEB, Jobs

WINDOW_US: Final = 300_000_000
SECOND_US: Final = 1_000_000
HISTOGRAM_SCORES: Final = (-3.0, -1.28, -0.84, -0.52, -0.25, 0.0, 0.25, 0.52, 0.84, 1.28, 3.0)
_NOISE: Final = 0.35
_DAY_H: Final = 24.0
_WEEKEND: Final = 0.85  # use of web services on days 3 and 4: the trace begins on a Wednesday
_PEAK_TO_MEAN: Final = (np.log(4.1), 0.65)  # maximum over mean CPU: median and log spread [2019]
_MOST_CPU_NCU: Final = 1.27  # the largest maximum seen in [2019]
_SHORT_S: Final = 10.0  # shorter windows are seldom measured
_SHORT_SHARE: Final = 0.2

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Rhythm:
    """How each job's CPU use moves over time: 1 + amplitude × cos(2π (hours − phase) / period).

    Attributes:
        amplitude, phase_h, period_h: (J,) of the wave.
        has_weekend: (J,) whether use falls at the weekend.
        cycles_per_instruction: (J,) level of the job.
    """

    amplitude: Floats
    phase_h: Floats
    period_h: Floats
    has_weekend: NDArray[np.bool_]
    cycles_per_instruction: Floats

    @classmethod
    def draw(cls, jobs: Jobs, rng: np.random.Generator) -> "Rhythm":
        """Daily waves for web services, slower or faster drifts for the rest, hardly any for ML."""
        count = len(jobs)
        is_web = jobs.kind == WEB
        calm = np.where(jobs.kind == ML, 0.05, 0.2)
        amplitude = np.where(is_web, rng.uniform(0.25, 0.6, count), calm)
        phase = np.where(is_web, PEAK_HOUR + rng.normal(0.0, 1.0, count), rng.uniform(0, 24, count))
        period = np.where(is_web, _DAY_H, rng.uniform(2.0, 12.0, count))
        return cls(
            amplitude.astype(np.float32),
            phase.astype(np.float32),
            period.astype(np.float32),
            is_web,
            rng.lognormal(np.log(2.06), 0.45, count).astype(np.float32),
        )


def count_rows(attempts: Attempts, begin_us: int, end_us: int) -> int:
    """How many rows the whole trace has, as an upper bound (short windows are thinned out)."""
    start, end = _whole_seconds(attempts, begin_us, end_us)
    windows = (end - 1) // WINDOW_US - start // WINDOW_US + 1
    return int(windows[end > start].sum())


def stretch(
    attempts: Attempts,
    jobs: Jobs,
    machines: Machines,
    rhythm: Rhythm,
    begin_us: int,
    end_us: int,
    rng: np.random.Generator,
) -> dict[str, NDArray[np.generic]]:
    """Usage rows of [begin, end), both multiples of five minutes; sorted by job, task, time.

    Returns:
        Columns by the names of the native table, nested ones flat (`average_cpus` …); `job`,
        `instance` and `machine` are indices; NaN is null.
    """
    start, end = _whole_seconds(attempts, begin_us, end_us)
    alive = np.flatnonzero(end > start)
    start, end = start[alive], end[alive]
    first = start // WINDOW_US
    count = (end - 1) // WINDOW_US - first + 1
    row = np.repeat(np.arange(len(alive)), count)
    ordinal = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    window = (first[row] + ordinal) * WINDOW_US
    row_start = np.maximum(window, start[row])
    row_end = np.minimum(window + WINDOW_US, end[row])
    is_kept = (row_end - row_start >= _SHORT_S * SECOND_US) | (
        rng.random(len(row), dtype=np.float32) < _SHORT_SHARE
    )
    row, row_start, row_end = row[is_kept], row_start[is_kept], row_end[is_kept]
    attempt = alive[row]
    job = attempts.job[attempt]
    machine = attempts.machine[attempt]
    columns: dict[str, NDArray[np.generic]] = {
        "start_time": row_start,
        "end_time": row_end,
        "job": job,
        "instance": attempts.instance[attempt],
        "machine": machine,
    }
    columns.update(_cpu(jobs, rhythm, job, row_start, rng))
    columns.update(_memory(jobs, job, rng))
    columns.update(_counters(machines, rhythm, job, machine, rng))
    return columns


def _whole_seconds(
    attempts: Attempts, begin_us: int, end_us: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Measured part of each attempt within [begin, end): whole seconds, as in the real trace."""
    start = -(-np.maximum(attempts.start_us, begin_us) // SECOND_US) * SECOND_US
    end = np.minimum(attempts.end_us, end_us) // SECOND_US * SECOND_US
    return start, end


def _cpu(
    jobs: Jobs,
    rhythm: Rhythm,
    job: NDArray[np.int64],
    start_us: NDArray[np.int64],
    rng: np.random.Generator,
) -> dict[str, NDArray[np.generic]]:
    hours = (start_us / 3.6e9).astype(np.float32)
    turn = (hours - rhythm.phase_h[job]) / rhythm.period_h[job]
    shape = 1.0 + rhythm.amplitude[job] * np.cos(np.float32(2 * np.pi) * turn)
    day = (start_us // 86_400_000_000) % 7
    shape *= np.where(rhythm.has_weekend[job] & ((day == 3) | (day == 4)), _WEEKEND, 1.0)
    level = (jobs.cpu_ncu * jobs.cpu_ratio).astype(np.float32)[job] * shape
    mean = level * np.exp(_normal(rng, len(job)) * _NOISE - _NOISE**2 / 2)
    mean = np.minimum(mean, 1.0).astype(np.float32)
    # A lognormal within the window: its spread follows from the maximum over the mean.
    peak = _PEAK_TO_MEAN[0] + _PEAK_TO_MEAN[1] * _normal(rng, len(job))
    peak = np.minimum(peak, np.log(_MOST_CPU_NCU / np.maximum(mean, 1e-6)))
    top = HISTOGRAM_SCORES[-1]
    spread = (top - np.sqrt(top**2 - 2.0 * np.clip(peak, 0.05, 4.4))).astype(np.float32)
    base = mean * np.exp(-(spread**2) / 2)
    histogram = np.empty((len(job), len(HISTOGRAM_SCORES)), dtype=np.float32)
    for place, score in enumerate(HISTOGRAM_SCORES):
        histogram[:, place] = base * np.exp(np.float32(score) * spread)
    is_empty = rng.random(len(job), dtype=np.float32) < figures.EMPTY_HISTOGRAM_SHARE
    return {
        "average_cpus": coarse(mean),
        "maximum_cpus": coarse(histogram[:, -1]),
        "sample_cpus": coarse(base * np.exp(spread * _normal(rng, len(job)).clip(-3, 3))),
        "histogram": coarse(histogram, bits=6),
        "is_histogram_empty": is_empty,
    }


def _memory(
    jobs: Jobs, job: NDArray[np.int64], rng: np.random.Generator
) -> dict[str, NDArray[np.generic]]:
    asked = jobs.memory_nmu.astype(np.float32)[job]
    used = asked * jobs.memory_ratio.astype(np.float32)[job]
    used = used * (1.0 + 0.03 * _normal(rng, len(job)).clip(-3, 3))
    highest = used * (1.0 + 0.1 * rng.standard_exponential(len(job), dtype=np.float32))
    lacks = rng.random(len(job), dtype=np.float32) < figures.NULL_MAXIMUM_MEMORY_SHARE
    cache = asked * np.exp(np.log(0.034) + 1.3 * _normal(rng, len(job)))
    return {
        "average_memory": coarse(used),
        "maximum_memory": np.where(lacks, np.float32(np.nan), coarse(highest)),
        "assigned_memory": coarse(asked),
        "page_cache_memory": coarse(np.minimum(cache, asked), bits=6),
    }


def _counters(
    machines: Machines,
    rhythm: Rhythm,
    job: NDArray[np.int64],
    machine: NDArray[np.int64],
    rng: np.random.Generator,
) -> dict[str, NDArray[np.generic]]:
    """Hardware counters; a machine either has them or not."""
    cycles = rhythm.cycles_per_instruction[job] * np.exp(0.1 * _normal(rng, len(job)))
    accesses = 0.0052 * cycles  # medians .0107 and 2.06 in [2019]
    lacks = ~machines.reports_cpi[machine]
    rate = np.where(rng.random(len(job), dtype=np.float32) < 0.05, 0.9966667, 1.0)
    return {
        "cycles_per_instruction": np.where(lacks, np.float32(np.nan), coarse(cycles, bits=7)),
        "memory_accesses_per_instruction": np.where(
            lacks, np.float32(np.nan), coarse(accesses, bits=7)
        ),
        "sample_rate": rate.astype(np.float32),
    }


def _normal(rng: np.random.Generator, count: int) -> Floats:
    return rng.standard_normal(count, dtype=np.float32)


def coarse(values: NDArray[np.floating], bits: int = 9) -> Floats:
    """Round to `bits` bits of mantissa: the real trace is no finer (11), and files stay small."""
    drop = np.uint32(23 - bits)
    raw = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    half = np.uint32(1) << (drop - np.uint32(1))
    return ((raw + half) >> drop << drop).view(np.float32)
