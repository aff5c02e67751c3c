"""Model-predictive control: forecasts by hand, no look ahead, and what planning brings."""

import dataclasses

import pytest
import torch

from marl.cloud.foresight import AHEAD, FORESIGHT
from marl.cloud.types import RESOURCES, SERVICES
from marl.envs import make
from marl.evaluate.baselines import Trial
from marl.evaluate.families import family
from marl.evaluate.mpc import PLANNER, MpcPolicy, forecast_weather, planner, tuned_planner
from marl.evaluate.policies import ConstantPolicy
from marl.evaluate.rollout import Labels, play_episodes
from marl.workload.toy import ToyGenerator

ENGINEER = family("reactive").start
LABELS = Labels("toy", False, True)
STEPS = 40


def begun(steps=0, kind="burst", **settings):
    env = make(
        num_envs=3, seed=4, episode_steps=STEPS, generator=ToyGenerator(kind=kind, **settings)
    )
    obs = env.reset(seed=4)
    rule = ConstantPolicy("rule", ENGINEER)
    for _ in range(steps):
        obs = env.step(rule.act(obs)).obs
    return env


def load(work):
    return work[:, : len(RESOURCES) - 1].sum(0)


@pytest.mark.parametrize("step", [0, 7, 30])
def test_nothing_of_the_present_or_a_later_step_is_read(step):
    env = begun(step)
    seen = forecast_weather(env, 24, 1.0).packed
    weather = env.weather
    packed, due = weather.packed.clone(), weather.due.clone()
    calendar = [-2, -1]  # is_new_hour, is_review: known beforehand
    kept = packed[:, calendar].clone()
    packed[max(step, 1) :] = packed[max(step, 1) :] * 3.0 + 1.0
    packed[:, calendar] = kept
    # Work that arrives from now on is due a deadline later at the earliest.
    config = env.cloud.params.config
    for i, deadline in enumerate((config.batch_deadline_steps, config.ml_deadline_steps)):
        due[step + deadline :, i] += 1e6
    told = weather.told.clone()
    told[step + 1 :] += 5.0
    env._weather = dataclasses.replace(weather, packed=packed, due=due, told=told)
    assert torch.equal(forecast_weather(env, 24, 1.0).packed, seen)


def test_work_follows_each_services_forecast_times_the_margin():
    env = begun(12)
    ahead = forecast_weather(env, 24, 1.25)
    told = env.weather.told[12]

    def forecast(service, h):
        return told[FORESIGHT.index(f"forecast_{service}_{h}")]

    for at, service in enumerate(SERVICES):
        for h in AHEAD:
            got = load(ahead.at(h).work)[at]
            assert torch.allclose(got, 1.25 * forecast(service, h), rtol=1e-4)
        between = forecast(service, 0) + 0.4 * (forecast(service, 5) - forecast(service, 0))
        assert torch.allclose(load(ahead.at(2).work)[at], 1.25 * between, rtol=1e-4)
        assert torch.allclose(load(ahead.at(20).work)[at], 1.25 * forecast(service, 11), rtol=1e-4)


def test_deadlines_of_arrived_work_are_known_and_later_ones_expected():
    env = begun(10)
    ahead = forecast_weather(env, 30, 1.0)
    for k in range(24):  # batch: 24 steps
        assert torch.allclose(ahead.at(k).due[0], env.weather.due[10 + k, 0])
    expected = env.weather.due[33, 0] + ahead.at(0).work[1, 0]
    assert torch.allclose(ahead.at(24).due[0], expected)
    total = torch.stack([ahead.at(k).due_now for k in range(30)]).sum(0)
    assert torch.allclose(total, ahead.at(29).due - env.weather.due[9], rtol=1e-4, atol=1e-3)


def test_without_noise_the_forecast_comes_true():
    env = begun(15, kind="steady", noise=0.0)
    ahead = forecast_weather(env, 20, 1.0)
    for k in range(20):
        assert torch.allclose(ahead.at(k).work, env.weather.at(15 + k).work, rtol=2e-3, atol=1e-4)


def test_without_iterations_it_is_the_rule_and_with_them_it_is_better_where_forecasts_hold():
    def made(num_envs, seed):
        demand = ToyGenerator(kind="cyclical", noise=0.0)
        return make(num_envs=num_envs, seed=seed, episode_steps=STEPS, generator=demand)

    rule = play_episodes(ConstantPolicy("mpc", ENGINEER), made, 3, 0, LABELS)
    idle = MpcPolicy(ENGINEER, 1.0, PLANNER.model_copy(update={"iterations": 0}))
    assert play_episodes(idle, made, 3, 0, LABELS).equals(rule)
    planned = play_episodes(MpcPolicy(ENGINEER, 1.0, planner(4)), made, 3, 0, LABELS)
    assert planned["reward"].mean() > rule["reward"].mean() + 0.005


def test_the_best_margin_is_kept():
    trials = [Trial(knobs=(m,), reward=-abs(m - 1.25), performance=0.0) for m in (1.0, 1.25, 1.5)]
    found = tuned_planner(ENGINEER, trials)
    assert (found.name, found.kind, found.parameters) == ("mpc", "mpc", {"margin": 1.25})
    assert found.trial_count == 3


def test_it_refuses_to_act_before_begin_and_worlds_it_cannot_plan_in():
    policy = MpcPolicy(ENGINEER)
    with pytest.raises(RuntimeError, match="call begin"):
        policy.act({})
    with pytest.raises(TypeError, match="plans in simulated clouds"):
        policy.begin(object(), 0)
