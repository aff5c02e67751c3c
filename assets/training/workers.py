"""Training runs side by side: as many processes as there are cores and memory for.

A run's result does not depend on what runs beside it: it has a process, a seed and a folder of its
own. A policy that starts from another waits for it; all else is independent.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from marl.train.config import TrainConfig
    from marl.train.result import TrainResult

_BYTES_EACH: Final = 4 << 30  # of memory a run may need (first-order learners keep their windows)
_LISTEN_S: Final = 0.5  # between two looks at what workers say
_worker: dict[str, Any] = {}  # of this process, where it is a worker: `lines`, `stop`


@dataclass(frozen=True)
class TrainingInputs:
    """What every run starts from: plain values, which any process can read for itself.

    Attributes:
        workload_model, price_catalog, baseline_policies: materialised assets.
        episode_steps: steps of an episode.
        profile: name, for the tracker.
        checkpoints, mlflow, tensorboard: folders where runs live and are tracked.
        inputs_hash: of the assets that environments are made from.
    """

    workload_model: Path
    price_catalog: Path
    baseline_policies: Path
    episode_steps: int
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


def processes(runs: int) -> int:
    """How many to train in side by side, for `runs` independent runs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(cores or 1, memory // _BYTES_EACH, runs))


def train_all(
    inputs: TrainingInputs,
    configs: "Sequence[TrainConfig]",
    say: Callable[[str], None],
    count: int | None = None,
) -> "list[TrainResult]":
    """Train every run; the first error stops the others at their next evaluation.

    Args:
        inputs: what they start from.
        configs: teachers before their pupils.
        say: receives a line per evaluation of any run.
        count: processes; by default as many as `processes` says. With one, it is this one.

    Returns:
        Results in the order of `configs`.
    """
    parts = chains(configs)
    count = processes(len(parts)) if count is None else count
    if count == 1:
        done = [_train_chain(inputs, part, say) for part in parts]
    else:
        say(f"training {len(configs)} runs in {count} processes")
        done = _train_beside(inputs, parts, say, count)
    by_run = {
        (config.policy_name, config.seed): result
        for part, results in zip(parts, done, strict=True)
        for config, result in zip(part, results, strict=True)
    }
    return [by_run[config.policy_name, config.seed] for config in configs]


def _train_beside(
    inputs: TrainingInputs,
    parts: "list[list[TrainConfig]]",
    say: Callable[[str], None],
    count: int,
) -> "list[list[TrainResult]]":
    from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
    from multiprocessing import get_context

    from marl.train.tracking import MlflowTracker

    MlflowTracker(inputs.mlflow)  # makes the database, which must not be made twice at once
    context = get_context("spawn")  # torch's threads do not survive a fork
    with context.Manager() as manager:
        lines, stop, places = manager.Queue(), manager.Event(), manager.Queue()
        for place in range(count):
            places.put(place)
        begin = (lines, stop, places, context.RLock())
        with ProcessPoolExecutor(count, context, _begin_worker, begin) as pool:
            runs = [pool.submit(_train_part, inputs, part) for part in parts]
            try:
                waiting = set(runs)
                while waiting:
                    ended, waiting = wait(waiting, _LISTEN_S, FIRST_EXCEPTION)
                    while not lines.empty():
                        say(lines.get())
                    for run in ended:
                        run.result()
            finally:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
        return [run.result() for run in runs]


def _begin_worker(lines: Any, stop: Any, places: Any, lock: Any) -> None:
    import sys

    from tqdm import tqdm

    _worker.update(lines=lines, stop=stop)
    tqdm.set_lock(lock)
    if sys.stderr.isatty():
        os.environ["TQDM_POSITION"] = str(places.get())  # a line of the terminal for each worker


def _train_part(inputs: TrainingInputs, part: "list[TrainConfig]") -> "list[TrainResult]":
    def say(line: str) -> None:
        _worker["lines"].put(line)
        if _worker["stop"].is_set():
            raise RuntimeError("stopped, because another run failed or all were interrupted")

    return _train_chain(inputs, part, say)


def _train_chain(
    inputs: TrainingInputs, part: "Sequence[TrainConfig]", say: Callable[[str], None]
) -> "list[TrainResult]":
    """Runs one after another, each pupil from its teacher's file."""
    from marl.evaluate.baselines import BaselineSet
    from marl.evaluate.policies import BASELINES_FILE, REFERENCE
    from marl.evaluate.world import MIXED, load_world
    from marl.train.loop import train
    from marl.train.tensorboard_tracker import TensorBoardTracker
    from marl.train.tracking import MlflowTracker, Trackers

    world = load_world(inputs.workload_model, inputs.price_catalog, inputs.episode_steps)
    found = (inputs.baseline_policies / BASELINES_FILE.name).read_text(encoding="utf-8")
    rule = BaselineSet.model_validate_json(found).actions()[REFERENCE]
    results: dict[str | None, TrainResult] = {}
    for config in part:
        teacher = results.get(config.warm_start)
        results[config.policy_name] = train(
            config,
            world.make_env(MIXED, "train"),
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
