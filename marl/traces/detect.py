"""Tells what a trace file is by looking at its content: layout, table, encoding.

Magic bytes first, then the first records or the Parquet schema; a name only tells known companions
(README, checksums) apart from unknown files. Walking folders belongs to `sources.local`, parsing to
`formats`. Column lists are those of Google's format documents (clusterdata-2011-2 `schema.csv`;
clusterdata-2019 `clusterdata_trace_format_v3.proto`).
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import polars as pl

from marl.traces.manifest import Layout, Table
from marl.traces.records import (
    KAGGLE_REQUIRED,
    csv_2011_kind,
    header_names,
    is_bigquery_schema,
    json_lines_kind,
    parquet_kind,
)
from marl.traces.unpack import GZIP_MAGIC, UnpackRefused, decompress_to, open_bounded

Encoding = Literal["csv", "csv.gz", "json", "json.gz", "parquet", "parquet.gz"]

_HEAD_BYTES: Final = 256 << 10
_PARQUET_MAGIC: Final = b"PAR1"
_OTHER_PACKING: Final = (
    (b"PK\x03\x04", "a zip archive"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\x00", "compressed with xz"),
    (b"7z\xbc\xaf", "a 7z archive"),
)
_COMPANIONS: Final = ("readme", "license", "licence", "sha256sum", "sha1sum", "md5sum", "manifest")
_COMPANION_ENDINGS: Final = (".md", ".txt", ".proto", ".pdf", ".html", ".sha256", ".md5", ".crc")


@dataclass(frozen=True)
class Detected:
    """A trace file.

    Attributes:
        path: the file as given.
        layout: which format it is in.
        table: canonical table it fills; None for the Kaggle layout, which holds several.
        encoding: how it is stored, whatever its name says. `parquet.gz` is Parquet that really
            is gzipped and must be unpacked before use.
        note: what a person should know, e.g. a name that says something else; None otherwise.
    """

    path: Path
    layout: Layout
    table: Table | None
    encoding: Encoding
    note: str | None = None


@dataclass(frozen=True)
class Skipped:
    """A file that is not read.

    Attributes:
        path: the file as given.
        reason: why, for people.
        is_known: a companion of traces one expects to find (schema, README, a table not used
            here), as against something that could not be identified.
    """

    path: Path
    reason: str
    is_known: bool


def detect(path: Path) -> Detected | Skipped:
    """Look at one file. Reads at most its first 256 KiB (unpacked), or its Parquet footer.

    A file that cannot be identified is `Skipped` with the reason; nothing is guessed.

    Raises:
        OSError: the file cannot be read.
    """
    if not path.is_file():
        return Skipped(path, "not a regular file", is_known=False)
    with path.open("rb") as stream:
        magic = stream.read(8)
    if not magic:
        return _companion(path) or Skipped(path, "empty", is_known=False)
    for packed, what in _OTHER_PACKING:
        if magic.startswith(packed):
            return Skipped(path, f"{what}: unpack it first", is_known=False)
    if magic.startswith(_PARQUET_MAGIC):
        note = "plain Parquet despite its name" if path.name.endswith(".gz") else None
        return _detect_parquet(path, path, "parquet", note)
    is_gzip = magic.startswith(GZIP_MAGIC)
    try:
        with open_bounded(path, whole_lines=False) as stream:
            head = stream.read(_HEAD_BYTES)
            is_all = not stream.read(1)
            fault = stream.cut.reason if stream.cut else None
        if is_gzip and head.startswith(_PARQUET_MAGIC):
            return _detect_gzipped_parquet(path)
    except UnpackRefused as error:
        return Skipped(path, str(error), is_known=False)
    if not head:
        return Skipped(path, fault or "compressed, but empty", is_known=False)
    verdict = _detect_text(path, head, is_gzip=is_gzip, is_all=is_all)
    if isinstance(verdict, Skipped) and fault:
        return Skipped(path, f"{verdict.reason} ({fault})", verdict.is_known)
    return verdict


def canonical_table(kind: str) -> Table | None:
    """The canonical table a native one fills; None for tables that are not used here."""
    return _CANONICAL.get(kind)


_CANONICAL: Final[dict[str, Table]] = {
    "job_events": "collections",
    "task_events": "instances",
    "task_usage": "usage",
    "collection_events": "collections",
    "instance_events": "instances",
    "instance_usage": "usage",
    "machine_events": "machines",
}


def _detect_text(path: Path, head: bytes, *, is_gzip: bool, is_all: bool) -> Detected | Skipped:
    if b"\0" in head:
        return _companion(path) or Skipped(path, "binary content of no known kind", is_known=False)
    text = head.decode("utf-8-sig", errors="replace")
    lines = text.split("\n")
    if not is_all and len(lines) > 1:
        lines = lines[:-1]  # the head may have cut the last one
    lines = [line.rstrip("\r") for line in lines if line.strip()]
    if not lines:
        return Skipped(path, "holds no lines", is_known=False)
    suffix = ".gz" if is_gzip else ""
    note = _name_note(path, is_gzip=is_gzip)
    start = lines[0].lstrip()
    if start.startswith("{"):
        kind, reason = json_lines_kind(lines)
        encoding: Encoding = "json.gz" if suffix else "json"
        return _result(path, "google2019", kind, encoding, note, reason)
    if start.startswith("["):
        if is_bigquery_schema(text):
            return Skipped(path, "a BigQuery schema", is_known=True)
        return Skipped(
            path, "a JSON array; one object a line is needed (jq -c '.[]')", is_known=False
        )
    if start.startswith("file pattern,field number"):
        return Skipped(path, "the schema of the 2011 tables", is_known=True)
    encoding = "csv.gz" if suffix else "csv"
    names = header_names(lines[0])
    if names >= KAGGLE_REQUIRED:
        return Detected(path, "kaggle2019", None, encoding, note)
    kind, reason = csv_2011_kind(lines)
    if kind is None and names & KAGGLE_REQUIRED and len(names & KAGGLE_REQUIRED) > len(names) / 3:
        missing = ", ".join(sorted(KAGGLE_REQUIRED - names))
        reason = f"looks like the Kaggle layout but lacks the columns {missing}"
    return _result(path, "google2011", kind, encoding, note, reason)


def _result(
    path: Path,
    layout: Layout,
    kind: str | None,
    encoding: Encoding,
    note: str | None,
    reason: str,
) -> Detected | Skipped:
    """Turn a native table's name into a verdict; what fits none is a companion or unknown."""
    if kind is None:
        return _companion(path) or Skipped(path, reason, is_known=False)
    table = canonical_table(kind)
    if table is None:
        return Skipped(path, f"table {kind}: known, not used here", is_known=True)
    return Detected(path, layout, table, encoding, note)


