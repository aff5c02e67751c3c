"""Plans improved by chance: never worse, true to exact play, changes of the shape they promise."""

import pytest
import torch

from marl.cloud.actions import WIDTH
from marl.envs import make
from marl.evaluate.clairvoyant import ClairvoyantPolicy, PlannerConfig, by_agent, plan
from marl.evaluate.plan_search import ClimbConfig, _changes, climbed
from tests.unit.marl.evaluate.test_clairvoyant import ENGINEER, START, cloud_env

CONFIG = ClimbConfig(generations=12, candidates=6)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def start_of(env, hold_steps=3):
    return plan(env.cloud, env.weather, START, PlannerConfig(hold_steps=hold_steps, iterations=0))


def test_no_episode_gets_worse_and_a_plan_earns_when_played_what_it_says():
    env, lines = cloud_env(), []
    begun = start_of(env)
    found = climbed(env.cloud, env.weather, begun, CONFIG, rng(), progress=lines.append)
    assert (found.reward >= begun.reward - 1e-6).all()
    assert (found.reward > begun.reward + 0.005).all()
    assert torch.equal(found.start_reward, begun.start_reward)
    assert found.actions.shape == begun.actions.shape == (4, WIDTH, 3)
    assert found.actions.abs().max() <= 1
    assert len(lines) == 12
    assert "12 of 12 rounds of changes" in lines[-1]
    rewards = []
    for t in range(12):
        step = env.step(by_agent(found.actions[t // 3]))
        rewards.append(torch.stack(list(step.reward.values())).mean(0))
    torch.testing.assert_close(torch.stack(rewards).mean(0), found.reward)
    env = cloud_env()
    again = climbed(env.cloud, env.weather, start_of(env), CONFIG, rng())
    assert torch.equal(again.actions, found.actions)


def test_without_rounds_a_plan_stays_as_it_is():
    env = cloud_env()
    begun = start_of(env)
    none = ClimbConfig(generations=0)
    found = climbed(env.cloud, env.weather, begun, none, rng())
    assert torch.equal(found.actions, begun.actions)
    torch.testing.assert_close(found.reward, begun.reward)


@pytest.mark.parametrize(("length", "hold"), [(288, 3), (288, 12), (7, 3), (4, 1)])
def test_a_change_moves_some_knobs_by_one_amount_over_one_stretch(length, hold):
    decisions, count = -(-length // hold), 4000
    sigma = torch.full((count,), 0.2)
    sigma[: count // 2] = 0.1
    change = _changes(decisions, sigma, (length, hold), ClimbConfig(), rng())
    assert change.shape == (decisions, WIDTH, count)
    is_changed = change != 0
    knobs = is_changed.any(0).sum(0)  # of a change that reaches the episode's decisions
    assert knobs[knobs > 0].float().mean() == pytest.approx(2.1, abs=0.15)
    covered = is_changed.any(1).int()  # (D, count): ones side by side
    assert (covered.diff(dim=0) == 1).sum(0).max() <= 1
    amount = torch.where(change.amax(0) != 0, change.amax(0), change.amin(0))  # (WIDTH, count)
    assert ((change == 0) | (change == amount)).all()  # one amount a knob
    for part, spread in ((slice(count // 2), 0.1), (slice(count // 2, None), 0.2)):
        moved = amount[:, part][amount[:, part] != 0]
        assert moved.std() == pytest.approx(spread, rel=0.06)
    if length == 288:
        lengths = covered.sum(0)[covered.sum(0) > 0] * hold
        assert (lengths <= 2 * hold).float().mean() < 0.5
        assert (lengths >= 144).any()


def test_the_policy_climbs_after_its_slopes():
    def env():
        made = make(num_envs=4, seed=7, episode_steps=12)
        made.reset(seed=7)
        return made

    slopes = [PlannerConfig(hold_steps=3, iterations=1, window_steps=6)]
    plain = ClairvoyantPolicy(ENGINEER, slopes, clouds=3)
    policy = ClairvoyantPolicy(ENGINEER, slopes, clouds=3, climb=CONFIG)
    plain.begin(env(), 7)
    policy.begin(env(), 7)
    assert (policy.plan.reward > plain.plan.reward).all()
    first = policy.plan.actions
    policy.begin(env(), 7)
    assert torch.equal(policy.plan.actions, first)
