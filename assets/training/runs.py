"""Which training runs a profile asks for; hyper-parameters it does not scale are TrainConfig's."""

from typing import TYPE_CHECKING, Final

from assets.resources import Profile

if TYPE_CHECKING:
    from marl.train.config import TrainConfig


# Clouds trained in together, and the share of the profile's steps, by learner; MADDPG's for others.
# On-policy learners gain from more rounds of fewer clouds; first-order ones pay five times as much
# for a step and learn more from it (docs/learning.md).
_SCALE: Final = {"mappo": (256, 0.5), "ippo": (256, 0.5), "apg": (256, 0.125), "shac": (256, 0.125)}


def training_runs(profile: Profile) -> "list[TrainConfig]":
    """One configuration per algorithm and training seed, in that order.

    The profile says how many steps of single clouds a run takes; they are spread over epochs of one
    episode in all of its clouds.
    """
    from marl.train.config import TrainConfig, learner_named

    runs = []
    for name in profile.algorithms:
        clouds, share = _SCALE.get(name, (TrainConfig().num_envs, 1.0))
        steps = profile.training_steps * share
        epochs = max(2, round(steps / (clouds * profile.episode_steps)))
        runs += [
            TrainConfig(
                learner=learner_named(name),
                seed=profile.seed + index,
                epochs=epochs,
                epoch_steps=profile.episode_steps,
                num_envs=clouds,
            )
            for index in range(profile.training_seeds)
        ]
    return runs
