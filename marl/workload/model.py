"""The fitted workload as a document: parameters, provenance, the history it was fitted to.

`model.json` holds the parameters, `history.parquet` demand per window and class, `marks.parquet` a
sample of collections for the report. Fitting belongs to `fit`, drawing to `generators`.
"""

import json
from pathlib import Path
from typing import Any, Final, Self

import polars as pl
from pydantic import ConfigDict, Field

from marl.files import staged, write_json
from marl.frozen import Frozen
from marl.workload.arrivals import ArrivalModel
from marl.workload.coefficients import Coefficients
from marl.workload.config import WorkloadConfig
from marl.workload.demand import CHANNELS
from marl.workload.levels import LevelModel
from marl.workload.lifetimes import LifetimeModel
from marl.workload.requests import RequestModel

HISTORY: Final = pl.Schema(
    {
        "window_us": pl.Int64,
        "workload_class": pl.String,
        "collection_arrivals": pl.Float64,
        **dict.fromkeys(CHANNELS, pl.Float64),
        "is_imputed": pl.Boolean,
        "is_held_out": pl.Boolean,
    }
)
MARKS: Final = pl.Schema(
    {
        "collection_id": pl.Int64,
        "workload_class": pl.String,
        "first_us": pl.Int64,
        "tasks": pl.Int64,  # null where the trace shows no task of it
        "cpu_request_ncu": pl.Float64,  # of one task, mean over its tasks
        "memory_request_nmu": pl.Float64,
        "lifetime_s": pl.Float64,
        "is_censored": pl.Boolean,  # still running when observation ended
        "is_held_out": pl.Boolean,
    }
)


class ScaleFactors(Frozen):
    """From fractions of the largest machine to a slice of a cloud.

    Attributes:
        vcpu_per_ncu: chosen so that mean compute of the training part is the target.
        gib_per_nmu: vcpu_per_ncu × GiB per vCPU of the largest machine.
        slice_share: part of the cell's tasks the slice holds (vcpu_per_ncu ÷ the largest machine's
            vCPUs).
    """

    vcpu_per_ncu: float = Field(gt=0)
    gib_per_nmu: float = Field(gt=0)
    slice_share: float = Field(gt=0)


class ClassModel(Frozen):
    """One workload class. A class the training part does not show has rates and means of 0.

    Attributes:
        arrivals: collections per window.
        requests: CPU and memory a task asks for; None with too few tasks to tell.
        lifetimes: of collections; None with too few complete ones.
        tasks_per_collection: (101,) percentiles; empty where no task is known.
        tasks: task arrivals per window, on the arrivals of the same window.
        cpu_ncu, memory_nmu: levels, on the arrivals of the last day that still run.
        correlation: between the noises of CPU and memory.
        cpu_per_request, memory_per_request: used per requested unit.
        collections: arrivals seen in the training part.
        imputed_share: share of the training part's windows whose level was imputed.
    """

    arrivals: ArrivalModel = ArrivalModel()
    requests: RequestModel | None = None
    lifetimes: LifetimeModel | None = None
    tasks_per_collection: tuple[float, ...] = ()
    tasks: LevelModel = LevelModel()
    cpu_ncu: LevelModel = LevelModel()
    memory_nmu: LevelModel = LevelModel()
    correlation: float = Field(default=0.0, ge=-1, le=1)
    cpu_per_request: float = Field(default=0.5, ge=0)
    memory_per_request: float = Field(default=0.5, ge=0)
    collections: int = 0
    imputed_share: float = Field(default=0.0, ge=0, le=1)


class WorkloadModel(Frozen):
    """The whole fitted workload.

    Attributes:
        source: where the trace came from, for people.
        is_synthetic: whether that trace was generated.
        start_us, split_us, end_us: first window; first held-out window; end of the last window.
        config: what decided the fit, with `config_hash`.
        scale: factors from the trace's units.
        coefficients: every assumption in force.
        classes: by name.
        notes: what was missing or imputed and what that costs, for people.
        history, marks: frames (`HISTORY`, `MARKS`), stored beside the JSON.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    source: str
    is_synthetic: bool
    start_us: int
    split_us: int
    end_us: int
    config: WorkloadConfig
    config_hash: str
    scale: ScaleFactors
    coefficients: Coefficients
    classes: dict[str, ClassModel]
    notes: tuple[str, ...] = ()
    history: pl.DataFrame = Field(exclude=True, repr=False)
    marks: pl.DataFrame = Field(exclude=True, repr=False)

    def __eq__(self, other: Any) -> bool:
        return (
            isinstance(other, WorkloadModel)
            and self.model_dump() == other.model_dump()
            and self.history.equals(other.history)
            and self.marks.equals(other.marks)
        )

    def save(self, folder: Path) -> None:
        """Write `model.json`, `history.parquet` and `marks.parquet` as one folder, atomically."""
        with staged(folder) as aside:
            aside.mkdir()
            write_json(aside / "model.json", self.model_dump(mode="json"))
            self.history.write_parquet(aside / "history.parquet", compression="zstd")
            self.marks.write_parquet(aside / "marks.parquet", compression="zstd")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: a file is missing; the message names it.
            ValueError: a file does not hold what it should.
        """
        for name in ("model.json", "history.parquet", "marks.parquet"):
            if not (folder / name).is_file():
                raise FileNotFoundError(
                    f"no {name} in {folder}; materialise workload_model to make it"
                )
        frames = {}
        for name, schema in (("history", HISTORY), ("marks", MARKS)):
            frame = pl.read_parquet(folder / f"{name}.parquet")
            if frame.schema != schema:
                raise ValueError(
                    f"{folder / name}.parquet has columns {frame.schema}, not {schema}"
                )
            frames[name] = frame
        document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        return cls.model_validate({**document, **frames})
