"""Everything that decides what a training run does. Algorithms' own numbers: `marl.algos`."""

from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, model_validator

from marl.algos.exploration import NoiseKind
from marl.algos.first_order import FirstOrderConfig
from marl.algos.hindsight import HindsightLearnerConfig
from marl.algos.maddpg import MaddpgConfig
from marl.algos.mappo import MappoConfig
from marl.algos.qmix import QmixConfig
from marl.algos.sac_config import SacConfig
from marl.frozen import Frozen
from marl.replay.hindsight import HindsightConfig
from marl.replay.prioritised import PriorityConfig
from marl.train.calibration import CalibrationConfig
from marl.train.curriculum import CurriculumConfig

LearnerConfig = Annotated[
    MaddpgConfig | SacConfig | MappoConfig | FirstOrderConfig | HindsightLearnerConfig | QmixConfig,
    Field(discriminator="name"),
]
_LEARNERS: Final[TypeAdapter[LearnerConfig]] = TypeAdapter(LearnerConfig)


def learner_named(name: str, **settings: Any) -> LearnerConfig:
    """The learner of that name, with its own defaults where `settings` says nothing else.

    Raises:
        ValueError: no such learner, the message lists those there are; or no such setting.
    """
    return _LEARNERS.validate_python({"name": name, **settings})


def learner_names() -> tuple[str, ...]:
    """Every learner there is."""
    return tuple(sorted(_LEARNERS.json_schema()["discriminator"]["mapping"]))


