"""Sources of raw traces behind one function: `fetch` picks the module the request names.

Each source is a module with its own `fetch`; it is imported only when chosen, so that nobody needs
Google's client libraries for a trace that lies on disk.
"""

import importlib
from pathlib import Path
from typing import cast

from marl.traces.manifest import RawManifest, TraceRequest
from marl.traces.sources.base import Progress, Source, SourceError

_NEEDS_GCP = frozenset({"gcs", "bigquery"})


def fetch(request: TraceRequest, into: Path, progress: Progress | None = None) -> RawManifest:
    """Bring the slice `request` describes to `into`; see `base.Source.fetch`.

    Args:
        request: source, window, sample, budget.
        into: folder for the files and `manifest.json`; created where absent.
        progress: called with one line of text now and then, on long work.

    Returns:
        The manifest, which is also saved in `into`.

    Raises:
        BudgetExceeded: the slice is larger than `request.budget_bytes`.
        SourceError: the trace cannot be fetched; the message says what to do.
    """
    try:
        module = cast(Source, importlib.import_module(f"{__name__}.{request.source}"))
    except ModuleNotFoundError as error:
        if request.source not in _NEEDS_GCP or (error.name or "").startswith("marl"):
            raise
        raise SourceError(
            f"source {request.source!r} needs the package {error.name!r}, which is not installed: "
            "pip install 'stratoform[gcp]'"
        ) from error
    into.mkdir(parents=True, exist_ok=True)
    return module.fetch(request, into, progress)
