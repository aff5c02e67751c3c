"""One run's moving parts together: begun, continued, advanced by an epoch, judged, saved, set back.

When to do which, and whom to tell, belong to `marl.train.loop`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from marl.nets.actor import TeamActor
from marl.train.calibration import calibrate
from marl.train.checkpoint import load_checkpoint, save_checkpoint
from marl.train.climb import Climb
from marl.train.config import TrainConfig
from marl.train.env import MakeEnv
from marl.train.figures import Speedometer
from marl.train.record import Record
from marl.train.stage_env import Stages
from marl.train.trainers import AnyTrainer, build_trainer
from marl.train.warm_start import start_from


@dataclass(frozen=True)
class RunInputs:
    """What decides a run; see `marl.train.loop.train`."""

    config: TrainConfig
    make_env: MakeEnv
    baseline: Mapping[str, Sequence[float]]
    stages: Stages | None
    teacher: Path | None


class Run:
    """A run at its checkpoint, or at its start where there is none.

    Args:
        inputs: of the run.
        checkpoint: its file.
        fingerprint: of the run.

    Attributes:
        retries: times it has been set back; step sizes are as much smaller.
        run_id: where it is tracked; None before it is.
    """

    trainer: AnyTrainer
    record: Record
    climb: Climb | None

    def __init__(self, inputs: RunInputs, checkpoint: Path, fingerprint: str) -> None:
        self.inputs, self.checkpoint, self.fingerprint = inputs, checkpoint, fingerprint
        self.retries = 0
        self.run_id: str | None = None
        self._begin()

    @property
    def stage(self) -> str | None:
        """Where the curriculum stands."""
        return self.climb.curriculum.stage if self.climb else None

    @property
    def is_stale(self) -> bool:
        """Whether the curve has not risen for as long as the configuration has patience."""
        patience = self.inputs.config.patience
        return patience is not None and self.record.stale >= patience

    @property
    def is_over(self) -> bool:
        """Whether no epoch is left."""
        return self.trainer.epoch >= self.inputs.config.epochs or self.is_stale

    @property
    def step_factor(self) -> float:
        """Share of the configured step sizes that the learner has."""
        return self.inputs.config.retry_factor**self.retries

    def epoch(self) -> dict[str, float]:
        """One epoch of training; figures.

        Raises:
            DivergenceError: a number is not finite, or has exploded.
        """
        trainer = self.trainer
        speed = Speedometer(trainer.env_steps, trainer.learner.updates)
        figures = trainer.run_epoch()
        if self.climb is not None:
            self.climb.curriculum.end_epoch()
        return figures | speed.read(trainer.env_steps, trainer.learner.updates)

    def evaluate(self) -> tuple[dict[str, float], str]:
        """The scheduled evaluation; figures, and the words to tell.

        Raises:
            DivergenceError: a reward is not finite.
        """
        is_climbing = self.climb is not None and not self.climb.curriculum.is_over
        point = self.record.evaluate(self.trainer, is_counted=not is_climbing)
        figures, told = {"held_in/reward": point.reward, "held_in/gain": point.gain}, str(point)
        if self.climb is not None:
            more, words = self.climb.judge(self.trainer)
            figures, told = figures | more, f"{told}; {words}"
        return figures, told

    def calibrate(self, say: Callable[[str], None]) -> Iterator[tuple[int, dict[str, float]]]:
        """Calibrate the best policy, and keep what comes of it where held-in it is better.

        Where the configuration wants it. Nothing of it is saved: killed here, a run goes on from
        its last checkpoint, and calibrates to the same bits.

        Args:
            say: receives lines.

        Yields:
            Steps of single clouds so far, training included, and the figures by then.

        Raises:
            TypeError: the policy chooses among moves (a configuration that says so is refused).
        """
        config, trainer = self.inputs.config, self.trainer
        search, policy = config.calibration, trainer.learner.policy()
        if search is None:
            return
        if not isinstance(policy, TeamActor):
            raise TypeError(f"{config.policy_name} has no actors to calibrate")
        policy.load_state_dict(self.record.best_actor)
        steps, each = 0, search.env_steps(config.epoch_steps) // search.generations
        for figures in calibrate(policy, trainer.spec, self.inputs.make_env, config, search, say):
            steps += each
            yield trainer.env_steps + steps, figures
        point = self.record.evaluate(trainer, more_steps=steps)
        say(f"calibrated: {point}, before {self.record.curve[-2]}")
        yield point.env_steps, {"held_in/reward": point.reward, "held_in/gain": point.gain}

    def save(self) -> None:
        """Write everything that later epochs depend on."""
        state = {
            "trainer": self.trainer.state_dict(),
            "record": self.record.state_dict(),
            "climb": self.climb.state_dict() if self.climb else {},
            "retries": self.retries,
            "run_id": self.run_id,
        }
        save_checkpoint(self.checkpoint, self.fingerprint, state)

    def set_back(self) -> None:
        """Return to the last good state, with smaller steps; kept, so that a kill forgets nothing.

        That state is the last checkpoint, which is on disk anyway: a copy in memory would double
        what a replay buffer takes.
        """
        self.retries += 1
        del self.trainer, self.record, self.climb
        self._begin()
        self.save()

    def _begin(self) -> None:
        inputs, config = self.inputs, self.inputs.config
        stored = None
        if self.checkpoint.is_file():
            stored = load_checkpoint(self.checkpoint, self.fingerprint)
            self.retries = max(self.retries, stored["retries"])
            self.run_id = stored["run_id"]
        make_env = inputs.make_env
        self.climb = None
        if config.curriculum is not None and inputs.stages is not None:
            self.climb = Climb(config.curriculum, make_env, inputs.stages, config.num_envs)
            make_env = self.climb.make_env
        self.trainer = build_trainer(slowed(config, self.step_factor), make_env, inputs.baseline)
        self.record = Record(self.trainer)
        if stored is not None:
            self.trainer.load_state_dict(stored["trainer"])
            self.record.load_state_dict(stored["record"])
            if self.climb is not None:
                self.climb.load_state_dict(stored["climb"])
            return
        if inputs.teacher is not None:
            start_from(self.trainer, inputs.baseline, inputs.teacher)
        self.record.evaluate(self.trainer)


def slowed(config: TrainConfig, factor: float) -> TrainConfig:
    """The settings with every step size of the learner (`lr`, `*_lr`) times `factor`.

    Step sizes are set from the settings in every epoch (`Learner.anneal`), so a state loaded into a
    trainer of these settings goes on with them.

    Raises:
        ValueError: the learner has none.
    """
    if factor == 1:
        return config
    learner = config.learner
    sizes = {
        name: getattr(learner, name) * factor
        for name in type(learner).model_fields
        if name == "lr" or name.endswith("_lr")
    }
    if not sizes:
        raise ValueError(f"{learner.name} has no step size that could be made smaller")
    return config.model_copy(update={"learner": learner.model_copy(update=sizes)})
