"""Fits a `WorkloadModel` to the demand of a trace; nothing held out reaches a parameter.

Making that demand from tables belongs to `history`; each family to its own module.
"""

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.files import sha256_json
from marl.traces.schema import WINDOW_US
from marl.workload import daily
from marl.workload.arrivals import ArrivalModel, fit_arrivals
from marl.workload.coefficients import Coefficients, coefficients, services_demand
from marl.workload.config import LEAST_WINDOWS, WorkloadConfig
from marl.workload.demand import CHANNELS, CLASSES
from marl.workload.levels import KERNEL_WINDOWS, fit_level, follow, survival_kernel
from marl.workload.lifetimes import LifetimeModel, fit_lifetimes
from marl.workload.model import HISTORY, MARKS, ClassModel, ScaleFactors, WorkloadModel
from marl.workload.requests import fit_requests

Floats = NDArray[np.float64]
_MARKS_KEPT = 10_000  # collections a class and part keep for the report, evenly spaced


def split_time(windows: NDArray[np.int64], train_share: float) -> int:
    """First held-out window, µs: at least one window lies on either side.

    Raises:
        ValueError: too few windows to split.
    """
    if len(windows) < LEAST_WINDOWS:
        raise ValueError(
            f"the trace covers {len(windows)} windows of five minutes; a workload needs at least "
            f"{LEAST_WINDOWS} (and two days for a daily cycle). Widen the window of the trace"
        )
    at = int(np.clip(round(len(windows) * train_share), 1, len(windows) - 1))
    return int(windows[at])


def fit(
    demand: pl.DataFrame,
    marks: pl.DataFrame,
    config: WorkloadConfig | None = None,
    *,
    source: str,
    is_synthetic: bool,
    notes: tuple[str, ...] = (),
    progress: Callable[[str], None] | None = None,
) -> WorkloadModel:
    """Fit the whole workload.

    Args:
        demand: per window and class, from `history.class_demand`.
        marks: per collection that arrived, from `history.class_marks`.
        config: every knob; None for the defaults.
        source: where the trace came from, for people.
        is_synthetic: whether the trace was generated.
        notes: what earlier stages found missing, carried into the model.
        progress: told in words what is being fitted.

    Raises:
        ValueError: too few windows, or no CPU demand in the training part.
    """
    from threadpoolctl import threadpool_limits

    config = config or WorkloadConfig()
    say = progress or (lambda _: None)
    demand = demand.sort("window_us", "workload_class")  # sums below must not depend on row order
    windows = demand["window_us"].unique().sort().to_numpy()
    split_us = split_time(windows, config.train_share)
    scale, assumed = _scale(demand.filter(pl.col("window_us") < split_us), config)
    marks = _with_parts(marks, split_us)
    own_notes = list(notes)
    training_windows = int((windows < split_us).sum())
    if daily.harmonics_for(training_windows) == 0:
        hours = training_windows * WINDOW_US / 3.6e9
        own_notes.append(
            f"the training part lasts {hours:.1f} h: no daily cycle can be told from it, so "
            "cyclical demand equals steady demand"
        )
    classes = {}
    for index, name in enumerate(CLASSES):
        say(f"workload_model: fitting {name} ({index + 1} of {len(CLASSES)})")
        rows = demand.filter(pl.col("workload_class") == name).sort("window_us")
        rng = np.random.default_rng([config.seed, index])
        mine = marks.filter(pl.col("workload_class") == name)
        with threadpool_limits(1):  # matrix products then add up in one order on every machine
            classes[name] = _fit_class(rows, mine, split_us, config, rng)
        own_notes += _class_notes(name, classes[name])
    return WorkloadModel(
        source=source,
        is_synthetic=is_synthetic,
        start_us=int(windows[0]),
        split_us=split_us,
        end_us=int(windows[-1]) + WINDOW_US,
        config=config,
        config_hash=sha256_json(config.model_dump(mode="json")),
        scale=scale,
        coefficients=assumed,
        classes=classes,
        notes=tuple(own_notes),
        history=_history(demand, classes, scale, assumed, split_us),
        marks=_thin(marks),
    )


