"""Cells played, kept and found again; the command from stored assets to a table."""

import json
import sys

import polars as pl
import pytest
import torch

from marl.cloud.catalogue import default_catalog
from marl.evaluate.baselines import BaselineSet, Trial, TunedBaseline, TuningBudget
from marl.evaluate.policies import BASELINES_FILE
from marl.evaluate.robustness import command
from marl.evaluate.robustness.cells import LEVELS, PLAIN, Cell, play_cell, with_recovery
from marl.evaluate.robustness.perturbations import perturbations
from marl.evaluate.robustness.study import Asked, cell_path, default_policies, finish_cell
from marl.evaluate.rollout import Labels, play_together
from marl.files import write_json
from marl.train.policy_file import save_policy
from marl.train.seeding import derive_seed
from tests.unit.marl.evaluate.robustness.toy import (
    START,
    STEPS,
    learned,
    predictive,
    rule,
    stage,
    stored,
)

ROWS = perturbations(("demand_spike", "noisy_metrics"))
SPIKE, NOISE = Cell("demand_spike", 10.0), Cell("noisy_metrics", 0.6)


@pytest.fixture(scope="module")
def toy():
    torch.set_num_threads(1)
    return stage("web_steady")


@pytest.fixture(scope="module")
def played(toy):
    env = toy.make_env(ROWS[0].change(0, STEPS))(1, 0)
    env.reset(seed=0)
    policies = [rule(), predictive(), learned(env)]
    return {
        cell: play_cell(policies, toy, cell, ROWS, 5, 1) for cell in (PLAIN, SPIKE, NOISE)
    }, policies  # fmt: skip


def test_the_plain_cell_is_a_plain_rollout(toy, played):
    cells, policies = played
    labels = Labels("web_steady", True, True)
    plain = play_together(policies, toy.world.make_env("web_steady", "held_out"), 5, 1, labels)
    assert cells[PLAIN].drop("perturbation", "severity", LEVELS).equals(plain)


def test_every_policy_meets_the_same_trouble(played):
    cells, _ = played
    for frame in cells.values():
        spread = frame.group_by("episode").agg(
            pl.col("requests", "demand_compute", "quota", "spot_ratio").n_unique()
        )
        assert (spread.drop("episode").to_numpy() == 1).all()
    asked = [cells[cell]["requests"].mean() for cell in (PLAIN, SPIKE, NOISE)]
    assert asked[1] > asked[0] == asked[2]


def test_levels_are_those_of_each_policys_own_episodes(toy, played):
    cells, policies = played
    env = toy.make_env(ROWS[0].change(0, STEPS))(32, 0)
    seed = derive_seed(1, "block", 0)
    obs = env.reset(seed=seed)
    policies[1].begin(env, seed)
    levels = []
    for _ in range(STEPS):
        step = env.step(policies[1].act(obs))
        levels.append(step.info["slo_attainment"][3])
        obs = step.obs
    told = cells[PLAIN].filter(policy="predictive", episode=3)[LEVELS][0].to_list()
    assert told == pytest.approx(torch.stack(levels).tolist(), abs=1e-5)
    assert cells[NOISE][LEVELS].null_count() == 15


def test_recovery_is_counted_where_something_passes(played):
    cells, _ = played
    frame = with_recovery(pl.concat(cells.values()), ROWS, STEPS)
    spike = frame.filter(perturbation="demand_spike")
    assert spike["recovery_steps"].is_between(0, 12).all()
    assert spike["recovery_steps"].max() > 0
    assert frame.filter(pl.col("perturbation") != "demand_spike")["recovery_steps"].is_null().all()
    assert LEVELS not in frame.columns
    with pytest.raises(ValueError, match="without a twin"):
        with_recovery(cells[SPIKE], ROWS, STEPS)


def test_levels_of_several_batches_and_blocks_come_back_in_order(toy, played, monkeypatch):
    cells, policies = played
    rollout = sys.modules["marl.evaluate.rollout"]
    monkeypatch.setattr(rollout, "_TOGETHER", 64)  # two policies to a batch
    again = play_cell(policies, toy, SPIKE, ROWS, 5, 1)
    for one, other in zip(again[LEVELS], cells[SPIKE][LEVELS], strict=True):
        assert one.to_list() == pytest.approx(other.to_list(), abs=1e-5)


@pytest.fixture(scope="module")
def data(workload, tmp_path_factory):
    """The lineage's folders, as small as they can be."""
    folder = tmp_path_factory.mktemp("data")
    workload.save(folder / "workload_model")
    write_json(
        folder / "price_catalog" / "catalog.json", json.loads(default_catalog().model_dump_json())
    )
    tuned = [
        TunedBaseline(
            name=name, kind="constant", action={a: tuple(v) for a, v in action.items()},
            reward=0.0, trials=(Trial(knobs=(), reward=0.0, performance=0.0),),
        )
        for name, action in (
            ("reactive", START),
            ("static_peak", {a: tuple(1.0 for _ in v) for a, v in START.items()}),
        )
    ]  # fmt: skip
    write_json(
        folder / BASELINES_FILE,
        BaselineSet(
            budget=TuningBudget(candidates=8, generations=2, continued=1),
            seed=0,
            tuned=tuple(tuned),
        ).model_dump(mode="json"),
    )
    env = stage("calm").make_env(ROWS[0].change(0, STEPS))(1, 0)
    env.reset(seed=0)
    (folder / "trained_policies").mkdir()
    for seed in (0, 1):
        actor = stored(env, seed=seed)
        path = folder / "trained_policies" / f"learned-seed{seed}.safetensors"
        save_policy(path, actor.network, actor.card)
    return folder


