"""`python -m marl.evaluate.robustness`: what becomes of policies when the world differs.

Plays every perturbation at every severity with all policies in the same held-out episodes, tells
each against the best baseline, and says which policy suffers where. Finished cells are kept in the
folder `--out` and not played again; stop it and start it again at will. The folder then holds
`summary.parquet`, `episodes.parquet`, `robustness.md` and two pictures.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl

from marl.evaluate.robustness.cells import Cell, cells_of, with_recovery
from marl.evaluate.robustness.frame import best_baseline, robustness_frame
from marl.evaluate.robustness.perturbations import PERTURBATIONS, ROWS
from marl.evaluate.robustness.pictures import degradation, recovery
from marl.evaluate.robustness.study import (
    Asked,
    cell_path,
    default_policies,
    finish_cell,
    missing_inputs,
    policies_of,
)
from marl.evaluate.robustness.told import findings, markdown
from marl.files import clear_staging, staged
from marl.side_by_side import side_by_side

Say = Callable[[str], None]


def run(asked: Asked, processes: int, say: Say) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Play what is not there yet; the episodes of all cells and what they say.

    Args:
        asked: the study.
        processes: how many work side by side; 0: as many as cores and memory allow.
        say: receives lines.

    Raises:
        ValueError: an unknown policy, perturbation or scenario; no rule among the policies.
    """
    policies_of(asked)  # refused before anything is played
    rows = asked.rows()
    cells = cells_of(rows)
    told = _Countdown(asked, cells, say)
    frames = side_by_side(partial(finish_cell, asked), cells, told, processes)
    episodes = with_recovery(pl.concat(frames), rows, asked.episode_steps)
    return episodes, robustness_frame(episodes, rows, seed=asked.seed)


class _Countdown:
    """Lines with how many cells are done and how long the rest will take."""

    def __init__(self, asked: Asked, cells: Sequence[Cell], say: Say) -> None:
        paths = [cell_path(asked, cell) for cell in cells]
        self._left = sum(path is None or not path.is_file() for path in paths)
        self._total, self._done, self._say = self._left, 0, say
        self._began = time.monotonic()
        say(f"{len(cells) - self._left} of {len(cells)} cells are there, {self._left} to play")

    def __call__(self, line: str) -> None:
        self._done += 1
        rest = (time.monotonic() - self._began) / self._done * (self._total - self._done)
        self._say(f"{line} · {self._done} of {self._total}, {rest:.0f} s left")


def write(out: Path, episodes: pl.DataFrame, frame: pl.DataFrame) -> str:
    """Tables, words and pictures in the folder; the words."""
    best = best_baseline(episodes)
    told = "\n".join([markdown(frame, best), *findings(frame, best), ""])
    for name, table in (("summary", frame), ("episodes", episodes)):
        with staged(out / f"{name}.parquet") as aside:
            table.write_parquet(aside, compression="zstd")
    texts = {"robustness.md": told, "degradation.svg": degradation(frame).svg}
    if frame["recovery_steps"].is_not_null().any():
        texts["recovery.svg"] = recovery(frame).svg
    for name, text in texts.items():
        with staged(out / name) as aside:
            aside.write_text(text, encoding="utf-8")
    return told


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study and print what came out; the exit status."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.list:
        for row in ROWS:
            steps = ", ".join(f"{severity:g}" for severity in row.severities[1:])
            sys.stdout.write(f"{row.name}: {row.summary} ({steps} {row.unit})\n")
        return 0
    data, began = options.data, time.monotonic()
    asked = Asked(
        workload_model=data / "workload_model",
        price_catalog=data / "price_catalog",
        trained_policies=data / "trained_policies",
        baseline_policies=data / "baseline_policies",
        policies=tuple(options.policies),
        scenario=options.scenario,
        episode_steps=options.steps,
        episodes=options.episodes,
        seed=options.seed,
        perturbations=tuple(options.perturbations),
        other_workload=options.workload,
        keep=options.out / "cells",
    )
    if absent := missing_inputs(asked):
        parser.error(
            f"{absent[0]} is missing: `dagster asset materialize --select '*trained_policies,"
            "*baseline_policies'` makes it, --data names another data folder"
        )
    clear_staging(options.out / "cells")
    try:
        if not asked.policies:
            asked = replace(asked, policies=default_policies(asked, _say))
        episodes, frame = run(asked, options.processes, _say)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    told = write(options.out, episodes, frame)
    _say(f"finished in {time.monotonic() - began:.0f} s; {options.out} holds tables and pictures")
    sys.stdout.write(told)
    return 0


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m marl.evaluate.robustness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    data = Path(os.environ.get("STRATOFORM_DATA", "data"))
    add("policies", nargs="*", help="names or policy files; rules and learners if none is named")
    add("--perturbations", nargs="+", default=(), metavar="NAME", help=", ".join(PERTURBATIONS))
    add("--workload", type=Path, help="folder of another fitted workload, played as well")
    add("--scenario", default="mixed", help="kind of demand (docs/scenarios.md)")
    add("--episodes", type=int, default=64, help="of each policy in each cell")
    add("--steps", type=int, default=144, help="of five minutes in an episode")
    add("--seed", type=int, default=0, help="of the weather")
    add("--processes", type=int, default=2, help="side by side; 0: as many as cores and memory")
    add("--data", type=Path, default=data, help="data folder of the lineage")
    add("--out", type=Path, default=data / "robustness", help="where cells and results are kept")
    add("--list", action="store_true", help="the perturbations, and no more")
    return parser
