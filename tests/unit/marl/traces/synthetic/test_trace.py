"""A generated trace as a reader sees it: lifecycles, windows, oddities, published figures."""

import numpy as np
import polars as pl
import pytest

from marl.traces.manifest import TraceRequest
from marl.traces.schema import AFTER_END_US
from marl.traces.synthetic.calibration import as_table, calibration_report, trace_report
from marl.traces.synthetic.generate import BEGIN_US, plan

SMALL = TraceRequest(embedded_days=1.5, embedded_jobs_per_hour=100, embedded_machines=60, seed=3)


@pytest.fixture(scope="module")
def trace():
    drawn = plan(SMALL)
    tables = {}
    for part in drawn.parts():
        tables.setdefault(part.table, []).append(pl.from_arrow(part.make()))
    return drawn, {name: pl.concat(parts) for name, parts in tables.items()}


def test_every_task_goes_through_a_lawful_lifecycle(trace):
    _, tables = trace
    rows = (
        tables["instances"]
        .sort("collection_id", "instance_index", "time", maintain_order=True)
        .with_columns(after=pl.col("type").shift(1).over("collection_id", "instance_index"))
    )
    seen = {(after, code) for after, code in rows.select("after", "type").unique().iter_rows()}
    submit, queue, enable, schedule, update = 0, 1, 2, 3, 10
    over = {4, 5, 6, 7, 8}
    lawful = {(None, submit), (submit, queue), (queue, enable), (submit, schedule)}
    lawful |= {(enable, schedule), (schedule, update), (update, update)}
    lawful |= {(code, end) for code in (schedule, update) for end in over}
    lawful |= {(end, submit) for end in (4, 5)}
    assert seen <= lawful, sorted(seen - lawful, key=str)


def test_snapshot_rows_stand_at_time_zero_and_nothing_else_before_the_start(trace):
    _, tables = trace
    for name in ("instances", "collections"):
        times = tables[name]["time"]
        assert (times == 0).sum() > 0
        assert times.filter(times > 0).min() >= BEGIN_US
        assert times.max() < BEGIN_US + 1.5 * 86_400e6
    snapshot = tables["instances"].filter(pl.col("time") == 0)
    assert set(snapshot["type"].unique()) <= {0, 3}
    assert snapshot.filter(pl.col("type") == 3)["machine_id"].null_count() == 0


def test_only_placed_rows_name_a_machine(trace):
    drawn, tables = trace
    rows = tables["instances"].filter(pl.col("time") > 0)
    unplaced = rows.filter(pl.col("type").is_in([0, 1, 2]))
    assert unplaced["machine_id"].null_count() == len(unplaced)
    placed = rows.filter(~pl.col("type").is_in([0, 1, 2]))
    known = set(drawn.park.machine_id.tolist()) | {-1}
    assert set(placed["machine_id"].unique().to_list()) <= known


