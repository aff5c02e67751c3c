"""Starting from another learner's policy: its actors and normaliser, to the bit.

A first-order learner is soon good; what follows it may explore from there (a demonstrator's policy
as a start: Rajeswaran et al. 2018, arXiv:1709.10087). Critics are not carried over.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from marl.frozen import Frozen
from marl.train.env import field_names
from marl.train.policy_file import PolicyCard, load_policy_file
from marl.train.trainers import AnyTrainer

_NOT_SETTINGS = {"name", "learner"}  # fields of a card that say whose it is, not what


def actor_settings(learner: Frozen) -> dict[str, Any]:
    """The settings of a learner that decide what its actors are: those a policy's card repeats."""
    names = type(learner).model_fields.keys() & PolicyCard.model_fields.keys() - _NOT_SETTINGS
    return {name: getattr(learner, name) for name in sorted(names)}


def start_from(trainer: AnyTrainer, baseline: Mapping[str, Sequence[float]], teacher: Path) -> None:
    """Give a trainer that has learned nothing yet the actors of a policy file.

    Args:
        trainer: of the pupil.
        baseline: agent → constant action that its actors depart from.
        teacher: the policy file.

    Raises:
        ValueError: the policy sees, does or is built otherwise than the trainer's; names each
            difference. Or the learner has no actors to give weights to.
        PolicyFileError: the file is no usable policy.
    """
    config, team, learner = trainer.config, trainer.spec.members, trainer.learner
    take_over = getattr(learner, "load_actor", None)
    if take_over is None:
        raise ValueError(f"{config.learner.name} cannot start from another learner's actors")
    stored = load_policy_file(teacher)
    sizes = dict(zip(team.agents, team.obs_sizes, strict=True))
    knobs = dict(zip(team.agents, team.action_sizes, strict=True))
    ours = {
        "agents": team.agents,
        "is_joint": team is not trainer.spec,
        "observation_fields": field_names(trainer.env, "observation_names", sizes),
        "knobs": field_names(trainer.env, "action_names", knobs),
        "baseline": {agent: tuple(map(float, baseline[agent])) for agent in team.agents},
        "hold_steps": config.hold_steps,
        **actor_settings(config.learner),
    }
    # Through the card's own types, so that a list and a tuple of the same names are the same.
    mine = PolicyCard.model_validate(stored.card.model_dump() | ours)
    wrong = [
        f"{name} is {getattr(stored.card, name)} there and {getattr(mine, name)} here"
        for name in ours
        if getattr(stored.card, name) != getattr(mine, name)
    ]
    if wrong:
        raise ValueError(
            f"{config.policy_name} cannot start from {teacher.name} ({stored.card.learner}): "
            f"{'; '.join(wrong)}"
        )
    take_over(stored.actor.state_dict())
