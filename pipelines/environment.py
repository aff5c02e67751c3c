"""The only switches: environment variables, read once, when definitions are built.

PROFILE, STRATOFORM_DATA, TRACE_SOURCE, TRACE_PATH, TRACE_START_S, TRACE_HOURS, TRACE_SAMPLE,
TRACE_SAMPLE_BY, TRACE_BUDGET_GIB, TRACE_TABLES, TRACE_BILLING_PROJECT. No secret is among them:
Google's client libraries find credentials by themselves.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from assets.resources import TraceSettings
from assets.store import Store

ROOT: Final = Path(__file__).resolve().parents[1]
REMOTE_HOURS: Final = 24.0  # remote slices cost money or time: a day unless asked for more
_REMOTE = ("gcs", "bigquery")
_SOURCES = ("embedded", "local", *_REMOTE)


def store_from(environ: Mapping[str, str]) -> Store:
    """The data folder: STRATOFORM_DATA, or `data/` in the repository."""
    root = Path(environ.get("STRATOFORM_DATA") or ROOT / "data").expanduser().resolve()
    return Store(root=str(root))


def trace_settings_from(environ: Mapping[str, str]) -> TraceSettings:
    """The slice of the trace that TRACE_* variables ask for.

    Raises:
        ValueError: an unknown source, or a number that is none; names the variable.
    """
    source = environ.get("TRACE_SOURCE") or "embedded"
    if source not in _SOURCES:
        raise ValueError(
            f"TRACE_SOURCE={source!r} is not a source; there are: {', '.join(_SOURCES)}"
        )
    return TraceSettings(
        source=source,
        location=environ.get("TRACE_PATH", ""),
        start_s=_number(environ, "TRACE_START_S", 0.0),
        hours=_number(environ, "TRACE_HOURS", REMOTE_HOURS if source in _REMOTE else 0.0),
        sample=_number(environ, "TRACE_SAMPLE", 1.0),
        sample_by=environ.get("TRACE_SAMPLE_BY") or "collections",
        budget_gib=_number(environ, "TRACE_BUDGET_GIB", 2.0),
        tables=environ.get("TRACE_TABLES", ""),
        billing_project=environ.get("TRACE_BILLING_PROJECT", ""),
    )


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name}={text!r} is not a number") from None
