"""Which training runs a profile asks for; hyper-parameters it does not name are TrainConfig's."""

from typing import TYPE_CHECKING, Any

from assets.resources import Profile, TrainingPlan

if TYPE_CHECKING:
    from marl.train.config import LearnerConfig, TrainConfig


def training_runs(profile: Profile) -> "list[TrainConfig]":
    """One configuration per policy and training seed: the profile's order, teachers first.

    A policy that starts from another takes over that one's settings of what an actor is.

    Raises:
        ValueError: a teacher that the profile does not train, on fewer seeds than its pupil, or
            that starts from its own pupil; an unknown learner or setting.
    """
    made: dict[str, list[TrainConfig]] = {}

    def make(name: str, pupils: tuple[str, ...] = ()) -> "list[TrainConfig]":
        if name not in made:
            if name not in profile.training or name in pupils:
                wrong = "starts from its own pupil" if name in pupils else "is not trained"
                raise ValueError(
                    f"{pupils[-1]} starts from {name!r}, which {wrong} in profile {profile.name}; "
                    f"there are: {', '.join(profile.training)}"
                )
            plan = profile.training[name]
            teachers = make(plan.warm_start, (*pupils, name)) if plan.warm_start else []
            learner = _learner(name, plan, teachers[0].learner if teachers else None)
            seeds = plan.seeds or profile.training_seeds
            if teachers and len(teachers) < seeds:
                raise ValueError(
                    f"{name} is trained on {seeds} seeds and starts from {plan.warm_start}, which "
                    f"has {len(teachers)}"
                )
            made[name] = [
                _config(name, plan, learner, profile, profile.seed + index)
                for index in range(seeds)
            ]
        return made[name]

    for name in profile.training:
        make(name)
    return [config for configs in made.values() for config in configs]


def _config(
    name: str, plan: TrainingPlan, learner: "LearnerConfig", profile: Profile, seed: int
) -> "TrainConfig":
    from marl.train.config import TrainConfig

    settings: dict[str, Any] = {key: v for key, v in plan.settings.items() if key != "learner"}
    return TrainConfig(
        learner=learner,
        name=name,
        seed=seed,
        epochs=max(2, round(plan.steps / (plan.clouds * profile.episode_steps))),
        epoch_steps=profile.episode_steps,
        num_envs=plan.clouds,
        warm_start=plan.warm_start or None,
        **settings,
    )


def _learner(name: str, plan: TrainingPlan, teacher: "LearnerConfig | None") -> "LearnerConfig":
    from marl.train.config import learner_named
    from marl.train.warm_start import actor_settings

    taken = actor_settings(teacher) if teacher is not None else {}
    return learner_named(plan.learner or name, **taken, **plan.settings.get("learner", {}))
