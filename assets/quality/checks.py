"""Turns a table's suite into a Dagster asset check: one factory, used by every stage.

Suites are data beside the assets; evaluating them is `gx`; this file only reports.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.quality.gx import Expect, Validation, validate
from assets.store import Store

Frames = pl.DataFrame | pl.LazyFrame | Iterable[pl.DataFrame]


def report(validation: Validation, data_docs: Path | None = None) -> dg.AssetCheckResult:
    """A Dagster result naming each broken expectation with offending values.

    Args:
        validation: what `gx.validate` found.
        data_docs: the page that shows it in full.
    """
    broken = validation.broken
    lines = [
        f"- **{f.expectation.severity}** `{f.expectation.label}`: {f.unexpected} unexpected"
        + (f", e.g. {', '.join(repr(v) for v in f.examples)}" if f.examples else "")
        + (f" (could not be evaluated: {f.error})" if f.error else "")
        for f in broken
    ]
    return dg.AssetCheckResult(
        passed=not broken,
        severity=dg.AssetCheckSeverity.ERROR
        if validation.has_critical
        else dg.AssetCheckSeverity.WARN,
        description="\n".join(lines) or f"{len(validation.findings)} expectations met",
        metadata={
            "rows": validation.rows,
            "expectations": len(validation.findings),
            "broken": dg.MetadataValue.md("\n".join(lines) or "none"),
            **({"data_docs": dg.MetadataValue.path(str(data_docs))} if data_docs else {}),
        },
    )


def suite_check(
    asset: str,
    suite: Iterable[Expect],
    load: Callable[[Path], Frames],
    *,
    blocking: bool = True,
) -> dg.AssetChecksDefinition:
    """A check that runs `suite` on what `load` reads from the asset's published folder.

    Args:
        asset: name of the asset; the check is called `<asset>_expectations`.
        suite: the expectations.
        load: reads the folder into a frame, or into pieces where it is large.
        blocking: whether a critical failure stops what depends on the asset.
    """
    expectations = tuple(suite)

    @dg.asset_check(
        asset=asset,
        name=f"{asset}_expectations",
        blocking=blocking,
        description=f"Great Expectations suite of {len(expectations)} over {asset}",
    )
    def check(store: Store) -> dg.AssetCheckResult:
        from assets.quality.docs import write_page

        validation = validate(load(store.folder(asset)), expectations)
        index = write_page(store.path / "data_docs", asset, validation)
        return report(validation, data_docs=index)

    return check


def fact_check(
    asset: str,
    name: str,
    judge: Callable[[Path], tuple[bool, str, dict[str, Any]]],
    *,
    description: str,
    blocking: bool = True,
) -> dg.AssetChecksDefinition:
    """A check of a fact no column expectation can state (accounting, monotonicity, files …).

    Args:
        asset: name of the asset.
        name: name of the check.
        judge: reads the published folder; returns (passed, sentence, metadata).
        description: what it guards.
        blocking: whether a failure stops what depends on the asset.
    """

    @dg.asset_check(asset=asset, name=name, blocking=blocking, description=description)
    def check(store: Store) -> dg.AssetCheckResult:
        passed, sentence, metadata = judge(store.folder(asset))
        return dg.AssetCheckResult(
            passed=passed,
            severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
            description=sentence,
            metadata=metadata,
        )

    return check
