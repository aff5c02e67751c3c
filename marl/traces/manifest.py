"""What a source is asked for and what it left on disk: `TraceRequest` and `RawManifest`.

Fetching belongs to `sources`, parsing to `formats`. A manifest never holds a credential.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from marl.files import write_json
from marl.frozen import Frozen

GIB = 1 << 30
MAX_BUDGET_BYTES = 5 * GIB

Layout = Literal["google2011", "google2019", "kaggle2019"]
Table = Literal["machines", "collections", "instances", "usage"]
SourceName = Literal["embedded", "local", "gcs", "bigquery"]


class TraceRequest(Frozen):
    """A bounded slice of a trace.

    Attributes:
        source: where it comes from.
        location: folder (`local`), `gs://bucket[/prefix]` (`gcs`), `project.dataset` (`bigquery`);
            unused by `embedded`.
        start_us: first microsecond of the window (trace time; snapshot rows at 0 always belong).
        duration_s: length of the window in seconds; None means all there is.
        sample: share kept, in (0, 1]; by a deterministic hash of `sample_by`.
        sample_by: what is sampled whole: collections (with their instances and usage) or machines.
        budget_bytes: most bytes that may be read or billed; at most 5 GiB.
        seed: seed of the embedded generator and salt of the sample hash.
        embedded_days, embedded_jobs_per_hour, embedded_machines: size of the embedded trace.
        billing_project: project that pays for a BigQuery query; None takes the client's default.
        tables: canonical tables to fetch (`gcs`, `bigquery`); None means all there are.
    """

    source: SourceName = "embedded"
    location: str | None = None
    start_us: int = Field(default=0, ge=0)
    duration_s: float | None = Field(default=None, gt=0)
    sample: float = Field(default=1.0, gt=0, le=1)
    sample_by: Literal["collections", "machines"] = "collections"
    budget_bytes: int = Field(default=2 * GIB, gt=0, le=MAX_BUDGET_BYTES)
    seed: int = 0
    embedded_days: float = Field(default=7.0, gt=0)
    embedded_jobs_per_hour: float = Field(default=120.0, gt=0)
    embedded_machines: int = Field(default=100, ge=1)
    billing_project: str | None = None
    tables: tuple[Table, ...] | None = None

    @model_validator(mode="after")
    def _tables_where_they_are_chosen(self) -> Self:
        if self.tables is not None and self.source not in {"gcs", "bigquery"}:
            raise ValueError(
                f"source {self.source!r} always gives all its tables: leave tables unset"
            )
        return self

    @model_validator(mode="after")
    def _location_where_needed(self) -> Self:
        if self.source != "embedded" and not self.location:
            raise ValueError(
                f"source {self.source!r} needs a location: a folder (local), gs://bucket/prefix "
                "(gcs) or project.dataset (bigquery); set TRACE_PATH"
            )
        return self

    @property
    def end_us(self) -> int | None:
        """First microsecond after the window; None when it is open."""
        return None if self.duration_s is None else self.start_us + round(self.duration_s * 1e6)


class RawFile(Frozen):
    """One file of a raw trace. `path` is absolute, or relative to the manifest's folder."""

    table: Table | None  # None: one file holds several tables (the Kaggle layout)
    path: str
    layout: Layout
    encoding: Literal["csv", "csv.gz", "json", "json.gz", "parquet"]
    bytes: int
    sha256: str
    origin: str  # where it came from, for people: a URL without query string, a path, a table


class RawManifest(Frozen):
    """What a source delivered: the input of every canonical table."""

    request: TraceRequest
    files: tuple[RawFile, ...]
    is_synthetic: bool
    notes: tuple[str, ...] = ()  # what is missing, what was skipped and why, for people
    is_sampled: bool = False  # True: the source applied `request.sample`; nobody may do so again

    def save(self, folder: Path) -> None:
        """Write `manifest.json` in `folder`, atomically."""
        write_json(folder / "manifest.json", self.model_dump(mode="json"))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `manifest.json` from `folder`."""
        return cls.model_validate_json((folder / "manifest.json").read_text(encoding="utf-8"))

    def tables(self) -> frozenset[str]:
        """Canonical tables this trace can fill."""
        several = any(file.table is None for file in self.files)
        named = {file.table for file in self.files if file.table is not None}
        return frozenset(named | ({"instances", "usage"} if several else set()))
