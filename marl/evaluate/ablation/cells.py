"""Cells: a run of the grid trained, its held-out episodes played, both stored under a hash.

Whatever changes a cell's result is in its hash, so a changed configuration is a new cell and a
finished one is not done again. A cell appears whole or not at all. What is asked of cells belongs
to `effects`.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from marl.evaluate.ablation.grid import WorldChange
from marl.evaluate.ablation.setups import Budget, Setup
from marl.evaluate.ablation.worlds import (
    Rule,
    held_out_env,
    training_env,
    training_stages,
)
from marl.evaluate.baselines import BaselineSet
from marl.evaluate.policies import (
    BASELINES_FILE,
    REFERENCE,
    ConstantPolicy,
    LearnedPolicy,
    Policy,
    departure,
)
from marl.evaluate.rollout import Labels, play_episodes
from marl.evaluate.world import MIXED, ProvisioningWorld, stored_world
from marl.files import sha256_file, sha256_json, staged
from marl.train.held_in import DivergenceError
from marl.train.loop import train
from marl.train.policy_file import load_policy_file
from marl.train.result import TrainResult

_VERSION = 1  # of what a cell computes; raise it when stored ones must be redone
_INPUTS = ("workload_model", "price_catalog")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What every cell of a grid shares: plain values, which any process can read for itself.

    Attributes:
        data: folder of the stored workload, prices and tuned rule.
        out: where cells and training runs are kept.
        budget: of training.
        scenarios: held-out kinds of demand that are played.
        episodes: of each.
        weather_seed: of the episodes.
    """

    data: Path
    out: Path
    budget: Budget
    scenarios: tuple[str, ...] = (MIXED,)
    episodes: int = 128
    weather_seed: int = 0

    @cached_property
    def world(self) -> ProvisioningWorld:
        """The stored world.

        Raises:
            FileNotFoundError: there is none, or no tuned rule.
        """
        for wanted in (*(Path(name) for name in _INPUTS), BASELINES_FILE):
            if not (self.data / wanted).exists():
                raise FileNotFoundError(
                    f"{self.data / wanted} is missing: `dagster asset materialize --select "
                    "'*baseline_policies'` makes it, --data names another data folder"
                )
        return stored_world(self.data, self.budget.episode_steps)

    @cached_property
    def rule(self) -> Rule:
        """The tuned reactive rule: where actors start, and what gains are measured against."""
        text = (self.data / BASELINES_FILE).read_text(encoding="utf-8")
        return departure(BaselineSet.model_validate_json(text))

    @cached_property
    def inputs_hash(self) -> str:
        """Hash of the workload and the prices, without where they came from."""
        return sha256_json(
            {
                str(path.relative_to(self.data)): sha256_file(path)
                for name in _INPUTS
                for path in sorted((self.data / name).rglob("*"))
                if path.is_file() and path.name != "provenance.json"
            }
        )


def cell_path(asked: Asked, one: Setup) -> Path:
    """Where the cell lies once it is finished; changes with whatever changes its result."""
    return _path(asked, one.label, _identity(one))


def rule_path(asked: Asked, world: WorldChange) -> Path:
    """The same of the tuned rule, played in the clouds of `world`."""
    return _path(asked, f"rule{'-' if world.goals else ''}{world.goals}", {"goals": world.goals})


def finish_cell(asked: Asked, one: Setup, say: Say) -> str | None:
    """Train and play a run unless its cell is there; the reason where it diverged, else None."""
    path = cell_path(asked, one)
    if path.is_dir():
        return None
    began = time.monotonic()
    try:
        result = _trained(asked, one)
    except DivergenceError as error:
        say(f"{one.label}: {error}")
        return str(error)
    policy = LearnedPolicy(load_policy_file(result.policy_path), one.config.policy_name)
    best = result.summary.best
    told = {
        "name": one.name,
        "seed": one.seed,
        "setup": one.model_dump(mode="json"),
        "env_steps": result.summary.env_steps,
        "updates": result.summary.updates,
        "retries": result.summary.retries,
        "held_in_gain": best.gain,
        "kept_at_env_steps": best.env_steps,
    }
    _store(path, _play(asked, policy, one.world), told)
    seconds = time.monotonic() - began
    say(f"{one.label}: finished in {seconds:.0f} s, held-in gain {best.gain:+.4f}")
    return None


def finish_rule(asked: Asked, world: WorldChange) -> None:
    """Play the tuned rule in the clouds of `world`, unless that cell is there."""
    path = rule_path(asked, world)
    if not path.is_dir():
        rows = _play(asked, ConstantPolicy(REFERENCE, asked.rule), world)
        _store(path, rows, {"name": "rule", "goals": world.goals})


def load_rows(path: Path) -> pl.DataFrame:
    """Episodes of a finished cell: one row per scenario and episode (`marl.evaluate.rollout`)."""
    return pl.read_parquet(path / "rows.parquet")


def load_told(path: Path) -> dict[str, Any]:
    """What a finished cell says of itself beside its episodes."""
    told: dict[str, Any] = json.loads((path / "cell.json").read_text(encoding="utf-8"))
    return told


def _path(asked: Asked, label: str, what: dict[str, Any]) -> Path:
    digest = sha256_json(
        {
            "version": _VERSION,
            "what": what,
            "inputs": asked.inputs_hash,
            "rule": {agent: list(values) for agent, values in asked.rule.items()},
            "episode_steps": asked.budget.episode_steps,
            "scenarios": asked.scenarios,
            "episodes": asked.episodes,
            "weather_seed": asked.weather_seed,
        }
    )
    return asked.out / "cells" / f"{label}-{digest[:12]}"


def _identity(one: Setup) -> dict[str, Any]:
    """What decides a run's result: not what it is called."""
    config = one.config.model_dump(mode="json", exclude={"name", "warm_start"})
    teacher = None if one.teacher is None else _identity(one.teacher)
    return {"config": config, "world": one.world.model_dump(mode="json"), "teacher": teacher}


def _trained(asked: Asked, one: Setup) -> TrainResult:
    """The run's policy; from the store of runs where it, or its teacher, is finished."""
    teacher = None if one.teacher is None else _trained(asked, one.teacher).policy_path
    config, world = one.config, asked.world
    stages = None
    if config.curriculum is not None:
        stages = training_stages(world, one.world, config, asked.rule)
    return train(
        config,
        training_env(world, one.world, config, asked.rule, MIXED),
        asked.rule,
        asked.out / "runs",
        inputs_hash=sha256_json([asked.inputs_hash, one.world.model_dump(mode="json")]),
        stages=stages,
        teacher=teacher,
    )


def _play(asked: Asked, policy: Policy, change: WorldChange) -> pl.DataFrame:
    frames = []
    for scenario in asked.scenarios:
        make_env = held_out_env(asked.world, change, asked.rule, scenario)
        labels = Labels(scenario, True, asked.world.is_synthetic)
        frames.append(play_episodes(policy, make_env, asked.episodes, asked.weather_seed, labels))
    return pl.concat(frames)


def _store(path: Path, rows: pl.DataFrame, told: dict[str, Any]) -> None:
    with staged(path) as aside:
        aside.mkdir(parents=True)
        rows.write_parquet(aside / "rows.parquet")
        text = json.dumps(told, indent=2, sort_keys=True, allow_nan=False)
        (aside / "cell.json").write_text(text + "\n", encoding="utf-8")


def missing(asked: Asked, setups: Sequence[Setup]) -> list[Setup]:
    """Those whose cells are not there yet."""
    return [one for one in setups if not cell_path(asked, one).is_dir()]
