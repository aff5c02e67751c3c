"""The held-out stretch beside draws of the fitted model over the same hours, as arrays.

What they say about the fit belongs to `goodness`, how they look to `pictures`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.traces.schema import WINDOW_US
from marl.workload.bursts import BurstConfig
from marl.workload.demand import CHANNELS, CLASSES
from marl.workload.generators import FittedGenerator
from marl.workload.mix import mix_weights
from marl.workload.model import WorkloadModel

Floats = NDArray[np.float64]
UNITS: Final = {
    "collection_arrivals": "collections / 5 min",
    "compute_vcpu": "vCPU",
    "memory_gib": "GiB",
    "cpu_request_ncu": "NCU / task",
    "memory_request_nmu": "NMU / task",
    "lifetime_s": "s",
}
_DRAWN: Final = 100_000  # windows drawn in all, at most; at least 20 replicas
_REPLICAS: Final = 100


@dataclass(frozen=True)
class SeriesEvidence:
    """One series of one class: real, and replicas of the fitted model over the same windows.

    Attributes:
        workload_class: a class, or "total".
        quantity: name with unit suffix; `UNITS` has it in words.
        time_us: (T,) start of each held-out window.
        real: (T,).
        fitted: (R, T), R independent replicas.
        train: (S,) the training part, for pictures.
        imputed_share: share of the held-out windows whose real value is imputed, not measured.
    """

    workload_class: str
    quantity: str
    time_us: NDArray[np.int64]
    real: Floats
    fitted: Floats
    train: Floats
    imputed_share: float


@dataclass(frozen=True)
class MarkEvidence:
    """One property of collections of one class: real held-out values, and a fitted sample.

    Attributes:
        workload_class, quantity: as in `SeriesEvidence`.
        real: (n,) values; lower bounds where censored.
        is_censored: (n,).
        fitted: (m,) values drawn from the model.
    """

    workload_class: str
    quantity: str
    real: Floats
    is_censored: NDArray[np.bool_]
    fitted: Floats


@dataclass(frozen=True)
class Evidence:
    """Everything the report compares."""

    series: tuple[SeriesEvidence, ...]
    marks: tuple[MarkEvidence, ...]


def gather(model: WorkloadModel, seed: int = 0) -> Evidence:
    """Draw replicas of the held-out stretch and put the real one beside them.

    Args:
        model: the fitted workload with its history and marks.
        seed: of the draws; same seed, same evidence.
    """
    rng = np.random.default_rng(seed)
    held_out = model.history.filter("is_held_out")
    time_us = held_out["window_us"].unique().sort().to_numpy()
    steps = len(time_us)
    replicas = int(np.clip(_DRAWN // steps, 20, _REPLICAS))
    generator = FittedGenerator(model, "cyclical", "held_out", mix_weights(None), BurstConfig())
    start_us = np.full(replicas, time_us[0])
    drawn = generator.paths(start_us, steps, rng).values.astype(float)
    grid = start_us[:, None] + np.arange(steps) * WINDOW_US
    series = []
    for index, name in enumerate(CLASSES):
        counts = model.classes[name].arrivals.sample(grid, rng).astype(float)
        by_quantity = {
            "collection_arrivals": counts,
            "compute_vcpu": drawn[:, :, index, CHANNELS.index("compute_vcpu")],
            "memory_gib": drawn[:, :, index, CHANNELS.index("memory_gib")],
        }
        for quantity, fitted in by_quantity.items():
            series.append(_series(model, name, quantity, time_us, fitted))
    for quantity in ("compute_vcpu", "memory_gib"):
        total = drawn[..., CHANNELS.index(quantity)].sum(axis=2)
        series.append(_series(model, "total", quantity, time_us, total))
    marks = [one for name in CLASSES for one in _marks(model, name, rng)]
    return Evidence(tuple(series), tuple(marks))


def _series(
    model: WorkloadModel, name: str, quantity: str, time_us: NDArray[np.int64], fitted: Floats
) -> SeriesEvidence:
    rows = model.history if name == "total" else model.history.filter(workload_class=name)
    summed = (
        rows.group_by("window_us", "is_held_out", maintain_order=True)
        .agg(pl.col(quantity).sum(), pl.col("is_imputed").mean())
        .sort("window_us")
    )
    late, early = summed.filter("is_held_out"), summed.filter(~pl.col("is_held_out"))
    return SeriesEvidence(
        workload_class=name,
        quantity=quantity,
        time_us=time_us,
        real=late[quantity].to_numpy(),
        fitted=fitted,
        train=early[quantity].to_numpy(),
        imputed_share=(
            0.0
            if quantity == "collection_arrivals"
            else float(late["is_imputed"].to_numpy().mean())
        ),
    )


def _marks(model: WorkloadModel, name: str, rng: np.random.Generator) -> list[MarkEvidence]:
    one = model.classes[name]
    rows = model.marks.filter(pl.col("workload_class") == name, pl.col("is_held_out"))
    out = []
    if one.requests is not None:
        asked = rows.select("cpu_request_ncu", "memory_request_nmu").drop_nulls().to_numpy()
        pairs = one.requests.sample(20_000, rng)
        for column, quantity in enumerate(("cpu_request_ncu", "memory_request_nmu")):
            real = asked[:, column]
            never = np.zeros(len(real), bool)
            out.append(MarkEvidence(name, quantity, real, never, pairs[:, column]))
    if one.lifetimes is not None:
        out.append(
            MarkEvidence(
                name,
                "lifetime_s",
                rows["lifetime_s"].to_numpy(),
                rows["is_censored"].to_numpy(),
                one.lifetimes.sample(20_000, rng),
            )
        )
    return out
