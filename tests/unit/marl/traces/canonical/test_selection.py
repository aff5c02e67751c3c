"""Samples are whole, deterministic and of the right size."""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marl.traces.canonical import read_table, write_table
from marl.traces.selection import sample_position, splitmix64
from tests.unit.marl.traces.canonical.raw import csv_2011, manifest, task, usage_2011


def splitmix64_slow(value: int) -> int:
    """Vigna's splitmix64.c in unbounded integers."""
    mask = 2**64 - 1
    z = (value + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def test_splitmix64_gives_the_published_sequence():
    # First outputs of splitmix64.c (prng.di.unimi.it) from the state 1234567.
    gamma = 0x9E3779B97F4A7C15
    states = np.array([(1234567 + n * gamma) % 2**64 for n in range(3)], dtype=np.uint64)
    assert splitmix64(states).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), st.integers(-(2**70), 2**70))
def test_positions_equal_the_slow_way(ids, seed):
    salt = splitmix64_slow(seed % 2**64)
    slow = [(splitmix64_slow((n % 2**64) ^ salt) >> 11) / 2**53 for n in ids]
    fast = sample_position(np.array(ids, dtype=np.int64), seed)
    assert fast.tolist() == slow
    assert ((fast >= 0) & (fast < 1)).all()


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_shares_are_kept_for_real_looking_ids(share):
    ids = np.arange(6_250_000_000, 6_250_000_000 + 7 * 200_000, 7)
    kept = np.mean(sample_position(ids, 3) < share)
    assert abs(kept - share) < 4 * np.sqrt(share * (1 - share) / len(ids))


def tables(folder, **request):
    instances = csv_2011(
        folder / "t", "instances",
        [task(700_000_000 + n, job=n % 50, index=n, machine=n % 40 or "") for n in range(400)],
    )  # fmt: skip
    usage = csv_2011(folder / "u", "usage", [usage_2011(job=n % 50, index=n) for n in range(400)])
    machines = csv_2011(
        folder / "m", "machines", [f"0,{n},0,platform,0.5,0.5" for n in range(1, 40)]
    )
    raw = manifest(instances, usage, machines, **request)
    made = {}
    for table in ("instances", "usage", "machines"):
        into = Path(tempfile.mkdtemp(dir=folder)) / "table"
        made[table] = (write_table(raw, folder, table, into), read_table(into).collect())
    return made


def test_a_sampled_collection_keeps_all_its_rows(tmp_path):
    made = tables(tmp_path, sample=0.3, seed=11)
    (_, instances), (account, usage) = made["instances"], made["usage"]
    kept = set(instances["collection_id"])
    assert 5 < len(kept) < 30
    assert set(usage["collection_id"]) == kept
    assert instances.group_by("collection_id").len()["len"].unique().to_list() == [8]
    assert account.filtered == {"not_sampled": 400 - usage.height}
    assert made["machines"][1].height == 39


def test_sampled_machines_keep_all_their_rows(tmp_path):
    made = tables(tmp_path, sample=0.4, sample_by="machines", seed=1)
    machines = set(made["machines"][1]["machine_id"])
    assert 5 < len(machines) < 30
    instances = made["instances"][1]
    assert set(instances["machine_id"].drop_nulls()) == machines
    assert instances.drop_nulls("machine_id").group_by("machine_id").len()["len"].to_list() == [
        10
    ] * len(machines)
    waiting = instances.filter(pl.col("machine_id").is_null())  # by collection, at the same rate
    wanted = sample_position(np.arange(0, 50, 10), 1) < 0.4
    assert sorted(set(waiting["collection_id"])) == np.arange(0, 50, 10)[wanted].tolist()


def test_another_seed_is_another_sample(tmp_path):
    one = tables(tmp_path, sample=0.3, seed=1)["usage"][1]
    again = tables(tmp_path, sample=0.3, seed=1)["usage"][1]
    two = tables(tmp_path, sample=0.3, seed=2)["usage"][1]
    assert one.equals(again)
    assert not one.equals(two)


def test_a_source_that_sampled_is_not_sampled_again(tmp_path):
    file = csv_2011(tmp_path / "t", "instances", [task(job=n) for n in range(50)])
    raw = manifest(file, is_sampled=True, sample=0.1)
    assert write_table(raw, tmp_path, "instances", tmp_path / "o").rows_kept == 50
