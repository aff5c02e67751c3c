"""Training from start, checkpoint or stored result to a policy file.

`train` decides when to evaluate, checkpoint and stop; the parts that learn are
`marl.train.trainers`'. Killed at any moment and started again it continues from the last checkpoint
and ends, on CPU, with the same bits as an uninterrupted run; finished before, it is not redone.
"""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from marl.algos.qmix import QmixConfig
from marl.files import clear_staging, sha256_file, sha256_json, write_json
from marl.frozen import Frozen
from marl.train.checkpoint import load_checkpoint, save_checkpoint
from marl.train.config import TrainConfig
from marl.train.env import MakeEnv, field_names
from marl.train.policy_file import PolicyCard, save_policy
from marl.train.threads import torch_threads
from marl.train.tracking import NullTracker, Tracker
from marl.train.trainers import AnyTrainer, build_trainer

POLICY_NAME = "policy.safetensors"
_VERSION = 2  # of what training computes; raise it when stored results must be redone


class CurvePoint(Frozen):
    """One held-in evaluation.

    Attributes:
        epoch: finished epochs.
        env_steps: steps of single clouds seen.
        reward: mean reward per step of the policy.
        gain: the same minus the baseline's on the same weather.
        gain_se: standard error of that paired difference over episodes.
    """

    epoch: int
    env_steps: int
    reward: float
    gain: float
    gain_se: float


class TrainSummary(Frozen):
    """What a finished run says of itself; the same for the same inputs.

    Attributes:
        fingerprint: of configuration, inputs and library versions.
        learner: algorithm.
        seed: of the run.
        env_steps: steps of single clouds in all.
        updates: gradient steps.
        curve: held-in evaluations, the untrained policy first.
        best: the evaluation whose policy was kept.
        policy_sha256: of the policy file.
    """

    fingerprint: str
    learner: str
    seed: int
    env_steps: int
    updates: int
    curve: tuple[CurvePoint, ...]
    best: CurvePoint
    policy_sha256: str


@dataclass(frozen=True)
class TrainResult:
    """A finished run: its summary, its policy file, and where it was tracked."""

    summary: TrainSummary
    policy_path: Path
    run_id: str
    is_from_store: bool


def train(
    config: TrainConfig,
    make_env: MakeEnv,
    baseline: Mapping[str, Sequence[float]],
    checkpoint_dir: Path,
    *,
    inputs_hash: str = "",
    tracker: Tracker | None = None,
    progress: Callable[[str], None] | None = None,
) -> TrainResult:
    """Train a policy; keep the best by held-in evaluation.

    Args:
        config: the run's settings.
        make_env: (clouds, seed) → environment on the training split of the data.
        baseline: agent → constant action in [-1, 1] (the tuned rule) that actors depart from.
        checkpoint_dir: runs live in a subfolder each, named by learner, seed and fingerprint.
        inputs_hash: hash of what `make_env` draws from; part of the fingerprint.
        tracker: receives figures and the policy file; none if absent.
        progress: receives a line per evaluation.

    Returns:
        The result, from the store where a run of the same fingerprint has finished.

    Raises:
        DivergenceError: a number was not finite.
        CheckpointError: a checkpoint of this run is damaged.
    """
    fingerprint = _fingerprint(config, baseline, inputs_hash)
    folder = checkpoint_dir / f"{config.learner.name}-seed{config.seed}-{fingerprint[:12]}"
    say = progress or (lambda _: None)
    clear_staging(folder)
    stored = _stored_result(folder, fingerprint)
    if stored is not None:
        say(f"{folder.name}: finished before, not trained again")
        return stored
    with torch_threads(config.threads):
        return _train(
            config, make_env, baseline, folder, fingerprint, tracker or NullTracker(), say
        )


def _train(
    config: TrainConfig,
    make_env: MakeEnv,
    baseline: Mapping[str, Sequence[float]],
    folder: Path,
    fingerprint: str,
    tracker: Tracker,
    say: Callable[[str], None],
) -> TrainResult:
    from tqdm import tqdm

    trainer = build_trainer(config, make_env, baseline)
    record = _Record(trainer)
    checkpoint = folder / "checkpoint.pt"
    run_id = None
    if checkpoint.is_file():
        state = load_checkpoint(checkpoint, fingerprint)
        trainer.load_state_dict(state["trainer"])
        record.load_state_dict(state["record"])
        run_id = state["run_id"]
        say(f"{folder.name}: continues after epoch {trainer.epoch} of {config.epochs}")
    run_id = tracker.start(folder.name, _flat(config.model_dump(mode="json")), run_id)
    is_complete = False
    try:
        if trainer.epoch == 0:
            record.evaluate(trainer)
        bar = tqdm(
            total=config.epochs * config.epoch_steps * config.num_envs,
            initial=trainer.env_steps,
            desc=f"{config.learner.name} seed {config.seed}",
            unit="step",
            unit_scale=True,
            mininterval=1.0,
        )
        with bar:
            while trainer.epoch < config.epochs:
                metrics = trainer.run_epoch()
                is_end = trainer.epoch == config.epochs
                if is_end or trainer.epoch % config.evaluate_every == 0:
                    point = record.evaluate(trainer)
                    metrics |= {"held_in/reward": point.reward, "held_in/gain": point.gain}
                    text = f"held-in gain {point.gain:+.4f} ± {1.96 * point.gain_se:.4f}"
                    bar.set_postfix_str(text)
                    say(f"{folder.name}: epoch {trainer.epoch} of {config.epochs}: {text}")
                tracker.log(trainer.env_steps, metrics)
                bar.update(trainer.env_steps - bar.n)
                if trainer.epoch % config.checkpoint_every == 0 and not is_end:
                    state = {"trainer": trainer.state_dict(), "record": record.state_dict()}
                    save_checkpoint(checkpoint, fingerprint, {**state, "run_id": run_id})
        result = _finish(trainer, record, baseline, folder, fingerprint, run_id)
        tracker.artifact(result.policy_path)
        is_complete = True
    finally:
        tracker.finish(is_complete)
    checkpoint.unlink(missing_ok=True)
    return result


