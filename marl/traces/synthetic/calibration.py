"""How near the embedded trace comes to the published figures: a table, figure by figure.

`calibration_report` draws jobs and arrivals at the size of the published cells (400,000 jobs, 29
days), without generating usage: tail figures depend on the sample's size, and a small cell cannot
hold the largest published jobs. `trace_report` compares what a generated trace of any size shows.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from marl.traces.schema import TIERS
from marl.traces.synthetic import arrivals, figures, population
from marl.traces.synthetic.generate import BEGIN_US, Plan
from marl.traces.synthetic.laws import Array

_JOBS: Final = 400_000
_DAYS: Final = 29
_TIER_POINTS: Final = 0.12  # tiers' shares may differ by so much, absolutely
_REPEATS: Final = 10  # of 29 days: the autocorrelations of one month scatter by .05


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        name: what is compared, with its unit.
        published: the figure of the source.
        ours: the embedded trace's.
        tolerance: the largest relative error that passes.
        note: why the tolerance is wide, where it is.
    """

    name: str
    published: float
    ours: float
    tolerance: float
    note: str = ""

    @property
    def relative_error(self) -> float:
        """(ours − published) / published."""
        return self.ours / self.published - 1.0

    @property
    def is_near(self) -> bool:
        """Whether the error is within the tolerance."""
        return abs(self.relative_error) <= self.tolerance


