"""Checks of group `traces`: the raw files are what the manifest says, and no row got lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl

from assets.quality.checks import fact_check, suite_check
from assets.traces.suites import SUITES

# More rejected rows than this means the parser does not fit the file, not that the file has flaws.
MAX_QUARANTINED_SHARE: Final = 0.05


def parts(folder: Path) -> Iterator[pl.DataFrame]:
    """The table's files, one after the other: memory stays flat however long the trace."""
    for path in sorted((folder / "rows").glob("*.parquet")):
        yield pl.read_parquet(path)


def raw_files_intact(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """Every file of the manifest is there with its size and sha256, and within the budget."""
    from assets.traces.downloads import downloads_folder
    from marl.files import sha256_file
    from marl.traces.manifest import RawManifest

    manifest = RawManifest.load(folder)
    downloads = downloads_folder(folder.parent, manifest.request)
    wrong = []
    for file in manifest.files:
        path = downloads / file.path
        if not path.is_file():
            wrong.append(f"{file.path}: missing")
        elif path.stat().st_size != file.bytes:
            wrong.append(f"{file.path}: {path.stat().st_size} bytes, manifest says {file.bytes}")
        elif sha256_file(path) != file.sha256:
            wrong.append(f"{file.path}: sha256 differs from the manifest")
    total = sum(file.bytes for file in manifest.files)
    if total > manifest.request.budget_bytes:
        wrong.append(f"{total} bytes exceed the budget of {manifest.request.budget_bytes}")
    if not manifest.files:
        wrong.append("the manifest names no file")
    return not wrong, "; ".join(wrong) or f"{len(manifest.files)} files intact", {"bytes": total}


def rows_accounted(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """Rows in = kept + quarantined + filtered, and both counts agree with the files on disk."""
    from marl.traces.canonical import read_accounting, read_quarantine, read_table

    accounting = read_accounting(folder)
    kept = read_table(folder).select(pl.len()).collect().item()
    rejected = read_quarantine(folder).select(pl.len()).collect().item()
    quarantined = sum(accounting.quarantined.values())
    filtered = sum(accounting.filtered.values())
    wrong = []
    if accounting.rows_in != accounting.rows_kept + quarantined + filtered:
        wrong.append(
            f"{accounting.rows_in} rows in, but {accounting.rows_kept} kept + {quarantined} "
            f"quarantined + {filtered} filtered"
        )
    if kept != accounting.rows_kept:
        wrong.append(f"{kept} rows on disk, accounting says {accounting.rows_kept}")
    if rejected != quarantined:
        wrong.append(f"{rejected} rows in quarantine on disk, accounting says {quarantined}")
    if accounting.rows_in and quarantined > MAX_QUARANTINED_SHARE * accounting.rows_in:
        wrong.append(
            f"{quarantined} of {accounting.rows_in} rows quarantined "
            f"(more than {MAX_QUARANTINED_SHARE:.0%}): {dict(accounting.quarantined)}"
        )
    numbers = {"rows_in": accounting.rows_in, "kept": kept, "quarantined": quarantined}
    return not wrong, "; ".join(wrong) or "every row accounted for", numbers


CHECKS: Final = [
    fact_check(
        "raw_trace",
        "raw_files_intact",
        raw_files_intact,
        description="The files are those of the manifest, whole, and within the byte budget.",
    ),
    *(suite_check(table, suite, parts) for table, suite in SUITES.items()),
    *(
        fact_check(
            table,
            f"{table}_rows_accounted",
            rows_accounted,
            description="Rows in = kept + quarantined + filtered; few are quarantined.",
        )
        for table in SUITES
    ),
]
