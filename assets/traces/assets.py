"""raw_trace → machines, collections, instances, usage. Parsing and fetching belong to `marl`."""

from pathlib import Path
from typing import Any

import dagster as dg

from assets.progress import reporter
from assets.resources import Profile, TraceSettings
from assets.store import Store

GIB = 1 << 30
DESCRIPTIONS = {
    "machines": "Machines added, removed and changed: capacity over time.",
    "collections": "Jobs and alloc sets: their lifecycle events, users and tiers.",
    "instances": "Tasks and alloc instances: lifecycle events with requested CPU and memory.",
    "usage": "What running instances used, in windows of at most five minutes.",
}


class RawTraceConfig(dg.Config):
    """Launchpad overrides of the TRACE_* environment variables; None keeps what they say."""

    source: str | None = None
    location: str | None = None
    start_s: float | None = None
    hours: float | None = None
    sample: float | None = None
    sample_by: str | None = None
    budget_gib: float | None = None
    tables: str | None = None


@dg.asset(description="A bounded slice of a cluster trace, as its source delivers it, checksummed.")
def raw_trace(
    context: dg.AssetExecutionContext,
    config: RawTraceConfig,
    store: Store,
    profile: Profile,
    trace: TraceSettings,
) -> Path:
    """Fetch (or generate) the raw files; the folder published holds their manifest."""
    from assets.traces.downloads import downloads_folder
    from marl.traces.manifest import TraceRequest
    from marl.traces.sources import fetch

    request = TraceRequest.model_validate(_request(config, profile, trace))
    manifest = fetch(request, downloads_folder(store.path, request), reporter(context))
    into = store.staging("raw_trace")
    manifest.save(into)
    context.add_output_metadata(
        {
            "files": len(manifest.files),
            "raw_bytes": sum(file.bytes for file in manifest.files),
            "tables": ", ".join(sorted(manifest.tables())),
            "notes": dg.MetadataValue.md("\n".join(f"- {n}" for n in manifest.notes) or "none"),
        }
    )
    return into


def _request(config: RawTraceConfig, profile: Profile, trace: TraceSettings) -> dict[str, Any]:
    chosen = trace.model_dump() | {k: v for k, v in config.model_dump().items() if v is not None}
    request = {
        "source": chosen["source"],
        "location": chosen["location"] or None,
        "start_us": round(chosen["start_s"] * 1e6),
        "duration_s": chosen["hours"] * 3600 or None,
        "sample": chosen["sample"],
        "sample_by": chosen["sample_by"],
        "budget_bytes": round(chosen["budget_gib"] * GIB),
        "seed": profile.seed,
        "tables": tuple(t.strip() for t in chosen["tables"].split(",") if t.strip()) or None,
        "billing_project": chosen["billing_project"] or None,
    }
    if chosen["source"] == "embedded":  # only these change what the embedded trace is
        request |= {
            "embedded_days": profile.embedded_days,
            "embedded_jobs_per_hour": profile.embedded_jobs_per_hour,
            "embedded_machines": profile.embedded_machines,
        }
    return request


def _table_asset(table: str) -> dg.AssetsDefinition:
    @dg.asset(name=table, description=DESCRIPTIONS[table])
    def table_asset(context: dg.AssetExecutionContext, raw_trace: Path, store: Store) -> Path:
        from assets.traces.downloads import downloads_folder
        from marl.traces.canonical import write_table
        from marl.traces.manifest import RawManifest

        into = store.staging(table)
        manifest = RawManifest.load(raw_trace)
        downloads = downloads_folder(store.path, manifest.request)
        accounting = write_table(manifest, downloads, table, into, reporter(context))
        context.add_output_metadata(
            {
                "rows_in": accounting.rows_in,
                "rows_kept": accounting.rows_kept,
                "quarantined": dg.MetadataValue.json(dict(accounting.quarantined)),
                "filtered": dg.MetadataValue.json(dict(accounting.filtered)),
                "notes": dg.MetadataValue.md(
                    "\n".join(f"- {n}" for n in accounting.notes) or "none"
                ),
            }
        )
        return into

    return table_asset


machines, collections, instances, usage = (_table_asset(name) for name in DESCRIPTIONS)