def _scale(train: pl.DataFrame, config: WorkloadConfig) -> tuple[ScaleFactors, Coefficients]:
    assumed = coefficients(config.overrides)
    by_window = train.group_by("window_us", maintain_order=True).agg(pl.col("cpu_ncu").sum())
    mean_ncu = float(by_window["cpu_ncu"].to_numpy().mean())
    if not mean_ncu > 0:
        raise ValueError(
            "the training part of the trace shows no CPU demand at all (no usage, and no task with "
            "a CPU request); choose a window of the trace that has instances or usage"
        )
    vcpu_per_ncu = config.target_vcpu / mean_ncu
    return ScaleFactors(
        vcpu_per_ncu=vcpu_per_ncu,
        gib_per_nmu=vcpu_per_ncu * assumed.scales["gib_per_vcpu"].value,
        slice_share=vcpu_per_ncu / assumed.scales["nominal_vcpu_per_ncu"].value,
    ), assumed


def _fit_class(
    rows: pl.DataFrame,
    marks: pl.DataFrame,
    split_us: int,
    config: WorkloadConfig,
    rng: np.random.Generator,
) -> ClassModel:
    time_us = rows["window_us"].to_numpy()
    is_held_out = time_us >= split_us
    counts = rows["collection_arrivals"].to_numpy().astype(float)
    arrivals = fit_arrivals(counts, time_us, is_held_out, config.validation_share)
    early = marks.filter(~pl.col("is_held_out")).sort("first_us", "collection_id")
    late = marks.filter(pl.col("is_held_out")).sort("first_us", "collection_id")
    lifetimes = fit_lifetimes(
        *censored_lives(early, split_us), *censored_lives(late), config.validation_share
    )
    requests = fit_requests(_pairs(early), _pairs(late), rng, config.validation_share)
    tasks = early["tasks"].drop_nulls().to_numpy()
    train = rows.filter(pl.col("window_us") < split_us)
    seen, at = counts[~is_held_out], time_us[~is_held_out]
    harmonics = daily.harmonics_for(len(seen))
    echo = training_echo(seen, at, arrivals, lifetimes)
    cpu, cpu_scores = fit_level(train["cpu_ncu"].to_numpy(), echo, at, harmonics)
    memory, memory_scores = fit_level(train["memory_nmu"].to_numpy(), echo, at, harmonics)
    # A task's arrival follows its collection's: its cycle is the arrivals', so none of its own.
    task_level, _ = fit_level(train["task_arrivals"].to_numpy(), seen, at, 0)
    varies = len(seen) > 2 and np.ptp(cpu_scores) > 0 and np.ptp(memory_scores) > 0
    correlation = float(np.corrcoef(cpu_scores, memory_scores)[0, 1]) if varies else 0.0
    return ClassModel(
        arrivals=arrivals,
        requests=requests,
        lifetimes=lifetimes,
        tasks_per_collection=(
            tuple(np.percentile(tasks, np.arange(101)).tolist()) if len(tasks) else ()
        ),
        tasks=task_level,
        cpu_ncu=cpu,
        memory_nmu=memory,
        correlation=float(np.clip(correlation, -1, 1)),
        cpu_per_request=_ratio(train, "cpu_ncu", "requested_cpu_ncu", config),
        memory_per_request=_ratio(train, "memory_nmu", "requested_memory_nmu", config),
        collections=int(seen.sum()),
        imputed_share=float(train["is_imputed"].cast(pl.Float64).to_numpy().mean()),
    )


def training_echo(
    counts: Floats,
    time_us: NDArray[np.int64],
    arrivals: ArrivalModel,
    lifetimes: LifetimeModel | None,
) -> Floats:
    """(T,) arrivals' echo of the windows at `time_us`; the unseen day before is its expectation."""
    before = time_us[0] - np.arange(KERNEL_WINDOWS - 1, 0, -1) * WINDOW_US
    padded = np.concatenate([arrivals.mean(before), counts])
    return np.asarray(follow(padded, survival_kernel(lifetimes)))


