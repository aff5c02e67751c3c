"""Jobs: how large, how long, of which kind and tier, by whom. Drawn as one table of arrays.

Sizes hang together through a Gaussian copula; the total consumption of a job follows the published
heavy-tailed law exactly (`laws.RankMap`), and the number of tasks (or, for a single task, the usage
level) makes up the difference. When jobs come is `arrivals`; when they may start is `room`.
"""

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from marl.traces.synthetic import figures
from marl.traces.synthetic.laws import Array, HeavyTail, Quantiles, RankMap, TaskCounts

WEB, BATCH, ML, MONITORING = range(4)
FINISH, KILL, FAIL, LOST = 6, 7, 5, 8  # codes of the 2019 format

_DURATION: Final = Quantiles(figures.DURATION_S, figures.DURATION_MAX_S)
_CPU: Final = Quantiles(figures.CPU_REQUEST, figures.CPU_REQUEST_MAX)
_MEMORY: Final = Quantiles(figures.MEMORY_REQUEST, figures.MEMORY_REQUEST_MAX)
_RATIO: Final = Quantiles(figures.USAGE_TO_REQUEST, 8.0)
_TASKS: Final = TaskCounts(figures.TASKS_ONE_SHARE, figures.TASKS_P99, figures.TASKS_MAX)

# Order: tasks, duration, CPU request, memory request, usage ratio. Chosen: longer jobs ask for
# more per task, wider ones for less. Measured in [2019], in logarithms: CPU with memory request
# .24, CPU request with usage ratio -.15.
_COPULA: Final = np.array(
    [
        [1.0, 0.0, -0.1, -0.15, 0.0],
        [0.0, 1.0, 0.4, 0.15, 0.0],
        [-0.1, 0.4, 1.0, 0.3, -0.15],
        [-0.15, 0.15, 0.3, 1.0, 0.0],
        [0.0, 0.0, -0.15, 0.0, 1.0],
    ]
)
_WITHIN_TASK_SPREAD: Final = 0.35  # part of the usage ratio's log deviation that is over time
_MEMORY_SPREAD: Final = 1.0  # log deviation of memory totals given CPU totals: gives r = .97
_REFERENCE_JOBS: Final = 400_000
_REFERENCE_SEED: Final = 20190501
_LONG_S: Final = 6 * 3600.0
_GANG_S: Final = 1800.0
_QUOTA: Final = 0.07  # the largest share of the cell one job may ask for
_MOST_NCU_H: Final = 1e5  # where the law must end to have the published mean and SCV
_UTILISATION: Final = 0.15  # mean CPU usage of the cell the totals are cut to, where it is small


@dataclass
class Jobs:
    """One entry per job; all arrays have the same length.

    Attributes:
        submit_us: trace time, may be negative or before the start for jobs that already run.
        kind: WEB, BATCH, ML or MONITORING.
        tier: 0 free … 4 monitoring, index into `schema.TIERS`.
        priority, scheduling_class: as in the 2019 format.
        tasks: how many.
        duration_s: run time of each task.
        cpu_ncu, memory_nmu: requests per task.
        cpu_ratio, memory_ratio: mean usage over request.
        user: index of who submits.
        final_event: code of how it ends.
        is_in_alloc: runs in an alloc set of its own.
        scaling: vertical scaling setting, 1 off, 2 constrained, 3 automated.
    """

    submit_us: NDArray[np.int64]
    kind: NDArray[np.int8]
    tier: NDArray[np.int8]
    priority: NDArray[np.int32]
    scheduling_class: NDArray[np.int8]
    tasks: NDArray[np.int64]
    duration_s: Array
    cpu_ncu: Array
    memory_nmu: Array
    cpu_ratio: Array
    memory_ratio: Array
    user: NDArray[np.int64]
    final_event: NDArray[np.int8]
    is_in_alloc: NDArray[np.bool_]
    scaling: NDArray[np.int8]

    def __len__(self) -> int:
        """Number of jobs."""
        return len(self.submit_us)

    def ncu_h(self) -> Array:
        """CPU each job uses in all, NCU-hours."""
        return self.tasks * self.duration_s * self.cpu_ncu * self.cpu_ratio / 3600.0

    def nmu_h(self) -> Array:
        """Memory each job uses in all, NMU-hours."""
        return self.tasks * self.duration_s * self.memory_nmu * self.memory_ratio / 3600.0

    def take(self, index: NDArray[np.int64]) -> Self:
        """The jobs at these positions."""
        return type(self)(*(getattr(self, field.name)[index] for field in fields(self)))

    def append(self, other: Self) -> Self:
        """These jobs, then the others."""
        return type(self)(
            *(
                np.concatenate([getattr(self, field.name), getattr(other, field.name)])
                for field in fields(self)
            )
        )


