"""`python -m marl.evaluate.ablation`: what each component of learning is worth, measured.

Trains bases and components of the grid from the stored workload and the tuned rule, plays the same
held-out episodes with all of them, and tells each component's effect with its interval: on the
screen, and in the folder `--out` as `ablation.md`, `ablation.json` and a forest picture for each
scenario. Finished cells are kept there and not trained again; stop it and start it again at will.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from marl.evaluate.ablation.cells import (
    Asked,
    cell_path,
    finish_cell,
    finish_rule,
    load_rows,
    missing,
    rule_path,
)
from marl.evaluate.ablation.components import GRID
from marl.evaluate.ablation.effects import Effect, compared
from marl.evaluate.ablation.forest import forest
from marl.evaluate.ablation.grid import Contrast, Grid
from marl.evaluate.ablation.setups import Budget, Setup, runs_of, setup
from marl.evaluate.ablation.told import document, list_text, markdown, text
from marl.evaluate.world import MIXED
from marl.files import clear_staging, staged, write_json
from marl.side_by_side import side_by_side

Say = Callable[[str], None]


def run_cells(asked: Asked, setups: Sequence[Setup], processes: int, say: Say) -> dict[str, str]:
    """Train and play what is not there yet, teachers before their pupils.

    Args:
        asked: what all cells share.
        setups: the runs.
        processes: how many work side by side; 0: as many as cores and memory allow.
        say: receives lines.

    Returns:
        Label of each run that diverged → why.
    """
    clear_staging(asked.out / "cells")
    left = missing(asked, setups)
    told = _Countdown(asked, left, len(setups), say)
    told.begin()
    for world in {one.world.goals: one.world for one in setups}.values():
        finish_rule(asked, world)
    failed: dict[str, str] = {}
    taught = [one for one in left if one.teacher is not None]
    for wave in ([one for one in left if one.teacher is None], taught):
        if wave:
            ended = side_by_side(partial(finish_cell, asked), wave, told, processes)
            failed |= {one.label: why for one, why in zip(wave, ended, strict=True) if why}
    return failed


def effects_of(
    asked: Asked, grid: Grid, contrasts: Sequence[Contrast], seeds: Iterable[int], seed: int = 0
) -> list[Effect]:
    """Effects of every contrast whose cells are there, scenario by scenario.

    Args:
        asked: what all cells share.
        grid: where names come from.
        contrasts: the questions.
        seeds: of training; those that a run or its reference lacks are left out.
        seed: of the bootstrap.
    """
    numbers = list(seeds)
    rows: dict[str, dict[int, pl.DataFrame]] = {}
    rules: dict[str, pl.DataFrame] = {}
    for name in dict.fromkeys(n for one in contrasts for n in (one.run, one.reference)):
        runs = [setup(grid, name, number, asked.budget) for number in numbers]
        there = {one.seed: cell_path(asked, one) for one in runs}
        rows[name] = {n: load_rows(path) for n, path in there.items() if path.is_dir()}
        rule = rule_path(asked, runs[0].world)
        if rule.is_dir():
            rules[name] = load_rows(rule)
    answered = [
        one
        for one in contrasts
        if one.run in rules and rows[one.run].keys() & rows[one.reference].keys()
    ]
    effects: list[Effect] = []
    for scenario in asked.scenarios if answered else ():
        own = {
            name: {n: _of(frame, scenario) for n, frame in frames.items()}
            for name, frames in rows.items()
        }
        tuned = {name: _of(frame, scenario) for name, frame in rules.items()}
        effects += compared(answered, own, tuned, seed)
    return effects


def write_result(
    asked: Asked, effects: Sequence[Effect], failed: dict[str, str], seeds: Sequence[int]
) -> list[Path]:
    """Markdown, JSON and a picture for each scenario in the folder of the grid; their paths."""
    facts = {
        "budget": asked.budget.model_dump(mode="json"),
        "scenarios": list(asked.scenarios),
        "episodes": asked.episodes,
        "weather_seed": asked.weather_seed,
        "training_seeds": list(seeds),
        "inputs": asked.inputs_hash,
        "is_synthetic": asked.world.is_synthetic,
    }
    paths = [asked.out / "ablation.json", asked.out / "ablation.md"]
    write_json(paths[0], document(effects, failed, facts))
    words = markdown(effects, failed)
    for scenario in dict.fromkeys(one.scenario for one in effects):
        picture = forest([one for one in effects if one.scenario == scenario])
        paths.append(asked.out / f"{picture.name}.svg")
        _write(paths[-1], picture.svg)
        words += f"\n![{picture.alt}]({picture.name}.svg)\n"
    _write(paths[1], words)
    return paths


class _Countdown:
    """Adds to what workers say how many cells are left, and for about how long."""

    def __init__(self, asked: Asked, left: Sequence[Setup], total: int, say: Say) -> None:
        self._paths = [cell_path(asked, one) for one in left]
        self._total, self._say = total, say
        self._began = time.monotonic()

    def begin(self) -> None:
        """Tell what is to be done."""
        self._say(f"{self._total} cells, {self._total - len(self._paths)} of them finished before")

    def __call__(self, line: str) -> None:
        """Pass a line on."""
        done = sum(path.is_dir() for path in self._paths)
        here = self._total - len(self._paths) + done
        told = f"[{here} of {self._total}] {line}"
        if done and (left := len(self._paths) - done):
            minutes = (time.monotonic() - self._began) / done * left / 60
            told += f", about {minutes:.0f} min left"
        self._say(told)


def _of(frame: pl.DataFrame, scenario: str) -> pl.DataFrame:
    return frame.filter(pl.col("scenario") == scenario).sort("episode")


def _write(path: Path, words: str) -> None:
    with staged(path) as aside:
        aside.write_text(words, encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m marl.evaluate.ablation", description=__doc__)
    data = Path(os.environ.get("STRATOFORM_DATA", "data"))
    parser.add_argument("--base", nargs="+", default=[], help="those to change; all if absent")
    parser.add_argument("--components", nargs="+", default=[], help="all if absent; --list")
    parser.add_argument("--seeds", type=int, default=3, help="training seeds, from 0 on")
    parser.add_argument("--steps", type=int, help="of single clouds; each base's own if absent")
    parser.add_argument("--clouds", type=int, help="most trained in together")
    parser.add_argument("--episode-steps", type=int, default=144, help="of five minutes")
    parser.add_argument("--held-in", type=int, default=128, help="episodes policies are kept by")
    parser.add_argument("--scenarios", nargs="+", default=[MIXED], help="played held-out")
    parser.add_argument("--episodes", type=int, default=128, help="of each scenario")
    parser.add_argument("--processes", type=int, default=0, help="0: as cores and memory allow")
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--out", type=Path, help="folder of cells and results; DATA/ablation")
    parser.add_argument("--list", action="store_true", help="tell the grid and end")
    parser.add_argument("--tell", action="store_true", help="tell what is finished, train nothing")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the grid; 0, or 1 where a run diverged."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.list:
        sys.stdout.write(list_text(GRID))
        return 0
    for name in ("seeds", "episodes"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    seeds = range(options.seeds)
    try:
        contrasts = GRID.contrasts(tuple(options.base), tuple(options.components))
        budget = Budget(
            steps=options.steps,
            clouds=options.clouds,
            episode_steps=options.episode_steps,
            held_in=options.held_in,
        )
        setups = runs_of(GRID, contrasts, seeds, budget)
        asked = Asked(
            data=options.data,
            out=options.out or options.data / "ablation",
            budget=budget,
            scenarios=tuple(options.scenarios),
            episodes=options.episodes,
        )
        for scenario in asked.scenarios:
            asked.world.make_env(scenario, "held_out")
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))

    def say(line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    failed = {} if options.tell else run_cells(asked, setups, options.processes, say)
    effects = effects_of(asked, GRID, contrasts, seeds)
    if not effects:
        parser.error(f"nothing is finished in {asked.out}: leave out --tell to train")
    paths = write_result(asked, effects, failed, seeds)
    sys.stdout.write(text(effects, failed))
    say("\n".join(f"written: {path}" for path in paths))
    return 1 if failed else 0
