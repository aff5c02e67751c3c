"""Demand per window and class, measured where usage was, else built from jobs' requests and lives.

The three ways a window's CPU and memory come about, in order: summed usage; requests of jobs that
ran, times what the class uses of a request; the same with the work of jobs whose tasks the trace
does not show drawn from jobs like them. Scaling to vCPU and the services belong to `fit` and
`coefficients`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.features import demand_windows
from marl.features.fixed_point import from_fixed
from marl.features.groups import GROUP_SCHEMA
from marl.features.tables import coverage, parts, scan_files
from marl.features.usage_windows import usage_windows
from marl.traces.schema import WINDOW_US
from marl.workload.config import WorkloadConfig
from marl.workload.demand import CLASSES
from marl.workload.fit import split_time
from marl.workload.lives import job_lives, observed

Floats = NDArray[np.float64]
_COVERED: Final = 0.5  # usage of this share of what runs counts as having measured a window
_LEAST_COVERED: Final = 0.05  # measured share of the windows below which usage counts as none
_LEAST_MEASURED: Final = 12  # windows needed to learn what a class uses of its requests
_LEAST_DONORS: Final = 20
_LENGTHS_S: Final = (300.0, 3600.0, 86_400.0)  # edges between lives counted as alike
_LONG: Final = 2  # of these lengths, jobs that ran before the trace may give work as well
_WORK: Final = ("tasks", "cpu_request_ncu", "memory_request_nmu", "busy_share")
_LEAST_ROWS: Final = 100  # of usage, to learn the same from tasks that happen to be measured
_RESOURCES: Final = (
    ("cpu_ncu", "requested_cpu_ncu", "cpu_request_ncu", "cpu_usage_ncu"),
    ("memory_nmu", "requested_memory_nmu", "memory_request_nmu", "memory_usage_nmu"),
)
DEMAND: Final = pl.Schema(
    {
        "window_us": pl.Int64,
        "workload_class": pl.String,
        "collection_arrivals": pl.Float64,
        "task_arrivals": pl.Float64,
        "running_tasks": pl.Float64,
        "requested_cpu_ncu": pl.Float64,
        "requested_memory_nmu": pl.Float64,
        "cpu_ncu": pl.Float64,
        "memory_nmu": pl.Float64,
        "is_imputed": pl.Boolean,  # CPU and memory were not measured
        "drawn_share": pl.Float64,  # of running tasks: of jobs whose tasks were drawn
    }
)


def class_marks(tables: Mapping[str, Path], classes: pl.DataFrame) -> pl.DataFrame:
    """What is known of every job that arrived within the trace; the input of `fit` beside demand.

    Returns:
        collection_id, workload_class, first_us, tasks, cpu_request_ncu, memory_request_nmu,
        lifetime_s, is_censored.
    """
    return (
        job_lives(tables)
        .join(classes, on="collection_id", how="inner")
        .filter(~pl.col("is_snapshot"))
        .select(
            "collection_id",
            "workload_class",
            pl.col("start_us").alias("first_us"),
            "tasks",
            "cpu_request_ncu",
            "memory_request_nmu",
            "lifetime_s",
            "is_censored",
        )
    )


def class_demand(
    tables: Mapping[str, Path], classes: pl.DataFrame, config: WorkloadConfig | None = None
) -> pl.DataFrame:
    """Arrivals, running tasks, CPU and memory of every window and class (`DEMAND`).

    Args:
        tables: folders by name; `task_profiles` is needed, `usage` and `demand_windows` are used
            where there are any.
        classes: from `classify`.
        config: `train_share` (work is drawn and usage per request learnt from the training part
            alone), `usage_per_request`, `seed`.

    Returns:
        One row a window and class, windows in order, classes in the order of `CLASSES`.

    Raises:
        ValueError: no table shows demand, or the trace is too short to split.
    """
    config = config or WorkloadConfig()
    first_us, end_us = observed(tables)
    windows = np.arange(first_us, end_us, WINDOW_US)
    split_us = split_time(windows, config.train_share)
    jobs = job_lives(tables).join(classes, on="collection_id", how="inner")
    jobs = draw_work(jobs, split_us, np.random.default_rng(config.seed))
    measured, usage = _usage(tables, classes, windows)
    frames = []
    for index, name in enumerate(CLASSES):
        mine = jobs.filter(workload_class=name)
        frame = _from_jobs(mine, windows).with_columns(workload_class=pl.lit(name))
        early = mine.filter(pl.col("start_us") < split_us)
        for channel, (column, asked, one_asks, one_uses) in enumerate(_RESOURCES):
            used, requested = usage[:, index, channel], frame[asked].to_numpy()
            train = measured & (windows < split_us)
            if train.sum() >= _LEAST_MEASURED and requested[train].sum() > 0:
                share = float(used[train].sum() / requested[train].sum())
            else:
                share = _share_of_tasks(early, one_asks, one_uses) or config.usage_per_request
            level = np.where(measured, used, requested * share)
            frame = frame.with_columns(pl.Series(column, level))
        frames.append(frame.with_columns(is_imputed=pl.Series(~measured)))
    order = pl.col("workload_class").cast(pl.Enum(CLASSES))
    return pl.concat(frames).select(list(DEMAND)).cast(DEMAND).sort("window_us", order)


def _share_of_tasks(jobs: pl.DataFrame, asked: str, used: str) -> float | None:
    """What measured tasks use of their requests, weighted by rows; None of too few."""
    both = jobs.filter(pl.col(asked).is_not_null(), pl.col(used).is_not_null())
    requests = float((both[asked] * both["usage_rows"]).sum())
    if both["usage_rows"].sum() < _LEAST_ROWS or requests <= 0:
        return None
    return float((both[used] * both["usage_rows"]).sum()) / requests


def demand_notes(tables: Mapping[str, Path], demand: pl.DataFrame) -> tuple[str, ...]:
    """What of the demand is not measured, and what that costs, for people."""
    notes = []
    if coverage(tables, "collections") is None:
        notes.append(
            "no collection events: arrivals are the first signs of collections among instances; of "
            "a random sample of rows they say nothing about arrival rates or lifetimes"
        )
    if coverage(tables, "usage") is None:
        notes.append("no usage: CPU and memory follow from requests")
    imputed = float(demand["is_imputed"].cast(pl.Float64).to_numpy().mean())
    if imputed > 0:
        running = float(demand["running_tasks"].sum())
        drawn = float((demand["running_tasks"] * demand["drawn_share"]).sum())
        notes.append(
            f"{imputed:.1%} of the windows lack measured usage: CPU and memory there are requests "
            "of running jobs × what their class uses of a request; "
            f"{drawn / max(running, 1e-12):.1%} of all running tasks are of jobs whose tasks the "
            "trace does not show, their work drawn from jobs of the same class and length"
        )
    return tuple(notes)


def draw_work(jobs: pl.DataFrame, split_us: int, rng: np.random.Generator) -> pl.DataFrame:
    """Give jobs without tasks the work of a random job of the same class and length.

    Few long-lived jobs arrive within the hours whose tasks a bounded trace shows; for jobs that
    live over an hour, those that already ran when the trace began give too.

    Hot-deck imputation (Andridge & Little, International Statistical Review 78:1, 2010,
    doi:10.1111/j.1751-5823.2010.00103.x). Donors are jobs of the training part with tasks
    and requests; where a class has fewer than 20 of a length, its donors of every length serve; a
    class without donors keeps no work.

    Args:
        jobs: lives with workload_class, sorted by id.
        split_us: end of the training part.
        rng: of the draw.

    Returns:
        The same jobs; `tasks`, requests and `busy_share` filled, and `is_drawn`.
    """
    length = np.digitize(jobs["lifetime_s"].to_numpy(), _LENGTHS_S)
    classes = jobs["workload_class"].to_numpy()
    is_known = jobs.select(
        pl.all_horizontal(pl.col(name).is_not_null() for name in _WORK)
    ).to_series()
    arrived = (~jobs["is_snapshot"]).to_numpy() | (length >= _LONG)
    can_give = arrived & (is_known & (jobs["start_us"] < split_us)).to_numpy()
    lacks = jobs["tasks"].is_null().to_numpy()
    source = np.arange(jobs.height)
    is_drawn = np.zeros(jobs.height, bool)
    for name in CLASSES:
        for size in range(len(_LENGTHS_S) + 1):
            need = np.flatnonzero(lacks & (classes == name) & (length == size))
            donors = np.flatnonzero(can_give & (classes == name) & (length == size))
            if len(donors) < _LEAST_DONORS:
                donors = np.flatnonzero(can_give & (classes == name))
            if len(need) and len(donors):
                source[need] = rng.choice(donors, len(need))
                is_drawn[need] = True
    filled = jobs.select(_WORK)[source.tolist()] if jobs.height else jobs.select(_WORK)
    return jobs.with_columns(*filled.get_columns(), pl.Series("is_drawn", is_drawn))


def window_means(
    start_us: NDArray[np.int64],
    end_us: NDArray[np.int64],
    weight: Floats,
    windows: NDArray[np.int64],
) -> Floats:
    """(T,) mean over each window of the summed weights of intervals [start, end) that cover it."""
    length = len(windows)
    change, within = np.zeros(length + 1), np.zeros(length + 1)
    for moment, sign in ((start_us, 1.0), (end_us, -1.0)):
        at = np.clip((moment - windows[0]) / WINDOW_US, 0, length)
        index = np.minimum(at.astype(np.int64), length)
        signed = sign * weight
        within += np.bincount(index, signed * (index + 1 - at), length + 1)
        change += np.bincount(index, signed, length + 1)
    before = np.concatenate([[0.0], np.cumsum(change)[:-1]])
    return np.maximum((before + within)[:length], 0.0)


def _from_jobs(jobs: pl.DataFrame, windows: NDArray[np.int64]) -> pl.DataFrame:
    """Arrivals and what runs, from lives and requests of one class's jobs."""
    work = jobs.with_columns(pl.col(name).fill_null(0.0) for name in _WORK)
    start, end = (work[name].to_numpy() for name in ("start_us", "end_us"))
    running = (work["tasks"] * work["busy_share"]).to_numpy()
    arrived = work.filter(~pl.col("is_snapshot"))
    at = (arrived["start_us"].to_numpy() - windows[0]) // WINDOW_US
    inside = (at >= 0) & (at < len(windows))
    tasks = window_means(start, end, running, windows)
    drawn = window_means(start, end, running * work["is_drawn"].to_numpy(), windows)
    return pl.DataFrame(
        {
            "window_us": windows,
            "collection_arrivals": np.bincount(at[inside], minlength=len(windows)).astype(float),
            "task_arrivals": np.bincount(
                at[inside], arrived["tasks"].to_numpy()[inside], minlength=len(windows)
            ).astype(float),
            "running_tasks": tasks,
            "requested_cpu_ncu": window_means(
                start, end, running * work["cpu_request_ncu"].to_numpy(), windows
            ),
            "requested_memory_nmu": window_means(
                start, end, running * work["memory_request_nmu"].to_numpy(), windows
            ),
            "drawn_share": np.clip(drawn / np.maximum(tasks, 1e-12), 0, 1),
        }
    )


