"""Run profiles: one set of knobs that scales the whole lineage. Nothing else switches on a name.

First-order learners (APG) decide at every step, as the autoscalers do; they pay several times as
much for a step and learn more from it: fewer clouds, fewer steps (docs/learning.md).
"""

from typing import Any, Final

from assets.resources import Profile, TrainingPlan

# Everything that is trained is calibrated in the exact clouds when it is over, rivals too.
_CALIBRATED: Final[dict[str, Any]] = {"calibration": {}}

# Every five minutes, about four hours ahead: gradients through the clouds need no exploration,
# whose trembling knobs would cost more than quicker decisions bring. Half of the clouds misread
# their metrics, or a tenth of noise in them would cost more than was learned.
EVERY_STEP: Final = {
    "hold_steps": 1,
    "gamma": 0.98,
    "evaluate_every": 4,
    "learner": {"misread": 0.3},
    **_CALIBRATED,
}

# MADDPG from APG's calibrated actors, on the exact clouds: steps so small that it refines and does
# not wander (actor steps of 1e-5 gained for an epoch and then lost more than that).
_REFINED: Final = TrainingPlan(
    learner="maddpg",
    steps=300_000,
    clouds=256,
    warm_start="apg",
    settings={
        "hold_steps": 1,
        "gamma": 0.9,
        "noise_sigma": 0.05,
        "noise_sigma_end": 0.05,
        "noise_theta": 0.1,
        "updates_per_step": 4,
        "learner": {"actor_lr": 2e-6, "actor_noise": 0.1},
    },
)

# The bound that is shown the true demand ahead; one seed, as of the rivals below, because nothing
# is claimed of them but where they end.
_ORACLE: Final = TrainingPlan(
    learner="apg", steps=2_000_000, clouds=256, seeds=1, settings=EVERY_STEP
)

# Single-agent RL and independent learners, exploring as MADDPG does: one way for most of a day.
_HELD: Final = {"learner": {"noise_theta": 0.05}, **_CALIBRATED}
_RIVALS: Final = {
    "ppo": TrainingPlan(steps=1_500_000, seeds=1, settings=_HELD),
    "ippo": TrainingPlan(steps=1_500_000, seeds=1, settings=_HELD),
}

# The trace again, every kind of demand in turn, and each type of workload for itself.
SCENARIOS: Final = [
    "replay",
    "mixed",
    "mixed_burst",
    "web_cyclical",
    "batch_cyclical",
    "ml_cyclical",
]
# Every type of workload under every kind of demand.
EVERY_SCENARIO: Final = [
    "replay",
    "mixed",
    *(
        f"{workload}_{kind}"
        for workload in ("mixed", "web", "batch", "ml")
        for kind in ("steady", "burst", "cyclical")
    ),
]

PROFILES: Final = {
    # Minutes on 2 cores: proves the way from trace to Terraform, and that learning pays.
    "quick": Profile(
        name="quick",
        embedded_days=7.0,
        embedded_jobs_per_hour=120.0,
        embedded_machines=100,
        episode_steps=144,
        training={
            "maddpg": TrainingPlan(steps=2_400_000, settings=_CALIBRATED),
            # Of four minutes, compiling for the first time takes a hundred seconds.
            "apg": TrainingPlan(
                steps=700_000,
                clouds=256,
                settings={**EVERY_STEP, "calibration": {"generations": 20}},
            ),
        },
        training_seeds=1,
        tuning_candidates=48,
        tuning_generations=140,
        tuning_continued=40,
        frontier_generations=3,
        clairvoyant_rounds=0,
        mpc_iterations=0,
        tuning_episodes=48,
        evaluation_episodes=64,
        robustness_episodes=32,
        scenarios=SCENARIOS,
    ),
    # About an hour on 2 cores (README has what was measured).
    "standard": Profile(
        name="standard",
        embedded_days=14.0,
        embedded_jobs_per_hour=240.0,
        embedded_machines=200,
        episode_steps=288,
        training={
            # The longest first: no core waits for another in the end.
            "apg": TrainingPlan(steps=2_000_000, clouds=256, settings=EVERY_STEP),
            "maddpg": TrainingPlan(steps=4_500_000, settings=_CALIBRATED),
            "apg_oracle": _ORACLE,
            **_RIVALS,
            "apg_maddpg": _REFINED,
        },
        training_seeds=3,
        tuning_candidates=48,
        tuning_generations=160,
        tuning_continued=60,
        frontier_generations=3,
        clairvoyant_rounds=240,
        mpc_iterations=4,
        tuning_episodes=96,
        evaluation_episodes=96,
        robustness_episodes=32,
        scenarios=EVERY_SCENARIO,
    ),
    # The paper-grade run: five training seeds, as DESIGN's evaluation protocol asks.
    "full": Profile(
        name="full",
        embedded_days=28.0,
        embedded_jobs_per_hour=800.0,
        embedded_machines=400,
        episode_steps=288,
        training={
            "maddpg": TrainingPlan(steps=60_000_000, settings=_CALIBRATED),
            "apg": TrainingPlan(steps=7_500_000, clouds=256, settings=EVERY_STEP),
            "apg_oracle": _ORACLE,
            **_RIVALS,
            "apg_maddpg": _REFINED,
        },
        training_seeds=5,
        tuning_candidates=128,
        tuning_generations=200,
        tuning_continued=80,
        frontier_generations=40,
        clairvoyant_rounds=1000,
        mpc_iterations=8,
        tuning_episodes=120,
        evaluation_episodes=512,
        robustness_episodes=256,
        scenarios=EVERY_SCENARIO,
    ),
}


def profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        ValueError: no such profile; names those there are.
    """
    if name not in PROFILES:
        raise ValueError(f"PROFILE={name!r} is not a profile; there are: {', '.join(PROFILES)}")
    return PROFILES[name]
