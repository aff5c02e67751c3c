"""The whole fit: known parameters, no leak from the held-out part, provenance, tiny histories."""

import json

import numpy as np
import polars as pl
import pytest

from marl.traces.schema import WINDOW_US
from marl.workload.config import WorkloadConfig
from marl.workload.demand import CHANNELS, CLASSES
from marl.workload.fit import fit
from marl.workload.generators import KINDS, make_generator
from marl.workload.model import WorkloadModel
from tests.unit.marl.workload.simulated import LIVES, TRUTH, simulate


def parameters(model):
    """Everything a generator uses, without the scores that only the report shows."""
    return {
        "scale": model.scale,
        "classes": {
            name: json.dumps(
                one.model_dump(
                    exclude={
                        "arrivals": {"scores"},
                        "requests": {"scores"},
                        "lifetimes": {"scores"},
                    }
                )
            )
            for name, one in model.classes.items()
        },
    }


def few(windows, seed=0):
    demand, marks = simulate(windows=windows, seed=seed)
    return demand, marks


def test_the_simulated_workload_comes_back(fitted):
    for name in CLASSES:
        one = fitted.classes[name]
        assert one.arrivals.family == TRUTH[name].family
        assert one.arrivals.rate == pytest.approx(TRUTH[name].rate, rel=0.12)
        assert one.lifetimes.family == LIVES[name].family
        for key, value in LIVES[name].parameters.items():
            assert one.lifetimes.parameters[key] == pytest.approx(value, rel=0.1)
        assert one.cpu_per_request == pytest.approx(0.5)
        assert one.correlation > 0.7
    assert fitted.classes["batch"].arrivals.sigma == pytest.approx(0.4, abs=0.05)


def test_training_mean_is_the_target_and_memory_follows_its_ratio(fitted):
    train = fitted.history.filter(~pl.col("is_held_out"))
    total = train.group_by("window_us").agg(pl.col("compute_vcpu").sum())["compute_vcpu"]
    assert total.mean() == pytest.approx(256.0)
    assert fitted.scale.gib_per_nmu == pytest.approx(4 * fitted.scale.vcpu_per_ncu)
    assert fitted.scale.slice_share == pytest.approx(fitted.scale.vcpu_per_ncu / 64)


def test_history_is_every_window_and_class_split_by_time(fitted):
    assert fitted.history.height == 2016 * 3
    assert fitted.history["window_us"].is_sorted()
    late = fitted.history.filter("is_held_out")["window_us"]
    early = fitted.history.filter(~pl.col("is_held_out"))["window_us"]
    assert early.max() < fitted.split_us == late.min()
    assert late.n_unique() == round(0.4 * 2016)
    assert fitted.history.select(CHANNELS).to_numpy().min() >= 0


def test_nothing_held_out_reaches_a_parameter():
    demand, marks = few(320)
    split_us = int(np.sort(demand["window_us"].unique())[round(0.6 * 320)])
    loud = [
        pl.when(pl.col("window_us") >= split_us).then(value).otherwise(column).alias(column)
        for column, value in {
            "collection_arrivals": 500.0,
            "task_arrivals": 9e3,
            "cpu_ncu": 77.0,
            "memory_nmu": 99.0,
            "requested_cpu_ncu": 1.0,
        }.items()
    ]
    is_late = pl.col("first_us") >= split_us
    ends = pl.col("first_us") + (pl.col("lifetime_s") * 1e6).cast(pl.Int64)
    after_us = (split_us - pl.col("first_us")) / 1e6
    other_marks = marks.with_columns(
        tasks=pl.when(is_late).then(1000).otherwise("tasks"),
        cpu_request_ncu=pl.when(is_late).then(0.9).otherwise("cpu_request_ncu"),
        # Jobs that outlive the split: how long they went on is not the training part's business.
        lifetime_s=pl.when(ends > split_us).then(after_us + 5e6).otherwise("lifetime_s"),
    )
    one = fit(demand, marks, source="s", is_synthetic=True)
    two = fit(demand.with_columns(loud), other_marks, source="s", is_synthetic=True)
    assert parameters(one) == parameters(two)
    assert not one.history.equals(two.history)


def test_saved_and_loaded_it_is_the_same_and_draws_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "workload_model")
    loaded = WorkloadModel.load(tmp_path / "workload_model")
    assert loaded == fitted
    for kind in KINDS:
        drawn = [
            make_generator(model, kind).sample(3, 50, np.random.default_rng(1)).values
            for model in (fitted, loaded)
        ]
        assert (drawn[0] == drawn[1]).all()
    assert sorted(path.name for path in (tmp_path / "workload_model").iterdir()) == [
        "history.parquet",
        "marks.parquet",
        "model.json",
    ]