def test_usage_windows_do_not_overlap_and_stay_within_the_stay(trace):
    _, tables = trace
    usage = tables["usage"].sort("collection_id", "instance_index", "start_time")
    length = usage["end_time"] - usage["start_time"]
    assert length.min() >= 1_000_000
    assert length.max() == 300_000_000
    assert 0.5 < (length == 300_000_000).mean() < 0.95
    before = usage.with_columns(
        last=pl.col("end_time").shift(1).over("collection_id", "instance_index")
    )
    assert (before["last"] > before["start_time"]).sum() == 0
    assert (
        (usage["start_time"] // 300_000_000) != ((usage["end_time"] - 1) // 300_000_000)
    ).sum() == 0


def test_no_task_is_measured_on_a_machine_that_is_away(trace):
    drawn, tables = trace
    park = drawn.park
    assert len(park.out_machine) > 0
    usage = tables["usage"].select("machine_id", "start_time", "end_time")
    for machine, start, end in zip(
        park.machine_id[park.out_machine], park.out_start_us, park.out_end_us, strict=True
    ):
        # What is nearly done may drain for two minutes.
        inside = usage.filter(
            (pl.col("machine_id") == machine)
            & (pl.col("start_time") < end)
            & (pl.col("end_time") > start + 120_000_000)
        )
        assert len(inside) == 0


def test_histograms_ascend_and_agree_with_the_maximum(trace):
    _, tables = trace
    usage = tables["usage"].with_columns(h=pl.col("cpu_usage_distribution"))
    sizes = usage["h"].list.len()
    assert set(sizes.unique()) == {0, 11}
    assert (sizes == 0).mean() == pytest.approx(6_197 / 405_894, rel=0.2)
    full = usage.filter(pl.col("h").list.len() == 11)
    values = full["h"].explode().to_numpy().reshape(-1, 11)
    assert (np.diff(values, axis=1) >= 0).all()
    top = full["maximum_usage"].struct.field("cpus").to_numpy()
    np.testing.assert_allclose(values[:, -1], top, rtol=0.02)
    mean = full["average_usage"].struct.field("cpus").to_numpy()
    assert (values[:, 0] <= mean * 1.02).all()
    assert top.max() <= 1.28


def test_the_holes_of_the_real_trace_are_there(trace):
    _, tables = trace
    requests = tables["instances"]["resource_request"]
    assert requests.null_count() / len(requests) == pytest.approx(774 / 405_894, rel=0.5)
    assert (requests.struct.field("cpus") == 0).sum() > 0
    usage = tables["usage"]
    assert 0.05 < usage["cycles_per_instruction"].null_count() / len(usage) < 0.5
    lacks = usage["maximum_usage"].struct.field("memory").null_count() / len(usage)
    assert lacks == pytest.approx(4_313 / 405_894, rel=0.3)
    machines = tables["machines"]
    assert machines.filter(pl.col("type") == 2)["capacity"].null_count() > 0


def test_alloc_sets_hold_their_tasks(trace):
    _, tables = trace
    collections = tables["collections"]
    allocs = set(collections.filter(pl.col("collection_type") == 1)["collection_id"].to_list())
    inside = tables["instances"].filter(pl.col("alloc_collection_id") != 0)
    assert allocs
    assert set(inside["alloc_collection_id"].unique().to_list()) <= allocs
    placed = tables["instances"].filter(pl.col("type") == 3)
    home = placed.filter(pl.col("collection_type") == 1).select(
        alloc_collection_id="collection_id", instance_index="instance_index", home="machine_id"
    )
    both = placed.filter(pl.col("alloc_collection_id") != 0).join(
        home, on=["alloc_collection_id", "instance_index"]
    )
    assert len(both) > 0
    odd = (both["home"] == -1) | (both["machine_id"] == -1)
    assert both.filter(~odd).filter(pl.col("home") != pl.col("machine_id")).is_empty()


def test_collections_and_instances_tell_of_the_same_jobs(trace):
    _, tables = trace
    of = tables["collections"]["collection_id"].unique().sort()
    assert of.equals(tables["instances"]["collection_id"].unique().sort())
    assert set(tables["usage"]["collection_id"].unique()) <= set(of)
    assert tables["collections"]["user"].null_count() == 0


def test_production_follows_the_time_of_day(trace):
    drawn = plan(SMALL.model_copy(update={"embedded_days": 4.0}))
    rows = [pl.from_arrow(part.make()) for part in drawn.parts() if part.table == "usage"]
    web = drawn.names.job_id[drawn.jobs.kind == 0]
    usage = pl.concat(rows).filter(pl.col("collection_id").is_in(web.tolist()))
    hour = (pl.col("start_time") // 3_600_000_000) % 24
    level = usage.group_by(hour.alias("hour")).agg(
        pl.col("average_usage").struct.field("cpus").mean()
    )
    cpus = dict(level.iter_rows())
    assert np.mean([cpus[h] for h in (12, 13, 14, 15)]) > 1.4 * np.mean(
        [cpus[h] for h in (1, 2, 3)]
    )


def test_low_tiers_are_evicted_more(trace):
    drawn, _ = trace
    tier = drawn.jobs.tier[drawn.attempts.job]
    hours = (drawn.attempts.end_us - drawn.attempts.start_us) / 3.6e9
    evicted = drawn.attempts.end_event == 4
    rate = [evicted[tier == t].sum() / hours[tier == t].sum() for t in (0, 1, 3)]
    assert rate[0] > rate[1] > rate[2]


def test_windows_leave_out_parts_but_never_the_snapshot(trace):
    drawn, _ = trace
    day = plan(SMALL.model_copy(update={"start_us": 10_000_000_000, "duration_s": 3600.0}))
    taken = [part.name for part in day.parts()]
    assert len(taken) < len(drawn.parts())
    assert "instance_events/part-00000.parquet" in taken
    later = plan(SMALL.model_copy(update={"start_us": 100_000_000_000, "duration_s": 3600.0}))
    assert "instance_usage/part-00001.parquet" in [part.name for part in later.parts()]


@pytest.mark.parametrize(
    "size",
    [
        {"embedded_days": 0.001, "embedded_jobs_per_hour": 40.0, "embedded_machines": 1},
        {"embedded_days": 0.02, "embedded_jobs_per_hour": 2000.0, "embedded_machines": 1},
        {"embedded_days": 0.2, "embedded_jobs_per_hour": 5.0, "embedded_machines": 2, "seed": -7},
    ],
)
def test_any_size_gives_a_trace(size):
    drawn = plan(TraceRequest(**size))
    for part in drawn.parts():
        table = pl.from_arrow(part.make())
        if "time" in table.columns and len(table):
            assert table["time"].max() < AFTER_END_US


def test_a_trace_without_a_job_is_refused():
    with pytest.raises(ValueError, match="no job falls into"):
        plan(TraceRequest(embedded_days=0.001, embedded_jobs_per_hour=0.01, embedded_machines=1))


@pytest.mark.parametrize("size", [(10.0, 3309.0), (1000.0, 5000.0)])
def test_a_trace_that_memory_cannot_hold_is_refused_at_once(size):
    days, rate = size
    request = TraceRequest(
        embedded_days=days, embedded_jobs_per_hour=rate, embedded_machines=10_000
    )
    with pytest.raises(ValueError, match="at most 5,000,000 can be drawn"):
        plan(request)


def test_a_full_cell_makes_jobs_wait():
    drawn = plan(TraceRequest(embedded_days=0.5, embedded_jobs_per_hour=100, embedded_machines=5))
    assert (drawn.waits_us > 0).sum() > 100
    assert drawn.load.max() <= 1.5 + 1e-9


@pytest.mark.parametrize("seed", [0, 1])
def test_published_figures_at_the_size_of_the_published_cells(seed):
    table = as_table(calibration_report(seed))
    assert table.filter(~pl.col("is_near")).is_empty(), table.filter(~pl.col("is_near"))
    assert len(table) > 30


def test_published_figures_in_the_default_trace():
    table = as_table(trace_report(plan(TraceRequest())))
    assert table.filter(~pl.col("is_near")).is_empty(), table.filter(~pl.col("is_near"))
