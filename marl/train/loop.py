"""Training from start, checkpoint or stored result to a policy file.

`train` decides when to evaluate, checkpoint, go back and stop, and tells everybody; a run's parts
are `run`'s, what it leaves behind is `result`'s. Killed at any moment and started again it
continues from the last checkpoint and ends, on CPU, with the same bits as an uninterrupted run;
finished before, it is not redone.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from marl.files import clear_staging
from marl.train.config import TrainConfig
from marl.train.env import MakeEnv
from marl.train.figures import move_bar, progress_bar
from marl.train.held_in import DivergenceError
from marl.train.memory import keep_freed_memory
from marl.train.result import TrainResult, fingerprint_of, store_result, stored_result
from marl.train.run import Run, RunInputs
from marl.train.snapshots import take_snapshots
from marl.train.stage_env import Stages
from marl.train.threads import torch_threads
from marl.train.tracking import NullTracker, Tracker


def train(
    config: TrainConfig,
    make_env: MakeEnv,
    baseline: Mapping[str, Sequence[float]],
    checkpoint_dir: Path,
    *,
    inputs_hash: str = "",
    stages: Stages | None = None,
    teacher: Path | None = None,
    tracker: Tracker | None = None,
    progress: Callable[[str], None] | None = None,
) -> TrainResult:
    """Train a policy; keep the best by held-in evaluation.

    Args:
        config: the run's settings.
        make_env: (clouds, seed) → environment on the training split of the data.
        baseline: agent → constant action in [-1, 1] (the tuned rule) that actors depart from.
        checkpoint_dir: runs live in a subfolder each, named by policy, seed and fingerprint.
        inputs_hash: hash of what `make_env` and `stages` draw from; part of the fingerprint.
        stages: what a curriculum climbs, the easiest first; wanted where the run has one.
        teacher: policy file of `config.warm_start`; wanted where that is set.
        tracker: receives figures and the policy file; none if absent.
        progress: receives a line per evaluation.

    Returns:
        The result, from the store where a run of the same fingerprint has finished.

    Raises:
        DivergenceError: a number was not finite or exploded, also in every retry.
        CheckpointError: a checkpoint of this run is damaged.
        ValueError: stages or a teacher are missing, or do not fit.
    """
    if (config.curriculum is None) != (stages is None):
        raise ValueError("a curriculum needs stages, and stages a curriculum (config.curriculum)")
    if (config.warm_start is None) != (teacher is None):
        raise ValueError(
            f"warm_start is {config.warm_start!r} and the teacher's policy file {teacher}: both or "
            "neither"
        )
    fingerprint = fingerprint_of(config, baseline, inputs_hash, teacher, stages)
    folder = checkpoint_dir / f"{config.policy_name}-seed{config.seed}-{fingerprint[:12]}"
    say = progress or (lambda _: None)
    clear_staging(folder)
    stored = stored_result(folder, fingerprint)
    if stored is not None:
        say(f"{folder.name}: finished before, not trained again")
        return stored
    inputs = RunInputs(config, make_env, baseline, stages, teacher)
    keep_freed_memory()
    with torch_threads(config.threads):
        run = Run(inputs, folder / "checkpoint.pt", fingerprint)
        return _train(run, folder, tracker or NullTracker(), say)


def _train(run: Run, folder: Path, tracker: Tracker, say: Callable[[str], None]) -> TrainResult:
    config = run.inputs.config
    if run.trainer.epoch == 0:
        take_snapshots(run, folder)
    else:
        say(f"{folder.name}: continues after epoch {run.trainer.epoch} of {config.epochs}")
    settings = _flat(config.model_dump(mode="json"))
    run.run_id = tracker.start(folder.name, settings, run.run_id, run.trainer.env_steps)
    is_complete = False
    try:
        bar = progress_bar(
            f"{config.policy_name} seed {config.seed}",
            config.epochs * config.epoch_steps * config.num_envs,
            run.trainer.env_steps,
        )
        with bar:
            while not run.is_over:
                try:
                    _advance(run, folder, tracker, say, bar)
                except DivergenceError as error:
                    _go_back(run, folder.name, tracker, say, error)
                    move_bar(bar, run.trainer.env_steps)
                    continue
                if run.trainer.epoch % config.checkpoint_every == 0 and not run.is_over:
                    run.save()
        if run.is_stale:
            say(f"{folder.name}: no new best in {config.patience} evaluations, ended early")
        _calibrate(run, folder.name, tracker, say)
        result = store_result(run, folder)
        tracker.artifact(result.policy_path)
        is_complete = True
    finally:
        tracker.finish(is_complete)
    run.checkpoint.unlink(missing_ok=True)
    return result


def _advance(
    run: Run, folder: Path, tracker: Tracker, say: Callable[[str], None], bar: Any
) -> None:
    """One epoch, evaluated where it is time, told to everybody."""
    config = run.inputs.config
    figures = run.epoch()
    epoch = run.trainer.epoch
    if epoch == config.epochs or epoch % config.evaluate_every == 0:
        more, told = run.evaluate()
        take_snapshots(run, folder)
        figures |= more
        bar.set_postfix_str(str(run.record.curve[-1]), refresh=False)
        say(f"{folder.name}: epoch {epoch} of {config.epochs}: {told}")
    tracker.log(run.trainer.env_steps, figures)
    move_bar(bar, run.trainer.env_steps)


def _calibrate(run: Run, name: str, tracker: Tracker, say: Callable[[str], None]) -> None:
    """The best policy calibrated, where the configuration wants it."""
    config = run.inputs.config
    if config.calibration is None:
        return
    already = run.trainer.env_steps
    label = f"{config.policy_name} seed {config.seed}, calibration"
    with progress_bar(label, config.calibration.env_steps(config.epoch_steps), 0) as bar:
        for steps, figures in run.calibrate(lambda told: say(f"{name}: {told}")):
            tracker.log(steps, figures)
            move_bar(bar, steps - already)
            bar.set_postfix_str(str(run.record.curve[-1]), refresh=False)


def _go_back(
    run: Run, name: str, tracker: Tracker, say: Callable[[str], None], error: DivergenceError
) -> None:
    """Return to the last good state with smaller steps.

    Raises:
        DivergenceError: that has been tried often enough.
    """
    if run.retries >= run.inputs.config.retries:
        raise DivergenceError(
            f"{error}; given up after {run.retries} retries (step sizes × {run.step_factor:.2g})"
        ) from error
    run.set_back()
    told = f"{error}; back to epoch {run.trainer.epoch}, step sizes × {run.step_factor:.2g}"
    say(f"{name}: {told}")
    tracker.rewind(run.trainer.env_steps)
    tracker.note(f"divergence_{run.retries}", told)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
