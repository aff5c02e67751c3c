"""Where the raw files of a request lie: kept between runs, so that nothing is fetched twice."""

from pathlib import Path

from marl.files import sha256_json
from marl.traces.manifest import TraceRequest


def downloads_folder(data: Path, request: TraceRequest) -> Path:
    """`<data>/downloads/<source>-<hash of the request>`; a manifest's relative paths start here."""
    digest = sha256_json(request.model_dump(mode="json"))[:12]
    return data / "downloads" / f"{request.source}-{digest}"
