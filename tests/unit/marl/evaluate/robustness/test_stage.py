"""Stages on a fitted workload: drifted mixes, another workload at the same mean, one reference."""

from dataclasses import replace

import polars as pl
import pytest
import torch

from marl.envs.scenarios import scenario
from marl.evaluate.robustness.perturbations import Change, other_workload, perturbations
from marl.evaluate.robustness.stage import Stage, drifted, mean_vcpu
from marl.evaluate.world import ProvisioningWorld
from marl.workload.demand import CLASSES

STEPS = 24


@pytest.fixture(scope="module")
def stage(workload):
    return Stage(ProvisioningWorld(workload, episode_steps=STEPS), "mixed_steady")


def vcpu(env):
    """Class → mean arriving compute."""
    env.reset(seed=3)
    work = torch.stack([env.weather.at(t).work[:, 0] for t in range(STEPS)])
    return dict(zip(CLASSES, work.mean((0, 2)).tolist(), strict=True))


def test_a_drifted_mix_turns_batch_and_ml_into_web(stage):
    plain = vcpu(stage.make_env(Change())(64, 0))
    turned = vcpu(stage.make_env(Change(mix_drift=0.5))(64, 0))
    for name in ("batch", "ml"):
        assert turned[name] == pytest.approx(0.5 * plain[name], rel=0.02)
    mix = drifted(scenario("mixed_steady"), stage.world.model, 0.5).mix
    assert sum(mix.values()) == pytest.approx(1.0)
    model = stage.world.model
    ncu = {name: model.classes[name].cpu_ncu.mean for name in CLASSES}
    assert mix["web"] == pytest.approx(1 - 0.5 * (ncu["batch"] + ncu["ml"]) / sum(ncu.values()))
    assert drifted(scenario("web_steady"), model, 1.0).mix == {"web": 1.0, "batch": 0, "ml": 0}
    with pytest.raises(ValueError, match="drifts"):
        drifted(scenario("mixed"), model, 1.5)


def test_another_workload_keeps_the_mean_and_the_reference(stage, workload, tmp_path):
    twice = workload.history.with_columns(pl.col("compute_vcpu", "memory_gib") * 2)
    other = workload.model_copy(update={"history": twice})
    other.save(tmp_path / "cell_b")
    change = other_workload(tmp_path / "cell_b").change(1.0, STEPS)
    assert mean_vcpu(other) == pytest.approx(2 * mean_vcpu(workload))
    replayed = Stage(stage.world, "replay")
    env, plain = replayed.make_env(change)(2, 0), replayed.make_env(Change())(2, 0)
    assert env.reference == plain.reference == stage.world.reference
    env.reset(seed=3)
    plain.reset(seed=3)
    ours, own = env.weather.at(0), plain.weather.at(0)
    assert torch.allclose(ours.work[:, 0], own.work[:, 0], rtol=1e-5)  # twice, brought to the mean
    assert torch.allclose(ours.work[:, 1], own.work[:, 1] / 2, rtol=1e-5)  # disks were not doubled


def test_settings_of_a_perturbation_win_over_the_scenarios_and_the_worlds(stage):
    stormy = Stage(replace(stage.world, overrides={"stock_out_hours": 9.0}), "stock_out")
    (row,) = perturbations(("stock_out",))
    config = stormy.make_env(row.change(0.6, STEPS))(1, 0).cloud.params.config
    assert (config.stock_out_time_share, config.stock_out_hours) == (0.6, 2.0)
    plain = stormy.make_env(row.change(0.0, STEPS))(1, 0).cloud.params.config
    assert (plain.stock_out_time_share, plain.stock_out_hours) == (0.25, 9.0)


def test_unknown_perturbations_and_severities_are_refused():
    with pytest.raises(ValueError, match=r"no perturbation storm; there are: vm_failures"):
        perturbations(("storm",))
    (row,) = perturbations(("demand_spike",))
    with pytest.raises(ValueError, match="severity"):
        row.change(-1.0, STEPS)
    with pytest.raises(ValueError, match="too short"):
        row.change(2.0, 2)
    assert [one.severities[0] for one in perturbations(())] == [0.0] * len(perturbations(()))
    for one in perturbations(()):
        assert list(one.severities) == sorted(set(one.severities))