class TrainConfig(Frozen):
    """Settings of one training run, counted in steps, never in seconds.

    An epoch resets all clouds with a seed of its own and advances them `epoch_steps` times.

    Attributes:
        learner: the algorithm and its hyper-parameters.
        name: what tables and files call the policy; the learner's name if absent, behind its
            teacher's where it has one ("apg_maddpg").
        seed: decides initial weights, noise, sampling and the weather.
        epochs: how long to train.
        epoch_steps: steps per epoch; an episode's length, so that epochs start with episodes.
        hold_steps: steps each decision is held (12: an hour); the autoscaler behind the knobs
            goes on reacting at every step. `gamma`, `n_step` and noise count decisions.
        num_envs: clouds trained in together; many, because the simulator is cheap and a critic that
            sees the same weather often learns it by heart.
        warmup_epochs: epochs of exploring around the baseline before the first update.
        updates_per_step: gradient steps per decision of all clouds.
        batch_size: rows per gradient step (Fujimoto et al. 2018: 256).
        capacity: most rows in the replay buffer.
        priority: draw rows in proportion to their errors (`marl.replay.prioritised`); uniformly if
            None.
        hindsight: learn goals also from what was achieved instead (`marl.replay.hindsight`); for
            environments with goals, which give each step its own reward: not with `is_relative`
            or held decisions.
        gamma: discount per decision; .8 looks about five hours ahead, beyond provisioning delays
            and most deadlines, without the variance of a whole day.
        n_step: decisions of reward before the bootstrap; one, because more would count the noise
            of the decisions that follow.
        noise: exploration on residuals, see marl.algos.exploration; soft actor-critics and
            on-policy learners draw from their own policies instead.
        noise_sigma: its standard deviation at the start, in residual units ([-1, 1] is the range).
        noise_sigma_end: the same at the end; linear in between.
        noise_theta: share of an Ornstein–Uhlenbeck process forgotten per decision. So small that a
            cloud explores one way for most of a day: knobs that tremble from hour to hour restart
            the database and replace VMs, and what they are worth drowns in what moving them costs.
        evaluate_every: epochs between held-in evaluations.
        evaluate_envs: episodes of each evaluation, always the same weather.
        checkpoint_every: epochs between checkpoints.
        critic_horizon: steps of exogenous future (demand, prices) that central critics are shown,
            from `env.future`, 0 for environments without it; actors never are (pilot: worth a
            third of the gain).
        is_relative: give agents their reward minus what the baseline earns on the same weather in a
            cloud beside theirs, and show critics the difference to that cloud. The subtracted part
            does not depend on actions, so the best policy stays the same; the noise of the weather
            goes (common random numbers as a control variate; after Mao et al. 2019).
        warm_start: name of the policy whose actors, normaliser included, training starts from; its
            file is handed to the loop. Critics start anew, so `warmup_epochs` and a learner's own
            warm-up keep their meaning.
        curriculum: how to climb an order of situations; None: train where the run is judged.
        calibration: how the best actors are calibrated when training is over; None: not at all.
        patience: evaluations without a new best after which the run ends early; None: never. While
            a curriculum climbs none are counted.
        retries: times that a run which diverged goes back to its last checkpoint (its start where
            there is none) and tries again with smaller steps, before it gives up.
        retry_factor: factor on every step size of the learner at each such time.
        threads: threads of torch while training; small networks are fastest with one, and sums
            come out in the same order on every machine only when it is fixed.
    """

    learner: LearnerConfig = MaddpgConfig()
    name: str | None = Field(default=None, pattern=r"^[a-z0-9_]+$")
    seed: int = Field(default=0, ge=0)
    epochs: int = Field(default=24, ge=1)
    epoch_steps: int = Field(default=144, ge=2)
    hold_steps: int = Field(default=12, ge=1)
    num_envs: int = Field(default=1024, ge=1)
    warmup_epochs: int = Field(default=1, ge=1)
    updates_per_step: int = Field(default=30, ge=1)
    batch_size: int = Field(default=256, ge=1)
    capacity: int = Field(default=250_000, ge=1)
    priority: PriorityConfig | None = None
    hindsight: HindsightConfig | None = None
    gamma: float = Field(default=0.8, ge=0, lt=1)
    n_step: int = Field(default=1, ge=1)
    noise: NoiseKind = "ou"
    noise_sigma: float = Field(default=0.3, ge=0)
    noise_sigma_end: float = Field(default=0.2, ge=0)
    noise_theta: float = Field(default=0.05, gt=0, le=1)
    evaluate_every: int = Field(default=2, ge=1)
    evaluate_envs: int = Field(default=128, ge=1)
    checkpoint_every: int = Field(default=10, ge=1)
    critic_horizon: int = Field(default=12, ge=0)
    is_relative: bool = True
    warm_start: str | None = None
    curriculum: CurriculumConfig | None = None
    calibration: CalibrationConfig | None = None
    patience: int | None = Field(default=None, ge=1)
    retries: int = Field(default=2, ge=0)
    retry_factor: float = Field(default=0.3, gt=0, lt=1)
    threads: int = Field(default=1, ge=1)

    @property
    def policy_name(self) -> str:
        """What tables and files call the policy."""
        if self.name is not None:
            return self.name
        return "_".join(part for part in (self.warm_start, self.learner.name) if part)

    @model_validator(mode="after")
    def _can_be_calibrated(self) -> "TrainConfig":
        learner = self.learner
        if self.calibration is not None and (
            isinstance(learner, QmixConfig) or getattr(learner, "is_discrete", False)
        ):
            raise ValueError(
                f"calibration scales residuals, and {learner.name} chooses: leave it out"
            )
        return self

    @model_validator(mode="after")
    def _buffer_holds_a_window(self) -> "TrainConfig":
        needed = self.num_envs * (self.n_step + 1)
        if self.capacity < needed:
            raise ValueError(
                f"capacity {self.capacity} holds no window of {self.n_step} steps of "
                f"{self.num_envs} clouds; at least {needed} are needed"
            )
        if self.hindsight is not None and (self.is_relative or self.hold_steps > 1):
            raise ValueError(
                "hindsight computes a step's reward anew from its goal: set is_relative=False and "
                "hold_steps=1"
            )
        if self.noise == "parameter" and self.learner.net.kind == "gru":
            raise ValueError(
                "noise 'parameter' disturbs actors without a memory; take 'ou' or 'gaussian', or "
                "another net.kind than 'gru'"
            )
        if self.epoch_steps % self.hold_steps:
            raise ValueError(
                f"epoch_steps {self.epoch_steps} must be a multiple of hold_steps {self.hold_steps}"
            )
        if self.warmup_epochs * self.epoch_steps // self.hold_steps <= self.n_step:
            raise ValueError(
                f"{self.warmup_epochs} warm-up epochs of {self.epoch_steps} steps hold no window "
                f"of {self.n_step} steps"
            )
        return self
