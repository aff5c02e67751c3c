"""Training runs as parts of work that can be done side by side.

A run's result does not depend on what runs beside it: it has a seed and a folder of its own. A
policy that starts from another waits for it; all else is independent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from assets.clouds import CloudInputs
from marl.side_by_side import Say, side_by_side

if TYPE_CHECKING:
    from marl.train.config import TrainConfig
    from marl.train.result import TrainResult


@dataclass(frozen=True)
class TrainingInputs:
    """What every run starts from: plain values, which any process can read for itself.

    Attributes:
        clouds: where, from the training part.
        baseline_policies: materialised asset; its reactive rule is where actors start.
        profile: name, for the tracker.
        checkpoints, mlflow, tensorboard: folders where runs live and are tracked.
        inputs_hash: of the assets that clouds are made from.
    """

    clouds: CloudInputs
    baseline_policies: Path
    profile: str
    checkpoints: Path
    mlflow: Path
    tensorboard: Path
    inputs_hash: str


def chains(configs: "Sequence[TrainConfig]") -> "list[list[TrainConfig]]":
    """Runs that wait for one another together, seed by seed; longer chains first."""
    first: dict[tuple[str | None, int], str] = {}
    found: dict[tuple[str, int], list[TrainConfig]] = {}
    for config in configs:  # teachers come first
        name, seed = config.policy_name, config.seed
        root = first.get((config.warm_start, seed), name)
        first[name, seed] = root
        found.setdefault((root, seed), []).append(config)
    return sorted(found.values(), key=len, reverse=True)


def train_all(
    inputs: TrainingInputs, configs: "Sequence[TrainConfig]", say: Say, count: int = 0
) -> "list[TrainResult]":
    """Train every run, chains side by side.

    Args:
        inputs: what they start from.
        configs: teachers before their pupils.
        say: receives a line per evaluation of any run.
        count: processes, see `side_by_side`.

    Returns:
        Results in the order of `configs`.
    """
    from marl.train.tracking import MlflowTracker

    MlflowTracker(inputs.mlflow)  # makes the database, which must not be made twice at once
    parts = chains(configs)
    done = side_by_side(partial(_train_chain, inputs), parts, say, count)
    by_run = {
        (config.policy_name, config.seed): result
        for part, results in zip(parts, done, strict=True)
        for config, result in zip(part, results, strict=True)
    }
    return [by_run[config.policy_name, config.seed] for config in configs]


def _train_chain(
    inputs: TrainingInputs, part: "Sequence[TrainConfig]", say: Say
) -> "list[TrainResult]":
    """Runs one after another, each pupil from its teacher's file."""
    from marl.evaluate.baselines import BaselineSet
    from marl.evaluate.policies import BASELINES_FILE, departure
    from marl.evaluate.world import TRAINING
    from marl.train.loop import train
    from marl.train.tensorboard_tracker import TensorBoardTracker
    from marl.train.tracking import MlflowTracker, Trackers

    world = inputs.clouds.world()
    found = (inputs.baseline_policies / BASELINES_FILE.name).read_text(encoding="utf-8")
    rule = departure(BaselineSet.model_validate_json(found))
    results: dict[str | None, TrainResult] = {}
    for config in part:
        teacher = results.get(config.warm_start)
        results[config.policy_name] = train(
            config,
            world.seen_by(config.policy_name).make_env(TRAINING, "train"),
            rule,
            inputs.checkpoints,
            inputs_hash=inputs.inputs_hash,
            stages=None if config.curriculum is None else world.stages("train"),
            teacher=None if teacher is None else teacher.policy_path,
            tracker=Trackers(
                MlflowTracker(inputs.mlflow, tags={"profile": inputs.profile}),
                TensorBoardTracker(inputs.tensorboard),
            ),
            progress=say,
        )
    return list(results.values())
