"""Which rows a request wants: the time window, and a hash sample of collections or machines.

The hash is the finaliser SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014; constants of Stafford's variant 13), computed on 64-bit integers in NumPy:
the same on every platform and in every version.
"""

from typing import Final

import numpy as np
import polars as pl

from marl.traces.manifest import RawManifest
from marl.traces.schema import TIME_COLUMN

OUTSIDE_WINDOW: Final = "outside_window"
NOT_SAMPLED: Final = "not_sampled"

_GAMMA: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_MANTISSA_SHIFT: Final = np.uint64(11)
_TWO_TO_MINUS_53: Final = 2.0**-53


def splitmix64(values: np.ndarray) -> np.ndarray:
    """Mix 64-bit integers: one step of SplitMix64 from each state.

    Args:
        values: (n,) uint64.

    Returns:
        (n,) uint64, evenly spread.
    """
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
        z = values + _GAMMA
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        return z ^ (z >> np.uint64(31))


def sample_position(ids: np.ndarray, seed: int) -> np.ndarray:
    """A number in [0, 1) for each id that depends on the id and the seed alone.

    Args:
        ids: (n,) int64.
        seed: salt.

    Returns:
        (n,) float64: the upper 53 bits of splitmix64(id xor splitmix64(seed)).
    """
    salt = splitmix64(np.array([seed % 2**64], dtype=np.uint64))
    mixed = splitmix64(ids.astype(np.int64).view(np.uint64) ^ salt)
    return (mixed >> _MANTISSA_SHIFT).astype(np.float64) * _TWO_TO_MINUS_53


def select(
    frame: pl.DataFrame, manifest: RawManifest, table: str
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Keep the rows inside the window and the sample.

    Snapshot rows belong to every window, and so does what machines went through before it. A usage
    row belongs where it starts. Sampled by
    collections, `machines` is kept whole; sampled by machines, rows that carry no machine (waiting
    instances, all of `collections`) are sampled by their collection at the same rate, so that
    arrivals stay in proportion to machines.

    Args:
        frame: canonical rows.
        manifest: its request names window, sample and seed; a source that has already sampled
            (`is_sampled`) is not sampled again.
        table: canonical table.

    Returns:
        The rows wanted, and how many others fell to each filter (window first).
    """
    request = manifest.request
    dropped: dict[str, int] = {}
    time = frame[TIME_COLUMN[table]]
    if request.start_us or request.end_us is not None:
        # A machine added before the window is there in it: its history is kept.
        wanted = time >= (0 if table == "machines" else request.start_us)
        if request.end_us is not None:
            wanted &= time < request.end_us
        if "is_snapshot" in frame.columns:
            wanted |= frame["is_snapshot"]
        frame = _keep(frame, wanted, OUTSIDE_WINDOW, dropped)
    if request.sample < 1 and not manifest.is_sampled:
        ids = _sampled_id(frame, table, request.sample_by)
        if ids is not None:
            position = sample_position(ids.to_numpy(), request.seed)
            frame = _keep(frame, pl.Series(position < request.sample), NOT_SAMPLED, dropped)
    return frame, dropped


def _sampled_id(frame: pl.DataFrame, table: str, sample_by: str) -> pl.Series | None:
    if table == "machines":
        return frame["machine_id"] if sample_by == "machines" else None
    if sample_by == "machines" and "machine_id" in frame.columns:
        return frame.select(pl.coalesce("machine_id", "collection_id")).to_series()
    return frame["collection_id"]


def _keep(
    frame: pl.DataFrame, wanted: pl.Series, reason: str, dropped: dict[str, int]
) -> pl.DataFrame:
    kept = frame.filter(wanted)
    if kept.height < frame.height:
        dropped[reason] = frame.height - kept.height
    return kept
