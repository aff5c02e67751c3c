"""Which runs a profile asks for: how long, in which order, from which teacher."""

import pytest

from assets.resources import TrainingPlan
from assets.training.runs import training_runs
from assets.training.work import chains
from marl.train.config import learner_names
from pipelines.profiles import PROFILES, profile


def profile_with(training, seeds=2):
    return PROFILES["quick"].model_copy(update={"training": training, "training_seeds": seeds})


def test_steps_are_spread_over_epochs_of_one_episode_in_all_clouds():
    runs = training_runs(profile_with({"apg": TrainingPlan(steps=144 * 256 * 7, clouds=256)}))
    assert [(run.epochs, run.num_envs, run.epoch_steps) for run in runs] == [(7, 256, 144)] * 2
    assert [run.seed for run in runs] == [0, 1]
    assert [run.policy_name for run in runs] == ["apg", "apg"]


def test_teachers_come_first_and_pupils_are_built_like_them():
    runs = training_runs(
        profile_with(
            {
                "apg_maddpg": TrainingPlan(
                    learner="maddpg",
                    steps=10**6,
                    warm_start="wide_apg",
                    settings={"noise_sigma": 0.1, "patience": 5, "learner": {"actor_lr": 1e-5}},
                ),
                "mappo": TrainingPlan(steps=10**6),
                "wide_apg": TrainingPlan(
                    learner="apg",
                    steps=10**6,
                    settings={"learner": {"net": {"hidden": (128, 128)}}},
                ),
            },
            seeds=1,
        )
    )
    assert [run.policy_name for run in runs] == ["wide_apg", "apg_maddpg", "mappo"]
    teacher, pupil, _ = runs
    assert (pupil.warm_start, pupil.noise_sigma, pupil.patience) == ("wide_apg", 0.1, 5)
    assert pupil.learner.name == "maddpg"
    assert pupil.learner.actor_lr == 1e-5
    for setting in ("net", "residual_bound"):
        assert getattr(pupil.learner, setting) == getattr(teacher.learner, setting)
    assert teacher.learner.net.hidden == (128, 128)


def test_a_curriculum_is_a_setting():
    plan = TrainingPlan(steps=10**6, settings={"curriculum": {"evaluations": 2}})
    (run,) = training_runs(profile_with({"maddpg": plan}, seeds=1))
    assert run.curriculum.evaluations == 2


def test_nonsense_is_refused():
    plan = TrainingPlan(steps=10**6, warm_start="nobody")
    with pytest.raises(ValueError, match="maddpg starts from 'nobody', which is not trained"):
        training_runs(profile_with({"maddpg": plan}))
    with pytest.raises(ValueError, match="starts from its own pupil"):
        training_runs(
            profile_with(
                {
                    "maddpg": TrainingPlan(steps=1, warm_start="apg"),
                    "apg": TrainingPlan(steps=1, warm_start="maddpg"),
                }
            )
        )
    with pytest.raises(ValueError, match="gama"):
        training_runs(profile_with({"maddpg": TrainingPlan(steps=1, settings={"gama": 0.9})}))
    with pytest.raises(ValueError, match="'dqn'"):
        training_runs(profile_with({"dqn": TrainingPlan(steps=1)}))


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_profile_trains_what_there_is(name):
    runs = training_runs(profile(name))
    assert {run.learner.name for run in runs} <= set(learner_names())
    plans, seeds = profile(name).training.values(), profile(name).training_seeds
    assert len(runs) == sum(plan.seeds or seeds for plan in plans)


def test_pupils_wait_for_their_own_teacher_and_for_nobody_else():
    runs = training_runs(
        profile_with(
            {
                "mappo": TrainingPlan(steps=10**6),
                "apg": TrainingPlan(steps=10**6),
                "apg_maddpg": TrainingPlan(learner="maddpg", steps=10**6, warm_start="apg"),
                "third": TrainingPlan(learner="maddpg", steps=10**6, warm_start="apg_maddpg"),
            }
        )
    )
    named = [[(run.policy_name, run.seed) for run in chain] for chain in chains(runs)]
    assert named == [
        [("apg", 0), ("apg_maddpg", 0), ("third", 0)],
        [("apg", 1), ("apg_maddpg", 1), ("third", 1)],
        [("mappo", 0)],
        [("mappo", 1)],
    ]


def test_a_rival_may_have_fewer_seeds_but_no_teacher_fewer_than_its_pupil():
    plans = {
        "apg": TrainingPlan(steps=10**6),
        "apg_oracle": TrainingPlan(learner="apg", steps=10**6, seeds=1),
    }
    runs = training_runs(profile_with(plans))
    assert [(run.policy_name, run.seed) for run in runs] == [
        ("apg", 0), ("apg", 1), ("apg_oracle", 0),
    ]  # fmt: skip
    plans["pupil"] = TrainingPlan(learner="maddpg", steps=10**6, warm_start="apg_oracle")
    with pytest.raises(ValueError, match="2 seeds and starts from apg_oracle, which has 1"):
        training_runs(profile_with(plans))
