"""Which training runs a profile asks for; hyper-parameters it does not scale are TrainConfig's."""

from typing import TYPE_CHECKING

from assets.resources import Profile

if TYPE_CHECKING:
    from marl.train.config import TrainConfig


def training_runs(profile: Profile) -> "list[TrainConfig]":
    """One configuration per algorithm and training seed, in that order.

    The profile says how many steps of single clouds a run takes; they are spread over epochs of one
    episode in all of its clouds.
    """
    from marl.train.config import TrainConfig, learner_named

    clouds = TrainConfig().num_envs
    epochs = max(2, round(profile.training_steps / (clouds * profile.episode_steps)))
    return [
        TrainConfig(
            learner=learner_named(name),
            seed=profile.seed + index,
            epochs=epochs,
            epoch_steps=profile.episode_steps,
        )
        for name in profile.algorithms
        for index in range(profile.training_seeds)
    ]
