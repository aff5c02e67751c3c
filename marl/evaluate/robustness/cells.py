"""Cells: a perturbation at one severity, played by every policy in the same episodes.

All policies are played together, so they meet one draw of weather and one draw of wrong metrics.
What the cells say is `frame`'s; where a cell comes from, `stage`'s.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.evaluate.policies import Policy
from marl.evaluate.robustness.clouds import Record
from marl.evaluate.robustness.perturbations import UNPERTURBED, Change, Perturbation
from marl.evaluate.robustness.recovery import recovery_steps
from marl.evaluate.robustness.stage import Stage
from marl.evaluate.rollout import BLOCK, Labels, play_together

LEVELS = "slo_attainment_by_step"  # list column of cells; episodes that are published have it not
Say = Callable[[str], None]


@dataclass(frozen=True)
class Cell:
    """A perturbation at a severity above 0; `UNPERTURBED` at 0."""

    perturbation: str
    severity: float

    @property
    def label(self) -> str:
        """Name of its file."""
        return f"{self.perturbation}-{self.severity:g}"


PLAIN = Cell(UNPERTURBED, 0.0)


def cells_of(rows: Sequence[Perturbation]) -> list[Cell]:
    """The unperturbed one first, then each severity of each perturbation."""
    return [PLAIN, *(Cell(row.name, s) for row in rows for s in row.severities if s > 0)]


def change_of(cell: Cell, rows: Sequence[Perturbation], episode_steps: int) -> Change:
    """What changes in a cell.

    Raises:
        ValueError: no such perturbation among `rows`.
    """
    if cell == PLAIN:
        return Change()
    for row in rows:
        if row.name == cell.perturbation:
            return row.change(cell.severity, episode_steps)
    raise ValueError(f"no perturbation {cell.perturbation!r}")


def play_cell(
    policies: Sequence[Policy],
    stage: Stage,
    cell: Cell,
    rows: Sequence[Perturbation],
    episodes: int,
    seed: int,
    say: Say | None = None,
) -> pl.DataFrame:
    """One row per policy and episode.

    Args:
        policies: played together, each an object of its own.
        stage: where.
        cell: which perturbation, how severe.
        rows: perturbations to look it up in.
        episodes: of each policy.
        seed: of the weather.
        say: receives a line when done.

    Returns:
        `perturbation`, `severity`, the rows of `rollout`, and `LEVELS`: service level of each
        step, null where neither disturbance nor twin asks for it.
    """
    change = change_of(cell, rows, stage.world.episode_steps)
    record = Record()
    labels = Labels(stage.scenario, stage.split == "held_out", stage.world.is_synthetic)
    played = play_together(policies, stage.make_env(change, record), episodes, seed, labels)
    levels: list[list[float]] | None = None
    if cell == PLAIN or change.disturbance is not None:
        levels = [row.tolist() for row in _levels(record, len(policies), episodes)]
    if say:
        say(f"{cell.label}: {played.height} episodes")
    return played.select(
        pl.lit(cell.perturbation).alias("perturbation"),
        pl.lit(cell.severity).alias("severity"),
        pl.all(),
        pl.Series(LEVELS, levels or [None] * played.height, dtype=pl.List(pl.Float32)),
    )


def with_recovery(
    frame: pl.DataFrame, rows: Sequence[Perturbation], episode_steps: int
) -> pl.DataFrame:
    """Episodes of all cells with `recovery_steps` and `is_recovered` instead of `LEVELS`.

    Both are null where nothing passes. Episodes that end before they recover count as long as they
    are, and `is_recovered` is false.

    Args:
        frame: cells, the unperturbed one among them.
        rows: the perturbations.
        episode_steps: of an episode.
    """
    parts = []
    keys = ["perturbation", "severity"]
    plain = frame.filter(pl.col("perturbation") == UNPERTURBED)
    for (name, severity), part in frame.group_by(keys, maintain_order=True):
        change = change_of(Cell(str(name), float(severity)), rows, episode_steps)
        steps = pl.Series("recovery_steps", [None] * part.height, dtype=pl.Int64)
        done = pl.Series("is_recovered", [None] * part.height, dtype=pl.Boolean)
        if change.disturbance is not None:
            twins = part.select("policy", "episode").join(
                plain.select("policy", "episode", LEVELS),
                on=["policy", "episode"],
                how="left",
                maintain_order="left",
            )
            counted = recovery_steps(_matrix(part), _matrix(twins), change.disturbance[1])
            steps = pl.Series("recovery_steps", counted[0])
            done = pl.Series("is_recovered", counted[1])
        parts.append(part.drop(LEVELS).with_columns(steps, done))
    return pl.concat(parts)


def _matrix(frame: pl.DataFrame) -> NDArray[np.float32]:
    """(rows, T) of the column `LEVELS`."""
    if frame[LEVELS].null_count():
        raise ValueError("an episode without a twin: play the unperturbed cell of every policy")
    return np.stack([np.asarray(row, np.float32) for row in frame[LEVELS].to_list()])


def _levels(record: Record, policies: int, episodes: int) -> NDArray[np.float32]:
    """(policies · episodes, T) policy by policy, from batches of several policies' clouds."""
    by_policy: list[list[NDArray[np.float32]]] = [[] for _ in range(policies)]
    at = 0
    for copies, steps in record.batches:
        batch = np.stack([step.cpu().numpy() for step in steps], 1)
        for part in np.split(batch, copies):
            first = BLOCK * len(by_policy[at])
            by_policy[at].append(part[: episodes - first])
            at = (at + 1) % policies
    return np.concatenate([np.concatenate(one) for one in by_policy])