def test_a_failing_save_leaves_the_old_model(fitted, tmp_path, monkeypatch):
    folder = tmp_path / "workload_model"
    fitted.save(folder)
    before = (folder / "model.json").read_bytes()

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", fail)
    with pytest.raises(OSError, match="disk full"):
        fitted.model_copy(update={"source": "other"}).save(folder)
    monkeypatch.undo()
    assert (folder / "model.json").read_bytes() == before
    assert WorkloadModel.load(folder) == fitted
    assert [path.name for path in tmp_path.iterdir()] == ["workload_model"]


@pytest.mark.parametrize("name", ["model.json", "history.parquet", "marks.parquet"])
def test_missing_files_are_named(fitted, tmp_path, name):
    fitted.save(tmp_path / "m")
    (tmp_path / "m" / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"no {name}.*materialise workload_model"):
        WorkloadModel.load(tmp_path / "m")


def test_a_history_of_other_columns_is_refused(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    fitted.history.drop("memory_gib").write_parquet(tmp_path / "m" / "history.parquet")
    with pytest.raises(ValueError, match="has columns"):
        WorkloadModel.load(tmp_path / "m")


def test_same_input_in_any_order_same_model():
    demand, marks = few(120)
    one = fit(demand, marks, source="s", is_synthetic=True).model_dump_json()
    shuffled = fit(
        demand.sample(fraction=1, shuffle=True, seed=1),
        marks.sample(fraction=1, shuffle=True, seed=2),
        source="s",
        is_synthetic=True,
    )
    assert shuffled.model_dump_json() == one


@pytest.mark.parametrize("windows", [10, 25, 60])
def test_tiny_histories_go_through_and_say_what_they_lack(windows):
    demand, marks = few(windows)
    model = fit(demand, marks, source="s", is_synthetic=True)
    assert any("no daily cycle" in note for note in model.notes)
    for kind in ("steady", "burst", "cyclical"):
        batch = make_generator(model, kind).sample(5, 40, np.random.default_rng(0))
        assert batch.values[..., 1].sum(axis=2).mean() == pytest.approx(256, rel=0.8)


def test_fewer_than_ten_windows_are_refused():
    demand, marks = few(9)
    with pytest.raises(ValueError, match="covers 9 windows"):
        fit(demand, marks, source="s", is_synthetic=True)


def test_a_class_without_demand_stays_zero():
    demand, marks = few(100)
    is_ml = pl.col("workload_class") == "ml"
    numbers = [name for name, kind in demand.schema.items() if kind == pl.Float64]
    demand = demand.with_columns(
        pl.when(is_ml).then(0.0).otherwise(name).alias(name) for name in numbers
    )
    model = fit(demand, marks.filter(~is_ml), source="s", is_synthetic=True)
    assert any(note.startswith("ml: the training part shows no demand") for note in model.notes)
    for kind in ("steady", "burst", "cyclical"):
        values = make_generator(model, kind).sample(20, 100, np.random.default_rng(0)).values
        assert values[:, :, CLASSES.index("ml")].max() == 0
        assert values[:, :, CLASSES.index("web")].min() > 0


def test_no_demand_at_all_is_refused():
    demand, marks = few(50)
    with pytest.raises(ValueError, match="no CPU demand at all"):
        fit(demand.with_columns(cpu_ncu=0.0), marks, source="s", is_synthetic=True)


def test_unknown_configuration_is_refused():
    with pytest.raises(ValueError, match="target_vcpus"):
        WorkloadConfig(target_vcpus=100)
    demand, marks = few(50)
    with pytest.raises(ValueError, match="unknown coefficient"):
        fit(
            demand,
            marks,
            WorkloadConfig(overrides={"web.nothing": 1}),
            source="s",
            is_synthetic=True,
        )


def test_target_and_overrides_change_the_scale_not_the_process():
    demand, marks = few(60)
    one = fit(demand, marks, source="s", is_synthetic=True)
    config = WorkloadConfig(target_vcpu=512, overrides={"scale.gib_per_vcpu": 8})
    two = fit(demand, marks, config, source="s", is_synthetic=True)
    assert two.scale.vcpu_per_ncu == pytest.approx(2 * one.scale.vcpu_per_ncu)
    assert two.scale.gib_per_nmu == pytest.approx(4 * one.scale.gib_per_nmu)
    assert two.classes == one.classes
    assert two.config_hash != one.config_hash
    assert one.end_us - one.start_us == 60 * WINDOW_US
