"""The configurations that components change: learners as the profiles train them, and goals.

Bases named like a profile's plan repeat its settings (a test compares them); the domain cannot
import how it is run.
"""

from typing import Any, Final

from marl.evaluate.ablation.grid import Base, WorldChange

HOLD: Final = 12  # steps of a decision about a goal
_CALIBRATED: Final[dict[str, Any]] = {"calibration": {}}
# Every five minutes, from APG's actors on: steps so small that a good policy is not lost.
_FINE: Final[dict[str, Any]] = {"hold_steps": 1, "gamma": 0.9}
_GOALS: Final[dict[str, Any]] = {
    "hold_steps": 1,  # of an environment whose steps are hours already
    "updates_per_step": 20,
    "is_relative": False,
    "critic_horizon": 0,
    "noise_sigma": 0.3,
    "hindsight": {"ratio": 0.0},
    "learner": {"actor_warmup": 300, "actor_lr": 2e-4},
}

BASES: Final = (
    Base(
        name="maddpg",
        told="MADDPG as the profiles train it: decides hourly, one central critic of the team",
        learner="maddpg",
        settings=_CALIBRATED,
        clouds=1024,
        steps=1_500_000,
    ),
    Base(
        name="mappo",
        told="MAPPO with its defaults: decides hourly, central value",
        learner="mappo",
        settings=_CALIBRATED,
        clouds=1024,
        steps=1_500_000,
    ),
    Base(
        name="apg",
        told="APG as the profiles train it: the gradient through the clouds, every 5 minutes",
        learner="apg",
        settings={"hold_steps": 1, "gamma": 0.98, "learner": {"misread": 0.3}, **_CALIBRATED},
        clouds=256,
        steps=1_000_000,
    ),
    Base(
        name="maddpg_fine",
        told="MADDPG as the profiles refine APG's actors, but from the rule: every 5 minutes",
        learner="maddpg",
        settings={
            **_FINE,
            "noise_sigma": 0.05,
            "noise_sigma_end": 0.05,
            "noise_theta": 0.1,
            "updates_per_step": 4,
            "learner": {"actor_lr": 2e-6, "actor_noise": 0.1, "residual_bound": 1.0},
        },
        clouds=256,
        steps=600_000,
    ),
    Base(
        name="mappo_fine",
        told="MAPPO every 5 minutes with small steps and little exploration, from the rule",
        learner="mappo",
        settings={
            **_FINE,
            "learner": {"actor_lr": 2e-5, "sigma": 0.05, "residual_bound": 1.0},
        },
        clouds=256,
        steps=600_000,
    ),
    Base(
        name="goals_easy",
        told="MADDPG on sparse goals that the rule meets in most hours; objective: hours met − 1",
        learner="maddpg",
        settings=_GOALS,
        clouds=256,
        steps=442_368,
        world=WorldChange(goals="easy"),
    ),
    Base(
        name="goals_hard",
        told="MADDPG on sparse goals that the rule meets in few hours; objective: hours met − 1",
        learner="maddpg",
        settings=_GOALS,
        clouds=256,
        steps=442_368,
        world=WorldChange(goals="hard"),
    ),
)