def _detect_parquet(
    path: Path, plain: Path, encoding: Encoding, note: str | None
) -> Detected | Skipped:
    try:
        names = frozenset(pl.read_parquet_schema(plain))
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        return Skipped(path, f"Parquet that cannot be opened, cut short? ({first})", is_known=False)
    kind, reason = parquet_kind(names)
    return _result(path, "google2019", kind, encoding, note, reason)


def _detect_gzipped_parquet(path: Path) -> Detected | Skipped:
    """Parquet keeps its schema at the end: unpack aside, look, throw away."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.parquet"
        cut = decompress_to(path, plain, whole_lines=False)
        if cut.is_truncated:
            return Skipped(path, f"gzipped Parquet: {cut.reason}", is_known=False)
        return _detect_parquet(path, plain, "parquet.gz", "Parquet gzipped once more")


def _companion(path: Path) -> Skipped | None:
    """Known by name, only once the content fits no table."""
    name = path.name.lower()
    if name.startswith(_COMPANIONS) or name.endswith(_COMPANION_ENDINGS):
        return Skipped(path, "documentation or checksums", is_known=True)
    return None


def _name_note(path: Path, *, is_gzip: bool) -> str | None:
    if is_gzip and not path.name.endswith((".gz", ".gzip")):
        return "gzipped, though its name does not say so"
    if not is_gzip and path.name.endswith((".gz", ".gzip")):
        return "plain text despite its name"
    return None
