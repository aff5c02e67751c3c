"""Both vocabularies into one; tiers; what each layout leaves null."""

import pytest

from marl.traces.canonical import read_table, write_table
from marl.traces.schema import EVENTS, MACHINE_EVENTS, TIERS
from tests.unit.marl.traces.canonical.raw import csv_2011, instance_2019, json_2019, manifest, task

# Written out by hand from Google's documents, not taken from the code under test.
EVENTS_2011 = {0: "SUBMIT", 1: "SCHEDULE", 2: "EVICT", 3: "FAIL", 4: "FINISH", 5: "KILL", 6: "LOST",
               7: "UPDATE_PENDING", 8: "UPDATE_RUNNING"}  # fmt: skip
EVENTS_2019 = {0: "SUBMIT", 1: "QUEUE", 2: "ENABLE", 3: "SCHEDULE", 4: "EVICT", 5: "FAIL",
               6: "FINISH", 7: "KILL", 8: "LOST", 9: "UPDATE_PENDING",
               10: "UPDATE_RUNNING"}  # fmt: skip


def rows(folder, table, file):
    write_table(manifest(file), folder, table, folder / "out")
    return read_table(folder / "out").collect()


def test_event_codes_of_2011(tmp_path):
    file = csv_2011(tmp_path / "t", "instances", [task(event=c, job=c) for c in EVENTS_2011])
    got = rows(tmp_path, "instances", file)
    assert dict(got.select("collection_id", "event").iter_rows()) == EVENTS_2011
    assert set(EVENTS_2011.values()) <= set(EVENTS)


def test_event_codes_of_2019(tmp_path):
    records = [instance_2019(type=str(c), collection_id=str(c)) for c in EVENTS_2019]
    got = rows(tmp_path, "instances", json_2019(tmp_path / "i", "instances", records))
    assert dict(got.select("collection_id", "event").iter_rows()) == EVENTS_2019


@pytest.mark.parametrize(("layout", "first"), [("2011", 0), ("2019", 1)])
def test_machine_events(tmp_path, layout, first):
    codes = range(first, first + 3)
    if layout == "2011":
        lines = [f"700000000,{9 + code},{code},platform,0.5,0.25" for code in codes]
        file = csv_2011(tmp_path / "m", "machines", lines)
    else:
        records = [
            {"time": "700000000", "machine_id": str(9 + code), "type": str(code),
             "platform_id": "platform", "capacity": {"cpus": 0.5, "memory": 0.25}}
            for code in codes
        ]  # fmt: skip
        file = json_2019(tmp_path / "m", "machines", records)
    got = rows(tmp_path, "machines", file)
    assert got["event"].to_list() == list(MACHINE_EVENTS) == ["ADD", "REMOVE", "UPDATE"]
    assert got["cpu_capacity_ncu"].to_list() == [0.5] * 3
    assert got["memory_capacity_nmu"].to_list() == [0.25] * 3
    assert got["platform_id"].to_list() == ["platform"] * 3


TIERS_2011 = {0: "free", 1: "free", 2: "best_effort_batch", 8: "best_effort_batch",
              9: "production", 10: "production", 11: "monitoring"}  # fmt: skip
TIERS_2019 = {0: "free", 25: "free", 99: "free", 100: "best_effort_batch", 103: "best_effort_batch",
              115: "best_effort_batch", 116: "mid", 119: "mid", 120: "production",
              359: "production", 360: "monitoring", 450: "monitoring"}  # fmt: skip


def test_tiers_of_both_versions(tmp_path):
    lines = [task(priority=p, job=p) for p in TIERS_2011]
    got = rows(tmp_path, "instances", csv_2011(tmp_path / "t", "instances", lines))
    assert dict(got.select("priority", "tier").iter_rows()) == TIERS_2011
    records = [instance_2019(priority=str(p), collection_id=str(p)) for p in TIERS_2019]
    records.append(instance_2019(priority=...))
    other = tmp_path / "2019"
    other.mkdir()
    got = rows(other, "instances", json_2019(other / "i", "instances", records))
    assert dict(got.select("priority", "tier").iter_rows()) == TIERS_2019 | {None: None}
    assert set(TIERS_2019.values()) == set(TIERS)


def test_collections_of_both_versions(tmp_path):
    file = csv_2011(tmp_path / "j", "collections", ["600000000,,33,0,ann,3,job=,logical="])
    assert rows(tmp_path, "collections", file).row(0, named=True) == {
        "time_us": 600_000_000, "collection_id": 33, "event": "SUBMIT", "collection_type": "job",
        "priority": None, "tier": None, "scheduling_class": 3, "user": "ann",
        "collection_name": "job=", "logical_name": "logical=", "parent_collection_id": None,
        "is_snapshot": False,
    }  # fmt: skip
    record = {
        "time": "0", "type": "3", "collection_id": "44", "scheduling_class": "1",
        "collection_type": "1", "priority": "117", "user": "bob", "collection_name": "set=",
        "collection_logical_name": "l=", "parent_collection_id": "5", "start_after_collection_ids":
        ["1"], "max_per_machine": "0", "vertical_scaling": "1", "scheduler": "1",
    }  # fmt: skip
    other = tmp_path / "2019"
    other.mkdir()
    file = json_2019(other / "c", "collections", [record])
    assert rows(other, "collections", file).row(0, named=True) == {
        "time_us": 0, "collection_id": 44, "event": "SCHEDULE", "collection_type": "alloc_set",
        "priority": 117, "tier": "mid", "scheduling_class": 1, "user": "bob",
        "collection_name": "set=", "logical_name": "l=", "parent_collection_id": 5,
        "is_snapshot": True,
    }  # fmt: skip


def test_usage_of_2011_takes_the_documented_columns(tmp_path):
    line = ",".join(
        ["600000000", "900000000", "1", "2", "3", *(f"0.{n:02d}" for n in range(6, 21))]
    )
    got = rows(tmp_path, "usage", csv_2011(tmp_path / "u", "usage", [line])).row(0, named=True)
    # schema.csv counts fields from 1: 6 CPU rate, 7 memory, 8 assigned, 10 page cache, 11 maximum
    # memory, 14 maximum CPU, 16 cycles per instruction, 18 sample portion.
    assert got == {
        "start_us": 600_000_000, "end_us": 900_000_000, "collection_id": 1, "instance_index": 2,
        "machine_id": 3, "collection_type": "job", "alloc_collection_id": None,
        "cpu_usage_ncu": 0.06, "memory_usage_nmu": 0.07, "memory_assigned_nmu": 0.08,
        "page_cache_nmu": 0.10, "memory_usage_max_nmu": 0.11, "cpu_usage_max_ncu": 0.14,
        "cycles_per_instruction": 0.16, "sample_rate": 0.18, "cpu_usage_histogram_ncu": None,
    }  # fmt: skip