def asked_of(data, keep, **changes):
    folders = {
        name: data / name
        for name in ("workload_model", "price_catalog", "trained_policies", "baseline_policies")
    }
    fixed = {"scenario": "web_steady", "episode_steps": STEPS, "episodes": 4, "seed": 0}
    names = {"policies": ("reactive", "learned"), "perturbations": ("demand_spike",)}
    return Asked(**{**folders, **fixed, **names, "keep": keep, **changes})


def test_a_finished_cell_is_kept_and_another_question_is_another_cell(data, tmp_path, monkeypatch):
    asked, lines = asked_of(data, tmp_path), []
    first = finish_cell(asked, SPIKE, lines.append)
    assert cell_path(asked, SPIKE).is_file()
    assert lines == ["demand_spike-10: 8 episodes"]
    study = sys.modules["marl.evaluate.robustness.study"]
    monkeypatch.setattr(study, "play_cell", lambda *_: pytest.fail("it was played again"))
    assert finish_cell(asked, SPIKE, lines.append).equals(first)
    paths = {cell_path(asked, cell) for cell in (PLAIN, SPIKE, Cell("demand_spike", 5.0))}
    for changes in ({"seed": 1}, {"episodes": 5}, {"policies": ("reactive",)},
                    {"scenario": "mixed"}, {"episode_steps": 48}):  # fmt: skip
        paths.add(cell_path(asked_of(data, tmp_path, **changes), SPIKE))
    assert len(paths) == 8
    assert cell_path(asked_of(data, None), SPIKE) is None


def test_a_policy_trained_again_is_another_cell(data, tmp_path):
    asked = asked_of(data, tmp_path)
    before = cell_path(asked, SPIKE)
    path = data / "trained_policies" / "learned-seed0.safetensors"
    kept = path.read_bytes()
    path.write_bytes((data / "trained_policies" / "learned-seed1.safetensors").read_bytes())
    assert cell_path(asked, SPIKE) != before
    path.write_bytes(kept)
    assert cell_path(asked, SPIKE) == before


def test_the_defaults_are_rules_the_best_of_them_and_the_learners(data):
    assert default_policies(asked_of(data, None)) == ("reactive", "learned")


def run(data, out, *options):
    return command.main(
        ["--data", str(data), "--out", str(out), "--episodes", "4", "--steps", str(STEPS),
         "--scenario", "web_steady", "--processes", "1", *options]
    )  # fmt: skip


def test_the_command_tells_and_goes_on_where_it_was(data, tmp_path, capsys):
    asked = ["--perturbations", "demand_spike", "late_actions"]
    assert run(data, tmp_path, *asked) == 0
    told = capsys.readouterr()
    assert "| demand_spike | 10 times the demand |" in told.out
    assert "learned loses most to" in told.out
    assert "0 of 7 cells are there, 7 to play" in told.err
    frame = pl.read_parquet(tmp_path / "summary.parquet")
    assert frame.height == 2 * 4 * 2
    assert {path.name for path in tmp_path.iterdir()} == {
        "cells", "summary.parquet", "episodes.parquet", "robustness.md", "degradation.svg",
        "recovery.svg",
    }  # fmt: skip
    late = frame.filter(perturbation="late_actions", policy="reactive")["reward"]
    assert late.n_unique() == 1  # a constant rule cannot be late
    next((tmp_path / "cells").glob("late_actions-6-*")).unlink()
    assert run(data, tmp_path, *asked) == 0
    again = capsys.readouterr()
    assert "6 of 7 cells are there, 1 to play" in again.err
    assert again.out == told.out
    assert pl.read_parquet(tmp_path / "summary.parquet").equals(frame)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["nobody"], "no policy 'nobody' to perturb; there are: random, reactive"),
        (["reactive", "--perturbations", "storm"], "no perturbation storm"),
        (["learned", "--perturbations", "late_actions"], "no rule was played"),
    ],
)
def test_the_command_refuses_with_what_there_is(data, tmp_path, capsys, options, said):
    with pytest.raises(SystemExit):
        run(data, tmp_path, *options)
    assert said in capsys.readouterr().err


def test_missing_assets_are_named_with_what_makes_them(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(tmp_path, tmp_path / "out")
    assert "model.json is missing: `dagster asset materialize" in capsys.readouterr().err


def test_the_list_needs_no_data(capsys):
    assert command.main(["--list"]) == 0
    assert "zone_outage: the first zone" in capsys.readouterr().out
