"""The planner: never below its start, true to exact play, windows as good as the whole."""

import dataclasses

import pytest
import torch

from marl.cloud.actions import WIDTH
from marl.cloud.dynamics import initial_state
from marl.cloud.rounding import SMOOTH
from marl.cloud.types import SERVICES
from marl.envs import make
from marl.evaluate.clairvoyant import (
    ClairvoyantPolicy,
    PlannerConfig,
    _Windows,
    by_agent,
    joined,
    judged,
    plan,
    plan_in_stages,
    stages,
    walk,
)
from marl.evaluate.families import family
from tests.learning.lq_team import LqTeam

ENGINEER = family("reactive").start
START = torch.tensor([value for agent in SERVICES for value in ENGINEER[agent]])
QUICK = PlannerConfig(hold_steps=3, iterations=4, window_steps=6, lookahead_steps=3)


def cloud_env(num_envs=3, steps=12, seed=0):
    env = make(num_envs=num_envs, seed=seed, episode_steps=steps)
    env.reset(seed=seed)
    return env


def test_a_plan_gains_on_every_episode_and_earns_when_played_what_it_says():
    env = cloud_env()
    lines = []
    found = plan(env.cloud, env.weather, START, QUICK, lines.append)
    assert (found.reward > found.start_reward + 0.005).all()
    assert found.actions.shape == (4, WIDTH, 3)
    assert found.actions.abs().max() <= 1
    assert "clairvoyant: 4 of 4" in lines[-1]
    rewards = []
    for t in range(12):
        step = env.step(by_agent(found.actions[t // 3]))
        rewards.append(torch.stack(list(step.reward.values())).mean(0))
    torch.testing.assert_close(torch.stack(rewards).mean(0), found.reward)
    again = plan(cloud_env().cloud, cloud_env().weather, START, QUICK)
    assert torch.equal(again.actions, found.actions)


def test_the_start_is_among_the_candidates():
    env = cloud_env()
    wild = QUICK.model_copy(update={"learning_rate": 2.0})  # from bound to bound
    good = plan(env.cloud, env.weather, START, QUICK)
    found = plan(env.cloud, env.weather, good.actions, wild)
    assert (found.reward >= good.reward).all()
    held = START[None, :, None].expand(4, -1, 3)
    begun = initial_state(env.weather.at(0), env.cloud)
    reward, _ = judged(env.cloud, env.weather, held, QUICK, begun)
    assert torch.equal(good.start_reward, reward)
    none = plan(env.cloud, env.weather, START, QUICK.model_copy(update={"iterations": 0}))
    assert torch.equal(none.reward, reward)


def test_windows_side_by_side_are_the_whole_episode_where_nothing_is_cut_off():
    env = cloud_env()
    config = PlannerConfig(hold_steps=3, window_steps=12, lookahead_steps=3)
    actions = (START[None, :, None].expand(4, -1, 3) * 0.5).clone().requires_grad_()
    begun = initial_state(env.weather.at(0), env.cloud)
    _, states = judged(env.cloud, env.weather, actions.detach(), config, begun)
    rewards = _Windows(env.cloud, env.weather, config).rewards(actions, states)
    assert rewards.shape == (15, 3)
    assert (rewards[12:] == 0).all()  # beyond the end nothing is earned
    (windowed,) = torch.autograd.grad(rewards.sum(), actions)
    each = (actions[t // 3] for t in range(12))
    first = initial_state(env.weather.at(0), env.cloud)
    walked = walk(env.cloud, env.weather, first, each, SMOOTH)
    whole = sum(reward.sum() for _, reward in walked)
    torch.testing.assert_close(windowed, torch.autograd.grad(whole, actions)[0])


def test_windows_begin_at_their_own_steps_and_share_no_gradient():
    env = cloud_env()
    config = PlannerConfig(hold_steps=3, window_steps=3, lookahead_steps=3)
    actions = (START[None, :, None].expand(4, -1, 3) * 0.5).clone().requires_grad_()
    begun = initial_state(env.weather.at(0), env.cloud)
    _, states = judged(env.cloud, env.weather, actions.detach(), config, begun)
    assert len(states) == 4
    rewards = _Windows(env.cloud, env.weather, config).rewards(actions, states).unflatten(1, (4, 3))
    for window in range(4):
        (gradient,) = torch.autograd.grad(rewards[:, window].sum(), actions, retain_graph=True)
        touched = [bool(part.any()) for part in gradient]
        assert touched == [decision == window for decision in range(4)]
    # The second window's first step is the episode's fourth, from the state of the exact clouds.
    weather = dataclasses.replace(env.weather, packed=env.weather.packed[3:4])
    ((_, alone),) = walk(env.cloud, weather, states[1], [actions[1]], SMOOTH)
    torch.testing.assert_close(rewards[0, 1], alone)
    assert joined(states).elapsed.tolist() == [0] * 3 + [3] * 3 + [6] * 3 + [9] * 3


def test_as_a_policy_it_plans_for_the_weather_it_meets():
    def made(num_envs, seed):
        return make(num_envs=4, seed=seed, episode_steps=12)

    lines = []
    config = QUICK.model_copy(update={"iterations": 2, "judge_every": 1})
    policy = ClairvoyantPolicy(ENGINEER, [config], clouds=3, progress=lines.append)
    with pytest.raises(RuntimeError, match="before begin"):
        policy.act({})
    env = made(4, 7)
    obs = env.reset(seed=7)
    policy.begin(env, 7)
    rewards = []
    for _ in range(12):
        step = env.step(policy.act(obs))
        rewards.append(torch.stack(list(step.reward.values())).mean(0))
    torch.testing.assert_close(torch.stack(rewards).mean(0)[:3], policy.plan.reward)
    last = torch.cat(list(policy.act(obs).values()), 1)[3]
    assert torch.equal(last, START)  # the fourth cloud keeps the rule
    assert policy.plan.reward.mean() > policy.plan.start_reward.mean()
    assert len(lines) == 2
    assert (policy.name, policy.training_seed) == ("clairvoyant", None)


def test_stages_refine_a_plan_and_never_lose_what_was_found():
    env = cloud_env()
    finer = QUICK.model_copy(update={"hold_steps": 1})
    coarse = plan(env.cloud, env.weather, START, QUICK)
    found = plan_in_stages(env.cloud, env.weather, START, [QUICK, finer])
    assert found.actions.shape == (12, WIDTH, 3)
    assert (found.reward >= coarse.reward - 1e-6).all()
    assert (found.reward > coarse.reward).any()
    assert torch.equal(found.start_reward, coarse.start_reward)
    assert [(one.hold_steps, one.iterations) for one in stages(5)] == [(12, 2), (3, 3)]
    with pytest.raises(ValueError, match="are not whole ones of 2"):
        plan_in_stages(
            env.cloud, env.weather, START, [QUICK, QUICK.model_copy(update={"hold_steps": 2})]
        )


def test_it_refuses_other_worlds_and_broken_decisions():
    with pytest.raises(TypeError, match="plans in simulated clouds; got LqTeam"):
        ClairvoyantPolicy(ENGINEER).begin(LqTeam(2, 0), 0)
    with pytest.raises(ValueError, match="must be whole decisions"):
        PlannerConfig(hold_steps=5, window_steps=12)