@dataclass(frozen=True)
class Cell:
    """What bounds the jobs of a cell.

    Attributes:
        cpu_ncu, memory_nmu: capacity of all machines together.
        largest_cpu_ncu, largest_memory_nmu: of the largest machine.
        jobs_per_hour: mean rate of submissions.
    """

    cpu_ncu: float
    memory_nmu: float
    largest_cpu_ncu: float = 1.0
    largest_memory_nmu: float = 1.0
    jobs_per_hour: float = 120.0

    def consumption(self) -> HeavyTail:
        """The published law of NCU-hours, cut so that its mean load leaves the cell room.

        A full-size cell keeps the published tail; a small one cannot hold its largest jobs.
        """
        wanted = _UTILISATION * self.cpu_ncu / self.jobs_per_hour
        low, high = np.log(figures.NCU_H_P99), np.log(_MOST_NCU_H)
        law = _law(_MOST_NCU_H)
        if _mean(law) <= wanted:
            return law
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (low, middle) if _mean(_law(np.exp(middle))) > wanted else (middle, high)
        return _law(float(np.exp(low)))


def draw(submit_us: NDArray[np.int64], cell: Cell, rng: np.random.Generator, users: int) -> Jobs:
    """Draw one job for every submission time.

    Args:
        submit_us: (J,) times.
        cell: what bounds the jobs.
        rng: owned by the caller.
        users: how many users share the cell.

    Returns:
        The jobs, in the order of `submit_us`.
    """
    count = len(submit_us)
    tasks, duration, cpu, memory, ratio, rank = _sizes(count, rng)
    law = cell.consumption()
    total = RankMap(law, _reference()[0])(rank)
    cpu = np.minimum(cpu, 0.9 * cell.largest_cpu_ncu)
    memory = np.minimum(memory, 0.9 * cell.largest_memory_nmu)
    is_one = tasks < 2
    per_task = duration * cpu / 3600.0
    tasks = np.where(is_one, 1.0, np.maximum(2.0, np.round(total / (per_task * ratio))))
    room = np.floor(_QUOTA * np.minimum(cell.cpu_ncu / cpu, cell.memory_nmu / memory))
    narrow = np.minimum(tasks, np.clip(room, 1.0, figures.TASKS_MAX))
    # A job too wide for the cell runs narrower and longer: the same work.
    duration = np.minimum(duration * tasks / narrow, figures.DURATION_MAX_S)
    tasks = narrow
    per_task = duration * cpu / 3600.0
    ratio = np.clip(np.where(is_one, total / per_task, ratio), 0.002, 0.95 / cpu)
    used = tasks * per_task * ratio
    memory, memory_ratio = _memory(used, tasks * duration / 3600.0, memory, law, cell, rng)
    kind, tier, priority, scheduling_class = _kinds(tasks, duration, rng)
    is_service = (kind == WEB) | (kind == MONITORING)
    ends = rng.random(count)
    final = np.select(
        [ends < 0.0005, is_service & (ends < 0.85), ends < 0.72, ends < 0.92],
        [LOST, KILL, FINISH, KILL],
        FAIL,
    )
    return Jobs(
        submit_us=submit_us,
        kind=kind,
        tier=tier,
        priority=priority,
        scheduling_class=scheduling_class,
        tasks=tasks.astype(np.int64),
        duration_s=duration,
        cpu_ncu=cpu,
        memory_nmu=memory,
        cpu_ratio=ratio,
        memory_ratio=memory_ratio,
        user=_user_law(users).searchsorted(rng.random(count)).astype(np.int64),
        final_event=final.astype(np.int8),
        is_in_alloc=(kind == WEB) & (rng.random(count) < 0.8),
        scaling=np.where(rng.random(count) < 0.3, np.where(is_service, 2, 3), 1).astype(np.int8),
    )


def users_of(jobs_per_hour: float, days: float) -> int:
    """How many users: 933 for 672,074 jobs [2011], growing with the square root of the jobs."""
    return max(40, round(933 * np.sqrt(jobs_per_hour * 24 * days / 672_074)))


