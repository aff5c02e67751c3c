"""demand_windows, task_profiles → trace_cache. How they are computed belongs to `marl.features`."""

from pathlib import Path

import dagster as dg

from assets.progress import reporter
from assets.store import Store


@dg.asset(
    description="Arrivals, running requests, usage, evictions and queueing delay, "
    "every 5 minutes by tier and scheduling class."
)
def demand_windows(
    context: dg.AssetExecutionContext,
    collections: Path,
    instances: Path,
    usage: Path,
    store: Store,
) -> Path:
    """Sum demand into five-minute windows."""
    from marl.features.demand_windows import build

    into = store.staging("demand_windows")
    tables = {"collections": collections, "instances": instances, "usage": usage}
    summary = build(tables, into, reporter(context))
    context.add_output_metadata({"notes": _notes(summary.notes)})
    return into


@dg.asset(
    description="One row per collection: size, requests, usage, run times, evictions, NCU-hours."
)
def task_profiles(
    context: dg.AssetExecutionContext,
    collections: Path,
    instances: Path,
    usage: Path,
    store: Store,
) -> Path:
    """Describe every collection."""
    from marl.features.task_profiles import build

    into = store.staging("task_profiles")
    tables = {"collections": collections, "instances": instances, "usage": usage}
    summary = build(tables, into, reporter(context))
    context.add_output_metadata({"notes": _notes(summary.notes)})
    return into


@dg.asset(
    description="data/cache.duckdb: every table as a view, with macros, for SQL "
    "(python -m marl.features.ask)."
)
def trace_cache(
    context: dg.AssetExecutionContext,
    machines: Path,
    demand_windows: Path,
    task_profiles: Path,
    store: Store,
) -> Path:
    """Build the DuckDB file that shows the Parquet tables as views."""
    from marl.features.cache import build_cache

    from marl.files import write_json

    del machines, demand_windows, task_profiles  # read through the store's folder
    summary = build_cache(store.path, store.path / "cache.duckdb", reporter(context))
    into = store.staging("trace_cache")
    write_json(into / "summary.json", summary.model_dump(mode="json"))
    context.add_output_metadata(
        {"database": dg.MetadataValue.path(str(store.path / "cache.duckdb"))}
    )
    return into


def _notes(notes: tuple[str, ...]) -> dg.MetadataValue:
    return dg.MetadataValue.md("\n".join(f"- {note}" for note in notes) or "none")
