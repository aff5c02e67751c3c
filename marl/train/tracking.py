"""Where a training run's figures go: MLflow, several places, or nowhere. Registering what came out.

MLflow is imported inside functions, for it takes seconds. Nothing here influences training.
TensorBoard is `tensorboard_tracker`'s.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

_METRICS_PER_CALL = 1000  # MLflow refuses more in one log_batch
_MODELS: Final = "stratoform-"  # what names of registered models begin with
_SHA256: Final = "policy_sha256"  # tag of a registered version
CANDIDATE: Final = "candidate"  # alias: what training registered last ("latest" is MLflow's own)
CHAMPION_ALIAS: Final = "champion"  # alias: what is in service


class Tracker(Protocol):
    """Receives a run's settings, figures and files."""

    def start(self, name: str, params: Mapping[str, Any], run_id: str | None, step: int = 0) -> str:
        """Open a run, or the interrupted run `run_id` again at `step`; returns its id.

        Figures after `step` are those of a training that was killed: they come again.
        """
        ...

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record figures at a step."""
        ...

    def rewind(self, step: int) -> None:
        """Figures after `step` are void: the run went back to it, and others follow."""
        ...

    def note(self, key: str, text: str) -> None:
        """Keep a remark with the run."""
        ...

    def artifact(self, path: Path) -> None:
        """Keep a file with the run, in its folder `policy`."""
        ...

    def finish(self, is_complete: bool) -> None:
        """Close the run."""
        ...


class NullTracker:
    """Keeps nothing."""

    def start(self, name: str, params: Mapping[str, Any], run_id: str | None, step: int = 0) -> str:
        """Nothing to open."""
        return run_id or ""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Nothing to record."""

    def rewind(self, step: int) -> None:
        """Nothing to take back."""

    def note(self, key: str, text: str) -> None:
        """Nothing to keep."""

    def artifact(self, path: Path) -> None:
        """Nothing to keep."""

    def finish(self, is_complete: bool) -> None:
        """Nothing to close."""


class Trackers:
    """Several at once; the first one's run ids count."""

    def __init__(self, *trackers: Tracker) -> None:
        self._trackers = trackers

    def start(self, name: str, params: Mapping[str, Any], run_id: str | None, step: int = 0) -> str:
        """Open the run everywhere; the first one's id."""
        ids = [one.start(name, params, run_id, step) for one in self._trackers]
        return ids[0]

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record figures everywhere."""
        for one in self._trackers:
            one.log(step, metrics)

    def rewind(self, step: int) -> None:
        """Take figures back everywhere."""
        for one in self._trackers:
            one.rewind(step)

    def note(self, key: str, text: str) -> None:
        """Keep a remark everywhere."""
        for one in self._trackers:
            one.note(key, text)

    def artifact(self, path: Path) -> None:
        """Keep a file everywhere."""
        for one in self._trackers:
            one.artifact(path)

    def finish(self, is_complete: bool) -> None:
        """Close the run everywhere."""
        for one in self._trackers:
            one.finish(is_complete)


class MlflowTracker:
    """Runs in an MLflow experiment in SQLite, artefacts in a folder beside it.

    Args:
        root: folder of `mlflow.db` and `artifacts/`; made where missing.
        experiment: the experiment's name.
        tags: recorded on each run.
    """

    def __init__(
        self, root: Path, experiment: str = "stratoform", tags: Mapping[str, str] | None = None
    ) -> None:
        self._client = mlflow_client(root)
        self._tags = dict(tags or {})
        self._run_id = ""
        self._logged = -1  # last step that the run holds already
        found = self._client.get_experiment_by_name(experiment)
        self._experiment_id = (
            found.experiment_id
            if found
            else self._client.create_experiment(
                experiment, artifact_location=(root / "artifacts").resolve().as_uri()
            )
        )

    def start(self, name: str, params: Mapping[str, Any], run_id: str | None, step: int = 0) -> str:
        """Open a run, or continue the interrupted run `run_id` where MLflow still knows it.

        MLflow cannot take figures back. A killed training comes by the same ones again, so those
        that the run holds already are left out.
        """
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException

        self._logged = -1
        if run_id:
            try:
                self._client.update_run(run_id, status="RUNNING")
                self._run_id = run_id
                rewards = self._client.get_metric_history(run_id, "reward")
                self._logged = rewards[-1].step if rewards else -1
                return run_id
            except MlflowException:
                pass  # the store was deleted since; a new run then holds the rest
        run = self._client.create_run(self._experiment_id, run_name=name, tags=self._tags)
        self._run_id = run.info.run_id
        self._client.log_batch(
            self._run_id, params=[Param(key, str(value)) for key, value in params.items()]
        )
        return self._run_id

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record figures at a step, in one call."""
        if step <= self._logged:
            return
        import time

        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        rows = [Metric(name, float(value), now_ms, step) for name, value in metrics.items()]
        for first in range(0, len(rows), _METRICS_PER_CALL):
            self._client.log_batch(self._run_id, metrics=rows[first : first + _METRICS_PER_CALL])

    def rewind(self, step: int) -> None:
        """Others follow at the same steps; MLflow shows both, the later by its time."""
        self._logged = step

    def note(self, key: str, text: str) -> None:
        """Keep a remark as a tag."""
        self._client.set_tag(self._run_id, key, text)

    def artifact(self, path: Path) -> None:
        """Copy a file into the run's folder `policy`."""
        self._client.log_artifact(self._run_id, str(path), "policy")

    def finish(self, is_complete: bool) -> None:
        """Close the run as finished or failed."""
        self._client.set_terminated(self._run_id, "FINISHED" if is_complete else "FAILED")


