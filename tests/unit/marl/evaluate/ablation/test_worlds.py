"""Clouds of a run: paid otherwise in training, judged by the full objective, blind, shaped."""

import pytest
import torch

from marl.evaluate.ablation.components import GRID
from marl.evaluate.ablation.grid import WorldChange
from marl.evaluate.ablation.setups import setup
from marl.evaluate.ablation.worlds import (
    held_out_env,
    shaping_of,
    training_env,
    training_stages,
)
from marl.train.held_in import HELD_IN_SEED
from marl.train.service_goals import GoalProvisioning
from tests.unit.marl.evaluate.ablation.toy import BUDGET, toy


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    torch.set_num_threads(1)
    return toy(tmp_path_factory.mktemp("toy"))


def first_step(make_env, seed=1):
    env = make_env(3, seed)
    env.reset(seed=seed)
    actions = {a: torch.full((3, s.shape[0]), 0.1) for a, s in env.action_spec.items()}
    return env, env.step(actions)


def both(asked, name):
    one = setup(GRID, name, 0, BUDGET)
    shared = (asked.world, one.world)
    return (
        training_env(*shared, one.config, asked.rule, "mixed"),
        held_out_env(*shared, asked.rule, "mixed"),
    )


def test_a_term_left_out_is_left_out_of_training_alone(asked):
    train, judge = both(asked, "maddpg/no_cost")
    (_, trained), (_, judged) = first_step(train), first_step(judge)
    (_, full) = first_step(both(asked, "maddpg")[1])
    names = ("cost", "performance", "reliability", "sustainability")
    terms = [trained.info[f"reward_{name}"] for name in names]
    team = trained.info["reward_team"] - trained.info["reward_penalty"]
    weighted = (0.40 * terms[1] + 0.20 * terms[2] + 0.15 * terms[3]) / 0.75
    assert torch.allclose(team, weighted, atol=1e-5)
    assert torch.equal(judged.reward["compute"], full.reward["compute"])
    assert torch.equal(judged.info["cost_usd"], trained.info["cost_usd"])  # the same clouds


def test_shaping_is_neither_in_held_in_nor_in_held_out_rewards(asked):
    train, judge = both(asked, "maddpg/shaping")
    assert "reward_shaping" in first_step(train)[1].info
    assert "reward_shaping" not in first_step(train, HELD_IN_SEED)[1].info
    assert "reward_shaping" not in first_step(judge)[1].info
    config = setup(GRID, "maddpg", 0, BUDGET).config
    constant = shaping_of(WorldChange(shaping="constant"), config)
    assert constant.gamma**config.hold_steps == pytest.approx(config.gamma)
    assert (constant.weight, constant.final) == (1.0, 1.0)
    annealed = shaping_of(WorldChange(shaping="annealed"), config)
    assert (annealed.final, annealed.end) == (0.0, config.epochs * config.epoch_steps // 2)
    assert shaping_of(WorldChange(), config) is None
    stages = training_stages(asked.world, WorldChange(shaping="constant"), config, asked.rule)
    assert "reward_shaping" in first_step(stages["calm"])[1].info


def test_what_is_hidden_reads_zero_and_nothing_else(asked):
    seen, blind = (first_step(both(asked, name)[1])[0] for name in ("apg", "apg/hidden_calendar"))
    hidden = torch.tensor(
        [name.startswith(("day_sin", "day_cos", "week_sin", "week_cos"))
         for name in seen.state_names]
    )  # fmt: skip
    assert hidden.any()
    assert (seen.state()[:, hidden] != 0).any()
    assert (blind.state()[:, hidden] == 0).all()
    assert torch.equal(blind.state()[:, ~hidden], seen.state()[:, ~hidden])
    with pytest.raises(ValueError, match="no feature begins with nonsense_"):
        held_out_env(asked.world, WorldChange(hidden=("nonsense_",)), asked.rule, "mixed")(2, 0)


def test_lists_and_goals_are_there_in_training_and_in_evaluation(asked):
    for make_env in both(asked, "maddpg/transformer"):
        assert "request0_is_open" in make_env(2, 0).observation_names["compute"]
    for make_env in both(asked, "goals_hard/hindsight"):
        env = make_env(2, 0)
        assert isinstance(env, GoalProvisioning)
        assert env.goals.cost == (0.8, 0.95)
