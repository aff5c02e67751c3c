"""gzip CSV to canonical Parquet beside a bare Polars conversion of the same file.

Run: `python -m tests.benchmarks.bench_canonical [--gib 0.25] [--repeat 3]`

Generates one `task_usage` file of Google 2011's shape (20 columns, gzip, as dense in time as a
whole cell: 1.7 million rows an hour) in a temporary folder. Each conversion runs in a process of
its own, in turn, so that peak memory is its own and noise hits both. The bar is 1.5 times bare
Polars.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import polars as pl

BAR = 1.5
WINDOW_US = 300_000_000
ROWS_PER_WINDOW = 142_000  # 12,500 machines with a dozen tasks each
BARE, OURS = "bare Polars", "canonical"


def window(index: int, rng: np.random.Generator) -> bytes:
    """One five-minute window of usage rows as CSV."""
    n = ROWS_PER_WINDOW
    start = 600_000_000 + index * WINDOW_US

    def small(scale: float, digits: int) -> np.ndarray:
        return np.round(rng.exponential(scale, n), digits).astype(np.float32)

    frame = pl.DataFrame(
        {
            "start": np.full(n, start),
            "end": np.full(n, start + WINDOW_US),
            "job": 6_000_000_000 + np.sort(rng.integers(0, 5_000, n)) * 7919,
            "index": rng.integers(0, 1_000, n),
            "machine": rng.integers(1, 12_500, n) * 7,
            **{f"float_{place}": small(0.02, 6) for place in range(6)},
            "disk_time": small(0.001, 6),
            "disk_space": small(0.0001, 6),
            "max_cpu": small(0.05, 5),
            "max_disk": small(0.05, 5),
            "cpi": np.round(rng.gamma(4.0, 1.0, n), 3),
            "mai": np.round(rng.gamma(4.0, 0.005, n), 6),
            "sample": np.ones(n, dtype=np.int64),
            "aggregation": np.zeros(n, dtype=np.int64),
            "sampled": small(0.02, 6),
        }
    ).with_columns(  # counters are missing in a fifth of the rows
        pl.when(pl.int_range(pl.len()) % 5 != 0).then(pl.col("cpi")),
        pl.when(pl.int_range(pl.len()) % 5 != 0).then(pl.col("mai")),
    )
    return frame.write_csv(include_header=False).encode()


def generate(path: Path, gib: float) -> int:
    """Write windows until the gzip file has the wanted size. Returns its rows."""
    rng = np.random.default_rng(0)
    packer = zlib.compressobj(3, zlib.DEFLATED, 31)
    index = 0
    with path.open("wb") as out:
        while out.tell() < gib * 2**30:
            out.write(packer.compress(window(index, rng)))
            index += 1
        out.write(packer.flush())
    return index * ROWS_PER_WINDOW


def convert_bare(source: Path, into: Path) -> int:
    """The least one could do: typed scan, zstd sink."""
    integers = {0, 1, 2, 3, 4}
    schema = {f"c{n}": pl.Int64 if n in integers else pl.Float64 for n in range(20)}
    lazy = pl.scan_csv(source, has_header=False, schema=schema)
    lazy.sink_parquet(into / "bare.parquet", compression="zstd")
    return pl.scan_parquet(into / "bare.parquet").select(pl.len()).collect().item()


def convert_ours(source: Path, into: Path) -> int:
    """The whole way: checked, accounted for, sorted, hashed."""
    from marl.traces.canonical import write_table
    from marl.traces.manifest import RawFile, RawManifest, TraceRequest

    file = RawFile(
        table="usage",
        path=str(source),
        layout="google2011",
        encoding="csv.gz",
        bytes=source.stat().st_size,
        sha256="",
        origin="generated",
    )
    request = TraceRequest(source="local", location=str(source.parent))
    manifest = RawManifest(request=request, files=(file,), is_synthetic=True)
    return write_table(manifest, source.parent, "usage", into / "usage").rows_kept


def measure(name: str, source: Path) -> dict[str, float]:
    """Run one conversion in a process of its own."""
    with tempfile.TemporaryDirectory(dir=source.parent) as into:
        command = [sys.executable, "-m", __spec__.name, "--one", name, str(source), into]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(result.stdout)


def run_one(name: str, source: str, into: str) -> None:
    """In the child: convert and print seconds, CPU seconds, rows and peak memory as JSON."""
    import os
    import resource

    import pyarrow.parquet  # noqa: F401 - loading libraries is not converting

    convert = convert_bare if name == BARE else convert_ours
    started, cpu = time.perf_counter(), sum(os.times()[:2])
    rows = convert(Path(source), Path(into))
    report = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": sum(os.times()[:2]) - cpu,
        "rows": rows,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    sys.stdout.write(json.dumps(report))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gib", type=float, default=0.25, help="size of the gzip file")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the best one counts")
    parser.add_argument(
        "--one", nargs=3, metavar=("NAME", "SOURCE", "INTO"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    if arguments.one:
        run_one(*arguments.one)
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "part-00000-of-00500.csv.gz"
        rows = generate(source, arguments.gib)
        size = source.stat().st_size
        sys.stdout.write(f"{rows:,} rows, {size / 2**20:,.0f} MiB of gzip CSV\n")
        runs: dict[str, list[dict[str, float]]] = {BARE: [], OURS: []}
        for _ in range(arguments.repeat):
            for name, results in runs.items():
                results.append(measure(name, source))
    best = {name: min(results, key=lambda run: run["seconds"]) for name, results in runs.items()}
    sys.stdout.write("conversion     seconds  CPU s   MB/s of gzip   peak MiB\n")
    for name, run in best.items():
        if run["rows"] != rows:
            raise SystemExit(f"{name} wrote {run['rows']:,} of {rows:,} rows")
        sys.stdout.write(
            f"{name:12} {run['seconds']:9.2f} {run['cpu_seconds']:6.2f} "
            f"{size / 1e6 / run['seconds']:14.0f} {run['peak_mib']:10.0f}\n"
        )
    for what in ("seconds", "cpu_seconds"):
        ratio = best[OURS][what] / best[BARE][what]
        sys.stdout.write(f"ratio of {what}: {ratio:.2f} (bar {BAR:g})\n")


if __name__ == "__main__":
    main()
