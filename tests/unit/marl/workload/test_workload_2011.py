"""The real 2011 sample: days of job events, three hours of tasks, hardly any usage."""

import numpy as np
import polars as pl
import pytest

from marl.features import demand_windows, task_profiles
from marl.traces.canonical import write_table
from marl.traces.manifest import TraceRequest
from marl.traces.sources import fetch
from marl.workload.classes import classify
from marl.workload.fit import fit
from marl.workload.generators import KINDS, make_generator
from marl.workload.goodness import goodness
from marl.workload.history import class_demand, class_marks, demand_notes

pytestmark = [pytest.mark.real_traces, pytest.mark.slow]


@pytest.fixture(scope="module")
def tables(shared_traces, tmp_path_factory):
    """Canonical tables and features of the first two days."""
    folder = tmp_path_factory.mktemp("trace2011")
    request = TraceRequest(
        source="local", location=str(shared_traces / "google2011"), duration_s=2 * 86_400
    )
    manifest = fetch(request, folder / "raw")
    found = {}
    for name in ("machines", "collections", "instances", "usage"):
        write_table(manifest, folder / "raw", name, folder / name)
        found[name] = folder / name
    for feature in (demand_windows, task_profiles):
        name = feature.__name__.rsplit(".", 1)[1]
        feature.build(dict(found), folder / name)
        found[name] = folder / name
    return found


def test_two_days_of_2011(tables):
    classes = classify(tables)
    jobs = (
        pl.scan_parquet(str(tables["collections"] / "rows" / "part-*.parquet"))
        .filter(pl.col("event") == "SUBMIT")
        .collect()
    )
    assert set(classes["collection_id"]) == set(jobs["collection_id"])
    shares = dict(classes["workload_class"].value_counts(normalize=True).iter_rows())
    assert set(shares) == {"web", "batch", "ml"}
    assert shares["batch"] > 0.8

    demand = class_demand(tables, classes)
    arrived = jobs.filter(~pl.col("is_snapshot"), pl.col("time_us") < demand["window_us"].max())
    assert demand["collection_arrivals"].sum() == pytest.approx(arrived.height, rel=0.005)
    # Published mean is 80 submissions per five minutes, with variance many times the mean.
    per_window = demand.group_by("window_us").agg(pl.col("collection_arrivals").sum())
    assert 60 < per_window["collection_arrivals"].mean() < 100
    assert demand["is_imputed"].all()
    notes = demand_notes(tables, demand)
    assert any("lack measured usage" in note for note in notes)

    model = fit(
        demand, class_marks(tables, classes), source="2011", is_synthetic=False, notes=notes
    )
    batch = model.classes["batch"]
    assert batch.arrivals.family != "poisson"
    assert batch.arrivals.dispersion > 5
    assert batch.arrivals.scores["poisson"].held_out < batch.arrivals.scores["cox_ar1"].held_out - 1
    median = float(batch.lifetimes.quantile(np.array([0.5]))[0])
    assert 60 < median < 600  # published median of jobs' duration: 180 s
    asked = batch.requests.sample(5000, np.random.default_rng(0))
    assert 0.005 < np.median(asked[:, 0]) < 0.05  # published median of tasks: .025
    for kind in KINDS:
        made = make_generator(model, kind, "held_out", is_wrapped=True)
        values = made.sample(8, 144, np.random.default_rng(0)).values
        assert values[..., 1].sum(axis=2).mean() == pytest.approx(256, rel=0.5)
    report = goodness(model)
    assert report.total > 60
    assert report.passed / report.total > 0.5