def _sizes(count: int, rng: np.random.Generator) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Tasks, duration_s, requests, usage ratio, and the log of their product (the rank)."""
    score = rng.standard_normal((count, 5)) @ np.linalg.cholesky(_COPULA).T
    tasks, duration = _TASKS.at(score[:, 0]), np.maximum(_DURATION.at(score[:, 1]), 1.0)
    cpu, memory = _CPU.at(score[:, 2]), _MEMORY.at(score[:, 3])
    spread = np.log(figures.USAGE_TO_REQUEST[1][1] / figures.USAGE_TO_REQUEST[0][1]) / ndtri(0.95)
    ratio = _RATIO.at(score[:, 4] * np.sqrt(1 - (_WITHIN_TASK_SPREAD / spread) ** 2))
    return tasks, duration, cpu, memory, ratio, np.log(tasks * duration * cpu * ratio)


@lru_cache(maxsize=1)
def _reference() -> tuple[Array, Array]:
    """Ascending logs of CPU rank and of memory rank, of a fixed large sample."""
    rng = np.random.default_rng(_REFERENCE_SEED)
    rank = np.sort(_sizes(_REFERENCE_JOBS, rng)[-1])
    used = np.log(RankMap(_law(_MOST_NCU_H), rank)(rank))
    return rank, np.sort(used + _MEMORY_SPREAD * rng.standard_normal(len(used)))


def _memory(
    used: Array, task_h: Array, memory: Array, law: HeavyTail, cell: Cell, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Memory requests and usage ratios whose totals follow the published NMU-hours."""
    rank = np.log(used) + _MEMORY_SPREAD * rng.standard_normal(len(used))
    target = HeavyTail(
        figures.NMU_H_MEDIAN,
        figures.NMU_H_P99,
        figures.NMU_H_P999,
        figures.NMU_H_TAIL_INDEX,
        law.most * figures.NMU_H_P999 / figures.NCU_H_P999,
    )
    per_task = RankMap(target, _reference()[1])(rank) / task_h
    ratio = np.clip(per_task / memory, 0.005, 0.95)
    asked = np.minimum(
        per_task / ratio, min(figures.MEMORY_REQUEST_MAX, 0.9 * cell.largest_memory_nmu)
    )
    return asked, np.clip(per_task / asked, 0.001, 0.98)


def _kinds(
    tasks: Array, duration: Array, rng: np.random.Generator
) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int32], NDArray[np.int8]]:
    """Kind, tier, priority and scheduling class, by what the job looks like."""
    count = len(tasks)
    is_long = duration > _LONG_S
    is_gang = (duration > _GANG_S) & (tasks >= 8)
    luck = rng.random(count)
    kind = np.select(
        [is_long & (luck < 0.28), is_long & (luck < 0.62), is_gang & (luck > 0.62)],
        [MONITORING, WEB, ML],
        BATCH,
    )
    # Tiers by kind: shares of jobs, from free to monitoring. Chosen so that rows of usage come near
    # the shares of [2019], which long jobs dominate.
    shares = np.array(
        [
            [0.00, 0.00, 0.00, 0.93, 0.07],  # web
            [0.30, 0.58, 0.07, 0.05, 0.00],  # batch
            [0.10, 0.60, 0.15, 0.15, 0.00],  # ml
            [0.00, 0.00, 0.00, 0.00, 1.00],  # monitoring
        ]
    )
    edges = np.cumsum(shares, axis=1)[kind]
    tier = (rng.random(count)[:, None] >= edges[:, :-1]).sum(axis=1)
    width = max(len(choices) for choices in figures.TIER_PRIORITIES)
    table = np.array(
        [choices + choices[-1:] * (width - len(choices)) for choices in figures.TIER_PRIORITIES]
    )
    # The first priority of a tier is by far the most used one in [2019].
    pick = np.minimum(rng.geometric(0.6, count) - 1, width - 1)
    sensitive = np.where(rng.random(count) < 0.25, 3, 2)
    insensitive = np.where(rng.random(count) < 0.45, 1, 0)
    scheduling = np.select(
        [kind == WEB, kind == MONITORING, kind == ML],
        [sensitive, 2, 1],
        np.where(tier == 0, np.where(insensitive == 1, 2, 0), insensitive),
    )
    return (
        kind.astype(np.int8),
        tier.astype(np.int8),
        table[tier, pick].astype(np.int32),
        scheduling.astype(np.int8),
    )


def _user_law(users: int) -> Array:
    """Cumulative shares of users: the first ten hold 56 % [2011], both parts fall off as 1/rank."""
    rank = np.arange(1, users + 1, dtype=float)
    shares = 1.0 / rank
    shares[:10] *= figures.TOP_TEN_USERS_SHARE / shares[:10].sum()
    shares[10:] *= (1.0 - figures.TOP_TEN_USERS_SHARE) / shares[10:].sum()
    # A user beyond the tenth must not pass the tenth, or the ten would not be the top ten.
    shares[10:] = np.minimum(shares[10:], shares[9])
    return np.cumsum(shares / shares.sum())


def _law(most: float) -> HeavyTail:
    return HeavyTail(
        figures.NCU_H_MEDIAN,
        figures.NCU_H_P99,
        figures.NCU_H_P999,
        figures.NCU_H_TAIL_INDEX,
        float(most),
    )


@lru_cache(maxsize=256)
def _mean(law: HeavyTail) -> float:
    """Mean NCU-hours of a job: the lower 99 % from the reference, the tail from the law."""
    rank = _reference()[0]
    body = RankMap(law, rank)(rank[: int(0.99 * len(rank))])
    return float(body.mean() * 0.99 + law.tail_mean())
