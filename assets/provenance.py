"""What a result was made from: `provenance.json`, beside every published asset.

Two runs with the same inputs, configuration, code and seed give the same `sha256`. Durations and
dates are therefore not in it; Dagster's event log keeps those.
"""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from marl.files import sha256_file, sha256_json
from marl.frozen import Frozen

PROVENANCE = "provenance.json"
_CODE = ("marl", "assets", "pipelines", "sql")


class Provenance(Frozen):
    """The record of one published folder.

    Attributes:
        asset: its name.
        sha256: hash over the names and hashes of all files in the folder, this record left out.
        bytes, files: size of the folder.
        rows: rows of its `rows/*.parquet`; None where it is not a table.
        inputs: upstream asset → its sha256 at the time.
        config, config_hash: profile, trace and launch settings.
        code_version: package version and a hash of the source.
        trace: the slice of the trace it goes back to; None where none is involved.
        is_synthetic: it goes back to the embedded, synthetic trace.
    """

    asset: str
    sha256: str
    bytes: int
    files: int
    rows: int | None
    inputs: dict[str, str]
    config: dict[str, Any]
    config_hash: str
    code_version: str
    trace: dict[str, Any] | None
    is_synthetic: bool

    @classmethod
    def of(cls, asset: str, folder: Path, inputs: Sequence[Path], config: dict[str, Any]) -> Self:
        """Describe `folder`, made from the published folders `inputs` under `config`."""
        upstream = {path.name: cls.load(path) for path in inputs if (path / PROVENANCE).is_file()}
        trace = next((record.trace for record in upstream.values() if record.trace), None)
        is_synthetic = any(record.is_synthetic for record in upstream.values())
        if (folder / "manifest.json").is_file():
            from marl.traces.manifest import RawManifest

            manifest = RawManifest.load(folder)
            trace = manifest.request.model_dump(mode="json")
            is_synthetic = manifest.is_synthetic
        return cls(
            asset=asset,
            inputs={name: record.sha256 for name, record in upstream.items()},
            config=config,
            config_hash=sha256_json(config),
            code_version=code_version(),
            trace=trace,
            is_synthetic=is_synthetic,
            rows=_count_rows(folder / "rows"),
            **_measure(folder),
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the record of a published folder."""
        return cls.model_validate_json((folder / PROVENANCE).read_text(encoding="utf-8"))


@cache
def code_version() -> str:
    """`<package version>+<hash of the source>`: changes when any statement or module does."""
    root = Path(__file__).resolve().parents[1]
    sources = [
        path
        for folder in _CODE
        for path in sorted((root / folder).rglob("*"))
        if path.suffix in {".py", ".sql", ".j2"}
    ]
    digest = sha256_json({str(p.relative_to(root)): sha256_file(p) for p in sources})
    return f"{version('stratoform')}+{digest[:12]}"


def _measure(folder: Path) -> dict[str, Any]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != PROVENANCE)
    hashes = {str(p.relative_to(folder)): sha256_file(p) for p in files}
    return {
        "sha256": sha256_json(hashes),
        "bytes": sum(p.stat().st_size for p in files),
        "files": len(files),
    }


def _count_rows(folder: Path) -> int | None:
    if not folder.is_dir():
        return None
    from pyarrow import parquet

    return sum(parquet.read_metadata(path).num_rows for path in sorted(folder.glob("*.parquet")))
