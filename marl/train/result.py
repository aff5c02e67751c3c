"""What a finished run leaves behind: a policy file, a summary, where it was tracked; found again.

A run's folder is named by policy, seed and fingerprint: whatever changes the result has a folder of
its own, and a finished run is not done again.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from marl.algos.qmix import QmixConfig
from marl.files import sha256_file, sha256_json, write_json
from marl.frozen import Frozen
from marl.train.config import TrainConfig
from marl.train.env import field_names
from marl.train.policy_file import PolicyCard, save_policy
from marl.train.record import CurvePoint
from marl.train.run import Run

POLICY_NAME = "policy.safetensors"
_VERSION = 3  # of what training computes; raise it when stored results must be redone


class TrainSummary(Frozen):
    """What a finished run says of itself; the same for the same inputs.

    Attributes:
        fingerprint: of configuration, inputs and library versions.
        learner: name of the policy (`TrainConfig.policy_name`).
        seed: of the run.
        env_steps: steps of single clouds in all.
        updates: gradient steps.
        curve: held-in evaluations, the first policy first.
        best: the evaluation whose policy was kept.
        is_stopped_early: whether `patience` ended it.
        retries: times it diverged and went back.
        stage: where its curriculum stood at the end; None without one.
        policy_sha256: of the policy file.
    """

    fingerprint: str
    learner: str
    seed: int
    env_steps: int
    updates: int
    curve: tuple[CurvePoint, ...]
    best: CurvePoint
    is_stopped_early: bool
    retries: int
    stage: str | None
    policy_sha256: str


@dataclass(frozen=True)
class TrainResult:
    """A finished run: its summary, its policy file, and where it was tracked."""

    summary: TrainSummary
    policy_path: Path
    run_id: str
    is_from_store: bool


def store_result(run: Run, folder: Path) -> TrainResult:
    """Write the best policy, then the summary: its presence means the run is complete."""
    config, trainer, record = run.inputs.config, run.trainer, run.record
    best = record.curve[record.best]
    network = trainer.learner.policy()
    network.load_state_dict(record.best_actor)
    path = folder / POLICY_NAME
    save_policy(path, network, policy_card(run))
    summary = TrainSummary(
        fingerprint=run.fingerprint,
        learner=config.policy_name,
        seed=config.seed,
        env_steps=record.curve[-1].env_steps,
        updates=trainer.learner.updates,
        curve=tuple(record.curve),
        best=best,
        is_stopped_early=trainer.epoch < config.epochs,
        retries=run.retries,
        stage=run.stage,
        policy_sha256=sha256_file(path),
    )
    run_id = run.run_id or ""
    write_json(folder / "tracking.json", {"run_id": run_id})
    write_json(folder / "result.json", summary.model_dump(mode="json"))
    return TrainResult(summary, path, run_id, is_from_store=False)


def policy_card(run: Run) -> PolicyCard:
    """What the best policy of a run so far is, sees and does."""
    # The run's own settings: a trainer's may have smaller steps after a retry.
    config, baseline = run.inputs.config, run.inputs.baseline
    trainer, record = run.trainer, run.record
    team, env = trainer.spec.members, trainer.env
    sizes = dict(zip(team.agents, team.obs_sizes, strict=True))
    knobs = dict(zip(team.agents, team.action_sizes, strict=True))
    levels = config.learner.levels if isinstance(config.learner, QmixConfig) else 0
    return PolicyCard.model_validate(
        {
            "learner": config.policy_name,
            "face": "moves" if levels else "continuous",
            "levels": levels,
            "agents": team.agents,
            "is_joint": team is not trainer.spec,
            "observation_fields": field_names(env, "observation_names", sizes),
            "knobs": field_names(env, "action_names", knobs),
            "baseline": {agent: tuple(map(float, baseline[agent])) for agent in team.agents},
            "residual_bound": config.learner.residual_bound,
            "hold_steps": config.hold_steps,
            "net": config.learner.net,
            "training": config.model_dump(mode="json"),
            "training_seed": config.seed,
            "env_steps": record.curve[record.best].env_steps,
            "fingerprint": run.fingerprint,
            "versions": _versions(),
        }
    )


def stored_result(folder: Path, fingerprint: str) -> TrainResult | None:
    """The finished run in `folder`, if its policy is there and unchanged."""
    result, policy = folder / "result.json", folder / POLICY_NAME
    if not result.is_file() or not policy.is_file():
        return None
    summary = TrainSummary.model_validate_json(result.read_text(encoding="utf-8"))
    if summary.fingerprint != fingerprint or summary.policy_sha256 != sha256_file(policy):
        return None
    run_id = json.loads((folder / "tracking.json").read_text(encoding="utf-8"))["run_id"]
    return TrainResult(summary, policy, run_id, is_from_store=True)


def fingerprint_of(
    config: TrainConfig,
    baseline: Mapping[str, Sequence[float]],
    inputs_hash: str,
    teacher: Path | None = None,
    stages: Iterable[str] | None = None,
) -> str:
    """Hash of everything that decides a run's result; a teacher counts by the bytes of its file."""
    return sha256_json(
        {
            "version": _VERSION,
            "config": config.model_dump(mode="json"),
            "baseline": {agent: list(map(float, values)) for agent, values in baseline.items()},
            "inputs": inputs_hash,
            "teacher": None if teacher is None else sha256_file(teacher),
            "stages": None if stages is None else list(stages),
            "versions": _versions(),
        }
    )


def _versions() -> dict[str, str]:
    return {"stratoform": version("stratoform"), "torch": torch.__version__}