def censored_lives(
    marks: pl.DataFrame, until_us: int | None = None
) -> tuple[Floats, NDArray[np.bool_]]:
    """Lifetimes (s) and whether each is only a lower bound, as seen at `until_us`."""
    seconds = marks["lifetime_s"].to_numpy().astype(float)
    is_censored = marks["is_censored"].to_numpy().astype(bool)
    if until_us is None:
        return seconds, is_censored
    visible = (until_us - marks["first_us"].to_numpy()) / 1e6
    return np.minimum(seconds, visible), is_censored | (seconds > visible)


def _pairs(marks: pl.DataFrame) -> Floats:
    return marks.select("cpu_request_ncu", "memory_request_nmu").drop_nulls().to_numpy()


def _ratio(rows: pl.DataFrame, used: str, asked: str, config: WorkloadConfig) -> float:
    total = float(rows[asked].sum())
    return float(rows[used].sum()) / total if total > 0 else config.usage_per_request


def _with_parts(marks: pl.DataFrame, split_us: int) -> pl.DataFrame:
    marked = marks.with_columns(is_held_out=pl.col("first_us") >= split_us)
    return (
        marked.select(list(MARKS)).cast(MARKS).sort("workload_class", "first_us", "collection_id")
    )


def _thin(marks: pl.DataFrame) -> pl.DataFrame:
    """At most `_MARKS_KEPT` evenly spaced rows of each class and part."""
    kept = []
    for _, part in marks.group_by("workload_class", "is_held_out", maintain_order=True):
        pick = np.linspace(0, part.height - 1, min(part.height, _MARKS_KEPT))
        kept.append(part[np.unique(pick.astype(np.int64)).tolist()])
    return pl.concat(kept) if kept else marks


def _history(
    demand: pl.DataFrame,
    classes: dict[str, ClassModel],
    scale: ScaleFactors,
    assumed: Coefficients,
    split_us: int,
) -> pl.DataFrame:
    """Every channel of every window and class, windows and classes in order."""
    parts = []
    mean_gib = np.array([classes[name].memory_nmu.mean * scale.gib_per_nmu for name in CLASSES])
    factors = [1.0, scale.vcpu_per_ncu, scale.gib_per_nmu]
    for index, name in enumerate(CLASSES):
        rows = demand.filter(pl.col("workload_class") == name).sort("window_us")
        drivers = np.zeros((rows.height, len(CLASSES), 3))
        drivers[:, index] = (
            rows.select("task_arrivals", "cpu_ncu", "memory_nmu").to_numpy() * factors
        )
        values = services_demand(drivers, mean_gib, scale.slice_share, assumed)[:, index]
        channels = pl.DataFrame(values.astype(np.float64), schema=list(CHANNELS))
        parts.append(
            rows.select("window_us", "workload_class", "collection_arrivals", "is_imputed")
            .with_columns(is_held_out=pl.col("window_us") >= split_us)
            .hstack(channels)
        )
    order = pl.Enum(CLASSES)
    return (
        pl.concat(parts)
        .select(list(HISTORY))
        .cast(HISTORY)
        .sort("window_us", pl.col("workload_class").cast(order))
    )


def _class_notes(name: str, one: ClassModel) -> list[str]:
    if one.cpu_ncu.mean == 0:
        return [f"{name}: the training part shows no demand of this class; it is generated as zero"]
    notes = []
    if not one.arrivals.scores:
        notes.append(
            f"{name}: too few arrivals or windows to choose a family; constant Poisson rate"
        )
    if one.requests is None:
        notes.append(f"{name}: too few tasks with requests to fit their distribution")
    if one.lifetimes is None:
        notes.append(f"{name}: too few complete lifetimes to fit their distribution")
    if one.imputed_share > 0:
        notes.append(
            f"{name}: CPU and memory of {one.imputed_share:.0%} of the training windows are "
            "imputed from requests and lives of collections, not measured"
        )
    return notes
