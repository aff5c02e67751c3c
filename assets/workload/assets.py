"""workload_classes → class_demand → workload_model → workload_report."""

from pathlib import Path

import dagster as dg

from assets.pictures import file_metadata
from assets.progress import reporter
from assets.provenance import Provenance
from assets.resources import Profile
from assets.store import Store


@dg.asset(description="Every job's class - web, batch or ML - and the rule that decided it.")
def workload_classes(
    context: dg.AssetExecutionContext,
    trace_cache: Path,
    collections: Path,
    task_profiles: Path,
    store: Store,
) -> Path:
    """Class jobs by stated rules."""
    from marl.workload.classes import classify, explain

    del trace_cache  # what SQL shows must exist before anything is decided from it
    classes = classify({"collections": collections, "task_profiles": task_profiles})
    into = store.staging("workload_classes")
    (into / "rows").mkdir()
    classes.write_parquet(into / "rows" / "part-000000.parquet", compression="zstd")
    rules = explain(classes)
    rules.write_parquet(into / "rules.parquet")
    context.add_output_metadata({"rules": dg.MetadataValue.md(_markdown(rules.rows(named=True)))})
    return into


@dg.asset(description="Arrivals, running tasks, CPU and memory of each class, every 5 minutes.")
def class_demand(
    context: dg.AssetExecutionContext,
    collections: Path,
    instances: Path,
    usage: Path,
    demand_windows: Path,
    task_profiles: Path,
    workload_classes: Path,
    profile: Profile,
    store: Store,
) -> Path:
    """Demand over time by class; what the trace does not show is imputed and marked."""
    import polars as pl

    from marl.files import write_json
    from marl.workload.config import WorkloadConfig
    from marl.workload.history import class_demand as demand_of
    from marl.workload.history import class_marks, demand_notes

    tables = {
        "collections": collections,
        "instances": instances,
        "usage": usage,
        "demand_windows": demand_windows,
        "task_profiles": task_profiles,
    }
    classes = pl.read_parquet(workload_classes / "rows" / "*.parquet")
    demand = demand_of(tables, classes, WorkloadConfig(seed=profile.seed))
    notes = demand_notes(tables, demand)
    into = store.staging("class_demand")
    (into / "rows").mkdir()
    demand.write_parquet(into / "rows" / "part-000000.parquet", compression="zstd")
    class_marks(tables, classes).write_parquet(into / "marks.parquet", compression="zstd")
    write_json(into / "notes.json", list(notes))
    context.add_output_metadata({"notes": dg.MetadataValue.md("\n".join(f"- {n}" for n in notes))})
    return into


@dg.asset(
    description="Arrivals, requests and lifetimes fitted by class on the first 60 % of the trace; "
    "the rest is held out."
)
def workload_model(
    context: dg.AssetExecutionContext,
    class_demand: Path,
    profile: Profile,
    store: Store,
) -> Path:
    """Fit the workload; families are chosen on a validation stretch of the training part."""
    import json

    import polars as pl

    from marl.workload.config import WorkloadConfig
    from marl.workload.fit import fit

    provenance = Provenance.load(class_demand)
    model = fit(
        pl.read_parquet(class_demand / "rows" / "*.parquet"),
        pl.read_parquet(class_demand / "marks.parquet"),
        WorkloadConfig(seed=profile.seed),
        source=str((provenance.trace or {}).get("source", "unknown")),
        is_synthetic=provenance.is_synthetic,
        notes=tuple(json.loads((class_demand / "notes.json").read_text())),
        progress=reporter(context),
    )
    into = store.staging("workload_model")
    model.save(into)
    context.add_output_metadata(
        {
            "families": dg.MetadataValue.md(
                _markdown(
                    [
                        {"class": name, "arrivals": one.arrivals.family, "jobs": one.collections}
                        for name, one in sorted(model.classes.items())
                    ]
                )
            ),
            "notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in model.notes) or "none"),
        }
    )
    return into


@dg.asset(description="How well the fitted workload matches the held-out stretch, in pictures.")
def workload_report(
    context: dg.AssetExecutionContext,
    workload_model: Path,
    workload_classes: Path,
    profile: Profile,
    store: Store,
) -> Path:
    """Compare the model with what it has not seen."""
    import polars as pl

    from marl.workload.model import WorkloadModel
    from marl.workload.report import write_report

    into = store.staging("workload_report")
    found = write_report(
        WorkloadModel.load(workload_model),
        into,
        classes=pl.read_parquet(workload_classes / "rows" / "*.parquet"),
        seed=profile.seed,
        progress=reporter(context),
    )
    pictures = {
        path.stem: file_metadata(path, path.stem) for path in sorted(into.glob("*arrivals.png"))
    }
    context.add_output_metadata({"checks passed": f"{found.passed} of {found.total}", **pictures})
    return into


def _markdown(rows: list[dict[str, object]]) -> str:
    if not rows:
        return "none"
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(row[name]) for name in head) + " |" for row in rows]
    return "\n".join(lines)
