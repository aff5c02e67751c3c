"""The grid as data: every configuration is valid and differs from its reference as it says."""

import pytest
from pydantic import ValidationError

from assets.resources import Profile
from assets.training.runs import training_runs
from marl.cloud.config import CloudConfig
from marl.cloud.features import state_names
from marl.evaluate.ablation.components import GRID, HIDDEN
from marl.evaluate.ablation.grid import Component, Contrast, Grid, WorldChange, merged
from marl.evaluate.ablation.setups import Budget, differences, runs_of, setup
from pipelines.profiles import PROFILES

BUDGET = Budget(steps=200_000, clouds=256)
CONTRASTS = GRID.contrasts()
# What may differ between a component's run and its reference, by the beginning of its path.
ALLOWED = {
    "placebo": ("config.seed",),
    "prioritised_replay": ("config.priority",),
    "attention_net": ("config.learner.net.kind",),
    "request_list": ("world.shown",),
    "transformer": ("config.learner.net.kind",),
    "gru": ("config.learner.net.kind",),
    "attention_critic": ("config.learner.critic",),
    "critics_per_agent": ("config.learner.is_team",),
    "no_future": ("config.critic_horizon",),
    "independent": ("config.learner.name",),
    "shaping": ("world.shaping",),
    "shaping_annealed": ("world.shaping",),
    "curriculum": ("config.curriculum",),
    "parameter_noise": ("config.noise",),
    "no_local_share": ("world.rewarded",),
    "not_relative": ("config.is_relative",),
    "no_layer_norm": ("config.learner.net.has_layer_norm",),
    "three_steps": ("config.n_step",),
    "no_offsets": ("config.learner.noise",),
    "clear_sight": ("config.learner.misread",),
    "restless_noise": ("config.noise_theta",),
    "no_calibration": ("config.calibration",),
    "no_carry_limit": ("config.learner.carry_limit",),
    "from_apg": ("config.warm_start",),
    "hindsight": ("config.hindsight.ratio",),
    "oracle_forecast": ("world.shown",),
    **{f"no_{name}": ("world.rewarded",) for name in CloudConfig().weights.model_dump()},
    **{f"hidden_{name}": ("world.hidden",) for name in HIDDEN},
}


@pytest.mark.parametrize("asked", CONTRASTS, ids=lambda one: f"{one.run}-{one.reference}")
def test_a_run_differs_from_its_reference_by_what_it_says_alone(asked):
    one, other = (setup(GRID, name, 1, BUDGET) for name in (asked.run, asked.reference))
    found = differences(one, other)
    assert found
    if asked.reference == "apg" and not asked.run.startswith("apg/"):
        assert one.teacher == other  # what is asked is what comes after the teacher
        return
    allowed = ALLOWED[asked.run.partition("/")[2]]
    assert all(path.startswith(allowed) for path in found), found


@pytest.mark.parametrize("name", GRID.identities())
def test_clouds_of_every_configuration_are_possible(name):
    world = setup(GRID, name, 0, BUDGET).world
    config = CloudConfig(**world.shown, **world.rewarded)
    if "weights" in world.rewarded:
        weights, full = config.weights.values(), CloudConfig().weights.values()
        left = [(w, f) for w, f in zip(weights, full, strict=True) if w]
        assert len(left) == 3
        ratios = [w / f for w, f in left]
        assert ratios == pytest.approx([ratios[0]] * 3)  # in proportion
    for beginning in world.hidden:
        assert any(one.startswith(beginning) for one in state_names(config.zones))


def test_bases_are_what_the_profiles_train():
    """Fields that say how long, for whom and how often judged are the budget's."""
    plan = PROFILES["standard"]
    profile = Profile(**{**plan.model_dump(), "training_seeds": 1})
    theirs = {config.policy_name: config for config in training_runs(profile)}
    budget = Budget(episode_steps=profile.episode_steps)
    own = {"name", "epochs", "evaluate_every", "checkpoint_every"}
    for ours, name in (
        ("maddpg", "maddpg"),
        ("apg", "apg"),
        ("maddpg_fine/from_apg", "apg_maddpg"),
    ):
        config = setup(GRID, ours, 0, budget).config
        assert config.model_dump(exclude=own) == theirs[name].model_dump(exclude=own)


def test_every_run_once_teachers_first():
    runs = runs_of(GRID, GRID.contrasts(("maddpg_fine", "apg")), [0, 1], BUDGET)
    names = [(one.name, one.seed) for one in runs]
    assert len(set(names)) == len(names)
    for one in runs:
        if one.teacher is not None:
            assert names.index(("apg", one.seed)) < names.index((one.name, one.seed))


def test_names_and_orders_that_are_asked_for():
    asked = GRID.contrasts(("mappo", "maddpg"), ("shaping", "placebo"))
    assert [one.run for one in asked] == [
        "maddpg/shaping", "mappo/shaping", "maddpg/placebo", "mappo/placebo",
    ]  # fmt: skip
    assert GRID.contrasts(("mappo",), ("independent",)) == [
        Contrast(run="mappo/independent", reference="mappo/no_future")
    ]
    with pytest.raises(ValueError, match="no base sarsa; there are: apg, goals_easy"):
        GRID.contrasts(("sarsa",))
    with pytest.raises(ValueError, match="no component gru of maddpg; there are: placebo"):
        GRID.contrasts(("maddpg",), ("gru",))


def test_a_grid_that_contradicts_itself_is_refused():
    base = GRID.bases[0]
    one = Component(name="a", bases=("maddpg",), change="x", hypothesis="y", seed_shift=1)
    Grid(bases=(base,), components=(one,))
    with pytest.raises(ValidationError, match="component twice"):
        Grid(bases=(base,), components=(one, one))
    with pytest.raises(ValidationError, match="a names maddpg/b, which is not there"):
        Grid(bases=(base,), components=(one.model_copy(update={"includes": "b"}),))
    with pytest.raises(ValidationError, match="changes nothing"):
        Component(name="a", bases=("maddpg",), change="x", hypothesis="y")
    with pytest.raises(ValidationError, match="a base twice"):
        Grid(bases=(base, base), components=())
    with pytest.raises(ValueError, match="whole decisions of 12"):
        setup(GRID, "goals_easy", 0, Budget(episode_steps=20))


def test_settings_are_put_over_one_another():
    below = {"a": 1, "b": {"c": 2, "d": {"e": 3}}}
    assert merged(below, {"b": {"d": {"f": 4}}, "a": {"g": 5}}) == {
        "a": {"g": 5}, "b": {"c": 2, "d": {"e": 3, "f": 4}},
    }  # fmt: skip
    assert below == {"a": 1, "b": {"c": 2, "d": {"e": 3}}}
    assert WorldChange() == WorldChange(shown={}, rewarded={})
