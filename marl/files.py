"""Writing that survives interruption: aside first, then one rename. And hashing.

Every file and folder Stratoform leaves behind goes through here, so a killed process never leaves
half a result under a final name. Formats (Parquet, JSON …) belong to their callers.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_CHUNK_BYTES = 1 << 20
STAGING_MARK = ".staging-"


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Yield a path beside `target`; rename it to `target` when the block ends without an error.

    The caller creates either a file or a folder at the yielded path. An existing target is replaced
    only at the end; after an error the old target is untouched and the staging path is removed.

    Args:
        target: the final path of a file or of a folder.

    Yields:
        A fresh path in the same folder (hence on the same file system).

    Raises:
        FileNotFoundError: the block ended without creating anything at the yielded path.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{target.name}{STAGING_MARK}{uuid.uuid4().hex[:8]}")
    try:
        yield aside
        replace(aside, target)
    finally:
        remove(aside)


def replace(source: Path, target: Path) -> None:
    """Put `source` (file or folder) in the place of `target`, whatever was there.

    A file is replaced in one atomic rename. A folder cannot be: the old one is moved aside first,
    so a kill between the two renames leaves it under its staging name, never a mixture.
    """
    if target.is_dir():
        old = target.with_name(f"{target.name}{STAGING_MARK}old-{uuid.uuid4().hex[:8]}")
        target.rename(old)
        source.rename(target)
        shutil.rmtree(old)
    else:
        os.replace(source, target)  # noqa: PTH105 - Path.replace is the same call; kept explicit


def remove(path: Path) -> None:
    """Delete a file or a folder; absent is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def clear_staging(folder: Path) -> int:
    """Remove what interrupted runs left aside in `folder` (not deeper). Returns how many."""
    leftovers = list(folder.glob(f"*{STAGING_MARK}*")) if folder.is_dir() else []
    for path in leftovers:
        remove(path)
    return len(leftovers)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as sorted, indented JSON, atomically. Not-a-number is refused."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    with staged(path) as aside:
        aside.write_text(text + "\n", encoding="utf-8")


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_CHUNK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def sha256_json(value: Any) -> str:
    """Hex sha256 of a value's canonical JSON: the hash of a configuration."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def inside(root: Path, name: str) -> Path:
    """Join an untrusted relative `name` (from a bucket, an archive, a trace) to `root`.

    Raises:
        ValueError: the name is absolute or would leave `root`.
    """
    root = root.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root) or path == root:
        raise ValueError(f"refused the file name {name!r}: it would leave {root}")
    return path