def calibration_report(seed: int = 0) -> list[Figure]:
    """Compare jobs and arrivals, drawn at the size of the published cells.

    Args:
        seed: of the draws; the figures with small tolerances hold for any.

    Returns:
        The table, in the order of `figures`.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed % 2**64, spawn_key=(7_777,)))
    cell = population.Cell(cpu_ncu=1e6, memory_nmu=1e6, jobs_per_hour=1.0)
    users = population.users_of(_JOBS / (24 * _DAYS), _DAYS)
    jobs = population.draw(np.arange(_JOBS, dtype=np.int64), cell, rng, users)
    return [*_job_figures(jobs), *_size_figures(jobs), *_arrival_figures(rng)]


def trace_report(plan: Plan) -> list[Figure]:
    """Compare what a generated trace shows: delays, resubmissions, tiers, users, alloc sets."""
    attempts, jobs = plan.attempts, plan.jobs
    first = attempts.is_first & (attempts.submit_us >= plan.begin_us)
    first &= attempts.start_us < plan.end_us
    delay = (attempts.start_us - attempts.submit_us)[first] / 1e6
    new = int(attempts.is_first.sum())
    run_h = np.minimum(attempts.end_us, plan.end_us) - np.maximum(attempts.start_us, BEGIN_US)
    run_h = np.maximum(run_h, 0) / 3.6e9
    in_alloc = jobs.is_in_alloc[attempts.job]
    requested = run_h * jobs.cpu_ncu[attempts.job]
    submitted = jobs.user[jobs.submit_us >= plan.begin_us]
    top = np.sort(np.bincount(submitted))[::-1][:10].sum() / len(submitted)
    used = jobs.ncu_h()[jobs.submit_us >= plan.begin_us]
    small = "depends on the few largest jobs of a small cell"
    cut = f"cut to what the cell can hold: the largest job uses {used.max():.3g} NCU-h"
    found = [
        Figure("NCU-h per job, median", figures.NCU_H_MEDIAN, _quantile(used, 0.5), 0.3),
        Figure("NCU-h per job, p99", figures.NCU_H_P99, _quantile(used, 0.99), 0.5, cut),
        Figure("NCU-h per job, p99.9", figures.NCU_H_P999, _quantile(used, 0.999), 0.95, cut),
        Figure("schedule delay p50, s", figures.DELAY_S[0][1], _quantile(delay, 0.5), 0.3, small),
        Figure("schedule delay p99, s", figures.DELAY_S[1][1], _quantile(delay, 0.99), 0.6, small),
        Figure(
            "resubmissions per new task",
            figures.RESUBMITTED_PER_NEW_TASK,
            len(attempts) / new - 1.0,
            0.3,
            small,
        ),
        Figure("share of the ten busiest users", figures.TOP_TEN_USERS_SHARE, float(top), 0.1),
        Figure(
            "alloc sets' share of CPU requested",
            figures.ALLOC_SET_CPU_SHARE,
            float(requested[in_alloc].sum() / requested.sum()),
            0.6,
            small,
        ),
    ]
    tier = jobs.tier[attempts.job]
    rows = np.where(run_h > 0, np.ceil(run_h * 12), 0)
    for index, published in enumerate(figures.TIER_ROW_SHARES):
        share = float(rows[tier == index].sum() / rows.sum())
        name = f"share of usage rows, tier {TIERS[index]}"
        found.append(Figure(name, published, share, _TIER_POINTS / published, small))
    return found


def as_table(found: list[Figure]) -> pl.DataFrame:
    """The comparison as a table: figure, published, ours, relative error, tolerance, near, note."""
    return pl.DataFrame(
        {
            "figure": [line.name for line in found],
            "published": [line.published for line in found],
            "ours": [line.ours for line in found],
            "relative_error": [line.relative_error for line in found],
            "tolerance": [line.tolerance for line in found],
            "is_near": [line.is_near for line in found],
            "note": [line.note for line in found],
        }
    )


def _job_figures(jobs: population.Jobs) -> list[Figure]:
    """Totals per job against [T]."""
    cpu, memory = jobs.ncu_h(), jobs.nmu_h()
    top = np.sort(cpu)[-len(cpu) // 100 :]
    law = population.Cell(1e6, 1e6, jobs_per_hour=1.0).consumption()
    tail = top[-len(cpu) // 1000 :]
    hill = 1.0 / np.mean(np.log(tail / tail[0])[1:])
    sampled = "a sample's moment of a tail with index .69 follows its largest few jobs"
    mean = float(np.mean(cpu[cpu <= top[0]])) * 0.99 + law.tail_mean()
    return [
        Figure("NCU-h per job, median", figures.NCU_H_MEDIAN, _quantile(cpu, 0.5), 0.15),
        Figure(
            "NCU-h per job, mean of the law",
            figures.NCU_H_MEAN,
            mean,
            0.25,
            "the published quantiles and tail index put the mean somewhat higher",
        ),
        Figure("NCU-h per job, p99", figures.NCU_H_P99, _quantile(cpu, 0.99), 0.15),
        Figure("NCU-h per job, p99.9", figures.NCU_H_P999, _quantile(cpu, 0.999), 0.3),
        Figure(
            "NCU-h, share of the top 1 %",
            figures.NCU_H_TOP1_SHARE,
            float(top.sum() / cpu.sum()),
            0.02,
        ),
        Figure(
            "NCU-h, squared coefficient of variation of the law",
            figures.NCU_H_SCV,
            law.tail_square() / mean**2 - 1.0,
            0.3,
            f"integral of the law, because {sampled}",
        ),
        Figure("NCU-h, tail index (Hill)", figures.NCU_H_TAIL_INDEX, float(hill), 0.15),
        Figure("NMU-h per job, median", figures.NMU_H_MEDIAN, _quantile(memory, 0.5), 0.15),
        Figure("NMU-h per job, p99", figures.NMU_H_P99, _quantile(memory, 0.99), 0.15),
        Figure("NMU-h per job, p99.9", figures.NMU_H_P999, _quantile(memory, 0.999), 0.35),
        Figure(
            "correlation of log NCU-h and log NMU-h",
            figures.CPU_MEMORY_CORRELATION,
            float(np.corrcoef(np.log(cpu), np.log(memory))[0, 1]),
            0.03,
        ),
    ]


def _size_figures(jobs: population.Jobs) -> list[Figure]:
    """Tasks, durations, requests and usage levels against [2011] and [2019]."""
    one = float((jobs.tasks == 1).mean())
    found = [
        Figure("share of jobs with one task", figures.TASKS_ONE_SHARE, one, 0.02),
        Figure(
            "tasks per job, p99",
            figures.TASKS_P99,
            _quantile(jobs.tasks.astype(float), 0.99),
            0.4,
            "tasks make up the difference between a job's total and its other factors",
        ),
    ]
    for share, published in figures.DURATION_S:
        ours = _quantile(jobs.duration_s, share)
        found.append(Figure(f"job duration p{100 * share:g}, s", published, ours, 0.1))
    by_task = "per task; wide jobs weigh most"
    for share, published in figures.CPU_REQUEST:
        ours = _quantile(jobs.cpu_ncu, share, jobs.tasks)
        found.append(Figure(f"CPU request p{100 * share:g}, NCU", published, ours, 0.25, by_task))
    for share, published in figures.MEMORY_REQUEST:
        ours = _quantile(jobs.memory_nmu, share, jobs.tasks)
        found.append(Figure(f"memory request p{100 * share:g}, NMU", published, ours, 0.4, by_task))
    for share, published in figures.USAGE_TO_REQUEST:
        ours = _quantile(jobs.cpu_ratio, share, jobs.tasks)
        found.append(Figure(f"usage / request p{100 * share:g}", published, ours, 0.3, by_task))
    busiest = np.sort(np.bincount(jobs.user))[::-1][:10].sum() / len(jobs)
    found.append(
        Figure("share of the ten busiest users", figures.TOP_TEN_USERS_SHARE, float(busiest), 0.05)
    )
    return found


def _arrival_figures(rng: np.random.Generator) -> list[Figure]:
    """Counts per five minutes at the published rate, over ten months of 29 days."""
    steps = _DAYS * arrivals.STEPS_PER_DAY
    months = [
        rng.poisson(arrivals.rates(figures.ARRIVALS_MEAN, steps, rng)).astype(float)
        for _ in range(_REPEATS)
    ]
    counts = np.concatenate(months)
    lag1 = float(np.mean([_autocorrelation(month, 1) for month in months]))
    day = float(np.mean([_autocorrelation(month, arrivals.STEPS_PER_DAY) for month in months]))
    ratio = float(counts.var() / counts.mean())
    found = [
        Figure("arrivals per 5 min, mean", figures.ARRIVALS_MEAN, float(counts.mean()), 0.05),
        Figure(
            "arrivals, variance / mean at mean 80", figures.ARRIVALS_VARIANCE_TO_MEAN, ratio, 0.15
        ),
        Figure("arrivals, lag-1 autocorrelation", figures.ARRIVALS_AUTOCORRELATION_LAG1, lag1, 0.1),
        Figure("arrivals, 1-day autocorrelation", figures.ARRIVALS_AUTOCORRELATION_DAY, day, 0.2),
    ]
    for share, published in figures.ARRIVALS_QUANTILES:
        ours = _quantile(counts, share)
        found.append(Figure(f"arrivals per 5 min, p{100 * share:g}", published, ours, 0.15))
    return found


def _autocorrelation(series: Array, lag: int) -> float:
    centred = series - series.mean()
    return float((centred[:-lag] * centred[lag:]).sum() / (centred**2).sum())


def _quantile(values: Array, share: float, weights: Array | np.ndarray | None = None) -> float:
    """Quantile, weighted where weights are given (the smallest value whose share is reached)."""
    if weights is None:
        return float(np.quantile(values, share))
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order], dtype=float)
    return float(values[order][np.searchsorted(total, share * total[-1])])
