"""Copies in one batch are the clouds themselves, and a share shows its part of them alone."""

import pytest
import torch

from marl.cloud.lagrange import Constraint
from marl.envs import make
from marl.envs.rewards import RewardOptions
from marl.envs.shared import SharedClouds

CLOUDS, STEPS = 3, 10


def started(seed=5, **overrides):
    env = make("provisioning", CLOUDS, seed=0, episode_steps=STEPS, **overrides)
    env.reset(seed=seed)
    return env


def filled(env, value, clouds):
    return {a: torch.full((clouds, s.shape[0]), value) for a, s in env.action_spec.items()}


def test_each_copy_goes_as_the_environment_alone_would():
    env, values = started(), (-0.6, 0.0, 0.8)
    shared = SharedClouds(env, len(values))
    assert shared.num_envs == 9
    alone = [env.twin() for _ in values]
    for t in range(STEPS):
        for share, one in zip(shared.shares, alone, strict=True):
            assert share.step_index == one.step_index == t
            assert share.num_envs == CLOUDS
            torch.testing.assert_close(share.state(), one.state(), rtol=1e-6, atol=1e-6)
            assert torch.equal(share.cloud_state.vms, one.cloud_state.vms)
            assert torch.equal(share.future(4), one.future(4))
            listed, expected = share.requests().values, one.requests().values
            torch.testing.assert_close(listed, expected, rtol=1e-6, atol=1e-6)
            for agent, mask in one.action_masks().items():
                assert torch.equal(share.action_masks()[agent], mask)
        parts = [filled(env, value, CLOUDS) for value in values]
        step = shared.step({a: torch.cat([part[a] for part in parts]) for a in env.agents})
        steps = [one.step(part) for one, part in zip(alone, parts, strict=True)]
        for name in ("cost_usd", "requests", "reward_team", "late_web"):
            expected = torch.cat([each.info[name] for each in steps])
            torch.testing.assert_close(step.info[name], expected, rtol=1e-6, atol=1e-6)
        for agent in env.agents:
            expected = torch.cat([each.reward[agent] for each in steps])
            torch.testing.assert_close(step.reward[agent], expected, rtol=1e-6, atol=1e-6)
            if t < STEPS - 1:
                seen = torch.cat([each.obs[agent] for each in steps])
                torch.testing.assert_close(step.obs[agent], seen, rtol=1e-6, atol=1e-6)
    assert bool(step.truncated.all())
    # The environment that was copied has not moved.
    assert env.step_index == 0
    # There is no next episode, hence no weather drawn for nobody.
    with pytest.raises(RuntimeError, match="episode is over"):
        shared.step(filled(env, 0.0, 9))


def test_copies_may_begin_in_the_middle_of_an_episode():
    env = started()
    for _ in range(4):
        env.step(filled(env, 0.3, CLOUDS))
    shared, alone = SharedClouds(env, 2), env.twin()
    assert shared.observed()["compute"].shape[0] == 6
    told, expected = shared.step(filled(env, -0.3, 6)), alone.step(filled(env, -0.3, CLOUDS))
    twice = expected.info["cost_usd"].repeat(2)
    torch.testing.assert_close(told.info["cost_usd"], twice, rtol=1e-6, atol=1e-6)


def test_what_makes_no_sense_is_refused():
    env = started()
    with pytest.raises(ValueError, match="at least 1; got 0"):
        SharedClouds(env, 0)
    with pytest.raises(RuntimeError, match="reset"):
        SharedClouds(make("provisioning", 2, episode_steps=STEPS), 2)
    shared = SharedClouds(env, 2)
    for refused in (shared.reset, shared.twin):
        with pytest.raises(RuntimeError, match="copy"):
            refused()
    (share, _) = shared.shares
    calls = (
        share.reset,
        share.twin,
        lambda: share.step(filled(env, 0.0, CLOUDS)),
        lambda: share.advance(torch.zeros(1)),
    )
    for refused in calls:
        with pytest.raises(RuntimeError, match="for looking"):
            refused()


def test_rewards_that_remember_are_not_shared():
    constraint = Constraint("slo_attainment", 0.99, "at_least", scale=0.01)
    env = started(rewards=RewardOptions(constraints=(constraint,)))
    with pytest.raises(ValueError, match="one policy at a time"):
        SharedClouds(env, 2)
