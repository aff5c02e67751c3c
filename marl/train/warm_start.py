"""Starting from another learner's policy: its actors and normaliser, to the bit.

A first-order learner is soon good; what follows it may explore from there (a teacher's policy as a
start: Rajeswaran et al. 2018, arXiv:1709.10087). Critics are not carried over.
"""

from pathlib import Path
from typing import Any

from marl.frozen import Frozen
from marl.train.config import TrainConfig
from marl.train.env import field_names
from marl.train.policy_file import PolicyCard, load_policy_file
from marl.train.trainers import AnyTrainer


def actor_settings(learner: Frozen) -> dict[str, Any]:
    """The settings of a learner that decide what its actors are: those a policy's card repeats."""
    names = type(learner).model_fields.keys() & PolicyCard.model_fields.keys()
    return {name: getattr(learner, name) for name in sorted(names)}


def start_from(trainer: AnyTrainer, config: TrainConfig, teacher: Path) -> None:
    """Give a trainer that has learned nothing yet the actors of a policy file.

    Raises:
        ValueError: the policy sees, does or is built otherwise than the trainer's; names each
            difference. Or the learner has no actors to give weights to.
        PolicyFileError: the file is no usable policy.
    """
    stored = load_policy_file(teacher)
    card, spec = stored.card, trainer.spec
    learner: Any = trainer.learner
    if not hasattr(learner, "load_actor"):
        raise ValueError(f"{config.learner.name} cannot start from another learner's actors")
    sizes = dict(zip(spec.agents, spec.obs_sizes, strict=True))
    knobs = dict(zip(spec.agents, spec.action_sizes, strict=True))
    ours = {
        "agents": spec.agents,
        "observation_fields": field_names(trainer.env, "observation_names", sizes),
        "knobs": field_names(trainer.env, "action_names", knobs),
        "hold_steps": config.hold_steps,
        **actor_settings(config.learner),
    }
    found = card.model_copy(update=ours)
    wrong = [
        f"{name} is {getattr(card, name)} there and {value} here"
        for name, value in PolicyCard.model_validate(found.model_dump()).model_dump().items()
        if name in ours and value != card.model_dump()[name]
    ]
    if wrong:
        raise ValueError(
            f"{config.policy_name} cannot start from {teacher.name} ({card.learner}): "
            f"{'; '.join(wrong)}"
        )
    learner.load_actor(stored.actor.state_dict())