def _usage(
    tables: Mapping[str, Path], classes: pl.DataFrame, windows: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], Floats]:
    """Which windows were measured (T,), and usage (T, C, 2) in NCU and NMU.

    A window counts as measured where usage covers half of what runs (anything, where no instance
    events say what runs). A random sample of rows covers far less, and does not count.
    """
    span = coverage(tables, "usage")
    usage = np.zeros((len(windows), len(CLASSES), 2))
    if span is None:
        return np.zeros(len(windows), bool), usage
    codes = {name: index for index, name in enumerate(CLASSES)}
    # The same sums as in demand_windows, with the class in the place of the scheduling class.
    groups = classes.select(
        "collection_id",
        pl.lit(None, GROUP_SCHEMA["tier"]).alias("tier"),
        pl.col("workload_class")
        .replace_strict(codes, return_dtype=pl.Int8)
        .alias("scheduling_class"),
    )
    sums = (
        usage_windows(tables, groups)
        .filter(pl.col("scheduling_class").is_not_null())
        .with_columns(from_fixed(pl.col("cpu", "memory")))
        .filter(pl.col("window_us").is_between(windows[0], windows[-1]))
    )
    row = ((sums["window_us"] - int(windows[0])) // WINDOW_US).to_numpy()
    usage[row, sums["scheduling_class"].to_numpy()] = sums.select("cpu", "memory").to_numpy()
    inside = (windows >= span.start_us) & (windows < span.end_us)
    seen = np.bincount(row, sums["distinct_instances"].to_numpy(), minlength=len(windows))
    running = (
        scan_files(parts(tables.get("demand_windows")), demand_windows.SCHEMA)
        .group_by("window_us", maintain_order=True)
        .agg(pl.col("running_instances").sum())
        .filter(pl.col("window_us").is_between(windows[0], windows[-1]))
        .collect()
    )
    runs = np.zeros(len(windows))
    at = ((running["window_us"] - int(windows[0])) // WINDOW_US).to_numpy()
    runs[at] = running["running_instances"].to_numpy()
    measured = inside & (seen > 0) & (seen >= _COVERED * runs)
    if measured.mean() < _LEAST_COVERED:  # a few windows apart would stand out from all others
        return np.zeros(len(windows), bool), usage
    return measured, usage