def mlflow_client(root: Path) -> Any:
    """An MLflow client on `<root>/mlflow.db`, without telemetry."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    root.mkdir(parents=True, exist_ok=True)
    return MlflowClient(f"sqlite:///{(root / 'mlflow.db').resolve()}")


def model_name(policy: str) -> str:
    """The registered model that versions of a policy belong to."""
    return f"{_MODELS}{policy}"


def register_policy(
    root: Path, policy: str, run_id: str, sha256: str, *, alias: str = CANDIDATE
) -> int:
    """Make a run's `policy` folder a version of its model, and point `alias` at it.

    A run that is a version already is not registered again, so repeating is harmless. Training
    says what is newest; which version is in service is `PolicyRegistry.crown`'s.

    Args:
        root: folder of `mlflow.db`.
        policy: its name; the model is `model_name(policy)`.
        run_id: of the run that made it.
        sha256: of its policy file, by which the version is found again.
        alias: what points at it.

    Returns:
        The version's number; load it as `models:/<model>@<alias>`.
    """
    from mlflow.exceptions import MlflowException

    client, name = mlflow_client(root), model_name(policy)
    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(name)
    versions = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    if versions:
        version = versions[0].version
    else:
        # The folder itself: without a global tracking URI the client cannot look `runs:` up.
        source = client.get_run(run_id).info.artifact_uri + "/policy"
        version = client.create_model_version(name, source=source, run_id=run_id).version
    client.set_model_version_tag(name, version, _SHA256, sha256)
    client.set_registered_model_alias(name, alias, version)
    return int(version)


class PolicyRegistry:
    """Which registered version is in service: the alias `champion`, on one version of one model.

    Args:
        root: folder of `mlflow.db`. Where there is none nothing is found, and nothing is made.
    """

    def __init__(self, root: Path) -> None:
        self._client = mlflow_client(root) if (root / "mlflow.db").is_file() else None

    def version_of(self, model: str, sha256: str) -> int | None:
        """The newest version of a model whose policy file has this hash; None if there is none."""
        if self._client is None:
            return None
        found = self._client.search_model_versions(
            f"name = '{model}' and tags.{_SHA256} = '{sha256}'"
        )
        return max((int(one.version) for one in found), default=None)

    def crown(self, model: str | None, version: int | None) -> None:
        """Point the alias at this version and at no other; at none where `version` is None."""
        if self._client is None:
            return
        for one in self._client.search_registered_models(f"name LIKE '{_MODELS}%'"):
            if CHAMPION_ALIAS in one.aliases and (one.name != model or version is None):
                self._client.delete_registered_model_alias(one.name, CHAMPION_ALIAS)
        if model is not None and version is not None:
            self._client.set_registered_model_alias(model, CHAMPION_ALIAS, str(version))
