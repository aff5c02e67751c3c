"""demand_windows, task_profiles → trace_cache. How they are computed belongs to `marl.features`."""

from importlib import import_module
from pathlib import Path

import dagster as dg

from assets.progress import reporter
from assets.store import Store

DESCRIPTIONS = {
    "demand_windows": "Arrivals, running requests, usage, evictions and queueing delay, "
    "every 5 minutes by tier and scheduling class.",
    "task_profiles": "One row per collection: size, requests, usage, run times, evictions, "
    "NCU-hours.",
}
LATER = ("workload_classes", "class_demand", "evaluation_episodes")


def _feature_asset(name: str) -> dg.AssetsDefinition:
    """Both are made from the same three tables by the `build` of the module of their name."""

    @dg.asset(name=name, description=DESCRIPTIONS[name])
    def feature_asset(
        context: dg.AssetExecutionContext,
        collections: Path,
        instances: Path,
        usage: Path,
        store: Store,
    ) -> Path:
        into = store.staging(name)
        tables = {"collections": collections, "instances": instances, "usage": usage}
        build = import_module(f"marl.features.{name}").build
        summary = build(tables, into, reporter(context))
        notes = "\n".join(f"- {note}" for note in summary.notes)
        context.add_output_metadata({"notes": dg.MetadataValue.md(notes or "none")})
        return into

    return feature_asset


demand_windows, task_profiles = (_feature_asset(name) for name in DESCRIPTIONS)


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
    # Tables of later stages are views too, but no part of this asset: they may be of another run.
    rows = {name: count for name, count in summary.rows.items() if name not in LATER}
    write_json(into / "summary.json", {"rows": rows, "macros": list(summary.macros)})
    context.add_output_metadata(
        {"database": dg.MetadataValue.path(str(store.path / "cache.duckdb"))}
    )
    return into
