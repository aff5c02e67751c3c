"""The one adapter to Great Expectations: expectations as data in, plain results out.

Great Expectations ships pandas, Spark and SQLAlchemy engines and no Polars one, so frames are
converted at this edge, in chunks, and nowhere else. It takes seconds to import: only inside.
Suites live beside the assets they guard; turning results into Dagster checks is `checks`.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import polars as pl

CHUNK_ROWS = 2_000_000  # bounds memory: about 0.5 GiB of pandas for the widest table


@dataclass(frozen=True)
class Expect:
    """One expectation: the name of a class in `great_expectations.expectations`, and its arguments.

    Attributes:
        kind: class name without its leading "Expect", e.g. "ColumnValuesToNotBeNull".
        kwargs: the expectation's arguments.
        severity: a failing "critical" one fails the check, a "warning" one only warns.
    """

    kind: str
    kwargs: Mapping[str, Any]
    severity: Literal["critical", "warning"] = "critical"

    @property
    def label(self) -> str:
        """The expectation in words, for people."""
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.kwargs.items())
        return f"{self.kind}({arguments})"


def expect(
    kind: str, severity: Literal["critical", "warning"] = "critical", **kwargs: Any
) -> Expect:
    """Shorthand for `Expect`."""
    return Expect(kind, kwargs, severity)


@dataclass(frozen=True)
class Finding:
    """How one expectation fared over all chunks.

    Attributes:
        expectation: which.
        is_met: it held on every chunk.
        unexpected: values (or rows) that broke it.
        examples: up to ten of the offending values.
        error: why it could not be evaluated; an expectation that cannot run is not met.
    """

    expectation: Expect
    is_met: bool
    unexpected: int
    examples: tuple[Any, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Validation:
    """What validating a frame found."""

    findings: tuple[Finding, ...]
    rows: int
    pages: tuple[Any, ...] = field(default=(), repr=False)  # GX results, for Data Docs

    @property
    def broken(self) -> tuple[Finding, ...]:
        """The expectations that were not met."""
        return tuple(finding for finding in self.findings if not finding.is_met)

    @property
    def has_critical(self) -> bool:
        """Whether a critical expectation was not met."""
        return any(finding.expectation.severity == "critical" for finding in self.broken)


def validate(
    frames: pl.DataFrame | pl.LazyFrame | Iterable[pl.DataFrame], suite: Iterable[Expect]
) -> Validation:
    """Check every expectation of `suite` on a table.

    Args:
        frames: the table, or an iterable of its pieces (each small enough for memory).
        suite: the expectations; each holds for the table only if it holds on every piece.

    Returns:
        A finding per expectation, in order.
    """
    expectations = tuple(suite)
    merged: list[Finding | None] = [None] * len(expectations)
    rows, pages = 0, []
    for chunk in _chunks(frames):
        rows += chunk.height
        result = _run(chunk, expectations)
        pages.append(result)
        # GX may order its results as it likes: match by type and arguments.
        for index, outcome in enumerate(_in_order(expectations, result)):
            merged[index] = _merge(merged[index], _finding(expectations[index], outcome))
    findings = tuple(f for f in merged if f is not None)
    return Validation(findings=findings, rows=rows, pages=tuple(pages))


def _chunks(frames: pl.DataFrame | pl.LazyFrame | Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    if isinstance(frames, pl.LazyFrame):
        frames = frames.collect(engine="streaming")
    if isinstance(frames, pl.DataFrame):
        # An empty table is validated too: its columns must be right.
        yield from frames.iter_slices(CHUNK_ROWS) if frames.height else [frames]
        return
    pending: list[pl.DataFrame] = []
    seen = False
    for frame in frames:
        if pending and sum(f.height for f in pending) + frame.height > CHUNK_ROWS:
            yield from pl.concat(pending).iter_slices(CHUNK_ROWS)
            pending, seen = [], True
        pending.append(frame)
    if pending:
        rest = pl.concat(pending)
        if rest.height or not seen:
            yield from rest.iter_slices(CHUNK_ROWS) if rest.height else [rest]


@cache
def _context() -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    return context


def _run(chunk: pl.DataFrame, expectations: tuple[Expect, ...]) -> Any:
    import great_expectations as gx

    context = _context()
    # Columns no expectation asks about keep only their name: converting them costs most.
    asked = {name for item in expectations for name in _columns(item)}
    unasked = [pl.lit(None, pl.Int8).alias(name) for name in chunk.columns if name not in asked]
    frame = chunk.with_columns(unasked).to_pandas()
    source = context.data_sources.add_or_update_pandas("stratoform")
    batch = (
        source.add_dataframe_asset("table")
        .add_batch_definition_whole_dataframe("whole")
        .get_batch({"dataframe": frame})
    )
    suite = gx.ExpectationSuite(name="suite")
    for item in expectations:
        kind = getattr(gx.expectations, f"Expect{item.kind}")
        suite.add_expectation(kind(**item.kwargs, severity=item.severity, meta={"row": item.label}))
    return batch.validate(suite, result_format="SUMMARY")


def _columns(expectation: Expect) -> Iterator[str]:
    """The columns whose values an expectation looks into."""
    if not expectation.kind.startswith("Table"):
        kwargs = expectation.kwargs
        yield from (kwargs[key] for key in ("column", "column_A", "column_B") if key in kwargs)
        yield from kwargs.get("column_list", ())


def _in_order(expectations: tuple[Expect, ...], result: Any) -> list[Any]:
    by_label = {r.expectation_config.meta["row"]: r for r in result.results}
    return [by_label[item.label] for item in expectations]


def _finding(expectation: Expect, outcome: Any) -> Finding:
    details = outcome.result or {}
    error = None
    for info in _exceptions(outcome.exception_info):
        error = info
    examples = details.get("partial_unexpected_list") or []
    if not examples and not outcome.success and "observed_value" in details:
        examples = [details["observed_value"]]
    return Finding(
        expectation=expectation,
        is_met=bool(outcome.success) and error is None,
        unexpected=int(details.get("unexpected_count") or (0 if outcome.success else 1)),
        examples=tuple(examples[:10]),
        error=error,
    )


def _exceptions(info: Any) -> Iterator[str]:
    """GX reports an error either flat or keyed by metric: yield each message."""
    if not info:
        return
    if "raised_exception" in info:
        if info["raised_exception"]:
            yield str(info.get("exception_message"))
        return
    for value in info.values():
        if isinstance(value, Mapping) and value.get("raised_exception"):
            yield str(value.get("exception_message"))


def _merge(old: Finding | None, new: Finding) -> Finding:
    if old is None:
        return new
    return Finding(
        expectation=old.expectation,
        is_met=old.is_met and new.is_met,
        unexpected=old.unexpected + new.unexpected,
        examples=(old.examples + new.examples)[:10],
        error=old.error or new.error,
    )
