"""One sorted file per stretch of time, the same whatever the order and the memory."""

import numpy as np
import polars as pl
import pytest

from marl.files import sha256_file
from marl.traces.formats.spec import ROW
from marl.traces.partition import FILE, StretchWriter
from marl.traces.schema import USAGE

KEYS = ["start_us", "collection_id", "instance_index", "end_us"]
HOUR_US = 3_600_000_000


def usage(rows: int, hours: float, seed: int = 0) -> pl.DataFrame:
    """Rows in random order of time; one in ten repeats an earlier one, some share all sort keys."""
    rng = np.random.default_rng(seed)
    start = rng.integers(0, int(hours * 12), rows) * 300_000_000
    frame = pl.DataFrame(
        {
            "start_us": start,
            "end_us": start + 300_000_000,
            "collection_id": rng.integers(0, 40, rows),
            "instance_index": rng.integers(0, 5, rows),
            "cpu_usage_ncu": rng.integers(0, 50, rows) / 100,
        }
    )
    missing = [pl.lit(None).cast(dtype).alias(name) for name, dtype in USAGE.items()
               if name not in frame.columns]  # fmt: skip
    frame = frame.with_columns(missing).select(
        pl.col(name).cast(dtype) for name, dtype in USAGE.items()
    )
    return pl.concat([frame, frame.sample(rows // 10, seed=1)])


def write(folder, frame, buffer_bytes=1 << 26, block=700, stretch_us=HOUR_US):
    writer = StretchWriter(folder, "usage", stretch_us, buffer_bytes)
    frame = frame.with_columns(
        pl.int_range(1, pl.len() + 1).alias(ROW), pl.lit(0, dtype=pl.Int32).alias(FILE)
    )
    for start in range(0, frame.height, block):
        writer.add(frame[start : start + block])
    return writer.finish()


def paths(written):
    return [part.path for part in written.parts]


@pytest.mark.parametrize("buffer_bytes", [1, 20_000, 200_000, 1 << 26])
@pytest.mark.parametrize("is_sorted", [True, False])
def test_files_are_sorted_stretches_without_duplicates(tmp_path, buffer_bytes, is_sorted):
    frame = usage(8_000, hours=5)
    if is_sorted:
        frame = frame.sort("start_us", maintain_order=True)
    written = write(tmp_path / "rows", frame, buffer_bytes)
    assert [path.name for path in paths(written)] == [f"part-{n:06d}.parquet" for n in range(5)]
    expected = frame.unique(maintain_order=True, keep="first").sort(KEYS, maintain_order=True)
    assert pl.concat([pl.read_parquet(path) for path in paths(written)]).equals(expected)
    for number, path in enumerate(paths(written)):
        assert set(pl.read_parquet(path)["start_us"] // HOUR_US) == {number}
    assert written.kept == {0: expected.height}
    duplicates = pl.concat(written.duplicates)
    repeated = frame.with_columns(pl.int_range(1, pl.len() + 1).alias(ROW))
    first = repeated.unique(USAGE.names(), keep="first", maintain_order=True)[ROW]
    assert sorted(duplicates[ROW]) == sorted(set(repeated[ROW]) - set(first))
    assert sorted(path.name for path in (tmp_path / "rows").iterdir()) == [
        path.name for path in paths(written)
    ]


def test_bytes_depend_on_order_and_memory_no_more_than_row_groups_do(tmp_path):
    frame = usage(3_000, hours=3)
    hashes = []
    for name in ("a", "b"):
        written = write(tmp_path / name, frame, 50_000)
        hashes.append([sha256_file(path) for path in paths(written)])
    assert hashes[0] == hashes[1]


def test_a_dense_stretch_is_sorted_in_pieces(tmp_path):
    frame = usage(30_000, hours=1).sample(fraction=1.0, shuffle=True, seed=4)
    written = write(tmp_path / "rows", frame, buffer_bytes=100_000)
    assert len(written.parts) == 1
    expected = frame.unique(maintain_order=True, keep="first").sort(KEYS, maintain_order=True)
    assert pl.read_parquet(paths(written)[0]).equals(expected)


def test_no_rows_give_one_empty_file(tmp_path):
    written = write(tmp_path / "rows", usage(10, 1).clear())
    assert [path.name for path in paths(written)] == ["part-000000.parquet"]
    assert pl.read_parquet(paths(written)[0]).schema == USAGE
    assert written.kept == {}


def test_rows_late_for_a_closed_file_are_merged(tmp_path):
    early, late = usage(500, hours=2, seed=1), usage(500, hours=2, seed=2)
    written = write(tmp_path / "rows", pl.concat([early.sort(KEYS), late.sort(KEYS)]), 10_000)
    expected = pl.concat([early, late]).unique().sort(*USAGE.names())
    got = pl.concat([pl.read_parquet(path) for path in paths(written)])
    assert got.sort(*USAGE.names()).equals(expected)
    assert got.select(KEYS).equals(got.select(KEYS).sort(KEYS))
