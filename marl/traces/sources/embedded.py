"""The embedded source: a synthetic trace, generated into the target folder as 2019 Parquet parts.

What is drawn belongs to `marl.traces.synthetic`; here it is written under the byte budget, part by
part, so that an interrupted run goes on and a damaged part alone is made again.
"""

from functools import lru_cache
from pathlib import Path

from marl.files import clear_staging, sha256_file, sha256_json
from marl.traces import synthetic
from marl.traces.budget import ByteBudget, Ledger
from marl.traces.manifest import RawFile, RawManifest, TraceRequest
from marl.traces.sources.base import Progress, SourceError, saved_manifest
from marl.traces.synthetic.generate import Plan, plan
from marl.traces.synthetic.room import NEVER

_NARROW = (
    "Lower embedded_days, embedded_jobs_per_hour or embedded_machines, shorten duration_s, or "
    "raise budget_bytes (at most 5 GiB)"
)
_NOTE = (
    "synthetic: generated, not measured; calibrated to published statistics of Google's 2011 and "
    "2019 traces"
)


def fetch(request: TraceRequest, into: Path, progress: Progress | None = None) -> RawManifest:
    """Generate the trace `request` sizes; see `base.Source.fetch`.

    Raises:
        BudgetExceeded: the parts would be, or turned out, larger than the budget.
        SourceError: the size asked for has no job at all, or too many tasks to draw in memory.
    """
    say = progress or (lambda _line: None)
    version = f"{_code_version()}:{sha256_json(request.model_dump(mode='json'))}"
    ledger = Ledger(into)
    manifest = saved_manifest(into)
    if (
        manifest is not None
        and manifest.request == request
        and all(ledger.find(file.path, version) for file in manifest.files)
    ):
        return manifest
    for folder in (into, *(path for path in into.iterdir() if path.is_dir())):
        clear_staging(folder)
    say(
        f"drawing {request.embedded_days:g} days of a cell of {request.embedded_machines} machines "
        f"with {request.embedded_jobs_per_hour:g} jobs an hour"
    )
    try:
        trace = plan(request)
    except ValueError as error:
        raise SourceError(f"cannot draw the embedded trace: {error}") from error
    files = _write(trace, request, into, ledger, version, say)
    ledger.prune(file.path for file in files)
    manifest = RawManifest(
        request=request, files=tuple(files), is_synthetic=True, notes=_notes(trace)
    )
    manifest.save(into)
    return manifest


def _write(
    trace: Plan, request: TraceRequest, into: Path, ledger: Ledger, version: str, say: Progress
) -> list[RawFile]:
    """Write the parts that are not there yet; count all of them."""
    from marl.traces.synthetic.tables import write

    budget = ByteBudget(request.budget_bytes, _NARROW)
    parts = trace.parts()
    what = f"a synthetic trace of {request.embedded_days:g} days"
    budget.check(trace.expected_bytes(), f"{what} (estimated before it is made)")
    files: list[RawFile] = []
    for count, part in enumerate(parts, start=1):
        entry = ledger.find(part.name, version)
        if entry is None:
            write(into / part.name, part.make())
            entry = ledger.record(part.name, version)
            say(f"wrote {part.name} ({count} of {len(parts)})")
        budget.add(entry.bytes, what)
        files.append(
            RawFile(
                table=part.table,
                path=part.name,
                layout="google2019",
                encoding="parquet",
                bytes=entry.bytes,
                sha256=entry.sha256,
                origin=f"generated with seed {request.seed}",
            )
        )
    return files


def _notes(trace: Plan) -> tuple[str, ...]:
    """What people should know, a cell too small for its jobs above all."""
    stuck = int((trace.waits_us == NEVER).sum())
    waited = int((trace.waits_us > 0).sum())
    if not stuck and not waited:
        return (_NOTE,)
    return (
        _NOTE,
        f"of {len(trace.jobs):,} jobs {waited:,} waited for room and {stuck:,} never found any; "
        "more embedded_machines or fewer embedded_jobs_per_hour make room",
    )


@lru_cache(maxsize=1)
def _code_version() -> str:
    """Hash of the generator's sources: a trace of older code is not taken for today's."""
    folder = Path(synthetic.__file__).parent
    return sha256_json([sha256_file(path) for path in sorted(folder.glob("*.py"))])