class _Record:
    """The learning curve, and the best policy so far."""

    def __init__(self, trainer: AnyTrainer) -> None:
        self.baseline = trainer.held_in_rewards(is_baseline=True)
        self.curve: list[CurvePoint] = []
        self.best = -1
        self.best_actor: dict[str, Any] = {}

    def evaluate(self, trainer: AnyTrainer) -> CurvePoint:
        """Evaluate held-in, append to the curve, keep the policy if it is the best."""
        rewards = trainer.held_in_rewards()
        gain = rewards - self.baseline
        point = CurvePoint(
            epoch=trainer.epoch,
            env_steps=trainer.env_steps,
            reward=float(rewards.mean()),
            gain=float(gain.mean()),
            gain_se=float(gain.std(correction=1) / len(gain) ** 0.5) if len(gain) > 1 else 0.0,
        )
        self.curve.append(point)
        if self.best < 0 or point.reward > self.curve[self.best].reward:
            self.best = len(self.curve) - 1
            self.best_actor = copy.deepcopy(trainer.learner.policy().state_dict())
        return point

    def state_dict(self) -> dict[str, Any]:
        return {
            "curve": [point.model_dump() for point in self.curve],
            "best": self.best,
            "best_actor": self.best_actor,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.curve = [CurvePoint(**point) for point in state["curve"]]
        self.best = int(state["best"])
        self.best_actor = dict(state["best_actor"])


def _finish(
    trainer: AnyTrainer,
    record: _Record,
    baseline: Mapping[str, Sequence[float]],
    folder: Path,
    fingerprint: str,
    run_id: str,
) -> TrainResult:
    """Write the best policy, then the summary: its presence means the run is complete."""
    config, team, env = trainer.config, trainer.spec.members, trainer.env
    best = record.curve[record.best]
    network = trainer.learner.policy()
    network.load_state_dict(record.best_actor)
    sizes = dict(zip(team.agents, team.obs_sizes, strict=True))
    knobs = dict(zip(team.agents, team.action_sizes, strict=True))
    levels = config.learner.levels if isinstance(config.learner, QmixConfig) else 0
    card = PolicyCard.model_validate(
        {
            "learner": config.learner.name,
            "face": "moves" if levels else "continuous",
            "agents": team.agents,
            "is_joint": team is not trainer.spec,
            "observation_fields": field_names(env, "observation_names", sizes),
            "knobs": field_names(env, "action_names", knobs),
            "baseline": {agent: tuple(map(float, baseline[agent])) for agent in team.agents},
            "residual_bound": config.learner.residual_bound,
            "levels": levels,
            "hold_steps": config.hold_steps,
            "net": config.learner.net,
            "training": config.model_dump(mode="json"),
            "training_seed": config.seed,
            "env_steps": best.env_steps,
            "fingerprint": fingerprint,
            "versions": _versions(),
        }
    )
    path = folder / POLICY_NAME
    save_policy(path, network, card)
    summary = TrainSummary(
        fingerprint=fingerprint,
        learner=config.learner.name,
        seed=config.seed,
        env_steps=trainer.env_steps,
        updates=trainer.learner.updates,
        curve=tuple(record.curve),
        best=best,
        policy_sha256=sha256_file(path),
    )
    write_json(folder / "tracking.json", {"run_id": run_id})
    write_json(folder / "result.json", summary.model_dump(mode="json"))
    return TrainResult(summary, path, run_id, is_from_store=False)


def _stored_result(folder: Path, fingerprint: str) -> TrainResult | None:
    """The finished run in `folder`, if its policy is there and unchanged."""
    result, policy = folder / "result.json", folder / POLICY_NAME
    if not result.is_file() or not policy.is_file():
        return None
    summary = TrainSummary.model_validate_json(result.read_text(encoding="utf-8"))
    if summary.fingerprint != fingerprint or summary.policy_sha256 != sha256_file(policy):
        return None
    run_id = json.loads((folder / "tracking.json").read_text(encoding="utf-8"))["run_id"]
    return TrainResult(summary, policy, run_id, is_from_store=True)


def _fingerprint(
    config: TrainConfig, baseline: Mapping[str, Sequence[float]], inputs_hash: str
) -> str:
    return sha256_json(
        {
            "version": _VERSION,
            "config": config.model_dump(mode="json"),
            "baseline": {agent: list(map(float, values)) for agent, values in baseline.items()},
            "inputs": inputs_hash,
            "versions": _versions(),
        }
    )


def _versions() -> dict[str, str]:
    return {"stratoform": version("stratoform"), "torch": torch.__version__}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
