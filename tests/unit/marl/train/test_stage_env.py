"""Situations side by side are one environment: rows in place, weather apart, optional abilities."""

import dataclasses

import pytest
import torch

from marl.cloud.requests import Requests
from marl.envs import make
from marl.train.env import twin
from marl.train.seeding import derive_seed
from marl.train.smooth_rollout import rollout_of
from marl.train.stage_env import Part, StageEnv
from tests.learning.lq_team import LqTeam
from tests.unit.marl.train.signs import AGENTS, MINUS, PLUS, STEPS, Signs

STEPS_OF_CLOUD = 4


def cloud(scenario):
    return lambda n, seed: make(
        num_envs=n, seed=seed, scenario=scenario, episode_steps=STEPS_OF_CLOUD
    )


def side_by_side(*parts, seed=5):
    env = StageEnv(lambda: list(parts), seed)
    env.reset(seed=seed)
    return env


def played(actions, envs):
    """The same step taken in each environment alone."""
    start, steps = 0, []
    for env in envs:
        rows = slice(start, start + env.num_envs)
        steps.append(env.step({agent: value[rows] for agent, value in actions.items()}))
        start += env.num_envs
    return steps


def test_rows_are_those_of_the_parts_alone_in_weather_of_their_own():
    env = side_by_side(Part("plus", PLUS, 3), Part("minus", MINUS, 2))
    alone = [PLUS(3, 5), MINUS(2, derive_seed(5, "minus"))]
    assert (env.num_envs, env.agents, env.parts) == (5, AGENTS, {"plus": 3, "minus": 2})
    for t in range(2 * STEPS):  # beyond the episode's end too
        assert torch.equal(env.state(), torch.cat([one.state() for one in alone]))
        assert torch.equal(env.future(3), torch.cat([one.future(3) for one in alone]))
        actions = {a: torch.full((5, 1), 0.1 * t) for a in AGENTS}
        step, steps = env.step(actions), played(actions, alone)
        for agent in AGENTS:
            assert torch.equal(step.obs[agent], torch.cat([one.obs[agent] for one in steps]))
            assert torch.equal(step.reward[agent], torch.cat([o.reward[agent] for o in steps]))
        assert step.info["sign"].tolist() == [1, 1, 1, -1, -1]
        assert list(step.info) == ["reward_one", "reward_two", "sign"]
        assert step.truncated.tolist() == [t % STEPS == STEPS - 1] * 5


def test_one_part_alone_is_that_environment_itself():
    env, alone = side_by_side(Part("plus", PLUS, 4)), PLUS(4, 5)
    assert torch.equal(env.state(), alone.state())


def test_the_plan_counts_from_the_next_seeded_reset_on():
    plan = [Part("plus", PLUS, 4)]
    env = StageEnv(lambda: plan, 0)
    env.reset(seed=1)
    kept = env._envs[0]
    plan[:] = [Part("minus", MINUS, 1), Part("plus", PLUS, 3)]
    for _ in range(STEPS):  # an episode's end by itself changes nothing
        env.step({a: torch.zeros(4, 1) for a in AGENTS})
    assert env.parts == {"plus": 4}
    env.reset(seed=2)
    assert env.parts == {"minus": 1, "plus": 3}
    assert env.state()[:, 0].tolist() == [-1, 1, 1, 1]
    plan[:] = [Part("plus", PLUS, 5)]
    with pytest.raises(ValueError, match="are not 4 clouds"):
        env.reset(seed=3)
    assert kept.seeds[-1] == 1  # clouds that are not needed any more are left alone


def test_a_twin_lives_in_the_same_weather_and_goes_its_own_way():
    env = side_by_side(Part("plus", PLUS, 2), Part("minus", MINUS, 2))
    other = twin(env, lambda n, seed: pytest.fail("it copies itself"), 5)
    for _ in range(STEPS):
        assert torch.equal(env.state(), other.state())
        ours = env.step({a: torch.zeros(4, 1) for a in AGENTS})
        theirs = other.step({a: torch.ones(4, 1) for a in AGENTS})
        assert not torch.equal(ours.reward["one"], theirs.reward["one"])


def test_optional_abilities_are_there_where_all_parts_have_them():
    lq = side_by_side(Part("lq", LqTeam, 2))
    assert not any(hasattr(lq, name) for name in ("future", "action_masks", "final_obs"))
    assert not hasattr(side_by_side(Part("plus", PLUS, 2)), "action_masks")
    with pytest.raises(TypeError, match="gradients through the environment: LqTeam"):
        lq.differentiable()


def test_parts_that_show_other_things_cannot_be_mixed():
    def wide(num_envs, seed):
        return Signs(num_envs, seed, width=3)

    with pytest.raises(ValueError, match="plus and wide cannot be mixed: observation_names"):
        side_by_side(Part("plus", PLUS, 2), Part("wide", wide, 2))


def test_clouds_of_two_scenarios_keep_masks_requests_finals_and_gradients():
    parts = [Part("calm", cloud("calm"), 2), Part("price_shock", cloud("price_shock"), 3)]
    env = side_by_side(*parts)
    alone = [cloud("calm")(2, 5), cloud("price_shock")(3, derive_seed(5, "price_shock"))]
    for one in alone:
        one.reset()
    assert env.observation_names == alone[0].observation_names
    assert env.final_obs is None
    for agent, mask in env.action_masks().items():
        assert torch.equal(mask, torch.cat([one.action_masks()[agent] for one in alone]))
    requests = env.requests()
    assert isinstance(requests, Requests)
    for field in dataclasses.fields(Requests):
        together = torch.cat([getattr(one.requests(), field.name) for one in alone])
        assert torch.equal(getattr(requests, field.name), together)
    rollout, alone_rollouts = rollout_of(env), [rollout_of(one) for one in alone]
    knobs = {a: torch.zeros(5, s.shape[0], requires_grad=True) for a, s in env.action_spec.items()}
    fork = rollout.fork()
    for smooth in (rollout, fork):  # a fork starts where its original did
        earned = smooth.advance(knobs, 2)
    apart = [
        one.advance({a: k[rows] for a, k in knobs.items()}, 2)
        for one, rows in zip(alone_rollouts, (slice(0, 2), slice(2, 5)), strict=True)
    ]
    assert torch.equal(earned, torch.cat(apart))
    assert all(g.abs().max() > 0 for g in torch.autograd.grad(earned.sum(), list(knobs.values())))
    terms = rollout.terms()
    weighted = 0.4 * alone_rollouts[0].terms()["reward_cost"]
    weighted += 0.6 * alone_rollouts[1].terms()["reward_cost"]
    assert float(terms["reward_cost"]) == pytest.approx(float(weighted), rel=1e-5)
    assert torch.equal(rollout.state(), fork.state())
    assert torch.equal(rollout.future(2), torch.cat([one.future(2) for one in alone_rollouts]))
    rollout.fade(0.0)
    assert not rollout.state().requires_grad
    assert fork.state().requires_grad
    for _ in range(STEPS_OF_CLOUD):
        env.step({a: k.detach() for a, k in knobs.items()})
    assert env.final_state.shape == env.state().shape
