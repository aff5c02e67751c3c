"""Cells, real and tiny: trained, played and stored once; new where anything changes; told."""

import dataclasses
import importlib
import json

import pytest
import torch

from marl.evaluate.ablation import cells, command
from marl.evaluate.ablation.cells import cell_path, finish_cell, load_rows, load_told
from marl.evaluate.ablation.command import effects_of, main, run_cells
from marl.evaluate.ablation.components import GRID
from marl.evaluate.ablation.setups import Budget, runs_of, setup
from marl.train.held_in import DivergenceError
from tests.unit.marl.evaluate.ablation.toy import BUDGET, ToyAsked, toy

rollout = importlib.import_module("marl.evaluate.rollout")  # the package has a function so named


@pytest.fixture(autouse=True)
def _small_and_on_one_thread(monkeypatch):
    monkeypatch.setattr(rollout, "BLOCK", 8)
    torch.set_num_threads(1)


@pytest.fixture
def no_training(monkeypatch):
    monkeypatch.setattr(cells, "train", lambda *args, **kwargs: pytest.fail("trained again"))


def test_a_grid_from_the_command_line_to_its_result(tmp_path, monkeypatch, capsys, request):
    monkeypatch.setattr(command, "Asked", ToyAsked)
    words = [
        "--base", "goals_easy", "--components", "hindsight",
        "--seeds", "1", "--steps", "96", "--clouds", "4", "--episode-steps", "24",
        "--held-in", "4", "--episodes", "5", "--processes", "1",
        "--data", str(tmp_path), "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    assert main(words) == 0
    captured = capsys.readouterr()
    assert "goals_easy/hindsight" in captured.out
    assert "[2 of 2]" in captured.err
    told = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert [one["run"] for one in told["effects"]] == ["goals_easy/hindsight"]
    assert told["budget"]["steps"] == 96
    assert (tmp_path / "out" / "ablation_mixed.svg").read_text().startswith("<svg")
    assert "![Effects of components on mixed" in (tmp_path / "out" / "ablation.md").read_text()
    asked = toy(tmp_path)
    path = cell_path(asked, setup(GRID, "goals_easy", 0, BUDGET))
    assert load_rows(path)["reward"].is_between(-1, 0).all()
    assert load_told(path)["setup"]["world"]["goals"] == "easy"
    # Again, and told alone: the same words, nothing trained.
    request.getfixturevalue("no_training")
    for more in ([], ["--tell"]):
        assert main([*words, *more]) == 0
        assert capsys.readouterr().out == captured.out


def test_a_cell_is_whole_or_absent_and_trained_once(tmp_path, monkeypatch):
    asked, one = toy(tmp_path), setup(GRID, "mappo", 0, BUDGET)
    with monkeypatch.context() as broken:
        broken.setattr(cells, "play_episodes", lambda *args: 1 / 0)  # killed while playing
        with pytest.raises(ZeroDivisionError):
            finish_cell(asked, one, print)
    assert not cell_path(asked, one).exists()
    lines = []
    assert finish_cell(asked, one, lines.append) is None  # its training is found again
    assert lines[0].startswith("mappo-seed0: finished in")
    assert load_rows(cell_path(asked, one)).height == 5
    monkeypatch.setattr(cells, "train", lambda *args, **kwargs: pytest.fail("trained again"))
    assert finish_cell(asked, one, lines.append) is None
    assert len(lines) == 1


def test_whatever_changes_a_result_is_another_cell(tmp_path):
    asked, one = toy(tmp_path), setup(GRID, "mappo", 0, BUDGET)
    path = cell_path(asked, one)
    assert path == cell_path(toy(tmp_path), one)
    longer = Budget(**{**BUDGET.model_dump(), "steps": 960})
    others = [
        (asked, setup(GRID, "mappo", 1, BUDGET)),
        (asked, setup(GRID, "mappo/no_cost", 0, BUDGET)),
        (asked, setup(GRID, "mappo", 0, longer)),
        (dataclasses.replace(asked, episodes=6), one),
        (dataclasses.replace(asked, scenarios=("replay",)), one),
        (dataclasses.replace(asked, weather_seed=1), one),
    ]
    found = {cell_path(*other) for other in others}
    assert len(found | {path}) == len(others) + 1
    pupil = setup(GRID, "mappo_fine/from_apg", 0, BUDGET)
    taught = pupil.model_copy(update={"teacher": setup(GRID, "apg", 0, longer)})
    assert cell_path(asked, pupil) != cell_path(asked, taught)


def test_a_run_that_diverges_is_told_and_the_others_go_on(tmp_path, monkeypatch):
    asked = toy(tmp_path)
    contrasts = GRID.contrasts(("mappo",), ("no_cost", "not_relative"))
    real = cells.train

    def train(config, *args, **kwargs):
        if config.policy_name == "mappo_no_cost":
            raise DivergenceError("exploded in epoch 1")
        return real(config, *args, **kwargs)

    monkeypatch.setattr(cells, "train", train)
    setups = runs_of(GRID, contrasts, [0], BUDGET)
    failed = run_cells(asked, setups, 1, lambda line: None)
    assert failed == {"mappo-no_cost-seed0": "exploded in epoch 1"}
    assert [one.run for one in effects_of(asked, GRID, contrasts, [0])] == ["mappo/not_relative"]


def test_a_pupil_starts_from_its_teachers_cell(tmp_path):
    asked = toy(tmp_path)
    budget = Budget(steps=288, clouds=4, episode_steps=36, held_in=4)
    asked = dataclasses.replace(asked, budget=budget)
    (contrast,) = (c for c in GRID.contrasts(("maddpg_fine",)) if c.reference == "apg")
    setups = runs_of(GRID, [contrast], [0], budget)
    assert [one.name for one in setups] == ["apg", "maddpg_fine/from_apg"]
    assert run_cells(asked, setups, 1, lambda line: None) == {}
    teacher, pupil = (load_rows(cell_path(asked, one)) for one in setups)
    gap = (teacher["reward"] - pupil["reward"]).abs().max()
    assert gap < 0.01  # next to no steps of 2e-6 away


def test_the_list_and_clear_errors(tmp_path, capsys):
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert "maddpg: MADDPG as the profiles train it" in listed
    assert "  hindsight: four of five rows" in listed
    for words, error in (
        (["--base", "sarsa"], "no base sarsa; there are"),
        (["--components", "luck"], "no component luck"),
        (["--seeds", "0"], "--seeds must be at least 1"),
        (["--data", str(tmp_path)], "workload_model is missing: `dagster asset materialize"),
    ):
        with pytest.raises(SystemExit):
            main(words)
        assert error in capsys.readouterr().err


def test_nothing_finished_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "Asked", ToyAsked)
    with pytest.raises(SystemExit):
        main(["--tell", "--data", str(tmp_path), "--base", "mappo", "--episode-steps", "24"])
    assert "nothing is finished in" in capsys.readouterr().err
