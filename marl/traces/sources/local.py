"""A trace that lies on disk: a folder in a native layout, or a single file. Nothing is copied.

Files are referenced where they are (only Parquet that is gzipped once more is unpacked into the
target folder). Which of them belong together is ruled in `choose`; what a file is, in `detect`.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, cast, get_args

from marl.files import sha256_json
from marl.traces.budget import ByteBudget, Ledger
from marl.traces.detect import Detected, Skipped, detect
from marl.traces.manifest import RawFile, RawManifest, Table, TraceRequest
from marl.traces.sources.base import Progress, SourceError, readable, saved_manifest
from marl.traces.sources.choose import in_window, once, one_layout
from marl.traces.unpack import decompress_to

_MOST_FILES: Final = 100_000  # a native cell has some thousands; beyond, the path is a mistake
_MOST_LISTED: Final = 30
_REPORT_BYTES: Final = 256 << 20
_KAGGLE_NOTE: Final = (
    "Kaggle's layout is a random sample of event × usage pairs: right for distributions of "
    "requests and usage, wrong for arrival rates, job sizes and lifecycles"
)


def fetch(request: TraceRequest, into: Path, progress: Progress | None = None) -> RawManifest:
    """Find, check and describe the trace at `request.location`; see `base.Source.fetch`.

    Every call looks at the folder anew, so that added, changed and deleted files are noticed.

    Raises:
        BudgetExceeded: the files' bytes are more than the budget; none was read whole.
        SourceError: nothing usable there, layouts that do not mix, links that leave the folder.
    """
    say = progress or (lambda _line: None)
    root, candidates = _candidates(request, into)
    found, skipped = _look(candidates, root, say)
    if not found:
        raise SourceError(_nothing(root, skipped))
    notes: list[str] = []
    for rule in (
        lambda files: one_layout(files, root),
        lambda files: once(files, root),
        lambda files: in_window(files, request, root),
    ):
        found, more = cast(_Rule, rule)(found)
        notes.extend(more)
    if not found:
        raise SourceError(
            f"{root}: every part lies outside the window from {request.start_us} to "
            f"{request.end_us} us; move start_us or lengthen duration_s"
        )
    _check_budget(request, found, root)
    files, more = _describe(found, root, into, say)
    manifest = RawManifest(
        request=request,
        files=tuple(files),
        is_synthetic=False,
        notes=tuple([*notes, *more, *_remarks(found, root), *_left_out(skipped, root)]),
    )
    if saved_manifest(into) != manifest:
        manifest.save(into)
    return manifest


_Rule = Callable[[list[Detected]], tuple[list[Detected], list[str]]]


def _candidates(request: TraceRequest, into: Path) -> tuple[Path, Iterator[Path]]:
    """The folder names are relative to, and the paths to look at."""
    location = Path(str(request.location)).expanduser()
    try:
        location = location.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise SourceError(
            f"TRACE_PATH names {location}, which is not there: give a folder or file of a Google "
            "2011 or 2019 trace"
        ) from error
    if location.is_dir():
        return location, _walk(location, into.resolve())
    return location.parent, iter([location])


def _walk(root: Path, into: Path) -> Iterator[Path]:
    """Files below `root` in order of name; hidden ones and the target folder are not entered.

    Raises:
        SourceError: a link leaves `root`, a folder cannot be read, or there are too many files.
    """

    def refuse(error: OSError) -> None:
        raise SourceError(f"cannot read the folder {error.filename}: {error.strerror}") from error

    count = 0
    for folder, folders, names in os.walk(root, onerror=refuse):
        here = Path(folder)
        for name in folders:
            _refuse_link(here / name, root)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and not (here / name).is_symlink() and (here / name) != into
        )
        for name in sorted(names):
            path = here / name
            if name.startswith("."):
                continue
            _refuse_link(path, root)
            count += 1
            if count > _MOST_FILES:
                raise SourceError(
                    f"{root} holds more than {_MOST_FILES:,} files; point TRACE_PATH at the trace"
                )
            yield path


def _refuse_link(path: Path, root: Path) -> None:
    """A link inside the folder is harmless (its target is found itself); others are refused."""
    if path.is_symlink() and not path.resolve().is_relative_to(root):
        raise SourceError(
            f"refused {path}: a symbolic link that leaves {root}. Put the file itself there, or "
            "point TRACE_PATH at the folder it lies in"
        )


def _look(
    candidates: Iterator[Path], root: Path, say: Progress
) -> tuple[list[Detected], list[Skipped]]:
    found: list[Detected] = []
    skipped: list[Skipped] = []
    for count, path in enumerate(candidates, start=1):
        if count % 1000 == 0:
            say(f"looked at {count:,} files of {root}")
        verdict = _verdict(path)
        if isinstance(verdict, Detected):
            found.append(verdict)
        else:
            skipped.append(verdict)
    return found, skipped


def _verdict(path: Path) -> Detected | Skipped:
    try:
        str(path).encode()
        if path.is_symlink():
            return Skipped(path, "a link to a file of the same folder", is_known=True)
        if not stat.S_ISREG(path.stat().st_mode):
            return Skipped(path, "not a regular file", is_known=False)
        return detect(path)
    except UnicodeEncodeError:
        return Skipped(path, "its name is not valid UTF-8: rename it", is_known=False)
    except OSError as error:
        return Skipped(path, f"cannot be read: {error.strerror}", is_known=False)


def _check_budget(request: TraceRequest, found: list[Detected], root: Path) -> None:
    sizes: dict[str, int] = {}
    for file in found:
        table = file.table or "all tables"
        sizes[table] = sizes.get(table, 0) + file.path.stat().st_size
    by_table = ", ".join(f"{table} {readable(sizes[table])}" for table in sorted(sizes))
    sorted_parts = any(f.layout == "google2011" or f.encoding == "parquet" for f in found)
    shorten = "shorten duration_s (parts outside the window are not read), " if sorted_parts else ""
    budget = ByteBudget(
        request.budget_bytes,
        f"Per table: {by_table}. To narrow: {shorten}point TRACE_PATH at fewer parts, or raise "
        "budget_bytes (at most 5 GiB)",
    )
    budget.check(sum(sizes.values()), f"{len(found)} files of {root}")


def _describe(
    found: list[Detected], root: Path, into: Path, say: Progress
) -> tuple[list[RawFile], list[str]]:
    """Hash every file, drop exact copies, unpack what must be unpacked."""
    total = sum(file.path.stat().st_size for file in found)
    meter = _Meter(total, len(found), say)
    ledger = Ledger(into)
    seen: dict[tuple[str, str], Path] = {}
    files: list[RawFile] = []
    notes: list[str] = []
    unpacked: list[str] = []
    for file in found:
        size, digest = _hash(file.path, meter)
        twin = seen.setdefault((str(file.table), digest), file.path)
        if twin != file.path:
            notes.append(
                f"left out {file.path.relative_to(root)}: the same bytes as "
                f"{twin.relative_to(root)}"
            )
            continue
        path = str(file.path)
        encoding = file.encoding
        if encoding == "parquet.gz":
            path = f"unpacked/{sha256_json(str(file.path))[:16]}.parquet"
            if ledger.find(path, version=digest) is None:
                say(f"unpacking {file.path.name}")
                decompress_to(file.path, into / path, whole_lines=False)
                ledger.record(path, version=digest)
            unpacked.append(path)
            entry = ledger.find(path, version=digest)
            if entry is None:
                raise SourceError(f"{into / path} changed while it was being written; try again")
            size, digest, encoding = entry.bytes, entry.sha256, "parquet"
        files.append(
            RawFile(
                table=file.table,
                path=path,
                layout=file.layout,
                encoding=encoding,
                bytes=size,
                sha256=digest,
                origin=f"{root.name}/{file.path.relative_to(root).as_posix()}",
            )
        )
    ledger.prune(unpacked)
    return files, notes


class _Meter:
    """Says how far hashing has come, every 256 MiB."""

    def __init__(self, total: int, files: int, say: Progress) -> None:
        self._total, self._files, self._say = total, files, say
        self._done = 0
        self._next = _REPORT_BYTES

    def add(self, count: int) -> None:
        self._done += count
        if self._done >= self._next:
            self._next = self._done + _REPORT_BYTES
            share = self._done / max(1, self._total)
            self._say(f"hashed {share:.0%} of {readable(self._total)} in {self._files} files")


def _hash(path: Path, meter: _Meter) -> tuple[int, str]:
    """Size and sha256 of a file that stays as it is meanwhile."""
    before = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
            meter.add(len(block))
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise SourceError(f"{path} changed while it was being read; try again when it is complete")
    return after.st_size, digest.hexdigest()


def _remarks(found: list[Detected], root: Path) -> list[str]:
    """What a person should know about the files taken."""
    notes = [f"{file.path.relative_to(root)}: {file.note}" for file in found if file.note]
    tables = {file.table for file in found}
    if any(file.layout == "kaggle2019" for file in found):
        notes.append(_KAGGLE_NOTE)
        tables |= {"collections", "instances", "usage"}
    cells = {
        file.path.parent
        for file in found
        if file.layout == "google2019" and file.table in {"collections", "instances", "usage"}
    }
    if len(cells) > 1:
        names = ", ".join(sorted(cell.name for cell in cells))
        notes.append(
            f"{len(cells)} folders taken together as one cluster: {names}; point TRACE_PATH at one "
            "of them to read it alone"
        )
    missing = [table for table in get_args(Table) if table not in tables]
    if missing:
        notes.append(f"the trace lacks: {', '.join(missing)}")
    return notes


def _left_out(skipped: list[Skipped], root: Path) -> list[str]:
    """Every file not read: known companions together, unknown ones each with its reason."""
    known = [_name(file, root) for file in skipped if file.is_known]
    unknown = [f"{_name(file, root)}: {file.reason}" for file in skipped if not file.is_known]
    notes = []
    if known:
        notes.append(f"not read, {len(known)} known companions: {_listed(known)}")
    notes.extend(f"not identified, not read: {text}" for text in unknown[:_MOST_LISTED])
    if len(unknown) > _MOST_LISTED:
        notes.append(f"not identified, not read: {len(unknown) - _MOST_LISTED} more files")
    return notes


def _nothing(root: Path, skipped: list[Skipped]) -> str:
    seen = [f"{_name(file, root)}: {file.reason}" for file in skipped]
    what = f"\n  {_listed(seen, separator=chr(10) + '  ')}" if seen else " it holds no files"
    return (
        f"no trace found in {root}. Expected the native Google 2011 or 2019 layout, or Kaggle's "
        f"2019 sample.{what}"
    )


def _listed(names: list[str], separator: str = ", ") -> str:
    text = separator.join(names[:_MOST_LISTED])
    more = len(names) - _MOST_LISTED
    return f"{text}{separator}and {more} more" if more > 0 else text


def _name(file: Skipped, root: Path) -> str:
    return ascii(str(file.path.relative_to(root)))[1:-1]
